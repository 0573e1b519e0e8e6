"""Why a device is told what it is told: each sentence where it is true, on the tariff's clock."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hc_platform.charging.explain import explain, newest_command
from hc_platform.charging.models import Device
from hc_platform.charging.overrides import charge_now, depart
from hc_platform.charging.schedules import load_schedules
from hc_platform.charging.tick import decide_at
from hc_platform.demo.watttime import DemoWattTime, Fault, serve_watttime
from hc_platform_tests.charging.endtoend.world import (
    PEAK_START,
    Clock,
    World,
    device,
    minutes,
    world_in,
)

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> Clock:
    return Clock(PEAK_START + minutes(5))


@pytest.fixture
def watttime(clock: Clock) -> Iterator[DemoWattTime]:
    with serve_watttime(now=clock, index=lambda _region, _at: 40.0) as server:
        yield server


def told(world: World, device_id: str = "ch-1") -> str:
    """What `hc charge explain` says now."""
    decided, moer = decide_at(world.site, world.clock())
    schedules = load_schedules(world.site, world.clock())
    registered = world.registry.device(device_id)
    assert registered
    assert schedules.tariffs
    return explain(
        decided,
        registered,
        tariff=schedules.tariffs.get(registered.schedule or ""),
        policies=schedules.policies,
        moer=moer,
        newest=newest_command(world.site, device_id),
    )


def alone(folder: Path, clock: Clock, **fields: Any) -> World:
    """Without WattTime: the tariff alone."""
    return world_in(folder, clock, [device(**fields)])


def dirty(folder: Path, clock: Clock, watttime: DemoWattTime, **fields: Any) -> World:
    """On a flat plan in Colorado's grid."""
    given: dict[str, Any] = {"rate_plan": "r", "policy_id": "default", "watttime_region": "PSCO", **fields}
    return world_in(folder, clock, [device(**given)], watttime=watttime.url)


def test_a_peak_and_where_its_command_stands(tmp_path: Path, clock: Clock) -> None:
    world = alone(tmp_path, clock)
    assert told(world) == (
        "At 2026-07-08 17:05:00 (America/Denver) ch-1 should wait, from 2026-07-08 17:00:00 until "
        "2026-07-08 21:00:00. xcel_co/re_tou (version of 2025-11-01) is in tier on_peak (rank 3), which pauses. "
        "MOER is not in use: there are no readings. It has never been told anything, so it is told now. "
        "Nothing of this changes by itself before 2026-07-08 21:00:00. "
        "That is new to the device: command version 1 follows."
    )
    world.tick()
    world.clock.forward(minutes(1))
    assert told(world).endswith(
        "The device has been told: command version 1 (pause) is sent at 2026-07-08 17:05:00."
    )
    world.clock.at = PEAK_START - HOUR
    assert "may charge. xcel_co/re_tou (version of 2025-11-01) is in tier off_peak" in told(world)


def _shifted(folder: Path, clock: Clock) -> tuple[World, str]:
    """A device whose own window begins minutes before the peak."""
    devices = [device(f"ch-{n}", policy_id="default") for n in range(9)]
    world = world_in(folder, clock, devices)
    frame, _ = decide_at(world.site, PEAK_START + minutes(5))
    rows = frame.frame.filter(frame.frame["window_start"] < PEAK_START - minutes(2))
    row = rows.row(0, named=True)
    world.clock.at = row["window_start"]
    return world, row["device_id"]


def test_the_jitter_around_a_peak(tmp_path: Path, clock: Clock) -> None:
    world, shifted = _shifted(tmp_path, clock)
    said = told(world, shifted)
    assert "should wait" in said
    assert "in tier off_peak (rank 1); the pause around its peak begins a little earlier" in said


def test_a_window_that_is_sent_ahead(tmp_path: Path, clock: Clock) -> None:
    world, shifted = _shifted(tmp_path, clock)
    world.clock.forward(-minutes(2))
    said = told(world, shifted)
    start = f"{world.clock() + minutes(2) - 6 * HOUR:%Y-%m-%d %H:%M:%S}"
    assert f"may charge until {start}, and is told to wait from then to 2026-07-08 21:0" in said
    assert "the coming peak's window is sent ahead" in said


def test_charge_now(tmp_path: Path, clock: Clock) -> None:
    world = alone(tmp_path, clock)
    world.tick()
    charge_now(world.registry, "ch-1", now=clock())
    said = told(world)
    assert "ch-1 may charge." in said
    assert "Charge Now holds until 2026-07-08 21:00:00." in said
    assert "command version 2 follows" in said


def test_a_departure(tmp_path: Path, clock: Clock) -> None:
    world = alone(tmp_path, clock)
    depart(world.registry, "ch-1", at=PEAK_START + 2 * HOUR, need=1.5 * 2 * HOUR, now=clock())
    assert "The car leaves at 2026-07-08 19:00:00 and needs 3 h before." in told(world)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"rate_plan": "r"}, "xcel_co/r is a flat plan: its hours cost the same."),
        ({"rate_plan": "gone"}, "Its plan 'gone' is not known, so no tariff pauses it."),
        ({"utility_id": "nobody"}, "Its utility 'nobody' has no tariffs here, so it is always allowed."),
        ({"policy_id": "gone"}, "Its policy 'gone' is not known; the default one stands in."),
        ({"policy_id": "tariff_only"}, "Its policy tariff_only does not heed MOER."),
    ],
)
def test_what_the_tariffs_and_policies_lack(
    tmp_path: Path, clock: Clock, fields: dict[str, Any], sentence: str
) -> None:
    said = told(alone(tmp_path, clock, **fields))
    assert sentence in said
    assert (
        "(UTC)" if "utility_id" in fields or fields.get("rate_plan") == "gone" else "America/Denver"
    ) in said


def test_a_day_that_no_version_covers(tmp_path: Path) -> None:
    world = alone(tmp_path, Clock(PEAK_START.replace(year=2021)))
    assert "No version of xcel_co/re_tou covers this day" in told(world)


def test_a_deactivated_device_whose_pause_stands(tmp_path: Path, clock: Clock) -> None:
    world = alone(tmp_path, clock)
    world.tick()
    gone = world.change("ch-1", status="inactive")
    assert "It is deactivated" in told(world)
    world.tick()
    decided, moer = decide_at(world.site, clock())
    with pytest.raises(LookupError, match="ch-1 is inactive: nothing is decided for it"):
        explain(decided, Device.model_validate(gone), tariff=None, policies={}, moer=moer)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault(), "MOER in PSCO is at percentile 40 (0 min old), not above 70."),
        (Fault(value=88.5), "MOER in PSCO is at percentile 88.5 (0 min old), above 70."),
        (Fault(shift_s=-1200), "PSCO has only a reading that is too old: bad data pause nothing."),
        (Fault(shift_s=900), "PSCO answered for a time ahead of now: bad data pause nothing."),
        (Fault(value=150), "PSCO answered 150.0, which is no percentile: bad data pause nothing."),
        (Fault(status=403), "PSCO has no answer: bad data pause nothing."),
    ],
)
def test_what_the_reading_is_worth(
    tmp_path: Path, clock: Clock, watttime: DemoWattTime, fault: Fault, sentence: str
) -> None:
    watttime.order("/v3/signal-index", fault)
    assert sentence in told(dirty(tmp_path, clock, watttime))


def test_no_region(tmp_path: Path, clock: Clock, watttime: DemoWattTime) -> None:
    said = told(dirty(tmp_path, clock, watttime, watttime_region=None))
    assert "It has no WattTime region, so MOER does not pause it." in said


def test_a_pause_of_moer_holds_and_is_capped(tmp_path: Path, clock: Clock, watttime: DemoWattTime) -> None:
    world = dirty(tmp_path, clock, watttime)
    watttime.index = lambda _region, _at: 90.0
    world.tick()
    watttime.index = lambda _region, _at: 65.0
    world.clock.forward(minutes(40))
    said = told(world)
    assert "should wait, from 2026-07-08 17:05:00 until 2026-07-08 21:05:00" in said
    assert "not yet at or below 60: the pause holds." in said
    watttime.index = lambda _region, _at: 95.0
    world.clock.at = PEAK_START + minutes(5) + 4 * HOUR
    said = told(world)
    assert "may charge" in said
    assert "a pause has lasted 4 h, so none follows before it is at or below 60." in said


def test_a_flip_that_waits_and_a_clock_that_is_off(
    tmp_path: Path, clock: Clock, watttime: DemoWattTime
) -> None:
    world = dirty(tmp_path, clock, watttime)
    watttime.index = lambda _region, _at: 90.0
    world.tick()
    watttime.index = lambda _region, _at: 20.0
    world.clock.forward(minutes(10))
    said = told(world)
    assert "should wait" in said
    assert "The last flip is too recent for MOER to make another." in said
    other = dirty(tmp_path / "other", clock, watttime)
    watttime.index = lambda _region, _at: 90.0
    watttime.date_offset_s = 600
    said = told(other)
    assert "may charge" in said
    assert "This machine's clock is off, so no new pause begins." in said


def test_the_past(tmp_path: Path, clock: Clock) -> None:
    world = alone(tmp_path, clock)
    world.tick()
    clock.forward(5 * HOUR)
    decided, moer = decide_at(world.site, PEAK_START + HOUR)
    schedules = load_schedules(world.site, PEAK_START)
    registered = world.registry.device("ch-1")
    assert registered
    assert schedules.tariffs
    tariff = schedules.tariffs["xcel_co/re_tou"]
    said = explain(decided, registered, tariff=tariff, policies=schedules.policies, moer=moer)
    assert said.startswith("At 2026-07-08 18:00:00 (America/Denver) ch-1 should wait")
    assert said.endswith("This is the past: no command follows.")
