"""Commit: one winner per revision, control and command together, older versions superseded."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from hc_platform.charging.models import Change, Control
from hc_platform.charging.registry.base import Registry
from hc_platform_tests.charging.registry.making import (
    NOON,
    ask,
    asked,
    at,
    claim,
    command,
    one,
    outbox,
    register,
    sent,
)


def test_a_change_writes_control_and_command(registry: Registry) -> None:
    register(registry, "d1")
    change = ask("d1", 1, window_start=at(60), window_end=at(120), reasons=5, priority=2, expires_at=at(120))
    assert registry.commit([change], now=NOON) == []
    assert registry.control("d1") == change.control
    assert one(registry, "d1") == change.command


def test_a_stale_revision_loses_and_writes_nothing(registry: Registry) -> None:
    asked(registry, "d1", 2)
    before = registry.control("d1")
    for rev in (1, 2, 4):
        assert registry.commit([ask("d1", 3, rev=rev)], now=NOON) == ["d1"]
    assert registry.control("d1") == before
    assert outbox(registry, "d1") == {1: "superseded", 2: "pending"}


def test_losers_do_not_hold_up_the_others(registry: Registry) -> None:
    register(registry, *(f"d{n}" for n in range(40)))
    registry.commit([ask(f"d{n}", 1) for n in range(0, 40, 4)], now=NOON)
    lost = registry.commit([ask(f"d{n}", 1, desired="allow") for n in range(40)], now=NOON)
    assert lost == [f"d{n}" for n in range(0, 40, 4)]
    assert all(outbox(registry, f"d{n}") == {1: "pending"} for n in range(40))
    assert one(registry, "d0").desired == "pause"
    assert one(registry, "d1").desired == "allow"


def test_a_device_that_nobody_registered_loses(registry: Registry) -> None:
    assert registry.commit([ask("ghost", 1)], now=NOON) == ["ghost"]
    assert registry.control("ghost") is None
    assert outbox(registry, "ghost") == {}
    assert registry.device("ghost") is None


def test_a_version_must_follow_on_from_the_stored_one(registry: Registry) -> None:
    asked(registry, "d1", 1)
    assert registry.commit([ask("d1", 3, rev=2)], now=NOON) == ["d1"]
    silent = Change(control=Control(device_id="d1", rev=2, ver=2))
    assert registry.commit([silent], now=NOON) == ["d1"]
    assert outbox(registry, "d1") == {1: "pending"}


def test_a_command_of_another_version_or_device_is_an_error(registry: Registry) -> None:
    register(registry, "d1", "d2")
    for wrong in (command("d1", 2), command("d2", 1), command("d1", 1, status="sent")):
        with pytest.raises(ValueError, match="d1"):
            registry.commit([Change(control=Control(device_id="d1", rev=1, ver=1), command=wrong)], now=NOON)
    assert registry.control("d1") is None


def test_case_33_of_twenty_runs_that_decide_at_once_one_version_comes(registry: Registry) -> None:
    register(registry, "d1")
    for rev in range(1, 5):
        changes = [ask("d1", rev, reasons=n) for n in range(20)]
        with ThreadPoolExecutor(20) as pool:
            lost = list(pool.map(lambda change: registry.commit([change], now=NOON), changes))
        assert sorted(map(len, lost)) == [0] + [1] * 19
        (winner,) = [n for n, ids in enumerate(lost) if not ids]
        assert one(registry, "d1", rev).reasons == winner
    assert outbox(registry, "d1") == {1: "superseded", 2: "superseded", 3: "superseded", 4: "pending"}
    assert [c.ver for c in claim(registry)] == [4]


def test_a_change_without_a_command_leaves_the_outbox_alone(registry: Registry) -> None:
    asked(registry, "d1")
    silent = Control(device_id="d1", rev=2, ver=1, desired="pause", next_check_at=at(9), moer="pausing")
    assert registry.commit([Change(control=silent)], now=at(1)) == []
    assert registry.control("d1") == silent
    assert outbox(registry, "d1") == {1: "pending"}


def test_a_newer_version_supersedes_what_waits_and_what_was_sent(registry: Registry) -> None:
    asked(registry, "waits")
    asked(registry, "sent")
    asked(registry, "acked")
    asked(registry, "dead")
    for leased in claim(registry):
        if leased.device_id == "waits":
            registry.settle(leased.model_copy(update={"status": "pending", "next_try_at": at(9)}), owner="me")
        elif leased.device_id == "dead":
            registry.settle(leased.model_copy(update={"status": "dead", "error": "404"}), owner="me")
        else:
            sent(registry, leased, f"m-{leased.device_id}", next_try_at=at(600))
    registry.acknowledge("m-acked", delivered=True, now=at(1))
    names = ["waits", "sent", "acked", "dead"]
    assert registry.commit([ask(n, 2) for n in names], now=at(2)) == []
    assert {n: outbox(registry, n)[1] for n in names} == {
        "waits": "superseded",
        "sent": "superseded",
        "acked": "acked",
        "dead": "dead",
    }
    old = one(registry, "sent")
    assert (old.message_id, old.next_try_at, old.updated_at) == ("m-sent", None, at(2))
    assert registry.acknowledge("m-sent", delivered=True, now=at(3)) is None
    assert {(c.device_id, c.ver) for c in claim(registry, 700)} == {(n, 2) for n in names}


def test_one_being_sent_is_left_to_its_sender(registry: Registry) -> None:
    asked(registry, "d1")
    (leased,) = claim(registry)
    assert registry.commit([ask("d1", 2)], now=at(1)) == []
    assert outbox(registry, "d1") == {1: "sending", 2: "pending"}
    assert claim(registry, 2) == []  # never two versions of a device in flight
    assert sent(registry, leased, "m1", next_try_at=at(600))
    assert outbox(registry, "d1") == {1: "superseded", 2: "pending"}
    assert one(registry, "d1").message_id == "m1"
    assert registry.acknowledge("m1", delivered=True, now=at(3)) is None
    assert [c.ver for c in claim(registry, 4)] == [2]


def test_two_newer_versions_wait_for_the_one_in_flight(registry: Registry) -> None:
    asked(registry, "d1")
    (leased,) = claim(registry)
    assert registry.commit([ask("d1", 2)], now=at(1)) == []
    assert registry.commit([ask("d1", 3)], now=at(2)) == []
    assert outbox(registry, "d1") == {1: "sending", 2: "superseded", 3: "pending"}
    assert claim(registry, 3) == []
    assert registry.settle(leased.model_copy(update={"status": "pending", "next_try_at": at(5)}), owner="me")
    assert outbox(registry, "d1") == {1: "superseded", 2: "superseded", 3: "pending"}
    assert [c.ver for c in claim(registry, 6)] == [3]


def test_a_decision_keeps_what_the_device_said_meanwhile(registry: Registry) -> None:
    asked(registry, "d1")
    registry.report("d1", "allow", at=at(5))
    assert registry.commit([ask("d1", 2)], now=at(6)) == []  # decided on what was read before the report
    control = registry.control("d1")
    assert control is not None
    assert (control.rev, control.ver, control.reported, control.reported_at) == (2, 2, "allow", at(5))


def test_resends_are_counted_per_version(registry: Registry) -> None:
    asked(registry, "d1")
    sent(registry, claim(registry)[0], "m1")
    assert registry.resend("d1", 1, priority=1, reasons=0, count=True, now=at(1))
    stale = Change(control=Control(device_id="d1", rev=2, ver=1, desired="pause"))
    registry.commit([stale], now=at(2))
    control = registry.control("d1")
    assert control is not None
    assert control.resends == 1
    registry.commit([ask("d1", 2, rev=3)], now=at(3))
    control = registry.control("d1")
    assert control is not None
    assert control.resends == 0
