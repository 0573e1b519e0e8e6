"""The cases of the research table about MOER, what overrules it, and what is sent; and corners found beside them."""

from datetime import datetime

import pytest

from hc_platform.charging.models import Policy
from hc_platform_tests.charging.decision.making import (
    PROMPT,
    Row,
    World,
    brief,
    device,
    flat_file,
    hours,
    minutes,
    names,
    peak_version,
    reading,
    utc,
)

NOON = utc("2026-07-06 18:00")  # Monday, off-peak
PEAK = utc("2026-07-06 23:00")  # 17:00 MDT
PEAK_END = utc("2026-07-07 03:00")
BOTH = pytest.mark.parametrize("protocol", ["window", "legacy"])


def world_of(**policy: object) -> World:
    return World(policies={"default": PROMPT.model_copy(update=policy)})


@pytest.mark.parametrize(("percentile", "state"), [(70.0, "allow"), (70.9, "pause")])
def test_case_25_strictly_above_the_threshold(percentile: float, state: str) -> None:
    assert world_of().one(device(), NOON, percentile)["desired"] == state


@BOTH
def test_case_26_hysteresis(protocol: str) -> None:
    world, row = world_of(dwell_s=0), device(protocol=protocol)
    assert brief(world.one(row, NOON, 80.0)) == ("pause", True)
    held = world.one(row, NOON + minutes(5), 65.0)
    assert brief(held) == ("pause", False)
    assert "moer_hold" in names(held)
    assert brief(world.one(row, NOON + minutes(10), 60.0)) == ("allow", True)
    assert brief(world.one(row, NOON + minutes(15), 65.0)) == ("allow", False)


@pytest.mark.parametrize("percentile", [float("nan"), -1.0, 150.0, None])
def test_case_27_values_that_make_no_sense_allow(percentile: float | None) -> None:
    world, row = world_of(dwell_s=1800), device()
    world.one(row, NOON, 80.0)
    world.readings = {"PSCO": reading(percentile, NOON + minutes(5))}
    got = world.one(row, NOON + minutes(5))
    assert brief(got) == ("allow", True)  # bad data never waits for the dwell
    assert names(got) & {"moer_invalid", "moer_missing"}


@pytest.mark.parametrize(
    ("age", "reason"),
    [(900, None), (901, "moer_stale"), (-300, None), (-301, "moer_future"), (-600, "moer_future")],
)
def test_case_28_stale_and_future_readings_are_ignored(age: int, reason: str | None) -> None:
    world = world_of()
    world.readings = {"PSCO": reading(90.0, NOON - minutes(age / 60))}
    got = world.one(device(), NOON)
    assert got["desired"] == ("allow" if reason else "pause")
    assert names(got) & {"moer_stale", "moer_future"} == ({reason} if reason else set())


def test_case_28_a_future_reading_is_looked_at_again_when_its_time_comes() -> None:
    world, row = world_of(), device()
    world.readings = {"PSCO": reading(90.0, NOON + minutes(10))}
    assert world.one(row, NOON)["next_check_at"] == NOON + minutes(5)
    assert world.one(row, NOON + minutes(5))["desired"] == "pause"


def test_case_29_a_region_that_fails_leaves_the_tariff_going_on() -> None:
    world, row = world_of(), device()
    world.readings = {"PSCO": reading(None, None, "http 403: invalid scope")}
    assert world.one(row, NOON)["desired"] == "allow"
    got = world.one(row, PEAK)
    assert brief(got) == ("pause", True)
    assert {"tou_peak", "moer_missing"} <= names(got)


@BOTH
@pytest.mark.parametrize("dwell_s", [0, 1800])
def test_case_30_moer_is_capped_and_stays_so_until_it_is_low(protocol: str, dwell_s: int) -> None:
    """15 hours of high readings were seen: one pause of max_pause_s, none after it."""
    world, row = world_of(dwell_s=dwell_s, max_pause_s=7200), device(protocol=protocol, rate_plan="r")
    assert world.one(row, NOON, 90.0)["window_end"] == NOON + hours(2)
    for n in range(1, 24):
        assert brief(world.one(row, NOON + n * minutes(5), 90.0)) == ("pause", False)
    capped = world.one(row, NOON + hours(2), 90.0)
    assert brief(capped) == ("allow", protocol == "legacy")  # a window device resumed by itself
    assert "moer_capped" in names(capped)
    for n in range(1, 100):
        assert brief(world.one(row, NOON + hours(2) + n * minutes(5), 65.0 if n % 2 else 90.0)) == (
            "allow",
            False,
        )
    world.one(row, NOON + hours(12), 50.0)
    assert world.one(row, NOON + hours(12) + minutes(5), 90.0)["desired"] == "pause"


def test_case_30_the_dwell_does_not_outlast_the_cap() -> None:
    world, row = world_of(dwell_s=7200, max_pause_s=600), device(protocol="legacy", rate_plan="r")
    world.one(row, NOON, 90.0)
    assert brief(world.one(row, NOON + minutes(10), 50.0)) == ("allow", True)


def test_case_31_first_sight_is_told_once() -> None:
    world, row = world_of(), device()
    first = world.one(row, NOON, 50.0)
    assert (brief(first), first["ver"]) == (("allow", True), 1)
    assert "first_sight" in names(first)
    again = world.one(row, NOON + minutes(5), 50.0)
    assert (brief(again), again["ver"]) == (("allow", False), 1)


def test_case_32_no_change_is_silent_all_day_but_for_the_window() -> None:
    world, row = world_of(), device()
    said = [world.one(row, NOON + n * minutes(5), 50.0)["commanded"] for n in range(288)]
    assert [n for n, commanded in enumerate(said) if commanded] == [0, 60]  # first sight; 17:00


def test_case_32_a_heartbeat_looks_again_and_the_window_is_the_same() -> None:
    world, row = world_of(heartbeat_s=3600), device()
    first = world.one(row, PEAK, 50.0)
    assert first["next_check_at"] == PEAK + hours(1)
    again = world.one(row, PEAK + hours(1), 50.0)
    assert (brief(again), again["window_end"]) == (("pause", False), first["window_end"])


@BOTH
def test_case_22_an_inactive_device_is_told_once_if_a_pause_stands(protocol: str) -> None:
    world, row = world_of(), device(protocol=protocol)
    world.one(row, PEAK, 50.0)
    row["status"] = "inactive"
    got = world.one(row, PEAK + minutes(5), 90.0)
    assert brief(got) == ("allow", True)
    assert got["next_check_at"] is None
    assert brief(world.one(row, PEAK + minutes(10), 90.0)) == ("allow", False)
    assert brief(world.one(device(status="inactive"), PEAK, 90.0)) == ("allow", False)


def test_case_38_charge_now_allows_until_its_end_and_not_a_second_longer() -> None:
    world, row = world_of(), device()
    world.one(row, PEAK, 50.0)
    row["override_until"] = PEAK_END
    got = world.one(row, PEAK + minutes(1), 90.0)
    assert brief(got) == ("allow", True)
    assert "override" in names(got)
    world.readings = {}
    assert brief(world.one(row, PEAK_END)) == ("allow", False)
    early, halfway = device(override_until=PEAK + hours(1)), PEAK + hours(1)
    world.one(early, PEAK)
    assert world.one(early, halfway - minutes(1 / 60))["next_check_at"] == halfway
    assert brief(world.one(early, halfway)) == ("pause", True)  # expired at now means over


@BOTH
def test_case_39_the_deadline_allows_from_deadline_less_need(protocol: str) -> None:
    world = world_of()
    row = device(protocol=protocol, deadline=PEAK + hours(3), need_s=7200)
    told = world.one(row, PEAK, 50.0)
    assert told["window_end"] == PEAK + hours(1)  # the car must begin then
    assert world.one(row, PEAK + minutes(59), 50.0)["desired"] == "pause"
    got = world.one(row, PEAK + hours(1), 99.0)
    assert brief(got) == ("allow", protocol == "legacy")
    assert "deadline" in names(got)
    assert world.one(row, PEAK + hours(3), 50.0)["desired"] == "pause"  # it did not leave


def test_case_39_a_deadline_without_need_cuts_nothing() -> None:
    world, row = world_of(), device(deadline=PEAK + hours(1), need_s=0)
    assert world.one(row, PEAK, 50.0)["window_end"] == PEAK_END
    assert brief(world.one(row, PEAK + hours(1), 50.0)) == ("pause", False)


@BOTH
def test_case_40_a_flip_within_the_dwell_waits_and_an_override_does_not(protocol: str) -> None:
    world, row = world_of(dwell_s=1800), device(protocol=protocol)
    world.one(row, NOON, 80.0)
    low = world.one(row, NOON + minutes(10), 40.0)
    assert brief(low) == ("pause", False)
    assert "dwell" in names(low)
    assert low["next_check_at"] <= NOON + minutes(30)
    assert brief(world.one(row | {"override_until": PEAK}, NOON + minutes(11), 40.0)) == ("allow", True)
    assert brief(world.one(row, NOON + minutes(30), 40.0)) == ("allow", True)
    assert brief(world.one(row, NOON + minutes(40), 90.0)) == ("allow", False)
    assert brief(world.one(row, NOON + minutes(60), 90.0)) == ("pause", True)


def _ahead(world: World, at: datetime, percentile: float = 50.0, **fields: object) -> tuple[Row, Row]:
    row = device(**fields)
    return row, world.one(row, at, percentile)


def test_case_41_with_a_bad_clock_none_begins_and_one_that_stands_goes_on() -> None:
    world = world_of()
    row, _ = _ahead(world, PEAK)
    world.clock_trusted = False
    assert brief(world.one(row, PEAK + minutes(5), 90.0)) == ("pause", False)
    fresh, got = _ahead(world, PEAK)
    assert brief(got) == ("allow", True)
    assert "clock_untrusted" in names(got)
    row["override_until"] = PEAK_END
    assert brief(world.one(row, PEAK + minutes(10), 90.0)) == ("allow", True)
    world.clock_trusted = True
    assert brief(world.one(fresh, PEAK + minutes(10), 50.0)) == ("pause", True)


def test_a_moer_pause_that_reaches_a_window_already_sent_is_told_to_the_device() -> None:
    """The end is the same, only the start is earlier: without a command the device would charge on."""
    world = world_of(lead_s=3600)
    row, told = _ahead(world, PEAK - minutes(14))
    assert (brief(told), told["window_start"]) == (("pause", True), PEAK)
    high = world.one(row, PEAK - minutes(10), 90.0)
    assert (brief(high), high["window_start"]) == (("pause", True), PEAK - minutes(10))
    assert high["window_end"] == PEAK_END


def test_a_released_pause_is_ended_a_minute_before_the_next_window_goes_out() -> None:
    world = world_of(lead_s=3600, dwell_s=0)
    row, _ = _ahead(world, PEAK - minutes(14), 90.0)
    released = world.one(row, PEAK - minutes(10), 50.0)
    assert (brief(released), released["next_check_at"]) == (("allow", True), PEAK - minutes(9))
    assert brief(world.one(row, PEAK - minutes(9.5), 50.0)) == ("allow", False)
    sent = world.one(row, PEAK - minutes(9), 50.0)
    assert (brief(sent), sent["window_start"]) == (("pause", True), PEAK)


def test_windows_that_jitter_makes_meet_are_one_from_the_first_word() -> None:
    """Else the device would resume for a moment between them."""
    version = peak_version("17:00", "18:00")
    version["periods"] += [{"tier": "on", "days": "all", "start": "18:05", "end": "19:00"}]
    policy = Policy(jitter_s=600, lead_s=0, use_moer=False)
    world = World(flat_file("u", timezone="UTC", tou=[version]), {"default": policy})
    row = device(utility_id="u", rate_plan="tou", spread=3)
    start = utc("2026-07-06 17:00")
    told = world.one(row, start)
    assert told["window_end"] > utc("2026-07-06 19:00")
    for n in range(1, 119):
        assert brief(world.one(row, start + n * minutes(1))) == ("pause", False)
