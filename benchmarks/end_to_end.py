"""Six synthetic utilities from servers to the published warehouse: seconds by stage, and what Dagster adds.

    python -m benchmarks.end_to_end [--features 1000000]

The demo server runs in a process of its own, with no broken pages; politeness is off. The plain steps and the same
steps as Dagster runs (in-process executor, SQLite instance, as `hc ingest`) follow each other on fresh data folders,
each in a process of its own.
"""

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from hc_platform.catalog import Catalog, load_catalog
from hc_platform.demo import synthetic_layers
from hc_platform.demo.server import local_catalog
from hc_platform.demo.synthetic import SHAPES
from hc_platform.settings import PROJECT_DIR, Settings


def catalog_at(url: str) -> Catalog:
    return local_catalog(load_catalog(PROJECT_DIR / "utility_configs"), url)


def scale_for(features: int) -> float:
    shipped = load_catalog(PROJECT_DIR / "utility_configs")
    return features / sum(len(layer) for code in SHAPES for layer in synthetic_layers(shipped[code]))


@contextmanager
def server(scale: float) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--port", str(port), "--scale", str(scale), "--no-broken-pages"]
    command = [sys.executable, "-m", "hc_platform.demo.server", *options]
    with subprocess.Popen(command, cwd=PROJECT_DIR, stderr=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            while True:
                try:
                    urllib.request.urlopen(f"{url}/_demo/stats").close()
                    break
                except urllib.error.URLError:
                    if process.poll() is not None:
                        raise
                    time.sleep(0.2)
            yield url
        finally:
            process.kill()


def plain(url: str, data: Path) -> dict[str, float]:
    """The steps, one after the other; seconds of each stage over all utilities."""
    from hc_platform.lake.store import open_lake
    from hc_platform.lake.warehouse import publish
    from hc_platform.pipeline import national
    from hc_platform.pipeline.feeders import prepare_records
    from hc_platform.pipeline.fetch import fetch
    from hc_platform.pipeline.normalize import prepared_sections, previous_sections
    from hc_platform.sources import SourceOptions, source_for

    settings = Settings(data_dir=data, min_interval_s=0.0)
    lake, now, spent = open_lake(settings.root), datetime.now(UTC), Counter[str]()
    snapshot = f"{now:%Y-%m}"

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        before = time.perf_counter()
        yield
        spent[name] += time.perf_counter() - before  # type: ignore[assignment]

    catalog = catalog_at(url)
    for code, config in catalog.items():
        with stage("fetch"):
            source = partial(
                source_for, config, options=SourceOptions(min_interval_s=0, in_flight=settings.in_flight)
            )
            spent["features"] += fetch(
                config, snapshot, source=source, lake=lake, staging=settings.staging_dir, now=now
            ).fetched
        with (
            stage("sections"),
            prepared_sections(
                config, snapshot, lake, memory=settings.warehouse_memory, scratch=settings.staging_dir
            ) as prepared,
        ):
            spent["sections rows"] += prepared.report.rows
            checks = prepared.report.checks(previous_sections(lake, code, snapshot))
            assert all(check.passed for check in checks if check.blocking)
            prepared.commit(lake)
        with stage("feeders"):
            prepare_records(config, snapshot, lake).commit(lake)
    with stage("national"):
        assert all(check.passed for check in national.check_records(lake))
        national.refresh_summaries(lake, now)
        national.refresh_runs(lake)
        national.refresh_utilities(lake, catalog)
    with stage("publish"):
        publish(lake, settings.warehouse_path, memory=settings.warehouse_memory)
    return dict(spent)


def dagster(url: str, data: Path) -> dict[str, float]:
    """The same as Dagster runs: one per utility, then the national assets with the warehouse."""
    before = time.perf_counter()
    from hc_platform.definitions import build_definitions
    from hc_platform.orchestration.local_runs import local_instance, run_national, run_utility
    from hc_platform.orchestration.platform import Platform

    os.environ["DAGSTER_HOME"] = str(data / "dagster")
    (data / "dagster").mkdir(parents=True)
    (data / "dagster" / "dagster.yaml").write_text((PROJECT_DIR / "dagster.yaml").read_text())
    settings = Settings(data_dir=data, min_interval_s=0.0)
    spent = {}
    with local_instance(settings) as instance:
        catalog = catalog_at(url)
        definitions = build_definitions(Platform(settings, catalog))
        spent["start"], before = time.perf_counter() - before, time.perf_counter()
        for code in catalog:
            outcome = run_utility(definitions, instance, code, f"{datetime.now(UTC):%Y-%m}")
            assert outcome.success, outcome.error
        spent["runs"], before = time.perf_counter() - before, time.perf_counter()
        outcome = run_national(definitions, instance)
        assert outcome.success, outcome.error
        spent["national and publish"] = time.perf_counter() - before
    return spent


def measured(name: str, url: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "benchmarks.end_to_end",
            "--run",
            name,
            "--url",
            url,
            "--folder",
            folder,
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT_DIR)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run(name: str, url: str, folder: Path) -> None:
    spent = {"plain": plain, "dagster": dagster}[name](url, folder)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = usage.ru_utime + usage.ru_stime
    print(json.dumps({"spent": spent, "cpu": cpu, "mb": usage.ru_maxrss / 1024}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=int, default=1_000_000)
    parser.add_argument("--run", choices=["plain", "dagster"])
    parser.add_argument("--url", default="")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.run:
        run(given.run, given.url, given.folder)
        return
    with server(scale_for(given.features)) as url:
        bare, dagged = measured("plain", url), measured("dagster", url)
    stages = bare["spent"]
    features, rows = stages.pop("features"), stages.pop("sections rows")
    total = sum(stages.values())
    print(f"{features:,} features, {rows:,} sections\n")
    for name, seconds in stages.items():
        print(f"{name:28}{seconds:9.1f} s{seconds / total:8.1%}{features / seconds:12,.0f} features/s")
    print(f"{'all steps':28}{total:9.1f} s{'':8}{features / total:12,.0f} features/s")
    print(f"{'CPU, peak memory':28}{bare['cpu']:9.1f} s{bare['mb']:9,.0f} MB\n")
    for name, seconds in dagged["spent"].items():
        print(f"{'Dagster: ' + name:28}{seconds:9.1f} s")
    whole = sum(dagged["spent"].values())
    print(f"{'Dagster: all':28}{whole:9.1f} s{dagged['mb']:9,.0f} MB")
    print(f"{'Dagster adds':28}{whole - total:9.1f} s{(whole - total) / total:8.1%} of wall time")
    print(
        f"{'':28}{dagged['cpu'] - bare['cpu']:9.1f} s{(dagged['cpu'] - bare['cpu']) / bare['cpu']:8.1%} of CPU time"
    )


if __name__ == "__main__":
    main()
