"""The dates that utilities put beside their numbers.

Belongs here: spellings of dates and of timestamps, the sentinel years. Does not belong here: which of
several dates of a row is the record date (the config), or any notion of "today".
"""

from __future__ import annotations

import polars as pl

from hc_platform.hosting_capacity.texts import (
    NO_NULLS,
    Nulls,
    fold,
    number_status,
    plain_number,
    staged,
    word_status,
)

FIRST_YEAR, LAST_YEAR = 1990, 2100
"""Hosting capacity is younger than 1990; SCE writes 01/01/9999 for "never"."""

_MS_PER_DAY = 86_400_000
# Positive epoch ms below 1e11 lie in 1970..1973: they are seconds, yyyymmdd or a year, not a date of ours.
_MIN_EPOCH_MS, _MAX_EPOCH_MS = 1e11, 253_402_300_799_999.0

# fmt: off
_MONTH_NAMES = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)
# fmt: on
_MONTHS = {"sept": 9} | {
    name: number for number, full in enumerate(_MONTH_NAMES, 1) for name in (full, full[:3])
}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_ZONE = r"z|utc|gmt|[+-][0-9]{2}(?::?[0-9]{2})?"
_PATTERN = (
    r"^(?:"
    r"(?P<y1>[0-9]{4})[-/](?P<m1>[0-9]{1,2})[-/](?P<d1>[0-9]{1,2})"
    r"|(?P<m2>[0-9]{1,2})/(?P<d2>[0-9]{1,2})/(?P<y2>[0-9]{4})"
    rf"|(?P<m3>{_MONTH})\.? (?:(?P<d3>[0-9]{{1,2}}),? )?(?P<y3>[0-9]{{4}})"
    rf"|(?P<d4>[0-9]{{1,2}})[- ](?P<m4>{_MONTH})[- ](?P<y4>[0-9]{{4}})"
    r")"
    r"(?:(?:t|,? )(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::[0-9]{2}(?:\.[0-9]+)?)?(?: ?(?P<half>am|pm))?"
    rf"(?: ?(?P<zone>{_ZONE}))?)?$"
)


def parse_date(text: pl.Expr, *, nulls: Nulls = NO_NULLS) -> pl.Expr:
    """Parse dates into struct{value: Date, bad: Boolean}.

    - epoch milliseconds in UTC ("1714521600000", negative ones too): every esriFieldTypeDate.
    - "May 2026", "Apr 2025" (PG&E): the first of the month. "May 15, 2026" and "15-May-2026" too.
    - "10/1/2021" (NYSEG), "03/06/2026" (ComEd), "11/21/2025, 11:39 AM" (Eversource): month first, always.
    - "2018/6/20" (Con Edison), "2022/10/01 00:00:00+00" (National Grid), "2026-04-15".
    - "2026-05-10T14:44:35.254564" (Duke), with or without Z or an offset.

    A date or local time is taken as written; a time with an offset is moved to UTC and then cut to its
    day. A year outside 1990..2100 is a sentinel: NULL, not bad. A number that is no plausible epoch
    (seconds, "20260415", a bare year) is bad, and so is a day that the calendar does not have.
    """
    field = pl.field
    known = field("status").is_not_null() | field("text").is_null()
    return staged(
        text,
        {"number": plain_number(field("text"))},
        {"folded": pl.when(field("number").is_null()).then(fold(field("text")))},
        {
            "status": pl.coalesce(
                word_status(field("folded"), nulls, numeric=True), number_status(field("number"), nulls)
            ),
            "match": field("folded").str.extract_groups(_PATTERN),
        },
        {
            "minutes": _utc_minutes(),
            "day": pl.concat_str(
                _first("y", 4), pl.lit("-"), _month().cast(pl.String).str.zfill(2), pl.lit("-"), _day()
            ).str.to_date("%Y-%m-%d", strict=False),
            "clock_ok": _clock_is_real(),
        },
        {
            "days": pl.coalesce(
                _epoch_days(field("number")),
                pl.when(field("clock_ok")).then(
                    field("day").cast(pl.Int32).cast(pl.Int64) + field("minutes").floordiv(24 * 60)
                ),
            )
        },
        {"date": field("days").cast(pl.Int32, strict=False).cast(pl.Date)},
        {
            "out": pl.struct(
                value=pl.when(field("date").dt.year().is_between(FIRST_YEAR, LAST_YEAR) & ~known).then(
                    field("date")
                ),
                bad=field("date").is_null() & ~known,
            )
        },
    )


def _group(name: str) -> pl.Expr:
    return pl.field("match").struct.field(name)


def _first(prefix: str, count: int) -> pl.Expr:
    return pl.coalesce(*(_group(f"{prefix}{i}") for i in range(1, count + 1)))


def _month() -> pl.Expr:
    name = pl.coalesce(_group("m3"), _group("m4")).replace_strict(
        _MONTHS, default=None, return_dtype=pl.Int64
    )
    return pl.coalesce(pl.coalesce(_group("m1"), _group("m2")).cast(pl.Int64, strict=False), name)


def _day() -> pl.Expr:
    """The day in two digits; a month alone stands for its first day."""
    day = (
        pl.when(_group("y3").is_not_null() & _group("d3").is_null())
        .then(pl.lit("1"))
        .otherwise(_first("d", 4))
    )
    return day.str.zfill(2)


def _utc_minutes() -> pl.Expr:
    """Minutes from the written day's midnight to the instant in UTC; 0 where no offset is given."""
    hour, minute = _group("hour").cast(pl.Int64), _group("minute").cast(pl.Int64)
    hour = (
        pl.when(_group("half").is_null())
        .then(hour)
        .otherwise(hour % 12 + 12 * (_group("half") == "pm").cast(pl.Int64))
    )
    zone = _group("zone")
    digits = (
        zone.str.extract(r"([0-9:]+)")
        .str.replace_all(":", "", literal=True)
        .str.pad_end(4, "0")
        .cast(pl.Int64)
    )
    offset = (digits // 100 * 60 + digits % 100) * pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    return (
        pl.when(zone.is_null())
        .then(pl.lit(0, dtype=pl.Int64))
        .otherwise(hour * 60 + minute - offset.fill_null(0))
    )


def _clock_is_real() -> pl.Expr:
    hour, minute = _group("hour").cast(pl.Int64), _group("minute").cast(pl.Int64)
    last = pl.when(_group("half").is_null()).then(23).otherwise(12)
    first = pl.when(_group("half").is_null()).then(0).otherwise(1)
    return hour.is_null() | ((hour >= first) & (hour <= last) & (minute <= 59))


def _epoch_days(number: pl.Expr) -> pl.Expr:
    epoch = ((number <= 0) | (number >= _MIN_EPOCH_MS)) & (number.abs() <= _MAX_EPOCH_MS)
    return pl.when(epoch).then(number / _MS_PER_DAY).floor().cast(pl.Int64, strict=False)
