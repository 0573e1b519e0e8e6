"""Every fetchable utility of the catalogue at its real row counts, from servers to the published warehouse.

    python -m benchmarks.catalogue [--scale 1.0] [--compare 0.02]

Made-up rows in the shapes of the configs (`benchmarks.catalogue_server`, a process of its own; politeness is off). Runs
what `hc ingest --utility all` runs: side by side over hosts. With `--compare`, both that and one utility after the other
at that smaller scale, on fresh data folders, and the ratio of their times. Memory is sampled from /proc: that of the
greatest process, and the sum over all that ingest (PSS: shared pages counted once). `own` leaves out pages of files,
which the system takes back when it needs the room.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.catalogue_server import address, catalog, drawn_layers, hosts_of
from hc_platform.catalog import Catalog
from hc_platform.catalog.models import UtilityConfig
from hc_platform.demo.catalogue.files import write_files
from hc_platform.settings import PROJECT_DIR, Settings

_SAMPLE_S = 0.5


@contextmanager
def server(scale: float) -> Iterator[dict[str, Any]]:
    """The server's port, and where each layer is."""
    command = [sys.executable, "-m", "benchmarks.catalogue_server", "--scale", str(scale)]
    with subprocess.Popen(command, cwd=PROJECT_DIR, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


def local(configs: Catalog, site: dict[str, Any]) -> Catalog:
    """The configs with every service where the server has it; services that rotate are pinned."""
    hosts = hosts_of(configs)

    def there(config: UtilityConfig) -> UtilityConfig:
        layers = []
        for layer in config.layers:
            if layer.path is None:
                url, index = site["layers"][config.utility_code][layer.label]
                found = config.discovery_of(layer)
                home = (
                    layer.service_url
                    or config.service_url
                    or (found and (found.folder or found.portal))
                    or ""
                )
                host = address(urlsplit(home).hostname or "", hosts)
                url = f"http://{host}:{site['port']}/{config.utility_code}{urlsplit(url).path}"
                layer = layer.model_copy(update={"service_url": url, "discovery": None, "layer_index": index})
            layers.append(layer)
        static = {"discovery": None, "url_discovery_method": "static", "service_url": None, "auth": None}
        return config.model_copy(update={"layers": layers, **static})

    return Catalog({code: there(config) for code, config in configs.items()})


def ingest(site: dict[str, Any], data: Path, parallel: int) -> dict[str, Any]:
    """What `hc ingest --utility all` does, and what came of it."""
    from hc_platform.ingesting import execute, running
    from hc_platform.lake.warehouse import connect
    from hc_platform.orchestration.local_runs import local_instance

    configs = catalog()
    for config in configs.values():
        if any(layer.path for layer in config.layers):
            write_files(drawn_layers(config), data / "imports")
    settings = Settings(data_dir=data, min_interval_s=0.0)
    made = local(configs, site)
    before = time.perf_counter()
    execute(settings, made, running(made, made), parallel=parallel)
    seconds = time.perf_counter() - before
    steps: Counter[str] = Counter()
    with local_instance(settings) as instance:
        for run in instance.get_runs():
            for step in instance.get_run_step_stats(run.run_id):
                if step.start_time and step.end_time:
                    steps[step.step_key.split("__")[0]] += step.end_time - step.start_time  # type: ignore[assignment]
    tables = ("raw_features", "sections", "rejected_features", "hosting_capacity_records")
    with connect(str(data)) as connection:
        rows = {name: connection.table(name).shape[0] for name in tables}
    return {"seconds": seconds, "steps": dict(steps), "rows": rows}


def measured(site: dict[str, Any], parallel: int) -> dict[str, Any]:
    """One ingest in a process of its own, on a fresh folder, with its memory."""
    with tempfile.TemporaryDirectory() as folder:
        given = ["--run", json.dumps(site), "--folder", folder, "--parallel", str(parallel)]
        command = [sys.executable, "-m", "benchmarks.catalogue", *given]
        home = Path(folder) / "dagster"
        home.mkdir()
        (home / "dagster.yaml").write_text((PROJECT_DIR / "dagster.yaml").read_text())
        environment = os.environ | {"DAGSTER_HOME": str(home)}
        earlier = resource.getrusage(resource.RUSAGE_CHILDREN)
        with subprocess.Popen(
            command, cwd=PROJECT_DIR, stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            peaks = Counter[str]()
            done = threading.Event()
            sampler = threading.Thread(target=_sample, args=(process.pid, peaks, done))
            sampler.start()
            assert process.stdout
            told = process.stdout.read().splitlines()
            done.set()
            sampler.join()
        if process.wait():
            raise SystemExit(f"the ingest ended with {process.returncode}")
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = sum(f.stat().st_size for f in (Path(folder) / "lake").rglob("*") if f.is_file())
    cpu = usage.ru_utime + usage.ru_stime - earlier.ru_utime - earlier.ru_stime
    return dict(json.loads(told[-1])) | {"mb": dict(peaks), "lake_mb": size / 1e6, "cpu": cpu}


def _sample(process: int, peaks: Counter[str], done: threading.Event) -> None:
    while not done.wait(_SAMPLE_S):
        family = [process]
        for pid in family:
            try:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    family += [int(child) for child in (task / "children").read_text().split()]
            except OSError:
                continue
        sizes = [_memory_mb(pid) for pid in family]
        for kind in ("whole", "own"):
            each = [size[kind] for size in sizes]
            peaks[f"greatest {kind}"] = max(peaks[f"greatest {kind}"], round(max(each)))
            peaks[f"all {kind}"] = max(peaks[f"all {kind}"], round(sum(each)))


def _memory_mb(pid: int) -> dict[str, float]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:  # it ended
        return {"whole": 0.0, "own": 0.0}
    mb = {name.strip(":"): int(kb) / 1024 for name, kb, *_ in map(str.split, lines)}
    return {"whole": mb["Pss"], "own": mb["Pss"] - mb["Pss_File"]}


def show(title: str, got: dict[str, Any]) -> None:
    rows, seconds = got["rows"], got["seconds"]
    features = rows["raw_features"]
    print(f"\n{title}")
    for name, count in rows.items():
        print(f"{name:28}{count:14,}")
    print(
        f"{'wall time':28}{seconds:12.1f} s   {1e6 * seconds / max(1, features):.1f} s per million features"
    )
    print(
        f"{'CPU time':28}{got['cpu']:12.1f} s   {1e6 * got['cpu'] / max(1, features):.1f} s per million features"
    )
    for name, spent in sorted(got["steps"].items(), key=lambda s: -s[1])[:8]:
        print(f"  {name:26}{spent:12.1f} s   over all runs")
    for who, name in (("greatest process", "greatest"), ("all processes that ingest", "all")):
        own, whole = got["mb"][f"{name} own"], got["mb"][f"{name} whole"]
        print(f"{who:28}{own:12,} MB of its own, {whole:,} MB with pages of files")
    print(f"{'lake':28}{got['lake_mb']:12,.0f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument(
        "--compare", type=float, help="a smaller scale, at which one after the other runs too"
    )
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--run")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.run:
        print(json.dumps(ingest(json.loads(given.run), given.folder, given.parallel)))
        return
    if given.compare:
        with server(given.compare) as site:
            many = measured(site, given.parallel)
            show(f"scale {given.compare:g}, side by side", many)
            one = measured(site, 1)
            show(f"scale {given.compare:g}, one after the other", one)
        print(f"\nside by side is {one['seconds'] / many['seconds']:.2f} x as fast")
    if given.scale:
        with server(given.scale) as site:
            show(f"scale {given.scale:g}, side by side", measured(site, given.parallel))


if __name__ == "__main__":
    main()
