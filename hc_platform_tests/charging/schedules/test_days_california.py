"""California's shipped plans, day by day of 2026, each day written by hand from the utility's words."""

import pytest

from hc_platform.charging.tariffs.loading import Tariffs
from hc_platform_tests.charging.schedules.days import table

# PG&E E-ELEC and EV2-A: peak 4-9 PM, partial-peak 3-4 PM and 9 PM-midnight, "every day including weekends and holidays".
PGE_EVERY_DAY = "00 off_peak | 15 partial_peak | 16 peak | 21 partial_peak"
PGE = [
    ("2026-01-01", "New Year's Day", PGE_EVERY_DAY),
    ("2026-02-10", "winter Tuesday", PGE_EVERY_DAY),
    ("2026-03-08", "Sunday on which the clocks go forward", PGE_EVERY_DAY),
    ("2026-05-31", "last day of winter, a Sunday", PGE_EVERY_DAY),
    ("2026-06-01", "first day of summer", PGE_EVERY_DAY),
    ("2026-07-03", "Friday before July 4 on a Saturday", PGE_EVERY_DAY),
    ("2026-11-01", "Sunday on which the clocks go back", PGE_EVERY_DAY),
    ("2026-11-26", "Thanksgiving Day", PGE_EVERY_DAY),
]

# SCE TOU-D, Options PRIME and 4-9 PM. Summer (June to September) 4-9 PM: on-peak on weekdays, mid-peak on weekends and
# holidays. Winter 4-9 PM: mid-peak; 8 AM-4 PM: super off-peak; every day. "When any holiday listed above falls on Sunday,
# the following Monday will be recognized as a holiday. No change will be made for holidays falling on Saturday."
SCE_WEEKDAY = "00 off_peak | 16 on_peak | 21 off_peak"
SCE_WEEKEND = "00 off_peak | 16 mid_peak | 21 off_peak"
SCE_WINTER = "00 off_peak | 08 super_off_peak | 16 winter_mid_peak | 21 off_peak"
SCE = [
    ("2026-01-01", "New Year's Day: winter days are all alike", SCE_WINTER),
    ("2026-02-10", "winter Tuesday", SCE_WINTER),
    ("2026-03-08", "Sunday on which the clocks go forward", SCE_WINTER),
    ("2026-05-25", "Memorial Day is in winter", SCE_WINTER),
    ("2026-05-31", "last day of winter, a Sunday", SCE_WINTER),
    ("2026-06-01", "first day of summer, a Monday", SCE_WEEKDAY),
    ("2026-06-19", "Juneteenth is not in the list", SCE_WEEKDAY),
    ("2026-07-03", "Friday before July 4 on a Saturday: no change", SCE_WEEKDAY),
    ("2026-07-04", "Saturday", SCE_WEEKEND),
    ("2026-07-06", "Monday after it", SCE_WEEKDAY),
    ("2026-09-07", "Labor Day", SCE_WEEKEND),
    ("2026-09-30", "last day of summer, a Wednesday", SCE_WEEKDAY),
    ("2026-10-01", "first day of winter, a Thursday", SCE_WINTER),
    ("2026-11-01", "Sunday on which the clocks go back", SCE_WINTER),
    ("2027-07-05", "Monday after July 4 on a Sunday", SCE_WEEKEND),
]

# SDG&E EV-TOU-5. On-peak 4-9 PM every day; super off-peak midnight-6 AM on weekdays, midnight-2 PM on weekends and
# holidays; on weekdays also 10 AM-2 PM, in March and April until April 2026, all year from May 1, 2026.
SDGE_WEEKDAY = "00 super_off_peak | 06 off_peak | 16 on_peak | 21 off_peak"
SDGE_MIDDAY = "00 super_off_peak | 06 off_peak | 10 super_off_peak | 14 off_peak | 16 on_peak | 21 off_peak"
SDGE_WEEKEND = "00 super_off_peak | 14 off_peak | 16 on_peak | 21 off_peak"
SDGE = [
    ("2026-01-01", "New Year's Day", SDGE_WEEKEND),
    ("2026-01-19", "Martin Luther King Jr. Day is not in the list", SDGE_WEEKDAY),
    ("2026-02-16", "Presidents' Day", SDGE_WEEKEND),
    ("2026-02-27", "the last weekday before March", SDGE_WEEKDAY),
    ("2026-03-02", "the first weekday of March", SDGE_MIDDAY),
    ("2026-03-08", "Sunday on which the clocks go forward", SDGE_WEEKEND),
    ("2026-04-30", "last day of April and of the old hours", SDGE_MIDDAY),
    ("2025-05-01", "a year before the change: May has no midday hours", SDGE_WEEKDAY),
    ("2025-11-11", "Veterans Day is in the list", SDGE_WEEKEND),
    ("2026-05-01", "the change, a Friday", SDGE_MIDDAY),
    ("2026-05-25", "Memorial Day", SDGE_WEEKEND),
    ("2026-07-03", "Friday before July 4 on a Saturday: no holiday", SDGE_MIDDAY),
    ("2026-08-15", "summer Saturday", SDGE_WEEKEND),
    ("2026-11-01", "Sunday on which the clocks go back: 1 AM comes twice", SDGE_WEEKEND),
    ("2026-12-24", "Christmas Eve is not in the list", SDGE_MIDDAY),
    ("2027-07-05", "Monday after July 4 on a Sunday", SDGE_WEEKEND),
]

DAYS = [
    *((plan, *row) for plan in ("pge/e_elec", "pge/ev2_a") for row in PGE),
    *((plan, *row) for plan in ("sce/tou_d_prime", "sce/tou_d_4_9pm") for row in SCE),
    *(("sdge/ev_tou_5", *row) for row in SDGE),
    ("pge/e_1", "2026-07-03", "priced by use, not by hour", "00 flat"),
]


@pytest.mark.parametrize(("schedule", "day", "why", "expected"), DAYS)
def test_day(shipped: Tariffs, schedule: str, day: str, why: str, expected: str) -> None:
    assert table(shipped[schedule], day) == expected, why
