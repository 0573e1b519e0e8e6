"""Decide for a million devices: ours in columns against a loop over devices that follows the same rules.

    python -m benchmarks.charge [--devices 1000000] [--sample 10000]

Each way runs in a process of its own. The loop is `decide_one` of the decision's tests, over a sample; once with the
zone maths done for each device, once with all that a schedule has in common looked up once. On the sample its answers
must equal ours. The rest is measured on a SQLite registry that holds the whole fleet.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.charge_fleet import (
    AS_OF,
    POLICIES,
    an_hour_in,
    fill_registry,
    readings,
    sixty_tariffs,
    tariff_files,
)
from hc_platform.charging.decision import decide
from hc_platform.charging.downlinks.local import LocalDownlink
from hc_platform.charging.downlinks.opening import NoEvents
from hc_platform.charging.recording import RunRow, record_run
from hc_platform.charging.registry.opening import open_registry
from hc_platform.charging.schedules import load_schedules
from hc_platform.charging.site import Site
from hc_platform.charging.steps import Moer, decide_fleet, enqueue
from hc_platform.charging.tariffs.compiled import _stretches, compile_tariffs, tier_at
from hc_platform.charging.tariffs.model import Tariff
from hc_platform.charging.timeline import Timeline, timeline
from hc_platform.charging.wake import files_mark, look, remember_run
from hc_platform.lake.store import open_lake
from hc_platform.settings import PROJECT_DIR
from hc_platform_tests.charging.decision import reference
from hc_platform_tests.charging.decision.reference import Around, Span

_FLEET, _REGISTRY = "fleet.ipc", "registry.sqlite"
_EPOCH = reference._EPOCH
_SAME = (
    "rev",
    "ver",
    "desired",
    "window_start",
    "window_end",
    "paused_since",
    "changed_at",
    "moer",
    "reasons",
)
_SAME += ("next_check_at", "commanded")


class Inputs:
    """What every way decides from."""

    def __init__(self, folder: Path) -> None:
        self.fleet = pl.read_ipc(folder / _FLEET)
        self.tariffs = sixty_tariffs()
        self.utilities = {tariff.utility_id for tariff in self.tariffs.values()}
        self.readings = readings(AS_OF)
        self.line: Timeline = timeline(self.tariffs, AS_OF)

    def decide(self, fleet: pl.DataFrame) -> pl.DataFrame:
        return decide(
            fleet,
            AS_OF,
            tariffs=self.line,
            utilities=self.utilities,
            policies=POLICIES,
            readings=self.readings,
        )

    def some(self, count: int) -> pl.DataFrame:
        return self.fleet.gather_every(max(self.fleet.height // count, 1)).head(count)


# --- the peer: one device at a time ----------------------------------------------------------------


def _spans(tariff: Tariff, pause_rank: int, start: datetime, end: datetime) -> Iterator[Span]:
    """Pausing windows, day by day on the tariff's clock, touching ones joined."""
    since = until = None
    for each in _stretches(tariff, start, end):
        version = each.version
        if version is None or version.is_flat or each.tier is None or version.tiers[each.tier] < pause_rank:
            continue
        if each.start == until:
            until = each.end
            continue
        if since is not None and until is not None:
            yield _at(since), _at(until)
        since, until = each.start, each.end
    if since is not None and until is not None:
        yield _at(since), _at(until)


def _at(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def windows_near(tariff: Tariff, pause_rank: int, t: datetime) -> Around:
    """The windows around an instant, out of the week about it; out of a year only where the week has too few."""
    if not any(max(v.tiers.values()) >= pause_rank and not v.is_flat for v in tariff.plan.versions):
        return Around()
    start = t - timedelta(hours=60)
    near = list(_spans(tariff, pause_rank, start, t + timedelta(days=5)))
    if not near or near[0][0] == start or sum(end > t for _, end in near[:-1]) < 2:
        year = _spans(tariff, pause_rank, t - timedelta(days=8), t + timedelta(days=370))
        return reference.around(year, t)
    return reference.around(iter(near), t)


Windows = Callable[[Mapping[str, Any], datetime], Around]


def loop(given: Inputs, fleet: pl.DataFrame, windows: Windows) -> list[dict[str, Any]]:
    """The decision for each device, one after another."""
    by_region = {row.pop("region"): row for row in given.readings.to_dicts()}
    return [
        reference.decide_one(
            device,
            given.tariffs,
            POLICIES,
            by_region,
            AS_OF,
            utilities=given.utilities,
            known_windows=windows(device, AS_OF),
        )
        for device in fleet.iter_rows(named=True)
    ]


def each_anew(given: Inputs) -> Windows:
    """Zone maths for every device."""

    def windows(device: Mapping[str, Any], t: datetime) -> Around:
        tariff = given.tariffs.get(f"{device['utility_id']}/{device['rate_plan']}")
        return windows_near(tariff, POLICIES[device["policy_id"]].pause_rank, t) if tariff else Around()

    return windows


def once_a_schedule(given: Inputs) -> Windows:
    """Zone maths once for each schedule and rank, the tier too."""
    found: dict[tuple[str, int], Around] = {}
    anew, tiers = each_anew(given), {}

    def remembered(tariff: Tariff, t: datetime) -> Any:
        if id(tariff) not in tiers:
            tiers[id(tariff)] = tier_at(tariff, t)
        return tiers[id(tariff)]

    def windows(device: Mapping[str, Any], t: datetime) -> Around:
        key = f"{device['utility_id']}/{device['rate_plan']}", POLICIES[device["policy_id"]].pause_rank
        if key not in found:
            found[key] = anew(device, t)
        return found[key]

    reference.tier_at = remembered
    return windows


# --- what is measured ------------------------------------------------------------------------------


def _timed(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Median seconds of wall and of CPU."""
    walls, cpus = [], []
    for _ in range(times):
        cpu, clock = time.process_time(), time.perf_counter()
        work()
        walls.append(time.perf_counter() - clock)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus)


def run_loop(folder: Path, sample: int) -> dict[str, float]:
    given = Inputs(folder)
    some = given.some(sample)
    seconds, cpu = _timed(lambda: loop(given, some, each_anew(given)), 1)
    return {"devices": some.height, "seconds": seconds, "cpu": cpu}


def run_cached(folder: Path, sample: int) -> dict[str, float]:
    given = Inputs(folder)
    some = given.some(sample * 5)
    seconds, cpu = _timed(lambda: loop(given, some, once_a_schedule(given)), 1)
    return {"devices": some.height, "seconds": seconds, "cpu": cpu}


def run_ours(folder: Path, sample: int) -> dict[str, float]:
    """Only what a decision needs: the fleet, compiled tariffs, the decision."""
    given = Inputs(folder)
    given.decide(given.fleet)
    seconds, cpu = _timed(lambda: given.decide(given.fleet), 5)
    return {"devices": given.fleet.height, "seconds": seconds, "cpu": cpu}


def run_equal(folder: Path, sample: int) -> dict[str, float]:
    """Raises where the loop's answers differ from ours."""
    given = Inputs(folder)
    some = given.some(sample)
    columns = given.decide(some).to_dicts()
    for windows in (each_anew(given), once_a_schedule(given)):
        for ours, theirs in zip(columns, loop(given, some, windows), strict=True):
            if any(ours[name] != theirs[name] for name in _SAME):
                raise AssertionError(f"ours: {ours}\nthe loop's: {theirs}")
    return {"devices": some.height}


def run_rest(folder: Path, sample: int) -> dict[str, float]:
    """Seconds of the smaller things, by name; `tick` and what starts with it are the steps of one run."""
    site = Site(
        registry=open_registry(str(folder / _REGISTRY)),
        lake=open_lake(str(folder / "lake")),
        tariff_dir=folder / "tou_schedules",
        policy_file=folder / "charge_policies.yaml",
        downlink=LocalDownlink(folder / "downlink"),
        events=NoEvents(),
        now=lambda: AS_OF,
    )
    tariffs = sixty_tariffs()
    end = AS_OF + timedelta(days=365)
    told = {"compile 60 schedules for a year": _timed(partial(compile_tariffs, tariffs, AS_OF, end), 3)[0]}
    line = timeline(tariffs, AS_OF)
    line.next_instant(AS_OF)
    told["Timeline.next_instant"] = _timed(lambda: line.next_instant(AS_OF), 1_000)[0]
    told["Registry.next_due"] = _timed(site.registry.next_due, 1_000)[0]

    def step(name: str, work: Callable[[], Any]) -> Any:
        clock = time.perf_counter()
        done = work()
        told[name] = time.perf_counter() - clock
        told["a tick, all of these"] = told.get("a tick, all of these", 0) + told[name]
        return done

    fleet = step("tick: Registry.fleet", site.registry.fleet)
    schedules = step("tick: load schedules", lambda: load_schedules(site, AS_OF))
    moer = Moer(usable=readings(AS_OF))
    decided = step("tick: decide", lambda: decide_fleet(fleet, schedules, moer, AS_OF, "live", 0))
    step("tick: enqueue", lambda: enqueue(site, decided))
    step("tick: record", lambda: record_run(site, decided, RunRow("run", "instant", AS_OF)))
    told["commands of the tick"] = float(decided.frame["commanded"].sum())
    told["controls of the tick"] = float(decided.frame["changed"].sum())

    remember_run(site, decided, schedules, Moer(), site.registry.version(), files_mark(site))
    quiet = AS_OF - timedelta(days=1)  # nothing is due by then
    if (found := look(site, quiet, quiet)).causes:
        raise AssertionError(f"something is due: {found}")
    told["wake.look, nothing due"], told["wake.look, CPU"] = _timed(lambda: look(site, quiet, quiet), 100)
    return told


RUNS: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "loop": run_loop, "cached": run_cached, "ours": run_ours, "equal": run_equal, "rest": run_rest,
}  # fmt: skip


def measure(name: str, folder: Path, sample: int) -> dict[str, float]:
    """Run one way in a process of its own; `mb` is its peak memory, everything included."""
    options = ["--run", name, "--folder", str(folder), "--sample", str(sample)]
    command = [sys.executable, "-m", "benchmarks.charge", *options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=PROJECT_DIR)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def generate(folder: Path, devices: int) -> None:
    """The fleet as a file, and as a registry with its tariffs and policies."""
    tariffs = sixty_tariffs()
    fleet = an_hour_in(devices, tariffs, timeline(tariffs, AS_OF))
    fleet.write_ipc(folder / _FLEET)
    tariff_files(folder, tariffs)
    fill_registry(folder / _REGISTRY, fleet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1_000_000)
    parser.add_argument("--sample", type=int, default=10_000)
    parser.add_argument("--run", choices=RUNS)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.run:
        told = RUNS[given.run](given.folder, given.sample)
        print(json.dumps(told | {"mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder, given.devices)
        same = measure("equal", folder, given.sample)
        print(f"equal on {same['devices']:,.0f} of {given.devices:,} devices\n")
        print(f"{'':36}{'devices':>10}{'s':>9}{'CPU s':>9}{'s per 1M':>10}{'peak MB':>9}{'ours is':>9}")
        titles = {
            "ours": "decide, in columns",
            "loop": "loop, zone maths for each device",
            "cached": "loop, schedules looked up once",
        }
        ours = 0.0
        for key, title in titles.items():
            got = measure(key, folder, given.sample)
            million = got["seconds"] / got["devices"] * 1e6
            ours = ours or million
            cost = f"{got['seconds']:>9.2f}{got['cpu']:>9.2f}{million:>10.2f}{got['mb']:>9,.0f}"
            print(f"{title:36}{got['devices']:>10,.0f}{cost}{million / ours:>7.0f} x")
        print()
        for title, value in measure("rest", folder, given.sample).items():
            if title.endswith("of the tick") or title == "mb":
                print(f"{title:36}{value:>12,.0f}")
            else:
                print(f"{title:36}{value * 1000:>12,.3f} ms")


if __name__ == "__main__":
    main()
