"""Made-up USURDB rates, and an oracle that ranks hours from a rate without the importer's code.

Belongs here: what the tests of the importer share. Does not belong here: a test.
"""

import calendar
import datetime as dt
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

MONTHS = range(12)
ON = dt.date(2026, 11, 21)


def stamp(day: str, hour: int = 7) -> int:
    """Seconds since 1970 of that hour UTC on the day: USURDB stamps a day with some zone's midnight."""
    return calendar.timegm((*map(int, day.split("-")), hour, 0, 0))


def rate(label: str = "a" * 24, **changes: Any) -> dict[str, Any]:
    """A rate with a weekday peak 16 to 21 of period 1; `changes` replace or (None) drop its fields."""
    made = {
        "label": label,
        "uri": f"https://apps.openei.org/USURDB/rate/view/{label}",
        "utility": "Example Power Co",
        "eiaid": 99999,
        "name": "Time of Use",
        "approved": True,
        "startdate": stamp("2020-01-01"),
        "energyratestructure": [[{"rate": 0.1, "unit": "kWh"}], [{"rate": 0.2, "adj": 0.1, "unit": "kWh"}]],
        "energyweekdayschedule": peak(16, 21),
        "energyweekendschedule": peak(0, 0),
    }
    return {key: value for key, value in {**made, **changes}.items() if value is not None}


def peak(start: int, end: int, months: range | tuple[int, ...] = MONTHS, period: int = 1) -> list[list[int]]:
    """Twelve rows of period 0 with `period` in those months' hours from start to end."""
    return [[period if m in months and start <= h < end else 0 for h in range(24)] for m in MONTHS]


def oracle(rate: Mapping[str, Any]) -> dict[tuple[int, bool, int], int]:
    """The rank of every (month 1 to 12, weekend, hour), by the rule of docs/urdb.md, in other words than the code's."""
    price = [
        sum((Fraction(str(tiers[0].get(key) or 0)) for key in ("rate", "adj")), Fraction(0))
        for tiers in rate["energyratestructure"]
    ]
    cells = {
        (m + 1, weekend, h): price[int(rate[key][m][h])]
        for weekend, key in ((False, "energyweekdayschedule"), (True, "energyweekendschedule"))
        for m in MONTHS
        for h in range(24)
    }
    inside = {m + 1: frozenset(p for (month, _, _), p in cells.items() if month == m + 1) for m in MONTHS}
    weekly: dict[frozenset[Fraction], Counter[Fraction]] = {prices: Counter() for prices in inside.values()}
    for (month, weekend, _), p in cells.items():
        weekly[inside[month]][p] += 2 if weekend else 5
    ranks = {}
    for (month, weekend, hour), p in cells.items():
        scope = max(
            (s for s in weekly if inside[month] <= s),
            key=lambda s: (len(s), sum(weekly[s].values()), sorted(s)),
        )
        ladder = _ladder(weekly[scope])
        same = len({ladder[q] for q in inside[month]}) == 1
        ranks[month, weekend, hour] = 1 if same else ladder[p]
    return ranks


def _ladder(hours: Mapping[Fraction, int]) -> dict[Fraction, int]:
    """Ranks by price: step down from the dearest, a new step where a price is more than 5 % below the step's top."""
    step_of: dict[Fraction, int] = {}
    tops: list[Fraction] = []
    for p in sorted(hours, key=lambda p: -p):
        if not tops or tops[-1] - p > abs(tops[-1]) / 20:
            tops.append(p)
        step_of[p] = len(tops) - 1
    if len(tops) == 1:
        return dict.fromkeys(hours, 1)
    held = Counter(dict.fromkeys(range(1, len(tops)), 0))
    for p, count in hours.items():
        if step_of[p]:
            held[step_of[p]] += count
    most = max(held.values())
    base = max(step for step, count in held.items() if count == most)
    return {p: 3 if s == 0 else 1 if s == base else 2 if s < base else 0 for p, s in step_of.items()}
