"""Replays whose pauses can be worked out by hand."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from hc_platform.charging.models import Policy
from hc_platform.charging.replay import unsteady
from hc_platform_tests.charging.decision.making import device, flat_file, hours, minutes, peak_version, utc
from hc_platform_tests.charging.replay.making import (
    FLAT,
    ON_FLAT,
    every_five_minutes,
    pauses,
    replayed,
    square,
)

PEAK = flat_file("one", plan=[peak_version("17:00", "21:00")])
ON_PEAK = {"utility_id": "one", "rate_plan": "plan"}
DAY = utc("2026-07-06 06:00")  # midnight in Denver
STEADY = Policy(jitter_s=0, lead_s=0)


def jitter_of(spread: int, window_start: datetime) -> timedelta:
    """As the rules have it: by the device and the hour of the window, whole minutes up to ten."""
    hour = (window_start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(hours=1)
    return minutes((spread + hour * 7919) % 11)


@pytest.mark.parametrize("protocol", ["window", "legacy"])
def test_a_tariffs_pauses_are_its_windows_with_each_devices_own_jitter(protocol: str) -> None:
    spreads = dict(zip("abcde", (0, 3, 7, 12_345, 2**32 - 1), strict=True))
    rows = [device(name, protocol=protocol, spread=spread, **ON_PEAK) for name, spread in spreads.items()]
    found = replayed(rows, DAY, DAY + hours(48), tariffs=PEAK, policies={"default": Policy()}, readings=None)
    windows = [(DAY + hours(17), DAY + hours(21)), (DAY + hours(41), DAY + hours(45))]
    shifts = {name: [jitter_of(spread, start) for start, _ in windows] for name, spread in spreads.items()}
    assert len({tuple(each) for each in shifts.values()}) > 2
    for name, by in shifts.items():
        expected = [(start - j, end + j) for (start, end), j in zip(windows, by, strict=True)]
        assert pauses(found, name) == expected
    assert found.longest_pause == hours(4) + 2 * max(max(by) for by in shifts.values())
    assert found.flips_per_day == 2


def test_hysteresis_dwell_and_cap_of_a_square_wave_to_the_minute() -> None:
    start = utc("2026-07-06 00:00")
    readings = square(
        start,
        ("01:00", 50), ("01:10", 80), ("01:20", 50), ("01:30", 80), ("02:30", 65), ("03:00", 50),
        ("09:00", 90), ("10:00", 50), ("10:05", 90), ("10:10", 50), ("12:00", 70),
    )  # fmt: skip
    for protocol in ("window", "legacy"):
        rows = [device("a", protocol=protocol, **ON_FLAT)]
        kinds = {"steady": STEADY, "unsteady": unsteady(STEADY)}
        got = {
            name: replayed(
                rows, start, start + hours(12), tariffs=FLAT, policies={"default": p}, readings=readings
            )
            for name, p in kinds.items()
        }
        assert pauses(got["steady"]) == [
            (utc("2026-07-06 01:00"), utc("2026-07-06 02:30")),  # 01:10 is too early, 65 holds
            (utc("2026-07-06 03:00"), utc("2026-07-06 07:00")),  # the cap; high until 09:00
            (utc("2026-07-06 10:00"), utc("2026-07-06 12:00")),  # 10:05 is too early, 70 holds
        ]
        assert pauses(got["unsteady"]) == [
            (utc("2026-07-06 01:00"), utc("2026-07-06 01:10")),
            (utc("2026-07-06 01:20"), utc("2026-07-06 01:30")),
            (utc("2026-07-06 03:00"), utc("2026-07-06 09:00")),
            (utc("2026-07-06 10:00"), utc("2026-07-06 10:05")),
        ]
        assert got["unsteady"].flips_per_day == 16
        assert got["unsteady"].longest_pause == hours(6)
        assert got["unsteady"].paused_share == pytest.approx((6 + 25 / 60) / 12)


def test_a_gap_in_the_readings_ends_a_pause_and_their_return_begins_one_again() -> None:
    start = utc("2026-07-06 00:00")
    readings = pl.concat(
        [every_five_minutes(start, [90.0] * 13), every_five_minutes(start + hours(3), [90.0] * 12)]
    )
    found = replayed(
        [device("a", **ON_FLAT)],
        start,
        start + hours(4),
        tariffs=FLAT,
        policies={"default": STEADY},
        readings=readings,
    )
    # the last point is of 01:00; it is believed for 15 minutes, and one second later no more
    assert pauses(found) == [
        (start, utc("2026-07-06 01:16")),
        (utc("2026-07-06 03:00"), utc("2026-07-06 04:00")),
    ]


def test_points_that_are_believed_for_less_than_their_five_minutes_come_and_go() -> None:
    start = utc("2026-07-06 00:00")
    brief = STEADY.model_copy(update={"moer_ttl_s": 60, "dwell_s": 0})
    found = replayed(
        [device("a", **ON_FLAT)],
        start,
        start + minutes(15),
        tariffs=FLAT,
        policies={"default": brief},
        readings=every_five_minutes(start, [90.0] * 3),
    )
    assert pauses(found) == [(start + minutes(n), start + minutes(n + 2)) for n in (0, 5, 10)]


def test_a_driver_who_must_leave_is_charged_in_time() -> None:
    leaves = DAY + hours(20)
    rows = [
        device("a", deadline=leaves, need_s=5_400, **ON_PEAK),
        device("b", override_until=DAY + hours(18), **ON_PEAK),
    ]
    found = replayed(rows, DAY, DAY + hours(24), tariffs=PEAK, policies={"default": STEADY}, readings=None)
    assert pauses(found, "a") == [(DAY + hours(17), DAY + hours(18.5)), (leaves, DAY + hours(21))]
    assert pauses(found, "b") == [(DAY + hours(18), DAY + hours(21))]


def test_nothing_is_decided_between_the_instants_at_which_something_can_change() -> None:
    rows = [device("a", **ON_PEAK), device("b", protocol="legacy", **ON_PEAK)]
    found = replayed(rows, DAY, DAY + hours(240), tariffs=PEAK, policies={"default": STEADY}, readings=None)
    assert found.instants <= 1 + 10 * 2  # the first sight, and both ends of ten peaks
    assert found.commands == (1 + 10) + (1 + 20)  # a window ends by itself; a legacy charger must be told
