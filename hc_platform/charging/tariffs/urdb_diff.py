"""What changes between two states of a rate plan, in lines that a person can read.

What belongs here: comparing versions by the rank of every hour of a year. What does not: who may change what
(`urdb_import`).
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from hc_platform.charging.tariffs.calendars import seasons_on
from hc_platform.charging.tariffs.compiled import compile_tariffs
from hc_platform.charging.tariffs.model import RatePlan, Tariff, TariffVerification, TariffVersion

_DAY: Final = dt.timedelta(days=1)
_SATURDAY: Final = 5
_MOST_DATES: Final = 15  # somewhat more than any tariff has holidays in a year


class _Change(NamedTuple):
    start: str
    end: str
    old: str
    new: str
    minutes: int


def rank_changes(old: TariffVersion, new: TariffVersion) -> list[str]:
    """The windows whose rank differs, e.g. "weekdays summer 16:00-17:00: mid_peak -> on_peak (86 h a year)".

    Both are laid over the year in which the later of them begins, on the local wall clock, holidays included. Empty
    where every hour has the same rank, whatever the tiers, seasons and windows are called.
    """
    year = max(old.effective_from, new.effective_from).year
    found: dict[_Change, set[dt.date]] = defaultdict(set)
    for day, changes in _changes_by_day(old, new, year).items():
        for change in changes:
            found[change].add(day)
    lines = []
    for change, days in sorted(found.items()):
        for when, count in _when(days, (new, old), year):
            hours = change.minutes * count / 60
            lines.append(
                f"{when} {change.start}-{change.end}: {change.old} -> {change.new} ({hours:g} h a year)"
            )
    return lines


def plan_changes(old: RatePlan | None, new: RatePlan | None) -> list[str]:
    """What differs between two states of a plan: versions added, removed, ended, and hours of another rank."""
    before = {version.effective_from: version for version in (old.versions if old else ())}
    after = {version.effective_from: version for version in (new.versions if new else ())}
    lines = []
    for start in sorted(before.keys() | after.keys()):
        if start not in before:
            lines.append(f"version {span(after[start])}: added, {_summary(after[start])}")
        elif start not in after:
            lines.append(f"version {span(before[start])}: removed")
        else:
            lines += version_changes(before[start], after[start])
    return lines


def version_changes(old: TariffVersion, new: TariffVersion) -> list[str]:
    """What differs between two versions that begin on the same day."""
    lines = []
    if old.effective_to != new.effective_to:
        ends = f"ends on {new.effective_to}" if new.effective_to else "has no end"
        was = f"ended on {old.effective_to}" if old.effective_to else "had none"
        lines.append(f"version {span(old)}: {ends} ({was})")
    return lines + [f"version {span(new)}: {line}" for line in rank_changes(old, new)]


def span(version: TariffVersion) -> str:
    """The version's days, e.g. 2024-01-01..2024-12-31; nothing after the dots where it goes on."""
    return f"{version.effective_from}..{version.effective_to or ''}"


def _summary(version: TariffVersion) -> str:
    return "flat" if version.is_flat else ", ".join(map(str, version.periods))


def _changes_by_day(old: TariffVersion, new: TariffVersion, year: int) -> dict[dt.date, list[_Change]]:
    """Per day of the year its changes, each as long as it stays the same change."""
    marks = {side: _marks(version, year) for side, version in (("old", old), ("new", new))}
    year_start = dt.datetime(year, 1, 1, tzinfo=dt.UTC)
    days = (dt.datetime(year + 1, 1, 1, tzinfo=dt.UTC) - year_start).days
    edges = sorted({*marks["old"], *marks["new"], *(year_start + i * _DAY for i in range(days + 1))})
    found: dict[dt.date, list[_Change]] = defaultdict(list)
    now = {side: marks[side][year_start] for side in marks}
    for start, end in pairwise(edges):
        now = {side: marks[side].get(start, now[side]) for side in marks}
        (old_tier, old_rank), (new_tier, new_rank) = now["old"], now["new"]
        if old_rank == new_rank:
            continue
        same_name = old_tier == new_tier
        change = _Change(
            f"{start:%H:%M}",
            "24:00" if end.date() != start.date() else f"{end:%H:%M}",
            f"{old_tier} (rank {old_rank})" if same_name else old_tier,
            f"{new_tier} (rank {new_rank})" if same_name else new_tier,
            int((end - start).total_seconds()) // 60,
        )
        earlier = found[start.date()]
        if earlier and earlier[-1].end == change.start and earlier[-1][2:4] == change[2:4]:
            last = earlier.pop()
            change = change._replace(start=last.start, minutes=last.minutes + change.minutes)
        earlier.append(change)
    return found


def _marks(version: TariffVersion, year: int) -> dict[dt.datetime, tuple[str, int]]:
    """Where the tier changes within the year, wall-clock times written as UTC, with tier and rank from there on."""
    start, end = (dt.datetime(y, 1, 1, tzinfo=dt.UTC) for y in (year, year + 1))
    always = version.model_copy(update={"effective_from": start.date(), "effective_to": None})
    checked = TariffVerification(status="unverified", on=start.date(), sources=("-",))
    plan = RatePlan(name="-", verification=checked, versions=(always,))
    tariff = Tariff(utility_id="-", rate_plan="-", timezone="UTC", plan=plan)
    frame = compile_tariffs({tariff.schedule: tariff}, start, end)
    return {at: (tier, rank) for at, tier, rank in frame.select("starts_at", "tier", "rank").iter_rows()}


def _when(days: set[dt.date], versions: Sequence[TariffVersion], year: int) -> list[tuple[str, int]]:
    """The days in words and their number; weekdays and weekends apart where they lie differently in the year."""
    split = {
        kind: {day for day in days if (day.weekday() >= _SATURDAY) == late}
        for kind, late in (("weekdays", False), ("weekends", True))
    }
    said = {kind: _days_of(kind, part, versions, year) for kind, part in split.items() if part}
    if len(said) == 2 and said["weekdays"] == said["weekends"]:
        return [(f"all days{said['weekdays']}", len(days))]
    return [(f"{kind}{words}", len(split[kind])) for kind, words in said.items()]


def _days_of(kind: str, days: set[dt.date], versions: Sequence[TariffVersion], year: int) -> str:
    """Which of the year's weekdays or weekends these are: all of them, a season's, or dates."""
    first = dt.date(year, 1, 1)
    every = [
        day
        for day in (first + i * _DAY for i in range((dt.date(year + 1, 1, 1) - first).days))
        if (day.weekday() >= _SATURDAY) == (kind == "weekends")
    ]
    named = {"": set(every)}
    for version in reversed(versions):
        for name in version.seasons:
            named[f" {name}"] = {day for day in every if name in seasons_on(version, day)}
    words = min((w for w in named if days <= named[w]), key=lambda w: len(named[w]))
    missing = sorted(named[words] - days)
    if not missing:
        return words
    runs: list[list[dt.date]] = []
    for before, day in zip([None, *every], every, strict=False):
        if day in days:
            if runs and before == runs[-1][-1]:
                runs[-1].append(day)
            else:
                runs.append([day])
    if len(runs) > len(missing) / 2 and len(missing) <= _MOST_DATES:
        return f"{words} except {', '.join(f'{day:%m-%d}' for day in missing)}"
    if len(runs) > _MOST_DATES:
        return f" ({len(days)} days from {min(days):%m-%d} to {max(days):%m-%d})"
    ranges = (f"{r[0]:%m-%d}" if len(r) == 1 else f"{r[0]:%m-%d}..{r[-1]:%m-%d}" for r in runs)
    return " " + ", ".join(ranges)
