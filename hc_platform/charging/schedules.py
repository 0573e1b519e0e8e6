"""The schedules in force: tariffs and policies as they are now, compiled; the last good ones while a file is broken.

What belongs here: bringing them together. What does not: reading a file (`tariffs.loading`, `policies`), or what they
say of an instant (`timeline`).
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from hc_platform.charging.models import Policy
from hc_platform.charging.policies import DEFAULT, load_policies, policies_hash
from hc_platform.charging.site import Site
from hc_platform.charging.tables import TOU_SCHEDULES
from hc_platform.charging.tariffs.loading import Tariffs, load_tariffs
from hc_platform.charging.tariffs.rows import RowError, tariff_files_from_rows
from hc_platform.charging.timeline import Timeline, timeline
from hc_platform.documents import ConfigError, Problem

_POLICIES, _UTILITIES = "good/policies", "good/utilities"
_Stat = tuple[str, int, int]
"""A file's name, size and time of change: another file, as far as that can be told without reading it."""


@dataclass(frozen=True)
class Schedules:
    """What a decision is made with. `tariffs` None: the files are broken, the timeline is the last good one's.

    `problem` says then what is wrong with them, for a person.
    """

    tariffs: Tariffs | None
    timeline: Timeline
    utilities: frozenset[str]
    policies: dict[str, Policy]
    hash: str
    problem: str | None = None


def load_schedules(
    site: Site, around: datetime, *, needed: Collection[str] = (), keep: bool = True
) -> Schedules:
    """Tariffs of tou_schedules/, and of the registry's flat rows where no file has the plan; and policies.

    A file that cannot be read must move no peak: the compiled schedules of the last good state (table tou_schedules),
    or the last good policies, stand in. So they do when a file is gone of a utility that devices of ours have
    (`needed`). With `keep`, the good state is remembered for that. Raises ConfigError or RowError where there is none.
    """
    policies, broken = policies_in_force(site, keep=keep)
    problems = [broken] if broken else []
    tariffs: Tariffs | None = None
    try:
        tariffs = _tariffs(site)
        _miss_none(site, tariffs, needed, keep=keep)
    except (ConfigError, RowError) as error:
        tariffs = None
        problems.append(str(error))
        compiled, utilities = _last_compiled(site, error, around)
        mark = str(compiled.stretches.hash_rows().sum())
    else:
        day = around.replace(hour=0, minute=0, second=0, microsecond=0)
        compiled, utilities, mark = _compiled(tariffs, day), tariffs.utilities, tariffs.hash
    digest = hashlib.sha256(f"{mark}|{policies_hash(policies)}".encode()).hexdigest()
    return Schedules(tariffs, compiled, utilities, policies, digest, "\n".join(problems) or None)


def _miss_none(site: Site, tariffs: Tariffs, needed: Collection[str], *, keep: bool) -> None:
    """Raise ConfigError where a utility of the last good state is gone and devices still have it."""
    held = json.loads(site.registry.recall(_UTILITIES) or "[]")
    gone = sorted((set(held) & set(needed)) - tariffs.utilities)
    if gone:
        message = "is gone from tou_schedules/, and registered devices have it"
        mend = "bring its file back, or give the devices another utility first"
        raise ConfigError([Problem(str(site.tariff_dir), 1, utility, message, mend) for utility in gone])
    now = sorted(tariffs.utilities)
    if keep and now != held:
        site.registry.remember(_UTILITIES, json.dumps(now))


def policies_in_force(site: Site, *, keep: bool = True) -> tuple[dict[str, Policy], str | None]:
    """The policies, and what is wrong with their file if these are the last good ones.

    Raises ConfigError where there are no last good ones.
    """
    held = site.registry.recall(_POLICIES)
    try:
        found = site.policy_file.is_file()
        if not found and held is not None and json.loads(held).keys() != {DEFAULT}:
            mend = "bring it back; one that says `policies: {}` leaves the default policy alone"
            raise ConfigError([Problem(str(site.policy_file), 1, "-", "is gone", mend)])
        policies = dict(_policies_of(site.policy_file, _stat(site.policy_file) if found else None))
    except ConfigError as error:
        if held is None:
            raise
        last: Mapping[str, object] = json.loads(held)
        return {name: Policy.model_validate(fields) for name, fields in last.items()}, str(error)
    plain = json.dumps({name: policy.model_dump(mode="json") for name, policy in policies.items()})
    if keep and plain != held:
        site.registry.remember(_POLICIES, plain)
    return policies, None


def _tariffs(site: Site) -> Tariffs:
    rows = json.dumps(site.registry.schedule_rows())
    return _read(site.tariff_dir, tuple(map(_stat, sorted(site.tariff_dir.glob("*.yaml")))), rows)


@lru_cache(maxsize=4)
def _read(folder: Path, stats: tuple[_Stat, ...], more_rows: str) -> Tariffs:
    """Read again only when a file or row is another: a daemon that runs every minute would do little else."""
    tariffs = load_tariffs(folder)
    rows = [r for r in json.loads(more_rows) if f"{r['utility_id']}/{r['rate_plan']}" not in tariffs]
    files = dict(tariffs.files)
    for more in tariff_files_from_rows(rows):
        held = files.get(more.utility_id)
        plans = {**more.rate_plans, **held.rate_plans} if held else more.rate_plans
        files[more.utility_id] = (held or more).model_copy(update={"rate_plans": plans})
    return Tariffs(files)


@lru_cache(maxsize=4)
def _policies_of(path: Path, stat: _Stat | None) -> dict[str, Policy]:
    return load_policies(path)


def _stat(path: Path) -> _Stat:
    stat = path.stat()
    return path.name, stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=4)
def _compiled(tariffs: Tariffs, day: datetime) -> Timeline:
    return timeline(tariffs, day)


def _last_compiled(site: Site, error: ValueError, around: datetime) -> tuple[Timeline, frozenset[str]]:
    rows = site.lake.scan(TOU_SCHEDULES).collect()
    if rows.is_empty():
        raise error
    start: datetime = rows["starts_at"].min()  # type: ignore[assignment]
    end: datetime = rows["ends_at"].max()  # type: ignore[assignment]
    if not start <= around < end:
        raise error
    return Timeline(rows, start, end), frozenset(rows["utility_id"].unique().to_list())
