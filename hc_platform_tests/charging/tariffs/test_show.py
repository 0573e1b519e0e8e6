"""What is printed of a day is what a person can hold against the utility's page."""

import datetime as dt

from hc_platform.charging.tariffs.show import day_lines
from hc_platform_tests.charging.tariffs.making import PEAK, tariff_of, version

HOLIDAYS = {"names": ["Independence Day"], "observed": "nearest_weekday"}


def test_a_day_with_its_version_season_and_stretches() -> None:
    tariff = tariff_of(
        version(
            PEAK,
            holidays=HOLIDAYS,
            seasons={"summer": ("06-01", "09-30"), "winter": ("10-01", "05-31")},
            source_url="https://example.org",
            note="as filed",
        )
    )
    assert day_lines(tariff, dt.date(2026, 7, 2)) == [
        "demo/plan: Demo plan",
        "version:  2020-01-01 until further notice, source: https://example.org",
        "note:     as filed",
        "day:      Thursday 2026-07-02, weekday",
        "season:   summer",
        "clock:    America/Denver, UTC-06:00",
        "  00:00-17:00  off_peak  (rank 1, base)",
        "  17:00-21:00  on_peak   (rank 3, peak)",
        "  21:00-24:00  off_peak  (rank 1, base)",
        "verified: documented on 2026-11-01",
        "  - a page",
    ]


def test_a_holiday_tells_its_name_and_why_it_was_moved() -> None:
    tariff = tariff_of(version(PEAK, holidays=HOLIDAYS))
    friday = day_lines(tariff, dt.date(2026, 7, 3))
    assert (
        "day:      Friday 2026-07-03, holiday: Independence Day (observed), because 2026-07-04 is a Saturday"
        in friday
    )
    assert "  00:00-24:00  off_peak  (rank 1, base)" in friday
    monday = day_lines(tariff, dt.date(2027, 7, 5))
    assert any("because 2027-07-04 is a Sunday" in line for line in monday)
    assert any(line.endswith("holiday: Independence Day") for line in day_lines(tariff, dt.date(2028, 7, 4)))


def test_a_day_on_which_the_clock_jumps_tells_offsets_and_lengths() -> None:
    tariff = tariff_of(version({**PEAK, "days": "all", "start": "00:30", "end": "01:30"}))
    assert day_lines(tariff, dt.date(2026, 11, 1))[3:-2] == [
        "clock:    America/Denver, UTC-06:00; at 02:00 it goes back to 01:00 (UTC-07:00)",
        "  00:00-00:30  off_peak  (rank 1, base)  UTC-06:00, 30 minutes",
        "  00:30-01:30  on_peak   (rank 3, peak)  UTC-06:00, 60 minutes",
        "  01:30-02:00  off_peak  (rank 1, base)  UTC-06:00, 30 minutes",
        "  01:00-01:30  on_peak   (rank 3, peak)  UTC-07:00, 30 minutes",
        "  01:30-24:00  off_peak  (rank 1, base)  UTC-07:00, 1350 minutes",
    ]
    assert day_lines(tariff, dt.date(2026, 3, 8))[3:-2] == [
        "clock:    America/Denver, UTC-07:00; at 02:00 it goes forward to 03:00 (UTC-06:00)",
        "  00:00-00:30  off_peak  (rank 1, base)  UTC-07:00, 30 minutes",
        "  00:30-01:30  on_peak   (rank 3, peak)  UTC-07:00, 60 minutes",
        "  01:30-02:00  off_peak  (rank 1, base)  UTC-07:00, 30 minutes",
        "  03:00-24:00  off_peak  (rank 1, base)  UTC-06:00, 1260 minutes",
    ]


def test_a_tail_past_midnight_tells_the_window_that_it_belongs_to() -> None:
    tariff = tariff_of(version({**PEAK, "start": "22:00", "end": "02:30"}))
    lines = day_lines(tariff, dt.date(2026, 2, 7))
    assert "  00:00-02:30  on_peak   (rank 3, peak)" in lines
    assert "  to 02:30 with the on_peak window that began on Friday at 22:00" in lines


def test_case_19_a_day_without_a_version_says_so() -> None:
    only = version(PEAK, effective_from=dt.date(2026, 1, 1), effective_to=dt.date(2026, 1, 31))
    lines = day_lines(tariff_of(only), dt.date(2026, 2, 2))
    assert "none covers this day, so it has no time of use; there are: 2026-01-01 to 2026-01-31" in lines[1]
    assert "  00:00-24:00  no tier" in lines


def test_a_flat_plan_and_a_standard_clock_are_told() -> None:
    flat = {"effective_from": dt.date(2020, 1, 1), "tiers": {"flat": 1}}
    lines = day_lines(tariff_of(flat, clock="standard"), dt.date(2026, 7, 2))
    assert "flat: the hour makes no difference" in lines[1]
    assert "clock:    America/Denver, standard time all year, UTC-07:00" in lines
