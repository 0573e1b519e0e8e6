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
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Observed = Literal["none", "sunday_to_monday", "nearest_weekday"]
DayKind = Literal["weekdays", "weekends", "holidays", "all", "mon", "tue", "wed", "thu", "fri", "sat", "sun"]
VerificationStatus = Literal["checked_against_tariff", "documented", "imported", "unverified"]

RANKS: Final = {0: "cheaper than the base", 1: "base", 2: "shoulder", 3: "peak", 4: "dearer than peak"}
"""The scale that all tariffs share, so that one policy (`pause_rank`) fits all of them."""

_Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=64)]
_MonthDay = Annotated[str, Field(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")]
_WallTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]


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
    days: DayKind | tuple[DayKind, ...] = "all"
    seasons: tuple[_Key, ...] = ()
    start: _WallTime = "00:00"
    end: _WallTime = "24:00"
    priority: int = 0


class TariffVersion(_Model):
    """What held from one local day to another, both inclusive. A flat plan has one tier and no periods."""

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
    timezone: str | None = Field(None, description="where it differs from the utility's")
    verification: TariffVerification
    versions: tuple[TariffVersion, ...] = Field(min_length=1)


class TariffFile(_Model):
    """One file of tou_schedules/: a utility and its rate plans."""

    utility_id: _Key
    utility_name: str
    eia_id: int | None = None
    states: tuple[str, ...] = ()
    timezone: str
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
