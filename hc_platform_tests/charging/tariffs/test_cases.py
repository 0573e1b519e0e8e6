"""The cases that a tariff must get right; every expected instant was worked out by hand, in UTC."""

import datetime as dt
from typing import Any

import pytest

from hc_platform.charging.tariffs import Tariff, Tariffs, compile_tariffs, is_tou_peak, tier_at
from hc_platform_tests.charging.tariffs.making import PEAK, file_of, tariff_of, utc, version

HOLIDAYS = ["New Year's Day", "Independence Day", "Thanksgiving Day"]


def peaks(tariff: Tariff, start: str, end: str) -> list[tuple[str, str]]:
    """The compiled peaks between two instants, as hour and minute of UTC with the day of the month."""
    rows = compile_tariffs({"x": tariff}, utc(start), utc(end)).filter(rank=3)
    return [(f"{s:%dT%H:%M}", f"{e:%dT%H:%M}") for s, e in rows.select("starts_at", "ends_at").rows()]


def test_case_01_windows_are_half_open() -> None:
    tariff = tariff_of(version(PEAK))
    assert not is_tou_peak(utc("2026-02-05T23:59:59"), tariff)
    assert is_tou_peak(utc("2026-02-06T00:00:00"), tariff)  # Thursday 17:00 MST
    assert is_tou_peak(utc("2026-02-06T03:59:59.999999"), tariff)
    assert not is_tou_peak(utc("2026-02-06T04:00:00"), tariff)
    assert peaks(tariff, "2026-02-05T12:00", "2026-02-06T12:00") == [("06T00:00", "06T04:00")]


def test_case_02_weekdays_are_not_holidays() -> None:
    tariff = tariff_of(version(PEAK, holidays={"names": HOLIDAYS}))
    assert not is_tou_peak(utc("2026-11-27T01:00"), tariff)  # Thanksgiving 18:00
    assert is_tou_peak(utc("2026-11-28T01:00"), tariff)  # the Friday after it


@pytest.mark.parametrize(
    ("observed", "peak"), [("none", True), ("sunday_to_monday", True), ("nearest_weekday", False)]
)
def test_case_03_a_saturdays_holiday_moves_to_friday_only_by_that_rule(observed: str, peak: bool) -> None:
    tariff = tariff_of(version(PEAK, holidays={"names": HOLIDAYS, "observed": observed}))
    assert is_tou_peak(utc("2026-07-04T00:00"), tariff) is peak  # Friday, July 3, 18:00 MDT


@pytest.mark.parametrize(
    ("observed", "tier"),
    [("none", "on_peak"), ("sunday_to_monday", "mid_peak"), ("nearest_weekday", "mid_peak")],
)
def test_case_04_a_sundays_holiday_moves_to_monday_and_has_the_weekends_tier(
    observed: str, tier: str
) -> None:
    tariff = tariff_of(
        version(
            PEAK,
            {"tier": "mid_peak", "days": ["weekends", "holidays"], "start": "16:00", "end": "21:00"},
            tiers={"off_peak": 1, "mid_peak": 2, "on_peak": 3},
            holidays={"names": HOLIDAYS, "observed": observed},
        ),
        zone="America/Los_Angeles",
    )
    assert tier_at(tariff, utc("2027-07-06T01:00")).tier == tier  # Monday, July 5, 18:00 PDT
    assert tier_at(tariff, utc("2027-07-05T01:00")).tier == "mid_peak"  # Sunday, July 4


def test_case_05_new_year_2028_is_observed_in_2027() -> None:
    tariff = tariff_of(version(PEAK, holidays={"names": HOLIDAYS, "observed": "nearest_weekday"}))
    assert not is_tou_peak(utc("2028-01-01T01:00"), tariff)  # Friday, December 31, 18:00 MST
    assert is_tou_peak(utc("2027-12-31T01:00"), tariff)  # Thursday


def test_case_06_a_state_has_holidays_of_its_own() -> None:
    utah = {"names": ["Pioneer Day"], "state": "UT"}
    assert not is_tou_peak(
        utc("2026-07-25T00:00"), tariff_of(version(PEAK, holidays=utah))
    )  # Friday the 24th
    assert is_tou_peak(utc("2026-07-25T00:00"), tariff_of(version(PEAK, holidays={"names": HOLIDAYS})))


LATE = {"tier": "on_peak", "days": "weekdays", "start": "22:00", "end": "02:30"}


def test_case_07_a_window_past_midnight_belongs_to_the_day_it_starts_on() -> None:
    tariff = tariff_of(version(LATE))
    assert is_tou_peak(utc("2026-02-07T08:00"), tariff)  # Saturday 01:00 MST
    assert is_tou_peak(utc("2026-02-07T09:29:59"), tariff)
    assert not is_tou_peak(utc("2026-02-07T09:30"), tariff)
    season = version({**LATE, "seasons": ["winter"]}, seasons={"winter": ("12-01", "01-31")})
    assert is_tou_peak(utc("2027-02-01T08:00"), tariff_of(season)) is False  # Monday: Sunday started none
    assert is_tou_peak(utc("2025-02-01T08:00"), tariff_of(season))  # Saturday, begun on January 31


def test_case_08_monday_night_has_no_tail_of_sunday() -> None:
    tariff = tariff_of(version(LATE))
    assert not is_tou_peak(utc("2026-02-09T08:00"), tariff)  # Monday 01:00
    assert peaks(tariff, "2026-02-06T12:00", "2026-02-10T12:00") == [
        ("07T05:00", "07T09:30"),
        ("10T05:00", "10T09:30"),
    ]


def test_case_09_seasons_wrap_over_new_year_and_change_at_local_midnight() -> None:
    seasons = {"winter": ("11-01", "05-31"), "summer": ("06-01", "10-31")}
    day = {"tier": "on_peak", "seasons": ["summer"]}
    tariff = tariff_of(version(day, seasons=seasons))
    assert peaks(tariff, "2026-05-30T00:00", "2026-06-02T00:00") == [("01T06:00", "02T00:00")]
    winter = tariff_of(version({"tier": "on_peak", "seasons": ["winter"]}, seasons=seasons))
    assert peaks(winter, "2026-12-30T00:00", "2027-01-03T00:00") == [("30T00:00", "03T00:00")]


def test_a_season_to_the_29th_is_to_the_end_of_february() -> None:
    tariff = tariff_of(version({"tier": "on_peak", "seasons": ["s"]}, seasons={"s": ("02-01", "02-29")}))
    assert peaks(tariff, "2027-02-28T00:00", "2027-03-03T00:00") == [("28T00:00", "01T07:00")]
    assert peaks(tariff, "2028-02-28T00:00", "2028-03-03T00:00") == [("28T00:00", "01T07:00")]


def test_case_10_a_date_lies_in_all_seasons_that_hold_it() -> None:
    tariff = tariff_of(
        version(
            {"tier": "super_off_peak", "seasons": ["spring"], "start": "10:00", "end": "14:00"},
            {"tier": "on_peak", "seasons": ["winter"], "start": "16:00", "end": "21:00"},
            tiers={"super_off_peak": 0, "off_peak": 1, "on_peak": 3},
            seasons={"winter": ("11-01", "05-31"), "spring": ("03-01", "04-30")},
        ),
        zone="America/Los_Angeles",
    )
    assert tier_at(tariff, utc("2026-04-15T19:00")).tier == "super_off_peak"  # 12:00 PDT
    assert tier_at(tariff, utc("2026-04-16T00:00")).tier == "on_peak"  # 17:00 PDT
    assert tier_at(tariff, utc("2026-05-15T19:00")).tier == "off_peak"


def test_case_11_the_greater_priority_wins_whatever_the_order() -> None:
    peak = {"tier": "on_peak", "start": "08:00", "end": "24:00"}
    dearer = {"tier": "super_peak", "days": "weekdays", "start": "14:00", "end": "18:00", "priority": 1}
    tiers = {"off_peak": 1, "on_peak": 3, "super_peak": 4}
    for periods in ((peak, dearer), (dearer, peak)):
        tariff = tariff_of(version(*periods, tiers=tiers), zone="America/New_York")
        assert tier_at(tariff, utc("2026-07-01T18:00"))[1:3] == ("super_peak", 4)  # Wednesday 14:00 EDT
        assert tier_at(tariff, utc("2026-07-01T22:00"))[1:3] == ("on_peak", 3)


def test_case_12_24_00_is_the_next_midnight_at_the_end_of_a_month_too() -> None:
    tariff = tariff_of(version({**PEAK, "days": "sat", "start": "20:00", "end": "24:00"}))
    assert is_tou_peak(utc("2026-02-01T06:59:59"), tariff)  # Saturday, January 31, 23:59:59 MST
    assert not is_tou_peak(utc("2026-02-01T07:00:00"), tariff)


def test_case_13_what_the_clock_skips_in_spring_never_comes() -> None:
    half = tariff_of(version({**PEAK, "days": "all", "start": "01:00", "end": "02:30"}))
    assert peaks(half, "2026-03-08T00:00", "2026-03-09T00:00") == [("08T08:00", "08T09:00")]
    gone = tariff_of(version({**PEAK, "days": "all", "start": "02:00", "end": "03:00"}))
    assert peaks(gone, "2026-03-08T00:00", "2026-03-09T00:00") == []


def test_case_14_what_the_clock_shows_twice_in_fall_counts_twice() -> None:
    hour = tariff_of(version({**PEAK, "days": "all", "start": "01:00", "end": "02:00"}))
    assert peaks(hour, "2026-11-01T00:00", "2026-11-02T00:00") == [("01T07:00", "01T09:00")]
    again = tariff_of(version({**PEAK, "days": "all", "start": "00:30", "end": "01:30"}))
    assert peaks(again, "2026-11-01T00:00", "2026-11-02T00:00") == [
        ("01T06:30", "01T07:30"),
        ("01T08:00", "01T08:30"),
    ]


def test_a_clock_may_jump_by_half_an_hour() -> None:
    tariff = tariff_of(
        version({**PEAK, "days": "all", "start": "01:30", "end": "02:00"}), zone="Australia/Lord_Howe"
    )
    # At 02:00 (+11:00) it goes back to 01:30 (+10:30).
    assert peaks(tariff, "2026-04-04T12:00", "2026-04-05T00:00") == [("04T14:30", "04T15:30")]


@pytest.mark.parametrize(
    ("zone", "start", "instant"),
    [
        ("America/Phoenix", "16:00", "2026-07-01T23:00"),
        ("America/Phoenix", "16:00", "2026-01-07T23:00"),
        ("America/Denver", "17:00", "2026-07-01T23:00"),
        ("America/Denver", "17:00", "2026-01-08T00:00"),
    ],
)
def test_case_15_the_zone_decides_and_no_fixed_offset(zone: str, start: str, instant: str) -> None:
    tariff = tariff_of(version({**PEAK, "start": start}), zone=zone)
    assert is_tou_peak(utc(instant), tariff)
    assert not is_tou_peak(utc(instant) - dt.timedelta(microseconds=1), tariff)


def test_a_standard_clock_stays_in_winter() -> None:
    tariff = tariff_of(version(PEAK), clock="standard")
    assert peaks(tariff, "2026-07-01T12:00", "2026-07-02T12:00") == [("02T00:00", "02T04:00")]
    assert tier_at(tariff, utc("2026-07-02T00:00")).local.isoformat() == "2026-07-01T17:00:00-07:00"
    on_the_jump = tariff_of(
        version({**PEAK, "days": "all", "start": "01:00", "end": "03:00"}), clock="standard"
    )
    assert peaks(on_the_jump, "2026-03-08T00:00", "2026-03-09T00:00") == [("08T08:00", "08T10:00")]


def test_case_16_the_weekday_is_the_local_one() -> None:
    tariff = tariff_of(version(PEAK))
    assert is_tou_peak(utc("2026-02-07T00:30"), tariff)  # Friday 17:30, Saturday in UTC
    assert not is_tou_peak(utc("2026-02-09T00:30"), tariff)  # Sunday 17:30, Monday in UTC


def test_case_17_a_version_holds_to_local_midnight_and_the_next_as_if_it_always_had() -> None:
    old = version({**LATE, "days": "all", "end": "02:00"}, effective_to=dt.date(2025, 10, 31))
    new = version(
        {**LATE, "days": "all", "start": "23:00", "end": "00:30"}, effective_from=dt.date(2025, 11, 1)
    )
    tariff = tariff_of(old, new)
    assert tier_at(tariff, utc("2025-11-01T05:59:59")).version == dt.date(2020, 1, 1)
    assert tier_at(tariff, utc("2025-11-01T06:00:00")).version == dt.date(2025, 11, 1)  # local midnight, MDT
    # To 00:30 by the new one's window of October 31; the old one's tail to 02:00 is gone.
    assert peaks(tariff, "2025-11-01T00:00", "2025-11-02T00:00") == [
        ("01T04:00", "01T06:00"),
        ("01T06:00", "01T06:30"),
    ]


def test_case_18_the_compiled_rows_change_where_the_version_does() -> None:
    old = version({"tier": "on_peak"}, effective_to=dt.date(2025, 10, 31))
    new = version({"tier": "on_peak"}, effective_from=dt.date(2025, 11, 1), source_url="https://new")
    rows = compile_tariffs({"x": tariff_of(old, new)}, utc("2025-10-31T00:00"), utc("2025-11-02T00:00"))
    assert rows.select("version", "starts_at", "tier", "source_url").rows() == [
        (dt.date(2020, 1, 1), utc("2025-10-31T00:00"), "on_peak", None),
        (dt.date(2025, 11, 1), utc("2025-11-01T06:00"), "on_peak", "https://new"),
    ]


def test_case_19_time_without_a_version_has_no_tier_and_never_the_stale_one() -> None:
    only = version(PEAK, effective_from=dt.date(2026, 2, 6), effective_to=dt.date(2026, 2, 6))
    tariff = tariff_of(only)
    for instant in ("2026-02-06T01:00", "2026-02-10T01:00"):  # 18:00 on Thursday before, Monday after
        assert tier_at(tariff, utc(instant))[:3] == (None, None, None)
        assert not is_tou_peak(utc(instant), tariff)
    rows = compile_tariffs({"x": tariff}, utc("2026-02-05T00:00"), utc("2026-02-09T00:00"))
    assert rows.select("starts_at", "tier", "rank", "is_flat").rows() == [
        (utc("2026-02-05T00:00"), None, None, False),
        (utc("2026-02-06T07:00"), "off_peak", 1, False),
        (utc("2026-02-07T00:00"), "on_peak", 3, False),
        (utc("2026-02-07T04:00"), "off_peak", 1, False),
        (utc("2026-02-07T07:00"), None, None, False),
    ]


def test_case_20_a_flat_plan_never_peaks_and_a_missing_one_is_told() -> None:
    flat: dict[str, Any] = {"effective_from": dt.date(2020, 1, 1), "tiers": {"flat": 1}}
    tariffs = Tariffs({"demo": file_of(flat)})
    tariff = tariffs["demo/plan"]
    assert not is_tou_peak(utc("2026-02-06T01:00"), tariff, pause_rank=0)
    rows = compile_tariffs(tariffs, utc("2026-01-01T00:00"), utc("2027-01-01T00:00"))
    assert rows.select("tier", "rank", "is_flat").rows() == [("flat", 1, True)]
    with pytest.raises(KeyError, match="did you mean demo/plan"):
        tariffs["demo/plam"]
    assert tariffs.utilities == {"demo"}


def test_a_time_without_a_zone_is_refused() -> None:
    naive = dt.datetime(2026, 2, 6, 18)  # noqa: DTZ001 - that is the point
    tariff = tariff_of(version(PEAK))
    with pytest.raises(ValueError, match="no time zone"):
        tier_at(tariff, naive)
    with pytest.raises(ValueError, match="time zone"):
        compile_tariffs({"x": tariff}, naive, utc("2027-01-01T00:00"))
    with pytest.raises(ValueError, match="not after"):
        compile_tariffs({"x": tariff}, utc("2027-01-01T00:00"), utc("2027-01-01T00:00"))
