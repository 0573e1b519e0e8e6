"""From USURDB's price matrices to the ranks, seasons and windows of a tariff version.

What belongs here: which hour is how dear, which months go together, which windows say so. What does not: what a USURDB
answer looks like (`urdb`), the words of a tariff (`model`).

The rule, for each month:

1. Months with the same prices are ranked together; where all of a month's prices occur in other months beside further
   prices, those months' ranks hold for it as well: one price means one thing. Months with other prices are ranked for
   themselves, so that a winter peak is a peak although the summer's is dearer.
2. Prices within 5 % of the dearest are one level with it; the rest is grouped likewise from the top down. Real winter
   peaks begin right above 5 %; below are riders and rounding.
3. The dearest level is rank 3 (peak). Of the others, the one with the most hours is rank 1 (base; the cheaper one of
   equals), those between rank 2 (shoulder), those below rank 0. A month with a single level is rank 1 throughout.

Rank 4 (dearer than peak) never comes out: it means called events, which a matrix of months and hours cannot hold.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, Final, NamedTuple

from hc_platform.charging.tariffs.model import DayKind, Period

Matrix = tuple[tuple[int, ...], ...]
"""Twelve months of 24 local hours."""

TIERS: Final = {0: "super_off_peak", 1: "off_peak", 2: "mid_peak", 3: "on_peak"}
FLAT: Final = "flat"
NEAR: Final = Decimal("0.05")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LAST_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_WEEKDAYS, _WEEKEND_DAYS = 5, 2


class MonthRanks(NamedTuple):
    """The 24 hours' ranks on weekdays and on weekends."""

    weekdays: tuple[int, ...]
    weekends: tuple[int, ...]


class _Window(NamedTuple):
    rank: int
    start: int
    end: int


def rank_prices(hours: Mapping[Decimal, int]) -> dict[Decimal, int]:
    """The rank of each price, given how many hours it holds; see the module's rule."""
    levels: list[list[Decimal]] = []
    for price in sorted(hours, reverse=True):
        if levels and levels[-1][0] - price <= NEAR * abs(levels[-1][0]):
            levels[-1].append(price)
        else:
            levels.append([price])
    if len(levels) == 1:
        return dict.fromkeys(hours, 1)
    base = max(range(1, len(levels)), key=lambda i: (sum(hours[p] for p in levels[i]), i))
    ranks = {i: 2 if i < base else 0 for i in range(len(levels))} | {0: 3, base: 1}
    return {price: ranks[i] for i, level in enumerate(levels) for price in level}


def month_ranks(weekdays: Matrix, weekends: Matrix, prices: Sequence[Decimal]) -> tuple[MonthRanks, ...]:
    """The ranks of each month's hours, from period ids and each period's price in $/kWh."""
    hours: list[Counter[Decimal]] = []
    for month in range(12):
        count: Counter[Decimal] = Counter()
        for row, days in ((weekdays[month], _WEEKDAYS), (weekends[month], _WEEKEND_DAYS)):
            for period in row:
                count[prices[period]] += days
        hours.append(count)
    total: dict[frozenset[Decimal], Counter[Decimal]] = {}
    for count in hours:
        total.setdefault(frozenset(count), Counter()).update(count)

    def of(month: int) -> MonthRanks:
        wider = [p for p in total if p >= frozenset(hours[month])]
        ranks = rank_prices(total[max(wider, key=lambda p: (len(p), total[p].total(), sorted(p)))])
        if len({ranks[p] for p in hours[month]}) == 1:
            ranks = dict.fromkeys(ranks, 1)
        return MonthRanks(*(tuple(ranks[prices[p]] for p in m[month]) for m in (weekdays, weekends)))

    return tuple(of(month) for month in range(12))


def version_fields(months: Sequence[MonthRanks]) -> dict[str, Any]:
    """`tiers`, `default_tier`, `seasons` and `periods` of a TariffVersion with these ranks; flat where there is one.

    The default tier is the base; windows stand for all else. Equal months in a row are a season, over New Year too.
    """
    used = sorted({rank for month in months for row in month for rank in row})
    if len(used) == 1:
        return {"default_tier": FLAT, "tiers": {FLAT: used[0]}}
    groups: dict[MonthRanks, list[int]] = {}
    for month, ranks in enumerate(months):
        groups.setdefault(ranks, []).append(month)
    named = _named([run for group in groups.values() for run in _runs(group)])
    found: dict[tuple[_Window, DayKind], list[str]] = {}
    for ranks, group in groups.items():
        names = [named[run] for run in _runs(group)]
        for window, days in _windows(ranks):
            found.setdefault((window, days), []).extend(names)
    periods = tuple(
        Period(
            tier=TIERS[window.rank],
            days=days,
            seasons=() if len(names) == len(named) else tuple(names),
            start=f"{window.start:02}:00",
            end=f"{window.end:02}:00",
        )
        for (window, days), names in found.items()
    )
    said = {name for period in periods for name in period.seasons}
    seasons = {
        name: (f"{first + 1:02}-01", f"{last + 1:02}-{_LAST_DAYS[last]}")
        for (first, last), name in named.items()
        if name in said
    }
    return {
        "default_tier": TIERS[1],
        "tiers": {TIERS[rank]: rank for rank in used},
        "seasons": seasons,
        "periods": periods,
    }


def _windows(ranks: MonthRanks) -> Iterable[tuple[_Window, DayKind]]:
    """The windows off the base rank with the days they are for."""
    weekdays, weekends = _stretches(ranks.weekdays), _stretches(ranks.weekends)
    yield from ((w, "all" if w in weekends else "weekdays") for w in weekdays)
    yield from ((w, "weekends") for w in weekends if w not in weekdays)


def _stretches(row: Sequence[int]) -> list[_Window]:
    return [
        _Window(rank, hours[0], hours[-1] + 1)
        for rank, hours in ((r, list(h)) for r, h in groupby(range(24), key=row.__getitem__))
        if rank != 1
    ]


def _runs(months: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each unbroken run of months (0 to 11), December and January being neighbours."""
    if len(months) == 12:
        return [(0, 11)]
    held = set(months)
    runs = []
    for first in sorted(m for m in held if (m - 1) % 12 not in held):
        last = first
        while (last + 1) % 12 in held:
            last = (last + 1) % 12
        runs.append((first, last))
    return runs


def _named(runs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """Summer and winter where there are just these two, else the runs' months."""
    holds = {run: {(run[0] + i) % 12 for i in range((run[1] - run[0]) % 12 + 1)} for run in runs}
    summer = [run for run in runs if 6 in holds[run] and 0 not in holds[run]]
    winter = [run for run in runs if 0 in holds[run] and 6 not in holds[run]]
    if len(runs) == 2 and summer and winter:
        return {winter[0]: "winter", summer[0]: "summer"}
    return {
        run: _MONTHS[run[0]] if run[0] == run[1] else f"{_MONTHS[run[0]]}_{_MONTHS[run[1]]}" for run in runs
    }
