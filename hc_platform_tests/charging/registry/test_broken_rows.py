"""Rows that another program broke: left out and told, and never in the way of the others."""

from typing import Any

import pytest

from hc_platform.charging.models import Change, Control
from hc_platform.charging.registry.base import Registry
from hc_platform_tests.charging.registry.breaking import (
    remove_control,
    remove_device,
    spoil_command,
    spoil_control,
    spoil_device,
)
from hc_platform_tests.charging.registry.making import (
    NOON,
    ask,
    asked,
    at,
    claim,
    command,
    ids,
    one,
    outbox,
    register,
)

FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"lat": 91.0}, "lat: Input should be less than or equal to 90"),
    ({"deadline": 1_800_000_000_000_000}, "deadline and need_s go together"),
    ({"need_s": -5, "deadline": 0}, "need_s: Input should be greater than or equal to 0"),
    ({"need_s": "two hours", "deadline": 0}, "need_s: Input should be a valid integer"),
    ({"protocol": "carrier pigeon"}, "protocol: Input should be 'window' or 'legacy'"),
    ({"status": "broken"}, "status: Input should be 'active' or 'inactive'"),
    ({"override_until": "tomorrow"}, "override_until: "),
    ({"override_until": 9 * 10**18}, "a time that is none"),
]


@pytest.mark.parametrize(("fault", "told"), FAULTS, ids=[t.split(":")[0] for _, t in FAULTS])
def test_a_device_that_the_model_refuses_is_left_out_and_told(
    registry: Registry, fault: dict[str, Any], told: str
) -> None:
    register(registry, "a", "bad", "c")
    assert registry.commit([ask(d, 1) for d in ("a", "bad", "c")], now=NOON) == []
    spoil_device(registry, "bad", **fault)
    for read in (registry.fleet, registry.registered):
        assert read()["device_id"].sort().to_list() == ["a", "c"]
        (line,) = registry.unreadable()
        assert line.startswith("bad: ")
        assert told in line
        assert "\n" not in line
    told_by_frames = registry.unreadable()
    assert ids(registry.devices()) == ["a", "c"]
    assert registry.unreadable() == told_by_frames
    register(registry, "d")
    spoil_device(registry, "bad", **dict.fromkeys(fault) | {"protocol": "window", "status": "active"})
    assert registry.fleet()["device_id"].sort().to_list() == ["a", "bad", "c", "d"]
    assert registry.unreadable() == []


@pytest.mark.parametrize("fault", [{"moer": "odd"}, {"rev": 0}, {"window_end": "late"}, {"desired": "maybe"}])
def test_a_device_whose_control_cannot_be_read_is_left_out_of_the_fleet(
    registry: Registry, fault: dict[str, Any]
) -> None:
    asked(registry, "bad")
    asked(registry, "good")
    spoil_control(registry, "bad", **fault)
    assert registry.fleet()["device_id"].to_list() == ["good"]
    (line,) = registry.unreadable()
    assert line.startswith(f"bad: {next(iter(fault))}: ")
    assert registry.registered()["device_id"].sort().to_list() == ["bad", "good"]
    assert registry.unreadable() == []


def test_a_fleet_of_nothing_but_broken_rows_is_empty(registry: Registry) -> None:
    register(registry, "a", "b")
    for device_id in ("a", "b"):
        spoil_device(registry, device_id, lat=91.0)
    assert registry.fleet().is_empty()
    assert len(registry.unreadable()) == 2


def test_a_device_that_is_left_out_does_not_wake_runs_for_ever(registry: Registry) -> None:
    register(registry, "bad", "good")
    for device_id, seconds in (("bad", 5), ("good", 9)):
        change = Change(control=Control(device_id=device_id, next_check_at=at(seconds)))
        assert registry.commit([change], now=NOON) == []
    assert registry.next_due().control == at(5)
    spoil_device(registry, "bad", lon=-181.0)
    assert registry.next_due().control == at(9)


@pytest.mark.parametrize("remove", [remove_control, remove_device])
def test_a_command_whose_device_is_gone_is_a_dead_letter_and_the_others_go(
    registry: Registry, remove: Any
) -> None:
    asked(registry, "gone", priority=0)
    asked(registry, "here")
    remove(registry, "gone")
    assert registry.next_due().command == NOON
    assert [c.device_id for c in claim(registry)] == ["here"]
    dead = one(registry, "gone")
    assert (dead.status, dead.next_try_at, dead.updated_at) == ("dead", None, NOON)
    assert dead.error is not None
    assert "another program removed or replaced its device" in dead.error
    assert registry.next_due().command == at(60)  # the other's lease


def test_a_command_that_cannot_be_read_is_a_dead_letter_and_the_others_go(registry: Registry) -> None:
    asked(registry, "bad", priority=0)
    asked(registry, "good")
    spoil_command(registry, "bad", 1, protocol="carrier pigeon")
    assert [c.device_id for c in claim(registry)] == ["good"]
    spoil_command(registry, "bad", 1, protocol="window")
    dead = one(registry, "bad")
    assert dead.status == "dead"
    assert dead.error is not None
    assert "protocol: Input should be" in dead.error


def test_a_command_that_cannot_be_read_can_be_superseded(registry: Registry) -> None:
    asked(registry, "d1")
    spoil_command(registry, "d1", 1, protocol="carrier pigeon")
    assert registry.commit([ask("d1", 2)], now=at(1)) == []
    spoil_command(registry, "d1", 1, protocol="window")
    assert outbox(registry, "d1") == {1: "superseded", 2: "pending"}


@pytest.mark.parametrize("reported", [False, True])
def test_versions_go_on_from_the_outbox_where_the_control_was_lost(
    registry: Registry, reported: bool
) -> None:
    """No number is given out twice: it is the idempotency key of what a device has heard already."""
    asked(registry, "d1", 3)
    register(registry, "d2")
    remove_control(registry, "d1")
    if reported:
        registry.report("d1", "pause", at=at(1))
    rev = 2 if reported else 1
    assert registry.commit([ask("d1", 1, rev=rev), ask("d2", 1)], now=at(2)) == ["d1"]
    control = registry.control("d1")
    assert control is not None
    assert (control.rev, control.ver, control.desired) == (rev, 3, None)
    assert control.reported == ("pause" if reported else None)
    assert registry.next_due().control == at(2)  # decided again at once
    assert registry.commit([ask("d1", 4, rev=rev + 1)], now=at(3)) == []
    assert outbox(registry, "d1")[4] == "pending"
    assert one(registry, "d1", 4).command_id == command("d1", 4).command_id
