"""Colorado's shipped plans, day by day of 2026, each day written by hand from the utility's words."""

import pytest

from hc_platform.charging.tariffs.loading import Tariffs
from hc_platform_tests.charging.schedules.days import table

OFF = "00 off_peak"
EVENING = "00 off_peak | 17 on_peak | 21 off_peak"
AFTERNOON = "00 off_peak | 13 mid_peak | 15 on_peak | 19 off_peak"

# "On-peak: 3:00 P.M. to 7:00 P.M. on non-holiday weekdays only; mid-peak: 1:00 P.M. to 3:00 P.M. on non-holiday weekdays
# only; off-peak: all other hours" (until 2025-10-31). From 2025-11-01: on-peak 5-9 P.M. on non-holiday weekdays.
XCEL = [
    ("2025-06-17", "summer Tuesday, old hours", AFTERNOON),
    ("2025-01-20", "Martin Luther King Jr. Day is not in the list", AFTERNOON),
    ("2025-09-01", "Labor Day, old hours", OFF),
    ("2025-10-31", "last day of the old hours, a Friday", AFTERNOON),
    ("2025-11-01", "first day of the new ones, a Saturday", OFF),
    ("2025-11-02", "Sunday on which the clocks go back", OFF),
    ("2025-11-03", "first weekday of the new hours", EVENING),
    ("2026-01-01", "New Year's Day, a Thursday", OFF),
    ("2026-01-02", "the Friday after it", EVENING),
    ("2026-03-08", "Sunday on which the clocks go forward", OFF),
    ("2026-03-09", "the Monday after it: 5 PM is an hour earlier in UTC", EVENING),
    ("2026-05-25", "Memorial Day", OFF),
    ("2026-06-19", "Juneteenth is not in the list", EVENING),
    ("2026-07-03", "Friday before July 4 on a Saturday: not moved", EVENING),
    ("2026-07-04", "Saturday", OFF),
    ("2026-09-07", "Labor Day", OFF),
    ("2026-11-11", "Veterans Day is not in the list", EVENING),
    ("2026-11-26", "Thanksgiving Day", OFF),
    ("2026-11-27", "the Friday after Thanksgiving", EVENING),
    ("2026-12-25", "Christmas Day, a Friday", OFF),
    ("2027-12-24", "Friday before Christmas on a Saturday: not moved", EVENING),
    ("2027-07-05", "Monday after July 4 on a Sunday: not moved", EVENING),
]

# "On-peak: weekdays from 5 p.m. to 9 p.m. Does not include weekends or holidays"; six holidays by date; from Oct. 1.
ENERGY_WISE = [
    ("2025-09-30", "the day before it began", "00 None"),
    ("2025-10-01", "its first day, a Wednesday", EVENING),
    ("2026-01-01", "New Year's Day", OFF),
    ("2026-02-16", "Presidents' Day is not in the list", EVENING),
    ("2026-03-08", "Sunday on which the clocks go forward", OFF),
    ("2026-05-25", "Memorial Day", OFF),
    ("2026-07-03", "the page gives July 4, which is a Saturday", EVENING),
    ("2026-08-12", "summer Wednesday", EVENING),
    ("2026-08-15", "summer Saturday", OFF),
    ("2026-11-01", "Sunday on which the clocks go back", OFF),
    ("2026-11-26", "Thanksgiving Day", OFF),
]

# "The off-peak saver period is 9 a.m. - 1 p.m., every day, including holidays."
SAVER = "00 off_peak | 09 saver | 13 off_peak"
ENERGY_WISE_PLUS = [
    ("2026-08-12", "summer Wednesday", f"{SAVER} | 17 on_peak | 21 off_peak"),
    ("2026-08-15", "Saturday", SAVER),
    ("2026-09-07", "Labor Day", SAVER),
    ("2026-11-01", "Sunday on which the clocks go back", SAVER),
]

DAYS = [
    *(("xcel_co/re_tou", *row) for row in XCEL),
    *(("csu/energy_wise", *row) for row in ENERGY_WISE),
    *(("csu/energy_wise_plus", *row) for row in ENERGY_WISE_PLUS),
    ("xcel_co/r", "2026-08-12", "one price at all hours", "00 flat"),
    ("csu/seasonal_fixed", "2026-08-12", "one price at all hours", "00 flat"),
]


@pytest.mark.parametrize(("schedule", "day", "why", "expected"), DAYS)
def test_day(shipped: Tariffs, schedule: str, day: str, why: str, expected: str) -> None:
    assert table(shipped[schedule], day) == expected, why
