"""Whether there is anything to do: what the sensor asks every half minute, and must answer in milliseconds.

What belongs here: comparing what a run last knew with what is so now. What does not: doing it (`steps`).

A run is due when the instant has come at which some device's state can change, a command waits, the registry or a
schedule changed, news of devices came in, or a region's MOER moved to another class. Otherwise nothing can change, and
nothing is launched.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from hc_platform.charging.schedules import Schedules, policies_in_force
from hc_platform.charging.site import Site
from hc_platform.charging.steps import Decided, Moer, moer_classes, read_moer, whole_second

POLL: Final = timedelta(minutes=5)
_RETRY_S = 120
_STATE, _SEEN = "wake", "wake/seen"


@dataclass(frozen=True)
class Wake:
    """What the sensor found: causes of a run (none: skip), the instant to decide for, the run's key, and why not."""

    causes: list[str]
    as_of: datetime
    run_key: str
    told: str
    polled_at: datetime | None = None


@dataclass(frozen=True)
class Known:
    """What the last run knew; `runs` counts those that came to their end."""

    runs: int = 0
    registry_version: int = -1
    files: str = ""
    regions: list[str] = field(default_factory=list)
    classes: dict[str, str] = field(default_factory=dict)


def remember_run(
    site: Site, decided: Decided, schedules: Schedules, moer: Moer, registry_version: int, files: str
) -> None:
    """Keep what this run knew, for the next look. `files` and the version are those from before it loaded anything."""
    regions = sorted({r.region for r in moer.readings})
    known = Known(
        _known(site).runs + 1,
        registry_version,
        files,
        regions,
        moer_classes(moer, schedules.policies, decided.as_of),
    )
    site.registry.remember(_STATE, json.dumps(known.__dict__))


def look(site: Site, now: datetime, polled_at: datetime | None) -> Wake:
    """Look what is due at `now`; asks WattTime at most every five minutes, `polled_at` being the last time."""
    known = _known(site)
    due = site.registry.next_due()
    causes, instants = [], [now]
    if due.control is not None and due.control <= now:
        causes.append("instant")
        instants.append(due.control)
    if due.command is not None and due.command <= now:
        causes.append("command")
        instants.append(due.command)
    if site.registry.version() != known.registry_version:
        causes.append("registry")
    files = files_mark(site)
    if files != known.files:
        causes.append("schedule")
    if site.events.waiting():
        causes.append("event")
    polled, classes = polled_at, known.classes
    if not causes and known.regions and (polled_at is None or now - polled_at >= POLL):
        polled = now
        moved, classes = _moved(site, known, now)
        causes += [f"moer {region}" for region in moved]
    instant = whole_second(min(instants)).isoformat() if causes[:1] in (["instant"], ["command"]) else "-"
    situation = {
        "causes": causes,
        "instant": instant,
        # a key is used once for ever: the same causes after another run are another situation
        "runs": known.runs,
        "registry": site.registry.version(),
        "files": files,
        "classes": classes,
    }
    mark = _mark(json.dumps(situation, sort_keys=True))
    again = int(_seen_for(site, mark, now).total_seconds() // _RETRY_S) if causes else 0
    key = f"{'+'.join(causes)}|{instant}|{mark}|{again}"
    return Wake(
        causes, whole_second(now), key, _why_not(due.control, due.command, known, polled, now), polled
    )


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _seen_for(site: Site, mark: str, now: datetime) -> timedelta:
    """How long this situation has stood: a run that was launched for it and failed must not be the last."""
    held, _, since = (site.registry.recall(_SEEN) or "").partition("|")
    if held != mark:
        site.registry.remember(_SEEN, f"{mark}|{now.isoformat()}")
        return timedelta(0)
    return now - datetime.fromisoformat(since)


def files_mark(site: Site) -> str:
    """A cheap mark of tariffs and policies on disk: names, sizes and times of change."""
    paths: list[Path] = [*sorted(site.tariff_dir.glob("*.yaml")), site.policy_file]
    stats = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in paths if p.is_file()]
    return _mark(repr(stats))


def _known(site: Site) -> Known:
    """What the last run left; nothing, if that was a run of another release that left it otherwise."""
    text = site.registry.recall(_STATE)
    state: dict[str, Any] = json.loads(text) if text else {}
    return Known(**state) if state.keys() == Known().__dict__.keys() else Known()


def _moved(site: Site, known: Known, now: datetime) -> tuple[list[str], dict[str, str]]:
    """The regions whose class is another than the last run's."""
    policies, _ = policies_in_force(site)
    classes = moer_classes(read_moer(site, known.regions, now), policies, now)
    keys = sorted(k for k in {*classes, *known.classes} if classes.get(k) != known.classes.get(k))
    return list(dict.fromkeys(k.split(" ")[0] for k in keys)), classes


def _why_not(
    control: datetime | None, command: datetime | None, known: Known, polled: datetime | None, now: datetime
) -> str:
    """The skip reason: what is next, in words."""

    def at(instant: datetime | None) -> str:
        return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z" if instant else "none"

    told = [f"nothing can change before {at(control)}", f"next command {at(command)}"]
    if known.regions:
        told.append(f"{len(known.regions)} MOER regions asked {at(polled)}, none in another class")
    return "; ".join(told) + f" (now {at(now)})"
