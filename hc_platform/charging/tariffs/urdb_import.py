"""Importing USURDB rates into tou_schedules/: versions chained, differences told, files written.

What belongs here: which rate becomes which version of which plan, what stays as it was, and the function behind
`hc tariffs import-urdb`. What does not: a single rate (`urdb`), the words of a difference (`urdb_diff`).

What a bad import must not do is move a peak: whatever is refused leaves the version that was there (case 46).
"""

import datetime as dt
import json
import zoneinfo
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hc_platform.charging.tariffs.loading import load_tariffs
from hc_platform.charging.tariffs.model import RatePlan, TariffFile, TariffVerification, TariffVersion
from hc_platform.charging.tariffs.urdb import (
    Converted,
    Rate,
    Refused,
    UrdbError,
    convert,
    eia_id_of,
    label_in,
    label_of,
    read_urdb,
    slug,
)
from hc_platform.charging.tariffs.urdb_chain import chain, overlap
from hc_platform.charging.tariffs.urdb_diff import plan_changes, rank_changes, span
from hc_platform.charging.tariffs.urdb_writing import write_tariff_file


@dataclass(frozen=True)
class Outcome:
    """What became of one rate. `schedule`: utility_id/rate_plan, None where it was refused before it had one."""

    label: str | None
    name: str
    schedule: str | None
    status: Literal["imported", "unchanged", "refused"]
    reason: str | None = None

    def __str__(self) -> str:
        head = f"{self.schedule or '-'}: {self.label or self.name}: {self.status}"
        return f"{head}: {self.reason}" if self.reason else head


@dataclass(frozen=True)
class ImportPlan:
    """What an import makes of one utility's file."""

    utility_id: str
    file: TariffFile | None
    """The file as it would be; the one that stood there where nothing changes, None where there is none."""
    changed: bool
    outcomes: tuple[Outcome, ...]
    diff: tuple[str, ...]
    """What changes, and for plans checked by hand what USURDB has otherwise; empty where all is equal."""


@dataclass(frozen=True)
class PlanReport:
    """How one plan stands to what USURDB says of it now."""

    schedule: str
    status: Literal["equal", "differs", "refused"]
    lines: tuple[str, ...] = ()


def import_urdb(
    source: str | Path,
    *,
    folder: Path,
    on: dt.date,
    timezone: str | None = None,
    utility_id: str | None = None,
    rate_plan: str | None = None,
    effective_from: dt.date | None = None,
    write: bool = True,
) -> list[ImportPlan]:
    """Import the rates at `source`, a file or an http(s) address, into the folder of tariffs; one plan per utility.

    Utilities that the folder knows by their EIA id keep their id and timezone; others need `timezone`. With `write`
    false nothing is written: `diff` tells what would change. Raises UrdbError for a source without rates and for a
    timezone or id that none is, LookupError where the API's key is missing, ConfigError for a broken folder.
    """
    rates = read_urdb(source)
    files = load_tariffs(folder).files if any(folder.glob("*.yaml")) else {}
    clashes = _clashes(rates)
    groups: dict[str, list[Rate]] = defaultdict(list)
    for rate in rates:
        groups[utility_id or _known(rate, files) or slug(str(rate.get("utility") or ""))].append(rate)
    plans = []
    for utility, group in groups.items():
        taken = {
            label: f"label {label} is a rate of {other} in the tariffs already: whose it is cannot be told"
            for other, file in files.items()
            for label in _labels(file)
            if other != utility
        }
        plans.append(
            plan_import(
                files.get(utility),
                group,
                on=on,
                timezone=timezone,
                utility_id=utility or None,
                rate_plan=rate_plan,
                effective_from=effective_from,
                refuse=taken | clashes,
            )
        )
    if write:
        for plan in plans:
            if plan.changed and plan.file is not None:
                write_tariff_file(folder / f"{plan.utility_id}.yaml", plan.file)
    return plans


def plan_import(
    existing: TariffFile | None,
    rates: Sequence[Rate],
    *,
    on: dt.date,
    timezone: str | None = None,
    utility_id: str | None = None,
    rate_plan: str | None = None,
    effective_from: dt.date | None = None,
    refuse: Mapping[str, str] | None = None,
) -> ImportPlan:
    """What importing one utility's rates would make of its file; `refuse` has reasons by label found elsewhere.

    Only versions that came from USURDB are replaced, in plans whose verification is `imported`. `on` is the day that
    the changed plans carry as verified. Raises UrdbError for a timezone or an id that none is.
    """
    _check(timezone, utility_id, rate_plan)
    utility_id = existing.utility_id if existing else utility_id
    zone = timezone or (existing.timezone if existing else None)
    bad = {**(refuse or {}), **_clashes(rates)}
    outcomes: list[Outcome] = []
    converted: list[Converted] = []
    for rate in {_content(rate): rate for rate in rates}.values():
        one = convert(
            rate, timezone=zone, utility_id=utility_id, rate_plan=rate_plan, effective_from=effective_from
        )
        reason = bad.get(label_of(rate) or "") or (
            _foreign(one, existing) if isinstance(one, Converted) else None
        )
        if isinstance(one, Refused):
            outcomes.append(
                Outcome(one.label, one.name, None, "refused", bad.get(one.label or "", one.reason))
            )
        elif reason:
            outcomes.append(Outcome(one.label, one.plan_name, None, "refused", reason))
        else:
            converted.append(one)
    owners = {f"{c.utility_name} ({c.eia_id})" for c in converted}
    if len(owners) > 1:
        reason = (
            f"rates of several utilities for one id: {', '.join(sorted(owners))}; import them one at a time"
        )
        outcomes += [Outcome(c.label, c.plan_name, None, "refused", reason) for c in converted]
        converted = []
    plans: dict[str, RatePlan] = dict(existing.rate_plans) if existing else {}
    diff: list[str] = []
    for key, group in (
        {rate_plan: converted} if rate_plan and converted else _by_plan(converted, existing)
    ).items():
        schedule = f"{group[0].utility_id}/{key}"
        plan, done, lines = _plan(existing, plans.get(key), group, timezone, on)
        outcomes += [Outcome(c.label, c.plan_name, schedule, status, why) for c, status, why in done]
        diff += [f"{schedule}: {line}" for line in lines]
        if plan is not None:
            plans[key] = plan
    file = existing
    if existing and plans != dict(existing.rate_plans):
        file = existing.model_copy(update={"rate_plans": plans})
    elif not existing and plans:
        first = converted[0]
        file = TariffFile(
            utility_id=first.utility_id,
            utility_name=first.utility_name,
            eia_id=first.eia_id,
            timezone=first.timezone,
            rate_plans=plans,
        )
    return ImportPlan(
        file.utility_id if file else utility_id or "",
        file,
        file is not existing,
        tuple(outcomes),
        tuple(diff),
    )


def reimport_report(
    files: Iterable[TariffFile], get: Callable[[str], Sequence[Rate]], *, on: dt.date
) -> list[PlanReport]:
    """Each plan with a version from USURDB against what USURDB says of these versions now.

    `get` answers a label with its rates, raising UrdbError or LookupError (`urdb.fetch_rate` with a client). A plan of
    which one rate is refused is refused, with all reasons.
    """
    reports = []
    for file in files:
        for key, plan in file.rate_plans.items():
            labels = [label for v in plan.versions if (label := label_in(v.source_url))]
            if labels:
                reports.append(_report(file, key, plan, labels, get, on))
    return reports


def _report(
    file: TariffFile,
    key: str,
    plan: RatePlan,
    labels: Sequence[str],
    get: Callable[[str], Sequence[Rate]],
    on: dt.date,
) -> PlanReport:
    schedule = f"{file.utility_id}/{key}"
    rates: list[Rate] = []
    problems: list[str] = []
    for label in labels:
        try:
            found = [rate for rate in get(label) if label_of(rate) == label]
        except (UrdbError, LookupError) as error:
            problems.append(f"{label}: {error.args[0]}")
            continue
        rates += found
        if not found:
            problems.append(f"{label}: not in USURDB any more")
    done = plan_import(file, rates, on=on, rate_plan=key)
    by_hand = plan.verification.status != "imported"
    problems += [
        f"{o.label}: {o.reason}"
        for o in done.outcomes
        if o.status == "refused" and not (by_hand and done.diff)
    ]
    if problems:
        return PlanReport(schedule, "refused", tuple(problems))
    lines = tuple(line.removeprefix(f"{schedule}: ") for line in done.diff)
    return PlanReport(schedule, "differs" if lines else "equal", lines)


_Done = list[tuple[Converted, Literal["imported", "unchanged", "refused"], str | None]]


def _plan(
    existing: TariffFile | None,
    old: RatePlan | None,
    group: Sequence[Converted],
    timezone: str | None,
    on: dt.date,
) -> tuple[RatePlan | None, _Done, list[str]]:
    """The plan as it becomes (None where it stays as it is), what became of each rate, and the difference."""
    of_file = existing.timezone if existing else group[0].timezone
    if old is not None and timezone not in (None, old.timezone or of_file):
        reason = f"the plan is on {old.timezone or of_file}, not on {timezone}"
        return None, [(c, "refused", reason) for c in group], []
    if old is not None and old.verification.status != "imported":
        return None, *_by_hand(old, group)
    kept = old.versions if old else ()
    versions, refused = chain(group, kept)
    versions = tuple(next((k for k in kept if _same(k, version)), version) for version in versions)
    fits = [c for c in group if c not in [r for r, _ in refused]]
    done: _Done = [(c, "refused", reason) for c, reason in refused]
    done += [
        (
            c,
            "unchanged"
            if any(k in versions and k.effective_from == c.version.effective_from for k in kept)
            else "imported",
            None,
        )
        for c in fits
    ]
    if not versions or versions == kept:
        return None, done, []
    zone = group[0].timezone
    newest = max(fits, key=lambda c: c.version.effective_from)
    sources = tuple(dict.fromkeys(v.source_url for v in versions if v.source_url))
    new = RatePlan(
        name=old.name if old else newest.plan_name,
        clock=old.clock if old else "prevailing",
        timezone=old.timezone if old else (zone if zone != of_file else None),
        verification=TariffVerification(
            status="imported",
            on=on,
            sources=sources or ("USURDB, a rate without an address",),
            note="Read from USURDB, not checked against the utility's own tariff.",
        ),
        versions=versions,
    )
    return new, done, plan_changes(old, new)


def _by_hand(old: RatePlan, group: Sequence[Converted]) -> tuple[_Done, list[str]]:
    done: _Done = []
    lines: list[str] = []
    for c in group:
        beside = [version for version in old.versions if overlap(version, c.version)]
        said = [f"version {span(v)}: {line}" for v in beside for line in rank_changes(v, c.version)]
        if not beside:
            said = [f"version {span(c.version)}: only in USURDB"]
        lines += said
        reason = (
            f"the plan is {old.verification.status} by hand and never overwritten; the difference is shown"
        )
        done.append((c, "refused", reason) if said else (c, "unchanged", None))
    return done, lines


def _same(one: TariffVersion, two: TariffVersion) -> bool:
    days = (one.effective_from, one.effective_to) == (two.effective_from, two.effective_to)
    return days and not rank_changes(one, two)


def _by_plan(converted: Sequence[Converted], existing: TariffFile | None) -> dict[str, list[Converted]]:
    """Rates by plan: those of one name, and those that supersede one another unless a rate has several heirs.

    A plan that has one of their labels already keeps its id; else the newest rate's name gives it.
    """
    heirs = Counter(c.supersedes for c in converted)
    plans = existing.rate_plans.items() if existing else ()
    known = {label: key for key, plan in plans for v in plan.versions if (label := label_in(v.source_url))}
    groups: list[tuple[set[str], list[Converted]]] = []
    for c in converted:
        parent = c.supersedes if c.supersedes and heirs[c.supersedes] == 1 else None
        names = {f"plan {c.rate_plan}", *(f"label {n}" for n in (c.label, parent) if n)}
        names |= {f"plan {known[n]}" for n in (c.label, parent) if n in known}
        touching = [group for group in groups if group[0] & names]
        groups = [group for group in groups if group not in touching]
        groups.append((names.union(*(g[0] for g in touching)), [*(m for g in touching for m in g[1]), c]))
    found: dict[str, list[Converted]] = {}
    for _, members in groups:
        newest = max(members, key=lambda c: c.version.effective_from)
        old = [known[n] for m in members for n in (m.label, m.supersedes) if n in known]
        found.setdefault(old[0] if old else newest.rate_plan, []).extend(members)
    return found


def _clashes(rates: Sequence[Rate]) -> dict[str, str]:
    """Reasons by label for labels that do not mean one rate of one utility."""
    by_label: dict[str, list[Rate]] = defaultdict(list)
    for rate in rates:
        if label := label_of(rate):
            by_label[label].append(rate)
    clashes = {}
    for label, same in by_label.items():
        owners = {str(eia_id_of(rate) or rate.get("utility")) for rate in same}
        if len(owners) > 1:
            names = sorted({str(rate.get("utility") or rate.get("eiaid")) for rate in same})
            clashes[label] = f"label {label} stands for {len(owners)} utilities: {', '.join(names)}"
        elif len({_content(rate) for rate in same}) > 1:
            clashes[label] = f"label {label} comes twice with different contents"
    return clashes


def _content(rate: Rate) -> str:
    return json.dumps(rate, sort_keys=True)


def _foreign(one: Converted, existing: TariffFile | None) -> str | None:
    if existing and existing.eia_id and one.eia_id and existing.eia_id != one.eia_id:
        return f"EIA id {one.eia_id} ({one.utility_name}) is not that of {existing.utility_id} ({existing.eia_id})"
    return None


def _known(rate: Rate, files: Mapping[str, TariffFile]) -> str | None:
    """The one utility of that EIA id."""
    found = [key for key, file in files.items() if file.eia_id and file.eia_id == eia_id_of(rate)]
    return found[0] if len(found) == 1 else None


def _labels(file: TariffFile) -> set[str]:
    return {label for p in file.rate_plans.values() for v in p.versions if (label := label_in(v.source_url))}


def _check(timezone: str | None, *ids: str | None) -> None:
    if timezone is not None and timezone not in zoneinfo.available_timezones():
        raise UrdbError(f"no time zone is called {timezone!r} in the IANA database, e.g. America/Denver")
    for given in ids:
        if given is not None and given != slug(given):
            raise UrdbError(f"{given!r} is no id: write it as {slug(given) or 'my_utility'!r}")
