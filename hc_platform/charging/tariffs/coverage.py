"""Whether a tariff version says exactly one thing of every minute: no two windows at odds, no gap.

What belongs here: that check, over every kind of day that comes in the version's time. What does not: the other rules
of a file (`loading`), the windows themselves (`compiled`).

A day is looked at with the day before it, whose windows may reach over midnight. All weekdays are combined with all
sets of seasons that two neighbouring days have, and with being a holiday or not; so nothing hangs on the years that one
happens to look at. Only what seems wrong is then looked up in the calendar, to name a real day (or to drop it where no
such day comes).
"""

import datetime as dt
from collections.abc import Iterator
from itertools import combinations, product
from typing import Final

from hc_platform.charging.tariffs.calendars import Day, day_of, seasons_on
from hc_platform.charging.tariffs.compiled import edges, windows
from hc_platform.charging.tariffs.model import Period, TariffVersion
from hc_platform.documents import Document, Loc, Problem

_DAY: Final = dt.timedelta(days=1)
_DAY_NAMES: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# Weekdays and leap years repeat after 28 years (but for 2100), Easter almost so.
_YEARS: Final = 28


def uncovered(document: Document, at: Loc, version: TariffVersion) -> Iterator[Problem]:
    """A problem for each pair of periods that hold at once with equal priority, and one for the first gap."""
    clashes: dict[tuple[int, int], dict[tuple[Day, Day], int]] = {}
    gaps: dict[tuple[Day, Day], int] = {}
    for pair in _day_pairs(version):
        of_day = windows(version, *pair)
        for a, b in combinations(of_day, 2):
            start = max(a.start, b.start)
            if start < min(a.end, b.end) and a.period.priority == b.period.priority:
                both = sorted((_index(version, a.period), _index(version, b.period)))
                clashes.setdefault((both[0], both[1]), {}).setdefault(pair, start)
        if version.base_tier is None:
            free = (m for m in edges(of_day) if not any(w.start <= m < w.end for w in of_day))
            if (minute := next(free, None)) is not None:
                gaps[pair] = minute
    for (first, second), kinds in sorted(clashes.items()):
        if example := _example(version, kinds):
            one, two = version.periods[first], version.periods[second]
            line, loc = document.line((*at, "periods", first)), (*at, "periods", second)
            message = (
                f"({two}) and the period of line {line} ({one}) both hold on {example} with the priority "
                f"{two.priority}"
            )
            yield document.problem(
                loc, message, "move a start or end, or give one of them a greater priority"
            )
    if gaps and (example := _example(version, gaps)):
        message = f"leave a gap without any tier on {example}"
        mend = "add default_tier: for all time that no period covers, or a period for it"
        yield document.problem((*at, "periods"), message, mend)


def _index(version: TariffVersion, period: Period) -> int:
    return next(index for index, each in enumerate(version.periods) if each is period)


def _day_pairs(version: TariffVersion) -> Iterator[tuple[Day, Day]]:
    """Every kind of day with every kind of day before it."""
    first = dt.date(2023, 12, 31)  # a leap year follows
    days = [first + _DAY * n for n in range(367)]
    seasons = {(seasons_on(version, day), seasons_on(version, day - _DAY)) for day in days[1:]}
    seasons.add((seasons_on(version, dt.date(2025, 3, 1)), seasons_on(version, dt.date(2025, 2, 28))))
    flags = (False, True) if version.holidays.names or version.holidays.dates else (False,)
    for weekday, (today, before), holiday, holiday_before in product(range(7), seasons, flags, flags):
        yield Day(weekday, holiday, today), Day((weekday - 1) % 7, holiday_before, before)


def _example(version: TariffVersion, kinds: dict[tuple[Day, Day], int]) -> str | None:
    """The first real day that is of such a kind, with the time; None where none comes while the version holds."""
    day = version.effective_from
    last = min(version.effective_to or dt.date.max, dt.date(day.year + _YEARS, 12, 31))
    before = day_of(version, day - _DAY)
    while day <= last:
        today = day_of(version, day)
        minute = kinds.get((today, before))
        if minute is not None:
            holiday = ", a holiday," if today.is_holiday else ""
            return f"{_DAY_NAMES[day.weekday()]} {day}{holiday} at {minute // 60:02}:{minute % 60:02}"
        day, before = day + _DAY, today
    return None
