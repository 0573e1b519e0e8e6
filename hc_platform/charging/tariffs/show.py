"""One day of a tariff in words, as a person checks it against the utility's page.

What belongs here: the lines that `hc tariffs show` prints. What does not: the evaluation itself (`compiled`).
"""

import datetime as dt
from itertools import pairwise
from typing import Final

from hc_platform.charging.tariffs.calendars import Day, day_of, holiday_dates
from hc_platform.charging.tariffs.compiled import DayPart, day_parts
from hc_platform.charging.tariffs.model import RANKS, Tariff, TariffVersion

_DAY: Final = dt.timedelta(days=1)


def day_lines(tariff: Tariff, day: dt.date) -> list[str]:
    """Version, kind of day, seasons, clock and every stretch of that local day, with what vouches for it.

    All times are on the tariff's clock. Where that jumps, each stretch tells its offset and its length.
    """
    version = tariff.version_on(day)
    parts = day_parts(tariff, day)
    verification = tariff.plan.verification
    lines = [f"{tariff.schedule}: {tariff.plan.name}", f"version:  {_version(tariff, version)}"]
    if version and version.note:
        lines.append(f"note:     {version.note}")
    lines.append(f"day:      {_kind(version, day)}")
    if version and version.seasons:
        lines.append(f"season:   {', '.join(sorted(day_of(version, day).seasons)) or 'none'}")
    lines.append(f"clock:    {_clock(tariff, parts)}")
    lines += _stretches(version, parts)
    if version:
        lines += _tails(version, day_of(version, day - _DAY), day)
    lines.append(f"verified: {verification.status} on {verification.on}")
    vouchers = [*verification.sources, *([f"note: {verification.note}"] if verification.note else [])]
    return lines + [f"  - {each}" for each in vouchers]


def _until(version: TariffVersion) -> str:
    return f"to {version.effective_to}" if version.effective_to else "until further notice"


def _version(tariff: Tariff, version: TariffVersion | None) -> str:
    if version is None:
        known = ", ".join(f"{each.effective_from} {_until(each)}" for each in tariff.plan.versions)
        return f"none covers this day, so it has no time of use; there are: {known}"
    flat = ", flat: the hour makes no difference" if version.is_flat else ""
    return f"{version.effective_from} {_until(version)}{flat}, source: {version.source_url or 'none given'}"


def _kind(version: TariffVersion | None, day: dt.date) -> str:
    kind = "weekend" if day.weekday() > 4 else "weekday"
    name = holiday_dates(version.holidays, day.year).get(day) if version else None
    if name is None:
        return f"{day:%A} {day}, {kind}"
    if not name.endswith("(observed)"):
        return f"{day:%A} {day}, holiday: {name}"
    own = day - _DAY if day.weekday() == 0 else day + _DAY
    return f"{day:%A} {day}, holiday: {name}, because {own} is a {own:%A}"


def _clock(tariff: Tariff, parts: list[DayPart]) -> str:
    name = tariff.timezone
    if tariff.plan.clock == "standard":
        name += ", standard time all year"
    jumps = [
        _jump(before, after) for before, after in pairwise(parts) if before.start.tzinfo != after.start.tzinfo
    ]
    return f"{name}, {parts[0].start:%Z}{''.join(jumps)}"


def _jump(before: DayPart, after: DayPart) -> str:
    way = "forward" if after.start.replace(tzinfo=None) > before.end.replace(tzinfo=None) else "back"
    return f"; at {before.end:%H:%M} it goes {way} to {after.start:%H:%M} ({after.start:%Z})"


def _stretches(version: TariffVersion | None, parts: list[DayPart]) -> list[str]:
    jumps = len({part.start.utcoffset() for part in parts}) > 1
    width = max(len(part.tier or "no tier") for part in parts)
    lines = []
    for part in parts:
        end = "24:00" if part.end.date() > part.start.date() else f"{part.end:%H:%M}"
        rank = version.tiers[part.tier] if version and part.tier else None
        meaning = "" if rank is None else f"  (rank {rank}, {RANKS[rank]})"
        minutes = int((part.end - part.start).total_seconds() // 60)
        hint = f"  {part.start:%Z}, {minutes} minutes" if jumps else ""
        lines.append(f"  {part.start:%H:%M}-{end}  {part.tier or 'no tier':{width}}{meaning}{hint}")
    return lines


def _tails(version: TariffVersion, before: Day, day: dt.date) -> list[str]:
    """The windows that reach in from the day before, whose kind of day decided on them."""
    return [
        f"  to {period.end} with the {period.tier} window that began on {day - _DAY:%A} at {period.start}"
        for period in version.periods
        if period.end_minute > 1440 and period.end != "00:00" and before.matches(period)
    ]
