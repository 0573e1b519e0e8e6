"""Heartbeats in bulk, one command by its version, all devices as one frame, and the report that wins a race."""

from hc_platform.charging.models import Device
from hc_platform.charging.registry.base import Registry
from hc_platform.charging.tables import DEVICES
from hc_platform_tests.charging.registry.making import NOON, ask, asked, at, claim, one, register, sent


def test_case_32_standing_pauses_are_said_again_under_their_id(registry: Registry) -> None:
    names = ["sent", "acked", "fresh", "allowed", "waits", "unasked", "older"]
    for name in names:
        asked(registry, name, desired="allow" if name == "allowed" else "pause", reasons=1)
    for leased in claim(registry):
        if leased.device_id == "waits":
            registry.settle(leased.model_copy(update={"status": "pending"}), owner="me")
            continue
        when = at(101) if leased.device_id == "fresh" else at(100)
        sent(registry, leased, f"m-{leased.device_id}", sent_at=when, next_try_at=at(5_000))
    registry.acknowledge("m-acked", delivered=True, now=at(110))
    registry.acknowledge("m-older", delivered=True, now=at(110))
    assert registry.commit([ask("older", 2)], now=at(120)) == []  # version 1 was sent, 2 is on its way
    before = {n: one(registry, n) for n in names}
    due = {n: at(100) for n in names if n != "unasked"} | {"ghost": at(100)}
    assert registry.say_again(due, reasons=4, now=at(200)) == 2
    again = {
        "status": "pending",
        "priority": 2,
        "reasons": 5,
        "attempts": 0,
        "next_try_at": at(200),
        "acked_at": None,
        "updated_at": at(200),
    }
    for name in names:
        said = again if name in ("sent", "acked") else {}
        assert one(registry, name) == before[name].model_copy(update=said)
        control = registry.control(name)
        assert control is not None
        assert control.resends == 0
    assert registry.say_again(due, reasons=4, now=at(201)) == 0  # they wait already
    assert registry.say_again({}, reasons=4, now=at(201)) == 0


def test_many_are_said_again_in_one_call(registry: Registry) -> None:
    names = [f"d{n:03}" for n in range(120)]
    register(registry, *names)
    assert registry.commit([ask(n, 1) for n in names], now=NOON) == []
    for leased in claim(registry, limit=200):
        sent(registry, leased, f"m-{leased.device_id}")
    assert registry.say_again(dict.fromkeys(names, NOON), reasons=1, now=at(60)) == 120
    assert sorted(c.device_id for c in claim(registry, 60, limit=200)) == names


def test_one_command_is_had_by_its_version(registry: Registry) -> None:
    asked(registry, "d1", 3)
    for ver in (1, 2, 3):
        assert registry.command("d1", ver) == one(registry, "d1", ver)
    assert registry.command("d1", 4) is None
    assert registry.command("ghost", 1) is None


def test_all_devices_come_as_one_frame(registry: Registry) -> None:
    assert dict(registry.registered().schema) == DEVICES.schema
    assert registry.registered().is_empty()
    full = Device(
        device_id="full",
        status="inactive",
        lat=-0.5,
        lon=180,
        override_until=at(0.000001),
        deadline=at(3_600),
        need_s=1_800,
        flag="refused",
    )
    registry.put_device(full, now=NOON)
    asked(registry, "plain")
    frame = registry.registered()
    assert dict(frame.schema) == DEVICES.schema
    stored = {d.device_id: d.model_dump() for page in registry.devices() for d in page}
    assert {row["device_id"]: row for row in frame.to_dicts()} == {
        d: {n: row[n] for n in DEVICES.names} for d, row in stored.items()
    }


def test_a_first_decision_that_lost_to_a_report_is_due_again(registry: Registry) -> None:
    register(registry, "d1")
    (row,) = registry.fleet().to_dicts()
    assert row["rev"] is None
    registry.report("d1", "allow", at=at(5))
    assert registry.commit([ask("d1", 1)], now=at(6)) == ["d1"]
    assert registry.next_due().control == at(5)
    (row,) = registry.fleet().to_dicts()
    assert (row["rev"], row["ver"], row["reported"]) == (1, 0, "allow")
    assert registry.commit([ask("d1", 1, rev=2)], now=at(7)) == []
