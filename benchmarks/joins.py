"""Spatial joins at national size: ours against geopandas, each side in a process of its own.

    python benchmarks/joins.py              # all three joins, both sides, ratios
    python benchmarks/joins.py --scale 0.1  # a tenth of the rows

Needs the `bench` extra. Counties come from ../shared/data/geo/us_counties.parquet where it lies there, else from a
grid of made-up ones; everything else is made up, around ZIP centres where those are at hand. Both sides read the same
Parquet files, and the time is from file to answer. What each computes is not the same: geopandas measures in the
plane of a projected CRS (EPSG:5070, whose distances in the contiguous US err by up to a per cent or so; `degrees`
leaves out the projection, and its distances mean nothing), ours in metres on the ellipsoid, with the runner-up.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
GEO = PROJECT.parent / "shared" / "data" / "geo"
sys.path.insert(0, str(PROJECT))

SUBSTATION_MAX_M = 50_000.0
DEVICE_MAX_M = 300.0


def make(folder: Path, scale: float) -> None:
    """The inputs as Parquet: points, counties, substations, devices, lines."""
    import numpy as np
    import polars as pl
    import shapely

    rng = np.random.default_rng(5)
    centres = GEO / "zip_centroids.csv"
    if centres.exists():
        zips = pl.read_csv(centres, infer_schema_length=0).select(pl.col("lon", "lat").cast(pl.Float64))
        zips = zips.filter(pl.col("lon").is_between(-125, -66), pl.col("lat").is_between(24, 50)).to_numpy()
    else:
        zips = np.column_stack([rng.uniform(-125, -66, 30_000), rng.uniform(24, 50, 30_000)])
        print("no ZIP centres: places are spread evenly")

    def around(n: int, spread: float) -> Any:
        return zips[rng.integers(0, len(zips), n)] + rng.normal(0, spread, (n, 2))

    def points(name: str, n: int, spread: float) -> None:
        xy = around(n, spread)
        pl.DataFrame({"id": range(n), "lon": xy[:, 0], "lat": xy[:, 1]}).write_parquet(
            folder / f"{name}.parquet"
        )

    points("points", int(1_000_000 * scale), 0.05)
    points("substations", int(10_000 * scale), 0.1)
    n = int(1_000_000 * scale)
    walks = around(n, 0.03)[:, None, :] + np.cumsum(rng.normal(0, 0.0004, (n, 12, 2)), axis=1)
    # devices stand by the lines, as chargers do: within some 200 m of one
    by = walks[rng.integers(0, n, int(100_000 * scale)), 5] + rng.normal(0, 0.002, (int(100_000 * scale), 2))
    pl.DataFrame({"id": range(len(by)), "lon": by[:, 0], "lat": by[:, 1]}).write_parquet(
        folder / "devices.parquet"
    )
    wkb = shapely.to_wkb(shapely.linestrings(walks))
    pl.DataFrame({"id": range(n), "geometry": wkb.tolist()}).write_parquet(folder / "lines.parquet")
    if (GEO / "us_counties.parquet").exists():
        counties = pl.read_parquet(GEO / "us_counties.parquet", columns=["fips", "geometry"])
        counties = counties.select(area_id="fips", geometry=pl.col("geometry").ext.storage())
    else:
        print("no county file: a grid of 3,231 circles with 200 corners stands in")
        grid = np.stack(np.meshgrid(np.linspace(-125, -66, 70), np.linspace(24, 50, 47)), -1).reshape(-1, 2)[
            :3231
        ]
        shapes = shapely.buffer(shapely.points(grid), 0.45, quad_segs=50)
        counties = pl.DataFrame({"area_id": range(len(grid)), "geometry": shapely.to_wkb(shapes).tolist()})
    counties.write_parquet(folder / "counties.parquet")


def read(folder: Path, name: str) -> Any:
    import polars as pl

    return pl.read_parquet(folder / f"{name}.parquet")


def read_peer(folder: Path, name: str) -> Any:
    import geopandas
    import pandas as pd

    frame = pd.read_parquet(folder / f"{name}.parquet")
    if "geometry" in frame:
        shapes = geopandas.GeoSeries.from_wkb(frame.pop("geometry"), crs=4326)
    else:
        shapes = geopandas.points_from_xy(frame.pop("lon"), frame.pop("lat"), crs=4326)
    return geopandas.GeoDataFrame(frame, geometry=shapes)


def counties_ours(folder: Path) -> int:
    from hc_platform.geo.areas import areas_of_points

    return areas_of_points(read(folder, "points"), read(folder, "counties")).height


def counties_peer(folder: Path) -> int:
    return len(read_peer(folder, "points").sjoin(read_peer(folder, "counties"), predicate="intersects"))


def nearest_ours(queries: str, targets: str, max_m: float) -> Callable[[Path], int]:
    def run(folder: Path) -> int:
        from hc_platform.geo.lines import LineIndex
        from hc_platform.geo.shapes import point_wkb

        there = read(folder, targets)
        wkb = there["geometry"] if "geometry" in there.columns else point_wkb(there["lon"], there["lat"])
        index = LineIndex(there["id"], wkb)
        del there, wkb
        here = read(folder, queries)
        return index.nearest(here["lon"], here["lat"], max_m).height

    return run


def nearest_peer(queries: str, targets: str, reach: float, crs: int | None = None) -> Callable[[Path], int]:
    def run(folder: Path) -> int:
        here, there = read_peer(folder, queries), read_peer(folder, targets)
        if crs:
            here, there = here.to_crs(crs), there.to_crs(crs)
        return len(here.sjoin_nearest(there, max_distance=reach, distance_col="distance"))

    return run


JOINS: dict[str, dict[str, Callable[[Path], int]]] = {
    "points to counties": {"ours": counties_ours, "geopandas": counties_peer},
    "points to nearest substation": {
        "ours": nearest_ours("points", "substations", SUBSTATION_MAX_M),
        "geopandas": nearest_peer("points", "substations", SUBSTATION_MAX_M, 5070),
        "geopandas, degrees": nearest_peer("points", "substations", SUBSTATION_MAX_M / 100_000),
    },
    "devices to nearest line": {
        "ours": nearest_ours("devices", "lines", DEVICE_MAX_M),
        "geopandas": nearest_peer("devices", "lines", DEVICE_MAX_M, 5070),
        "geopandas, degrees": nearest_peer("devices", "lines", DEVICE_MAX_M / 100_000),
    },
}


def measure(folder: Path, join: str, side: str) -> None:
    """In the child: import, then run once from file to answer; print seconds, CPU seconds, peak MB and rows."""
    import warnings

    import geopandas  # noqa: F401
    import polars  # noqa: F401

    warnings.simplefilter("ignore")
    started, cpu = time.perf_counter(), time.process_time()
    rows = JOINS[join][side](folder)
    seconds, used = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"s": seconds, "cpu": used, "mb": peak, "rows": rows}))


def child(*arguments: str) -> str:
    command = [sys.executable, __file__, "--child", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--child", nargs=3, metavar=("FOLDER", "JOIN", "SIDE"))
    options = parser.parse_args()
    if options.child:
        folder, join, side = options.child
        if join == "make":
            make(Path(folder), float(side))
        else:
            measure(Path(folder), join, side)
        return
    with tempfile.TemporaryDirectory() as folder:
        print(child(folder, "make", str(options.scale)), end="")
        print("| join | side | rows | s | CPU s | peak MB | CPU, x ours | memory, x ours |")
        print("|---|---|---|---|---|---|---|---|")
        for join in (j for j in JOINS if options.only in j):
            best: dict[str, dict[str, float]] = {}
            for _ in range(options.repeat):
                for side in JOINS[join]:
                    got = json.loads(child(folder, join, side).splitlines()[-1])
                    best[side] = min(best.get(side, got), got, key=lambda r: r["cpu"])
            ours = best["ours"]
            for side, got in best.items():
                ratio = f"{got['cpu'] / ours['cpu']:.2f} | {got['mb'] / ours['mb']:.2f}"
                cells = f"{got['rows']:,} | {got['s']:.1f} | {got['cpu']:.1f} | {got['mb']:,.0f}"
                print(f"| {join} | {side} | {cells} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
