"""The model of a tariff: versions, seasons, day calendars, tiers, windows.

What belongs here: what a file in tou_schedules/ may say and what its words mean. What does not: reading files
(`loading`), the calendar itself (`calendars`), turning a tariff into stretches of time (`compiled`).

A file holds one utility with its rate plans:

    utility_id: xcel_co                  # the file's name
    utility_name: Xcel Energy (Public Service Company of Colorado)
    eia_id: 15466
    timezone: America/Denver
    rate_plans:
      re_tou:
        name: Residential Energy Time-of-Use
        verification: {status: documented, on: 2026-11-21, sources: ["..."]}
        versions:
          - effective_from: 2025-11-01   # local days, both inclusive; no effective_to: until further notice
            source_url: https://...
            default_tier: off_peak       # all time that no period covers; without it, gaps are errors
            tiers: {off_peak: 1, on_peak: 3}
            holidays: {names: ["New Year's Day", "Thanksgiving Day"], observed: none}
            periods:
              - {tier: on_peak, days: weekdays, start: "17:00", end: "21:00"}
"""

import datetime as dt
import functools
import zoneinfo
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from hc_platform.documents import nearest

Observed = Literal["none", "sunday_to_monday", "nearest_weekday"]
DayKind = Literal["weekdays", "weekends", "holidays", "all", "mon", "tue", "wed", "thu", "fri", "sat", "sun"]
VerificationStatus = Literal["checked_against_tariff", "documented", "imported", "unverified"]

RANKS: Final = {0: "cheaper than the base", 1: "base", 2: "shoulder", 3: "peak", 4: "dearer than peak"}
"""The scale that all tariffs share, so that one policy (`pause_rank`) fits all of them."""


def _month_day(text: str) -> str:
    try:
        dt.datetime.strptime(f"2000-{text}", "%Y-%m-%d")  # noqa: DTZ007 - a leap year: 02-29 is a day
    except ValueError:
        raise ValueError(f"{text!r} is no day of the year; write it as mm-dd, e.g. '06-01'") from None
    return text


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _zone(name: str) -> str:
    if name not in _zones():
        near = nearest(name, sorted(_zones()))
        hint = f"did you mean {near}?" if near else "e.g. America/Denver"
        raise ValueError(f"no time zone is called {name!r} in the IANA database; {hint}")
    return name


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


_Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=64)]
_MonthDay = Annotated[str, Field(pattern=r"^\d\d-\d\d$"), AfterValidator(_month_day)]
_Zone = Annotated[str, AfterValidator(_zone)]
_Start = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
_End = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]
_Days = Annotated[
    tuple[DayKind, ...],
    BeforeValidator(_several, json_schema_input_type=DayKind | tuple[DayKind, ...]),
    Field(min_length=1),
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Holidays(_Model):
    """Which days count as the tariff's holidays.

    `names` are those of the `holidays` library for the United States and, with `state`, for that state; `dates` are
    days that it lacks. `observed` moves a named holiday that falls on a weekend: `none` never, `sunday_to_monday` adds
    the Monday after a Sunday, `nearest_weekday` also the Friday before a Saturday. The day itself stays a holiday.
    """

    names: tuple[str, ...] = ()
    state: str | None = Field(None, pattern=r"^[A-Z]{2}$")
    dates: tuple[dt.date, ...] = ()
    observed: Observed = "none"


class Period(_Model):
    """A daily window of one tier, half-open [start, end) on the local wall clock.

    An `end` at or before `start` is past midnight: the tail belongs to the day on which the window starts. `days`:
    weekdays (Mon-Fri), weekends (Sat, Sun), single days; none of these matches a holiday, which only `holidays` and
    `all` do. `seasons`: all of them when empty; a date may lie in several. Where windows overlap, the greater
    `priority` wins; equal ones are a load error.
    """

    tier: _Key
    days: _Days = ("all",)
    seasons: tuple[_Key, ...] = ()
    start: _Start = "00:00"
    end: _End = "24:00"
    priority: int = 0

    @property
    def start_minute(self) -> int:
        """Minutes from local midnight to the start, 0 to 1439."""
        return _minute(self.start)

    @property
    def end_minute(self) -> int:
        """Minutes from the start day's local midnight to the end: beyond 1440 where it is past midnight."""
        minute = _minute(self.end)
        return minute if minute > self.start_minute else minute + 1440

    def __str__(self) -> str:
        parts = [self.tier, f"{self.start}-{self.end}", *self.days, *self.seasons]
        return " ".join([*parts, f"priority {self.priority}"] if self.priority else parts)


def _minute(time: str) -> int:
    return int(time[:2]) * 60 + int(time[3:])


class TariffVersion(_Model):
    """What held from one local day to another, both inclusive. A flat plan has one tier and no periods.

    `seasons`: first and last day as mm-dd, both inclusive, over the new year where the last is before the first;
    02-29 is the end of February in every year. `source_sha256`: of the document that it was read from.
    """

    effective_from: dt.date
    effective_to: dt.date | None = None
    source_url: str | None = None
    source_sha256: str | None = None
    note: str | None = None
    default_tier: _Key | None = None
    tiers: dict[_Key, Annotated[int, Field(ge=0, le=4)]] = Field(min_length=1)
    seasons: dict[_Key, tuple[_MonthDay, _MonthDay]] = {}
    holidays: Holidays = Holidays()
    periods: tuple[Period, ...] = ()

    @property
    def is_flat(self) -> bool:
        """Whether the hour makes no difference."""
        return len(self.tiers) == 1

    @property
    def base_tier(self) -> str | None:
        """The tier of all time that no period covers; None where periods must cover it all."""
        return next(iter(self.tiers)) if self.is_flat and not self.periods else self.default_tier

    def covers(self, day: dt.date) -> bool:
        """Whether it holds on that local day."""
        return self.effective_from <= day and (self.effective_to is None or day <= self.effective_to)


class TariffVerification(_Model):
    """How the plan's facts were checked, when, and against what."""

    status: VerificationStatus
    on: dt.date
    sources: tuple[str, ...] = Field(min_length=1)
    note: str | None = None


class RatePlan(_Model):
    """One tariff of a utility through time. `clock` standard: the zone's winter clock all year round."""

    name: str
    clock: Literal["prevailing", "standard"] = "prevailing"
    timezone: _Zone | None = Field(None, description="where it differs from the utility's")
    verification: TariffVerification
    versions: tuple[TariffVersion, ...] = Field(min_length=1)


class TariffFile(_Model):
    """One file of tou_schedules/: a utility and its rate plans."""

    utility_id: _Key
    utility_name: str
    eia_id: int | None = None
    states: tuple[str, ...] = ()
    timezone: _Zone
    rate_plans: dict[_Key, RatePlan] = Field(min_length=1)


class Tariff(_Model):
    """One rate plan with its utility: what the rest of charge control works with."""

    utility_id: str
    rate_plan: str
    timezone: str
    plan: RatePlan

    @property
    def schedule(self) -> str:
        """utility_id/rate_plan."""
        return f"{self.utility_id}/{self.rate_plan}"

    def version_on(self, day: dt.date) -> TariffVersion | None:
        """What holds on that local day; None before the first, after the last and in between versions."""
        return next((version for version in self.plan.versions if version.covers(day)), None)


def tariffs_of(file: TariffFile) -> Mapping[str, Tariff]:
    """A file's tariffs by utility_id/rate_plan."""
    tariffs = (
        Tariff(utility_id=file.utility_id, rate_plan=key, timezone=plan.timezone or file.timezone, plan=plan)
        for key, plan in file.rate_plans.items()
    )
    return {tariff.schedule: tariff for tariff in tariffs}
