"""The flat row of the older TOU table (one peak window a plan), read into tariffs and written from them.

What belongs here: what that row says and what it cannot. What does not: the table itself; a row is a plain mapping, as
boto3's resource gives and takes it (numbers may be Decimals, lists may be sets).

    utility_id, rate_plan, timezone       as in tou_schedules/
    peak_weekdays                         [0..6], Monday 0; none, and no hours: a flat plan
    peak_start_hour, peak_end_hour        local hours; an end at or before the start is past midnight
    peak_months                           [1..12]; missing: all
    effective_date                        first local day; missing: since 1970
    source_url                            where it was read
    watttime_region                       kept as a note: a region belongs to the device, not to its tariff
"""

import calendar
import datetime as dt
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Annotated, Any, Final, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hc_platform.charging.tariffs.calendars import Day
from hc_platform.charging.tariffs.model import (
    DayKind,
    Tariff,
    TariffFile,
    TariffVersion,
    tariffs_of,
)
from hc_platform.documents import nearest

_EVER: Final = dt.date(1970, 1, 1)
_ALL_MONTHS: Final = frozenset(range(1, 13))
_DAY_NAMES: Final[tuple[DayKind, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_SETS: Final[dict[frozenset[int], DayKind]] = {
    frozenset(range(7)): "all",
    frozenset(range(5)): "weekdays",
    frozenset((5, 6)): "weekends",
}


class RowError(ValueError):
    """A row that is no tariff, or a tariff that is no row; the message names plan, key and mend."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")

    utility_id: str
    rate_plan: str
    timezone: str
    peak_weekdays: frozenset[Annotated[int, Field(ge=0, le=6)]] | None = None
    peak_start_hour: Annotated[int, Field(ge=0, le=23)] | None = None
    peak_end_hour: Annotated[int, Field(ge=0, le=24)] | None = None
    peak_months: frozenset[Annotated[int, Field(ge=1, le=12)]] | None = None
    effective_date: dt.date | None = None
    source_url: str | None = None
    watttime_region: str | None = None


def tariff_from_row(row: Mapping[str, Any], checked_on: dt.date | None = None) -> Tariff:
    """One row as a tariff with one version. `checked_on` is the day of the import (today, UTC, unless given).

    Raises RowError naming the plan and every key that is wrong.
    """
    [file] = tariff_files_from_rows([row], checked_on)
    [tariff] = tariffs_of(file).values()
    return tariff


def tariff_files_from_rows(
    rows: Iterable[Mapping[str, Any]], checked_on: dt.date | None = None
) -> list[TariffFile]:
    """All rows as one file a utility; rows of one plan become its versions, each until the next begins.

    Raises RowError with the mistakes of all rows.
    """
    checked_on = checked_on or dt.datetime.now(dt.UTC).date()
    read: list[_Row] = []
    mistakes: list[str] = []
    for row in rows:
        try:
            read.append(_read(row))
        except RowError as error:
            mistakes.append(str(error))
    if mistakes:
        raise RowError("\n".join(mistakes))
    by_utility: dict[str, dict[str, list[_Row]]] = {}
    for each in sorted(read, key=lambda r: (r.utility_id, r.rate_plan, r.effective_date or _EVER)):
        by_utility.setdefault(each.utility_id, {}).setdefault(each.rate_plan, []).append(each)
    return [_file(utility, plans, checked_on) for utility, plans in by_utility.items()]


def row_from_tariff(tariff: Tariff, on: dt.date, watttime_region: str | None = None) -> dict[str, Any]:
    """The version that holds on that local day, as a row.

    Raises RowError, with the reason, for what a row cannot say: it has one peak window a day, of whole hours and whole
    months, and neither holidays nor other tiers.
    """
    version = tariff.version_on(on)
    if version is None:
        _refuse(tariff, on, "no version covers that day")
    if tariff.plan.clock != "prevailing":
        _refuse(tariff, on, "it runs on standard time all year")
    if version.effective_to and not tariff.version_on(version.effective_to + dt.timedelta(days=1)):
        _refuse(tariff, on, f"it ends on {version.effective_to} and nothing follows")
    row: dict[str, Any] = {
        "utility_id": tariff.utility_id,
        "rate_plan": tariff.rate_plan,
        "timezone": tariff.timezone,
        **({"peak_weekdays": []} if version.is_flat else _peak(tariff, on, version)),
        "effective_date": version.effective_from.isoformat(),
        "source_url": version.source_url,
        "watttime_region": watttime_region,
    }
    return {key: value for key, value in row.items() if value is not None}


def _refuse(tariff: Tariff, on: dt.date, reason: str) -> NoReturn:
    raise RowError(f"{tariff.schedule} on {on} is no flat row: {reason}. Mend: keep it in tou_schedules/")


def _peak(tariff: Tariff, on: dt.date, version: TariffVersion) -> dict[str, Any]:
    if len(version.periods) != 1:
        _refuse(tariff, on, f"it has {len(version.periods)} windows")
    [period] = version.periods
    ranks = (version.tiers.get(version.default_tier or ""), version.tiers[period.tier])
    if len(version.tiers) != 2 or ranks != (1, 3):
        tiers = ", ".join(f"{name} {rank}" for name, rank in version.tiers.items())
        _refuse(tariff, on, f"it is not one peak (rank 3) over one base (rank 1): {tiers}")
    if (version.holidays.names or version.holidays.dates) and "all" not in period.days:
        _refuse(tariff, on, "it knows holidays")
    if period.start_minute % 60 or period.end_minute % 60:
        _refuse(tariff, on, f"its window {period.start}-{period.end} is not of whole hours")
    months = frozenset[int]().union(*(_months(tariff, on, version, season) for season in period.seasons))
    plain = period.model_copy(update={"seasons": ()})
    weekdays = [n for n in range(7) if Day(n, False, frozenset()).matches(plain)]
    if not weekdays:
        _refuse(tariff, on, "its peak is on holidays only")
    return {
        "peak_weekdays": weekdays,
        "peak_start_hour": period.start_minute // 60,
        "peak_end_hour": int(period.end[:2]),
        "peak_months": sorted(months or _ALL_MONTHS),
    }


def _months(tariff: Tariff, on: dt.date, version: TariffVersion, season: str) -> frozenset[int]:
    first, last = version.seasons[season]
    start, end = int(first[:2]), int(last[:2])
    if first[3:] != "01" or int(last[3:]) != calendar.monthrange(2024, end)[1]:
        _refuse(tariff, on, f"its season {season} ({first} to {last}) is not of whole months")
    return (
        frozenset(range(start, end + 1)) if first <= last else _ALL_MONTHS - frozenset(range(end + 1, start))
    )


def _read(row: Mapping[str, Any]) -> _Row:
    name = f"{row.get('utility_id', '?')}/{row.get('rate_plan', '?')}"
    try:
        read = _Row.model_validate(dict(row))
    except ValidationError as error:
        raise RowError("\n".join(_mistake(name, each) for each in error.errors())) from error
    hours = (read.peak_start_hour, read.peak_end_hour)
    if read.peak_weekdays or hours != (None, None):
        for key in ("peak_weekdays", "peak_start_hour", "peak_end_hour"):
            if getattr(read, key) in (None, frozenset()):
                mend = "add it, or remove the other two as well for a flat plan"
                raise RowError(f"{name}: {key}: is missing beside the rest of the peak. Mend: {mend}")
        if read.peak_months == frozenset():
            mend = "name the months from 1 to 12, or remove the key for all of them"
            raise RowError(f"{name}: peak_months: is empty, so the peak would never come. Mend: {mend}")
    return read


def _mistake(name: str, error: Any) -> str:
    key = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        near = nearest(key, _Row.model_fields)
        mend = f"did you mean {near}?" if near else f"remove it; known: {', '.join(_Row.model_fields)}"
        return f"{name}: {key}: is no key of a row. Mend: {mend}"
    message = error["msg"][:1].lower() + error["msg"][1:]
    return f"{name}: {key}: {message} (it is {error.get('input')!r}). Mend: correct it in the row"


def _file(utility: str, plans: Mapping[str, list[_Row]], checked_on: dt.date) -> TariffFile:
    zones = [row.timezone for rows in plans.values() for row in rows]
    for plan, rows in plans.items():
        for one, two in pairwise(rows):
            if (one.effective_date or _EVER) == (two.effective_date or _EVER):
                mend = "keep one of them, or correct its date"
                message = f"two rows hold from {one.effective_date or _EVER}"
                raise RowError(f"{utility}/{plan}: effective_date: {message}. Mend: {mend}")
            if one.timezone != two.timezone:
                message = f"is {one.timezone} and later {two.timezone}"
                raise RowError(
                    f"{utility}/{plan}: timezone: {message}. Mend: a plan has one; correct the row"
                )
    data = {
        "utility_id": utility,
        "utility_name": utility,
        "timezone": zones[0],
        "rate_plans": {plan: _plan(rows, zones[0], checked_on) for plan, rows in plans.items()},
    }
    try:
        return TariffFile.model_validate(data)
    except ValidationError as error:
        lines = [
            f"{utility}: {'.'.join(map(str, each['loc']))}: {each['msg']} (it is {each.get('input')!r}). "
            "Mend: correct it in the row"
            for each in error.errors()
        ]
        raise RowError("\n".join(lines)) from error


def _plan(rows: list[_Row], utility_zone: str, checked_on: dt.date) -> dict[str, Any]:
    regions = sorted({row.watttime_region for row in rows if row.watttime_region})
    note = (
        f"The row's watttime_region was {', '.join(regions)}; it belongs to the device." if regions else None
    )
    sources = list(dict.fromkeys(row.source_url for row in rows if row.source_url))
    begins = [row.effective_date or _EVER for row in rows]
    ends = [begin - dt.timedelta(days=1) for begin in begins[1:]]
    return {
        "name": rows[0].rate_plan,
        "timezone": None if rows[0].timezone == utility_zone else rows[0].timezone,
        "verification": {
            "status": "imported",
            "on": checked_on,
            "sources": sources or ["a row of the TOU table"],
            "note": note,
        },
        "versions": [
            {"effective_from": begin, "effective_to": end, "source_url": row.source_url, **_windows(row)}
            for row, begin, end in zip(rows, begins, [*ends, None], strict=True)
        ],
    }


def _windows(row: _Row) -> dict[str, Any]:
    if row.peak_start_hour is None or row.peak_end_hour is None or not row.peak_weekdays:
        return {"tiers": {"flat": 1}}
    seasons = _seasons(row.peak_months or _ALL_MONTHS)
    name = _DAY_SETS.get(row.peak_weekdays)
    return {
        "default_tier": "off_peak",
        "tiers": {"off_peak": 1, "on_peak": 3},
        "seasons": seasons,
        "periods": [
            {
                "tier": "on_peak",
                "days": name or tuple(_DAY_NAMES[day] for day in sorted(row.peak_weekdays)),
                "seasons": tuple(seasons),
                "start": f"{row.peak_start_hour:02}:00",
                "end": f"{row.peak_end_hour:02}:00",
            }
        ],
    }


def _seasons(months: frozenset[int]) -> dict[str, tuple[str, str]]:
    """The months as seasons, one for each run of neighbours, over the new year too; none when it is all year."""
    if months == _ALL_MONTHS:
        return {}
    seasons: dict[str, tuple[str, str]] = {}
    for first in sorted(month for month in months if (month - 2) % 12 + 1 not in months):
        last = first
        while last % 12 + 1 in months:
            last = last % 12 + 1
        name = f"{calendar.month_abbr[first]}_to_{calendar.month_abbr[last]}".lower()
        seasons[name] = (f"{first:02}-01", f"{last:02}-{calendar.monthrange(2024, last)[1]:02}")
    return seasons
