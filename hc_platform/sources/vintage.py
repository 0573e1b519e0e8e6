"""The date that a publication's name carries, as the days it may stand for.

What belongs here: reading dates out of names. What does not: which publication is taken (`discovery`), snapshots.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMES = (
    "January|February|March|April|May|June|July|August|September|October|November|December"
    "|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec"
)
# a month's name begins a word, also in CamelCase; SUMMAR2026 has none
_WORD_START = r"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))"
_YEAR = r"20\d\d"
_WORDED = re.compile(
    rf"{_WORD_START}(?P<month>(?i:{_NAMES}))[\W_]{{0,2}}(?:(?P<day>\d{{1,2}})[\W_]{{0,2}})??(?P<year>{_YEAR})(?!\d)"
    rf"|(?<!\d)(?P<year_first>{_YEAR})[\W_]?(?P<month_last>(?i:{_NAMES}))(?![A-Za-z])"
)
_PARTED = re.compile(
    rf"(?<!\d)(?P<year>{_YEAR})[-_.](?P<month>\d\d)(?:[-_.](?P<day>\d\d))?(?!\d)"
    rf"|(?<!\d)(?P<month_first>\d\d)[-_.](?P<year_last>{_YEAR})(?!\d)"
)
_DIGITS = re.compile(r"(?<!\d)\d+(?!\d)")
_ITEM_ID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Period:
    """Days from `first` to `last`, both included: a day, a month, a year, or what a snapshot covers."""

    first: date
    last: date

    @classmethod
    def of(cls, year: int, month: int | None = None, day: int | None = None, *, months: int = 1) -> "Period":
        """A year, so many months from one on, or a day. Raises ValueError where there is no such date."""
        if month is None:
            return cls(date(year, 1, 1), date(year, 12, 31))
        if day is not None:
            return cls(date(year, month, day), date(year, month, day))
        first, end = date(year, month, 1), month + months - 1
        return cls(first, date(year, end, monthrange(year, end)[1]))

    def holds(self, other: "Period") -> bool:
        """Whether all days of the other are among its own."""
        return self.first <= other.first and other.last <= self.last

    def __str__(self) -> str:
        """2026, 2026-03 or 2026-03-15 where it is just that; else its first and last day."""
        year, month = self.first.year, self.first.month
        if self == Period.of(year):
            return f"{year:04d}"
        if self == Period.of(year, month):
            return f"{year:04d}-{month:02d}"
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


def vintage_of(name: str) -> Period | None:
    """The days that a publication of that name may be of; None where the name tells no date.

    Read are JUN2024, June_2026, APR272018, 2026_June, 032026, 202509, 2026-03, 101024 (month, day, year, as is
    custom in the US), 20260315, 03152026 and 2025. The finest date counts: SMECO_2024_CIRCUITS_101024 is of
    2024-10-10. Two dates that are as fine and differ tell none: which of them is meant is not guessed.
    """
    found = set(_periods(_ITEM_ID.sub("", name)))
    finest = [p for p in found if _fineness(p) == min(map(_fineness, found))]
    return finest[0] if len(finest) == 1 else None


def _fineness(period: Period) -> int:
    """0 for a day, 1 for a month, 2 for a year."""
    days = (period.last - period.first).days
    return 0 if days == 0 else 1 if days < 31 else 2


def _periods(name: str) -> list[Period]:
    """Every date that the name may be read to tell; what one spelling has read is not read by the next."""
    found: list[Period] = []

    def read(match: re.Match[str]) -> str:
        try:
            found.append(_worded(match.groupdict()) if match.groupdict() else _digits(match[0]))
        except ValueError:  # there is no such date
            return match[0]
        return " "

    for pattern in (_WORDED, _PARTED, _DIGITS):
        name = pattern.sub(read, name)
    return found


def _worded(parts: dict[str, str | None]) -> Period:
    year = int(parts["year"] or parts.get("year_first") or parts.get("year_last") or "")
    month = parts["month"] or parts.get("month_last") or parts.get("month_first") or ""
    number = int(month) if month.isdigit() else _MONTHS.index(month[:3].lower()) + 1
    return Period.of(year, number, int(parts["day"]) if parts["day"] else None)


def _digits(run: str) -> Period:
    """A run of digits. The readings of one length do not meet: no month is 20, and no year begins otherwise.

    They do for 032026, month and year or the 20th of March 26, which lie in the same month: so it is that month.
    """
    if len(run) == 4 and run.startswith("20"):
        return Period.of(int(run))
    if len(run) == 6 and run.startswith("20"):
        return Period.of(int(run[:4]), int(run[4:]))
    if len(run) == 6 and run[2:4] == "20":
        return Period.of(int(run[2:]), int(run[:2]))
    if len(run) == 6:
        return Period.of(2000 + int(run[4:]), int(run[:2]), int(run[2:4]))
    if len(run) == 8 and run.startswith("20"):
        return Period.of(int(run[:4]), int(run[4:6]), int(run[6:]))
    if len(run) == 8 and run[4:6] == "20":
        return Period.of(int(run[4:]), int(run[:2]), int(run[2:4]))
    raise ValueError(f"{run} is no date")
