"""A tariff as time: the tier at an instant, and whole schedules as contiguous stretches of UTC time.

What belongs here: the evaluation of windows on the local wall clock. What does not: what a day is (`calendars`), what
follows for a charger.

A window is half-open on the tariff's wall clock. One past midnight belongs to the day it starts on: its tail is there
when it started, by that day's kind and season, while the version is chosen by the local date of the instant itself.
So on the night when a version begins, the new one holds from local midnight, as if it had always held. A wall time that
the clock skips never comes; one that it shows twice counts twice.
"""

import datetime as dt
import functools
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import polars as pl

from hc_platform.charging.tables import TOU_SCHEDULES
from hc_platform.charging.tariffs.calendars import Day, day_of, local_time, offset_spans
from hc_platform.charging.tariffs.model import Period, Tariff, TariffVersion

_DAY: Final = dt.timedelta(days=1)
_DAY_MINUTES: Final = 1440
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


class TierAt(NamedTuple):
    """What a tariff says of an instant; version, tier and rank are None where no version covers it."""

    version: dt.date | None
    tier: str | None
    rank: int | None
    local: dt.datetime
    """The instant on the tariff's clock, with its offset."""


class Window(NamedTuple):
    """A part of one day: minutes [start, end) from its local midnight, and the period that it comes from."""

    start: int
    end: int
    period: Period


def tier_at(tariff: Tariff, instant: dt.datetime) -> TierAt:
    """The tier at an instant, evaluated on the wall clock.

    Raises ValueError for an instant without a zone.
    """
    local = local_time(tariff, instant)
    day = local.date()
    version = tariff.version_on(day)
    if version is None:
        return TierAt(None, None, None, local)
    minute = local.hour * 60 + local.minute
    tier = _tier(version, windows(version, day_of(version, day), day_of(version, day - _DAY)), minute)
    return TierAt(version.effective_from, tier, version.tiers[tier], local)


def is_tou_peak(now_utc: dt.datetime, tariff: Tariff, pause_rank: int = 3) -> bool:
    """Whether the tariff is at `pause_rank` or dearer; never on a flat plan, nor where no version covers the time.

    Raises ValueError for a time without a zone.
    """
    now = tier_at(tariff, now_utc)
    version = tariff.version_on(now.local.date())
    return version is not None and not version.is_flat and now.rank is not None and now.rank >= pause_rank


def windows(version: TariffVersion, day: Day, day_before: Day) -> list[Window]:
    """The windows that touch such a day, the tails of the day before included."""
    tails = [
        Window(0, period.end_minute - _DAY_MINUTES, period)
        for period in version.periods
        if period.end_minute > _DAY_MINUTES and day_before.matches(period)
    ]
    own = [
        Window(period.start_minute, min(period.end_minute, _DAY_MINUTES), period)
        for period in version.periods
        if day.matches(period)
    ]
    return tails + own


def edges(of_day: list[Window]) -> list[int]:
    """The minutes at which something may change on such a day; midnight is the first."""
    minutes = {0} | {window.start for window in of_day} | {window.end for window in of_day}
    return sorted(minutes - {_DAY_MINUTES})


def _tier(version: TariffVersion, of_day: list[Window], minute: int) -> str:
    there = [window.period for window in of_day if window.start <= minute < window.end]
    tier = max(there, key=lambda period: period.priority).tier if there else version.base_tier
    if tier is None:  # `loading` lets no such version through
        raise ValueError(
            f"the version of {version.effective_from} has no tier for minute {minute} of the day"
        )
    return tier


def _day_plan(version: TariffVersion, day: Day, day_before: Day) -> list[tuple[int, str]]:
    """Start minute and tier of each stretch of such a day."""
    of_day = windows(version, day, day_before)
    return [(minute, _tier(version, of_day, minute)) for minute in edges(of_day)]


class DayPart(NamedTuple):
    """A part of one local day in one tier, on the tariff's clock; `end` has the offset of `start`."""

    start: dt.datetime
    end: dt.datetime
    tier: str | None


def day_parts(tariff: Tariff, day: dt.date) -> list[DayPart]:
    """The local day from its first to its last minute; a jump of the clock begins a new part."""
    midnight = dt.datetime.combine(day, dt.time(), dt.UTC)  # local midnight is within 14 hours of it
    parts: list[DayPart] = []
    last: _Stretch | None = None
    for each in _stretches(tariff, midnight - _DAY, midnight + 2 * _DAY):
        zone = dt.timezone(each.offset * _MICROSECOND)
        start, end = ((_EPOCH + at * _MICROSECOND).astimezone(zone) for at in (each.start, each.end))
        if start.date() == day:
            if last and (last.tier, last.offset) == (each.tier, each.offset):
                parts[-1] = parts[-1]._replace(end=end)
            else:
                parts.append(DayPart(start, end, each.tier))
            last = each
    return parts


class _Stretch(NamedTuple):
    start: int  # microseconds since 1970, UTC
    end: int
    offset: int  # microseconds ahead of UTC at the start
    version: TariffVersion | None
    tier: str | None


def compile_tariffs(tariffs: Mapping[str, Tariff], start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    """The schedules as rows of the table tou_schedules: per schedule contiguous, together exactly [start, end).

    Neighbours of one version and tier are one row. Where no version covers the time, version, tier and rank are NULL.
    Raises ValueError for times without a zone, or an end that is not after the start.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise ValueError("start and end need a time zone; give them in UTC")
    if start >= end:
        raise ValueError(f"end {end.isoformat()} is not after start {start.isoformat()}")
    frames = [_frame(tariff, start.astimezone(dt.UTC), end.astimezone(dt.UTC)) for tariff in tariffs.values()]
    return pl.concat(frames) if frames else TOU_SCHEDULES.empty()


def _frame(tariff: Tariff, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    stretches = _merged(_stretches(tariff, start, end))
    version = [each.version for each in stretches]
    local = pl.from_epoch(pl.col("start") + pl.col("offset"), time_unit="us")
    frame = pl.DataFrame(
        {
            "version": pl.Series([v.effective_from if v else None for v in version], dtype=pl.Date),
            "start": pl.Series([each.start for each in stretches], dtype=pl.Int64),
            "end": pl.Series([each.end for each in stretches], dtype=pl.Int64),
            "offset": pl.Series([each.offset for each in stretches], dtype=pl.Int64),
            "offset_text": [_offset_text(each.offset) for each in stretches],
            "tier": pl.Series([each.tier for each in stretches], dtype=pl.String),
            "rank": pl.Series(
                [
                    v.tiers[each.tier] if v and each.tier else None
                    for v, each in zip(version, stretches, strict=True)
                ],
                dtype=pl.Int64,
            ),
            "is_flat": [v is not None and v.is_flat for v in version],
            "source_url": pl.Series([v.source_url if v else None for v in version], dtype=pl.String),
        }
    )
    return TOU_SCHEDULES.conform(
        frame.select(
            pl.lit(tariff.utility_id).alias("utility_id"),
            pl.lit(tariff.rate_plan).alias("rate_plan"),
            pl.lit(tariff.schedule).alias("schedule"),
            "version",
            pl.lit(tariff.timezone).alias("timezone"),
            pl.from_epoch("start", time_unit="us").dt.replace_time_zone("UTC").alias("starts_at"),
            pl.from_epoch("end", time_unit="us").dt.replace_time_zone("UTC").alias("ends_at"),
            (local.dt.to_string("%Y-%m-%dT%H:%M:%S") + pl.col("offset_text")).alias("starts_local"),
            "tier",
            "rank",
            "is_flat",
            "source_url",
            pl.lit(tariff.plan.verification.status).alias("verification"),
        )
    )


@functools.cache
def _offset_text(offset: int) -> str:
    """As in ISO 8601: +05:30."""
    hours, minutes = divmod(abs(offset) // 60_000_000, 60)
    return f"{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}"


def _merged(stretches: Iterator[_Stretch]) -> list[_Stretch]:
    merged: list[_Stretch] = []
    for each in stretches:
        last = merged[-1] if merged else None
        if last and last.version is each.version and last.tier == each.tier:
            merged[-1] = last._replace(end=each.end)
        else:
            merged.append(each)
    return merged


def _stretches(tariff: Tariff, start: dt.datetime, end: dt.datetime) -> Iterator[_Stretch]:
    """Day by day on the local clock, which runs evenly between two jumps of its offset."""
    plans: dict[tuple[int, Day, Day], list[tuple[int, str]]] = {}

    def plan_of(version: TariffVersion, date: dt.date) -> list[tuple[int, str]]:
        key = (id(version), day_of(version, date), day_of(version, date - _DAY))
        if key not in plans:
            plans[key] = _day_plan(version, *key[1:])
        return plans[key]

    for span in offset_spans(tariff, start, end):
        first, last, offset = (
            (t - _EPOCH) // _MICROSECOND for t in (span.start, span.end, _EPOCH + span.offset)
        )
        date = (span.start + span.offset).date()
        while True:
            midnight = (
                dt.datetime(date.year, date.month, date.day, tzinfo=dt.UTC) - _EPOCH
            ) // _MICROSECOND - offset
            if midnight >= last:
                break
            version = tariff.version_on(date)
            plan: list[tuple[int, str | None]] = [*plan_of(version, date)] if version else [(0, None)]
            for (minute, tier), (until, _) in zip(plan, [*plan[1:], (_DAY_MINUTES, None)], strict=True):
                begin = max(midnight + minute * 60_000_000, first)
                finish = min(midnight + until * 60_000_000, last)
                if begin < finish:
                    yield _Stretch(begin, finish, offset, version, tier)
            date += _DAY
