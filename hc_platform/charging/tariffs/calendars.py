"""The calendar of a tariff: holidays with their observance, seasons, the kind of a day, the zone's offsets.

What belongs here: what a local day is to a tariff, and how local time lies on UTC. What does not: tiers (`compiled`).
"""

import datetime as dt
import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import holidays as holidays_library

from hc_platform.charging.tariffs.model import Holidays, Period, Tariff, TariffVersion

_DAY: Final = dt.timedelta(days=1)
_NONE: Final = dt.timedelta(0)
_DAY_NAMES: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Good Friday and Christmas Eve are holidays of some tariffs, though of no government.
_CATEGORIES: Final = ("public", "unofficial")
_MONDAY, _SATURDAY, _SUNDAY = 0, 5, 6


class Day(NamedTuple):
    """What a local day is to a tariff version: two days that are equal here have equal windows."""

    weekday: int
    """Monday 0."""
    is_holiday: bool
    seasons: frozenset[str]

    def matches(self, period: Period) -> bool:
        """Whether the period's window starts on such a day."""
        if period.seasons and self.seasons.isdisjoint(period.seasons):
            return False
        if self.is_holiday:
            return "holidays" in period.days or "all" in period.days
        half = "weekdays" if self.weekday < _SATURDAY else "weekends"
        return any(kind in period.days for kind in ("all", half, _DAY_NAMES[self.weekday]))


def day_of(version: TariffVersion, day: dt.date) -> Day:
    """What that local day is to the version."""
    return Day(day.weekday(), day in holiday_dates(version.holidays, day.year), seasons_on(version, day))


def seasons_on(version: TariffVersion, day: dt.date) -> frozenset[str]:
    """The seasons that the day lies in: none, one or several."""
    if not version.seasons:
        return frozenset()
    at = f"{day:%m-%d}"
    return frozenset(
        name
        for name, (first, last) in version.seasons.items()
        if (first <= at <= last if first <= last else at >= first or at <= last)
    )


@functools.lru_cache(maxsize=4096)
def holiday_dates(holidays: Holidays, year: int) -> Mapping[dt.date, str]:
    """The year's holidays with their names; a moved one is called "... (observed)".

    A Saturday's holiday may be observed in the year before its own (New Year's Day 2028 on 2027-12-31).
    """
    wanted = {name.casefold() for name in holidays.names}
    found: dict[dt.date, str] = {}
    for day, name in sorted(
        (day, name)
        for each in ((year, year + 1) if holidays.observed != "none" else (year,))
        for day, name in _public_days(holidays.state, each)
    ):
        if name.casefold() not in wanted:
            continue
        found[day] = name
        if day.weekday() == _SUNDAY and holidays.observed != "none":
            found.setdefault(day + _DAY, f"{name} (observed)")
        if day.weekday() == _SATURDAY and holidays.observed == "nearest_weekday":
            found.setdefault(day - _DAY, f"{name} (observed)")
    found |= dict.fromkeys(holidays.dates, "a date that the tariff names")
    return MappingProxyType({day: name for day, name in sorted(found.items()) if day.year == year})


@functools.cache
def holiday_names(state: str | None) -> frozenset[str]:
    """Every name that a tariff may use: the country's and, with `state`, that state's."""
    return frozenset(name for year in range(2000, 2041) for _, name in _public_days(state, year))


def holiday_states() -> tuple[str, ...]:
    """The states that have holidays of their own in the library."""
    return tuple(holidays_library.list_supported_countries(include_aliases=False)["US"])


@functools.lru_cache(maxsize=4096)
def _public_days(state: str | None, year: int) -> tuple[tuple[dt.date, str], ...]:
    """Day and name of each of the year's holidays on its own date, not where it is observed."""
    days: set[tuple[dt.date, str]] = set()
    for subdivision in {None, state}:
        calendar = holidays_library.country_holidays(
            "US", subdiv=subdivision, years=year, observed=False, categories=_CATEGORIES
        )
        days |= {(day, name) for day in calendar for name in calendar.get_list(day)}
    return tuple(sorted(days))


class Span(NamedTuple):
    """A stretch of UTC time in which the tariff's clock has one offset."""

    start: dt.datetime
    end: dt.datetime
    offset: dt.timedelta


def utc_offset(tariff: Tariff, instant: dt.datetime) -> dt.timedelta:
    """How far the tariff's clock is ahead of UTC at that instant.

    On `clock: standard` the daylight saving share is left out.
    """
    local = instant.astimezone(ZoneInfo(tariff.timezone))
    offset, saving = local.utcoffset() or _NONE, local.dst() or _NONE
    return offset - saving if tariff.plan.clock == "standard" else offset


def local_time(tariff: Tariff, instant: dt.datetime) -> dt.datetime:
    """The instant on the tariff's clock, aware with the offset that holds then.

    Raises ValueError for an instant without a zone: the host's zone must never decide.
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no time zone; give it in UTC")
    return instant.astimezone(dt.timezone(utc_offset(tariff, instant)))


def offset_spans(tariff: Tariff, start: dt.datetime, end: dt.datetime) -> list[Span]:
    """[start, end) cut where the clock jumps, found to the second."""
    spans: list[Span] = []
    since, offset = start, utc_offset(tariff, start)
    at = start
    while at < end:
        then = min(at + _DAY, end)
        later = utc_offset(tariff, then)
        if later != offset:
            jump = _jump(tariff, at, then, offset)
            spans.append(Span(since, jump, offset))
            since, offset = jump, utc_offset(tariff, jump)
            then = max(jump, at)
        at = then
    return [*spans, Span(since, end, offset)] if since < end else spans


def _jump(tariff: Tariff, before: dt.datetime, after: dt.datetime, offset: dt.timedelta) -> dt.datetime:
    """The first whole second in (before, after] whose offset is another."""
    low, high = int(before.timestamp()), -int(-after.timestamp() // 1)
    while high - low > 1:
        middle = (low + high) // 2
        if utc_offset(tariff, dt.datetime.fromtimestamp(middle, dt.UTC)) == offset:
            low = middle
        else:
            high = middle
    return dt.datetime.fromtimestamp(high, dt.UTC)
