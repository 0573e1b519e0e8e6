"""Arizona's and New York's shipped plans, day by day of 2026, each day written by hand from the utility's words."""

import pytest

from hc_platform.charging.tariffs.loading import Tariffs
from hc_platform_tests.charging.schedules.days import table

# APS: "4pm-7pm weekdays"; super off-peak 10 AM-3 PM weekdays in winter (November to April); ten holidays, "if these
# holidays fall on a Saturday, the preceding Friday will be off-peak. If they fall on a Sunday, the following Monday";
# "Christmas Eve and New Year's Eve ... only when they fall on a weekday."
OFF = "00 off_peak"
SUMMER = "00 off_peak | 16 on_peak | 19 off_peak"
WINTER = "00 off_peak | 10 super_off_peak | 15 off_peak | 16 on_peak | 19 off_peak"
APS = [
    ("2026-01-01", "New Year's Day", OFF),
    ("2026-01-19", "Martin Luther King Jr. Day", OFF),
    ("2026-02-16", "Presidents Day", OFF),
    ("2026-03-09", "Monday after the rest of the country changed its clocks", WINTER),
    ("2026-03-31", "Cesar Chavez Day", OFF),
    ("2026-04-30", "last day of winter", WINTER),
    ("2026-05-01", "first day of summer", SUMMER),
    ("2026-06-19", "Juneteenth is not in the list", SUMMER),
    ("2026-07-03", "July 4 is a Saturday: the Friday before", OFF),
    ("2026-07-04", "Saturday", OFF),
    ("2026-10-12", "Columbus Day is not in the list", SUMMER),
    ("2026-10-30", "last weekday of summer", SUMMER),
    ("2026-11-02", "first weekday of winter", WINTER),
    ("2026-11-11", "Veterans Day", OFF),
    ("2026-12-24", "Christmas Eve, a Thursday", OFF),
    ("2026-12-31", "New Year's Eve, a Thursday", OFF),
    ("2027-07-05", "July 4 is a Sunday: the Monday after", OFF),
    ("2027-12-31", "New Year's Day of 2028 is a Saturday, and this is New Year's Eve besides", OFF),
    ("2028-12-22", "Christmas Eve on a Sunday moves nothing", WINTER),
    ("2028-12-26", "Tuesday after Christmas on a Monday", WINTER),
    ("2029-03-30", "Cesar Chavez Day is a Saturday: the Friday before", OFF),
]

# Con Edison: peak 8 AM-12 midnight, off-peak 12 midnight-8 AM; super-peak 2-6 PM, "Monday through Friday during the
# summer months (June 1 - September 30)". No holidays.
EVERY_DAY = "00 off_peak | 08 peak"
SUPER = "00 off_peak | 08 peak | 14 super_peak | 18 peak"
CONED = [
    ("2026-01-01", "New Year's Day", EVERY_DAY),
    ("2026-03-08", "Sunday on which the clocks go forward", EVERY_DAY),
    ("2026-05-29", "last weekday before summer", EVERY_DAY),
    ("2026-06-01", "first day of summer, a Monday", SUPER),
    ("2026-07-03", "Friday before July 4 on a Saturday", SUPER),
    ("2026-07-04", "Saturday", EVERY_DAY),
    ("2026-09-07", "Labor Day: no holidays are named", SUPER),
    ("2026-09-30", "last day of summer, a Wednesday", SUPER),
    ("2026-10-01", "the day after", EVERY_DAY),
    ("2026-11-01", "Sunday on which the clocks go back", EVERY_DAY),
]

DAYS = [
    *(("aps/r_tou_e", *row) for row in APS),
    *(("coned/sc1_rate_iii", *row) for row in CONED),
]


@pytest.mark.parametrize(("schedule", "day", "why", "expected"), DAYS)
def test_day(shipped: Tariffs, schedule: str, day: str, why: str, expected: str) -> None:
    assert table(shipped[schedule], day) == expected, why
