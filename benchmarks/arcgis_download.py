"""Download 100,000 polylines: ours against esridump, restgdf and GDAL, each in a process of its own.

    python benchmarks/arcgis_download.py            # features a second, CPU seconds, peak memory at 0 and 200 ms
    python benchmarks/arcgis_download.py --faults   # what each does when the server fails: ok, loud or LOSS

Needs the `bench` extra. Only ours checks the result against the server's count and can resume; every client writes
to disk what it writes best (ours and GDAL Parquet, the others newline-delimited JSON).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))


def ours(url: str, folder: Path, rows: int) -> list[int]:
    from hc_platform.arcgis import HttpOptions, describe_layer, pull_layer

    http = HttpOptions(min_interval_s=0, in_flight=8, max_backoff_s=0.2)
    info = describe_layer(url, layer_index=0, http=http)
    pulled = pull_layer(info, folder, http=http)
    if pulled.status not in ("complete", "changed"):
        raise RuntimeError(f"{pulled.status}, {pulled.missing_count} missing")
    return [-1] * pulled.rows if rows == pulled.rows else _parquet_ids(pulled.files)


def esridump(url: str, folder: Path, rows: int) -> list[int]:
    return _esridump(url, folder, paginate_oid=False)


def esridump_oid(url: str, folder: Path, rows: int) -> list[int]:
    return _esridump(url, folder, paginate_oid=True)


def _esridump(url: str, folder: Path, *, paginate_oid: bool) -> list[int]:
    from esridump.dumper import EsriDumper

    ids = []
    dumper = EsriDumper(f"{url}/0", pause_seconds=0, max_page_size=2000, paginate_oid=paginate_oid)
    with (folder / "out.ndjson").open("w") as out:
        for feature in dumper:
            ids.append(feature["properties"]["OBJECTID"])
            out.write(json.dumps(feature))
            out.write("\n")
    return ids


def restgdf(url: str, folder: Path, rows: int) -> list[int]:
    import aiohttp
    from restgdf import FeatureLayer

    ids = []

    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            layer = await FeatureLayer.from_url(f"{url}/0", session=session)
            with (folder / "out.ndjson").open("w") as out:
                async for feature in layer.stream_features(max_concurrent_pages=8, on_truncation="ignore"):
                    ids.append(feature["attributes"]["OBJECTID"])
                    out.write(json.dumps(feature))
                    out.write("\n")

    asyncio.run(run())
    return ids


def gdal(url: str, folder: Path, rows: int) -> list[int]:
    import pyarrow.parquet
    import pyogrio

    query = f"{url}/0/query?where=1%3D1&outFields=*&outSR=4326&orderByFields=OBJECTID&resultRecordCount=2000&f=json"
    _, table = pyogrio.read_arrow(f"ESRIJSON:{query}")
    pyarrow.parquet.write_table(table, folder / "out.parquet", compression="zstd")
    return table.column("OBJECTID").to_pylist()


def _parquet_ids(files: list[Path]) -> list[int]:
    import polars as pl

    return [number for path in files for number in pl.read_parquet(path)["object_id"].to_list()]


CLIENTS: dict[str, Callable[[str, Path, int], list[int]]] = {
    "hc_platform": ours,
    "esridump": esridump,
    "esridump_oid": esridump_oid,
    "restgdf": restgdf,
    "gdal": gdal,
}
FAULTS = [
    "err200_once", "err200_always", "e503_once", "html200_once", "truncated_once", "reset_once", "cap1000",
    "big504", "bigerr200", "offset_ignored", "unstable_order", "row_deleted", "token_required", "bare_nan",
    "no_statistics", "not_started",
]  # fmt: skip


def run_child(client: str, url: str, rows: int) -> None:
    """Run one client in this process and print what it took, as JSON."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        ids = CLIENTS[client](url, Path(folder), rows)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "wall_s": time.perf_counter() - start,
                "cpu_s": used.ru_utime + used.ru_stime,
                "peak_mb": used.ru_maxrss / 1024,
                "rows": len(ids),
                "distinct": len(ids) if -1 in ids else len(set(ids)),
                "id_sum": sum(set(ids)),
            }
        )
    )


def child(client: str, url: str, rows: int, timeout_s: float = 600) -> dict[str, float] | str:
    """Run one client in a process of its own; a text where it failed."""
    command = [sys.executable, __file__, "--child", client, "--url", url, "--rows", str(rows)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return "hang"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["?"])[-1]
    return json.loads(done.stdout.strip().splitlines()[-1])


def speed(clients: list[str], latencies: list[int], rows: int, runs: int) -> None:
    """Print the table of speeds; the best of several runs by wall time, since the machine is shared."""
    for latency in latencies:
        server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("replay_server.py")), "0", str(latency), str(rows)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            port = server.stdout.readline().split()[1]
            url = f"http://127.0.0.1:{port}/arcgis/rest/services/Lines/FeatureServer"
            print(f"\n{rows} features at {latency} ms")
            print(f"{'client':14} {'features/s':>11} {'CPU s':>7} {'peak MB':>8}   ours is")
            base = 0.0
            for client in clients:
                found = [child(client, url, rows) for _ in range(runs)]
                good = [each for each in found if isinstance(each, dict)]
                if not good:
                    print(f"{client:14} failed: {found[0]}")
                    continue
                best = min(good, key=lambda each: each["wall_s"])
                rate = best["distinct"] / best["wall_s"]
                base = base or rate
                cpu, peak = min(each["cpu_s"] for each in good), max(each["peak_mb"] for each in good)
                short = "" if best["distinct"] == rows else f"  only {best['distinct']:.0f} rows!"
                print(
                    f"{client:14} {rate:11,.0f} {cpu:7.2f} {peak:8.0f}   {base / rate:.1f} x{short}",
                    flush=True,
                )
        finally:
            server.terminate()
            server.wait()


def faults(clients: list[str], rows: int, timeout_s: float) -> None:
    """Print what each client makes of each failure."""
    from hc_platform_tests.integration.fake_arcgis import FakeLayer, serve_layer
    from hc_platform_tests.integration.fault_proxy import fault_proxy

    print(f"{'fault':18}" + "".join(f"{client:>18}" for client in clients))
    layer = FakeLayer(rows)
    hidden = sorted(layer.rows)[10]
    with serve_layer(layer) as service:
        for fault in FAULTS:
            line = f"{fault:18}"
            for client in clients:
                with fault_proxy(service, fault, hidden=hidden) as (url, _):
                    result = child(client, url, 0, timeout_s)
                whole = sum(layer.rows)  # a deleted row may be there or not, but no other may be missing
                right = (whole, whole - hidden) if fault == "row_deleted" else (whole,)
                if isinstance(result, str):
                    verdict = "hang" if result == "hang" else "loud"
                elif result["rows"] == result["distinct"] and result["id_sum"] in right:
                    verdict = "ok"
                else:
                    verdict = f"LOSS {result['distinct']:.0f}/{result['rows']:.0f}"
                line += f"{verdict:>18}"
            print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", nargs="+", default=list(CLIENTS), choices=list(CLIENTS))
    parser.add_argument("--latencies", nargs="+", type=int, default=[0, 200], help="milliseconds")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for one client and fault")
    parser.add_argument("--child", choices=list(CLIENTS), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        run_child(given.child, given.url, given.rows)
    elif given.faults:
        faults(given.clients, 10_000, given.timeout)
    else:
        speed(given.clients, given.latencies, given.rows, given.runs)


if __name__ == "__main__":
    main()
