"""Normalize PG&E-shaped sections: ours in columns against a loop over rows that follows the same rules.

    python -m benchmarks.normalize [--rows 1300000] [--sample 20000]

Each way runs in a process of its own. On the sample, the loop's sections must equal ours, cell by cell; `whole` is
everything between raw_features and committed sections: all rows, uniqueness of keys, the Hilbert sort, both commits.
"""

import argparse
import calendar
import json
import math
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import shapely
from polars.testing import assert_frame_equal

from hc_platform.catalog import load_catalog
from hc_platform.catalog.models import UtilityConfig
from hc_platform.demo import synthetic_layers
from hc_platform.demo.numbers import Lines
from hc_platform.hosting_capacity.sections import normalize
from hc_platform.hosting_capacity.tables import RAW_FEATURES, SECTIONS, SOURCE_LAYERS
from hc_platform.hosting_capacity.vocabulary import classify_constraint
from hc_platform.lake.store import Lake, open_lake
from hc_platform.pipeline.normalize import BATCH_ROWS, prepared_sections
from hc_platform.pipeline.threads import in_order
from hc_platform.settings import PROJECT_DIR

SNAPSHOT = "2026-05"
PARTITION = {"utility_code": "pge", "snapshot": SNAPSHOT}


def pge() -> UtilityConfig:
    return load_catalog(PROJECT_DIR / "utility_configs")["pge"]


def _wkb(lines: Lines) -> pl.Series:
    parts = shapely.linestrings(
        lines.coordinates, indices=np.repeat(np.arange(len(lines.vertices) - 1), np.diff(lines.vertices))
    )
    counts = np.diff(lines.parts)
    shapes = parts[lines.parts[:-1]]
    several = np.flatnonzero(counts > 1)
    for i in several:
        shapes[i] = shapely.multilinestrings(parts[lines.parts[i] : lines.parts[i + 1]])
    shapes[lines.null] = None
    return pl.Series("geometry", list(shapely.to_wkb(shapes)), dtype=pl.Binary)


def generate(folder: Path, rows: int) -> None:
    """A lake with one raw snapshot: sections with 21 attributes and their lines, in batches."""
    config, lake = pge(), open_lake(str(folder / "lake"))
    label = config.layers[0].label
    made = 0

    def batches() -> Iterator[pl.DataFrame]:
        nonlocal made
        seed = 0
        while made < rows:
            layer = synthetic_layers(config, 2.5, seed)[0]
            seed += 1
            frame = layer.frame.with_columns(
                CSV_LineSection=pl.col("CSV_LineSection") + 1_000_000 * seed,
                limiting_month_hour=pl.lit("07_19"),
                Shape__Length=pl.int_range(pl.len()) * 1.37,
                IsCustomerOwned=pl.lit("N"),
                Notes=pl.lit(None, pl.String),
            )
            height = min(frame.height, rows - made)
            ids = pl.int_range(made + 1, made + 1 + frame.height, eager=True)
            yield RAW_FEATURES.conform(
                pl.DataFrame({"object_id": ids, "feature_key": ids.cast(pl.String), "geometry": _wkb(layer.lines)})
                .with_columns(
                    utility_code=pl.lit("pge"), snapshot=pl.lit(SNAPSHOT), layer=pl.lit(label),
                    raw_attributes=frame.select(pl.struct(pl.all()).struct.json_encode()).to_series(),
                    fetched_at=pl.lit(datetime(2026, 5, 15, tzinfo=UTC)),
                )
                .head(height)
            )  # fmt: skip
            made += height

    lake.replace(RAW_FEATURES, PARTITION, batches())
    fields = dict.fromkeys(config.layers[0].named_fields, "esriFieldTypeString")
    told = {
        "layer": label,
        "source_url": "made up",
        "expected_count": made,
        "source_hash": "made up",
        "fields_json": json.dumps(fields),
    }
    lake.replace(SOURCE_LAYERS, PARTITION, SOURCE_LAYERS.conform(pl.DataFrame([{**PARTITION, **told}])))


# --- the peer: one row at a time -------------------------------------------------------------------

_MONTHS = {month.lower(): number for number, month in enumerate(calendar.month_abbr)}
_NULLS = {"", "null", "<null>", "none", "na", "n/a", "nan", "unknown"}
_RANGE = re.compile(r"^([0-9.]+) ?- ?([0-9.]+)$")
_MONTH = re.compile(r"^([A-Za-z]{3})[a-z]* ([0-9]{4})$")


def _text(value: Any) -> str | None:
    if value is None or (text := str(value).strip()).lower() in _NULLS:
        return None
    return text


def _capacity(value: Any) -> tuple[float | None, float | None, float | None, str]:
    """(point, low, high, status) in MW of a text in kW."""
    if (text := _text(value)) is None:
        return None, None, None, "not_published"
    if text.lower() in ("redacted", "*redacted*"):
        return None, None, None, "redacted"
    try:
        return float(text) / 1000, None, None, "published"
    except ValueError:
        found = _RANGE.match(text)
        if found is None:
            raise
        return None, float(found[1]) / 1000, float(found[2]) / 1000, "published"


def _date(value: Any) -> date | None:
    found = _MONTH.match(_text(value) or "")
    return date(int(found[2]), _MONTHS[found[1].lower()], 1) if found else None


@cache
def _constraint(text: str) -> str:
    """The vocabulary has a hundred rules; the loop pays for each distinct text only once."""
    return str(pl.select(classify_constraint(pl.lit(text))).item())


def _place(wkb: bytes | None) -> dict[str, Any]:
    shape = None if wkb is None else shapely.from_wkb(wkb)
    if shape is None or shape.is_empty:
        return {}
    west, south, east, north = shape.bounds
    centre, length = shape.centroid, 0.0
    for part in getattr(shape, "geoms", [shape]):
        points = list(part.coords)
        for (x0, y0), (x1, y1) in pairwise(points):
            middle = (math.radians(y0) + math.radians(y1)) / 2
            w2 = 1 - 0.00669437999014 * math.sin(middle) ** 2
            across = (math.radians(x1) - math.radians(x0) + math.pi) % (2 * math.pi) - math.pi
            up = 6378137.0 * (1 - 0.00669437999014) / w2**1.5 * (math.radians(y1) - math.radians(y0))
            length += math.hypot(up, 6378137.0 / math.sqrt(w2) * math.cos(middle) * across)
    return {
        "geometry": wkb, "geometry_type": shape.geom_type, "centroid_lat": centre.y, "centroid_lon": centre.x,
        "bbox_west": west, "bbox_south": south, "bbox_east": east, "bbox_north": north, "length_km": length / 1000,
    }  # fmt: skip


def loop(raw: pl.DataFrame, config: UtilityConfig) -> pl.DataFrame:
    """Sections of the batch, row by row."""
    rows: list[dict[str, Any]] = []
    sides = (
        ("generation", "gross", "GenCapacity_kW", "limiting_criteria_of", "ICA_Analysis_Date"),
        ("load", "net_of_existing", "LoadCapacity_kW", "limiting_criteria", "LICA_Analysis_Date"),
    )
    given = raw.select("feature_key", "raw_attributes", "geometry").iter_rows()
    for feature_key, text, wkb in given:
        attributes = json.loads(text)
        feeder, segment = _text(attributes["FeederId"]), _text(attributes["CSV_LineSection"])
        if segment is not None:
            segment = segment.removesuffix(".0")
        phases = _text(attributes["phase_cnt"])
        key = (
            f"{(feeder or '').replace('#', '##')}/{segment or ''}" if feeder or segment else f"#{feature_key}"
        )
        volts = attributes["voltage_kv"]
        common = {
            **PARTITION, "layer": config.layers[0].label, "record_key": f"ICA LineDetail:{key}",
            "feature_key": feature_key, "grain": "section", "feeder_id_external": feeder,
            "feeder_name": _text(attributes["FeederName"]), "voltage_kv": None if volts is None else float(volts),
            "phase_config": "ABC" if phases == "3" else phases, **_place(wkb),
        }  # fmt: skip
        for side, basis, field, why, day in sides:
            point, low, high, status = _capacity(attributes[field])
            raw_why = _text(attributes[why])
            rows.append(
                {
                    **common, "resource": side, "hosting_capacity_mw": point, "hosting_capacity_min_mw": low,
                    "hosting_capacity_max_mw": high, "capacity_basis": basis, "value_status": status,
                    "remaining_capacity_mw": point if basis == "net_of_existing" else None, "censored": "none",
                    "constraining_metric": raw_why and _constraint(raw_why), "constraining_metric_raw": raw_why,
                    "record_date": _date(attributes[day]),
                }
            )  # fmt: skip
    return pl.DataFrame(rows, schema=SECTIONS.schema)


# --- what is measured ------------------------------------------------------------------------------


def _first(lake: Lake, rows: int) -> pl.DataFrame:
    return next(lake.batches(RAW_FEATURES, rows, **PARTITION))


def run_ours(folder: Path, sample: int) -> int:
    """As the pipeline does it: batches in threads."""
    config = pge()
    batches = open_lake(str(folder / "lake")).batches(RAW_FEATURES, BATCH_ROWS, **PARTITION)
    work = (partial(normalize, raw, config, config.layers[0], snapshot=SNAPSHOT) for raw in batches)
    return sum(done.fetched for done in in_order(work))


def run_loop(folder: Path, sample: int) -> int:
    raw = _first(open_lake(str(folder / "lake")), sample)
    return loop(raw, pge()).height // 2


def run_whole(folder: Path, sample: int) -> int:
    lake = open_lake(str(folder / "lake"))
    config = pge()
    with prepared_sections(config, SNAPSHOT, lake, scratch=folder / "scratch") as prepared:
        assert all(c.passed for c in prepared.report.checks(None) if c.blocking)
        prepared.commit(lake)
        return prepared.report.fetched


def run_equal(folder: Path, sample: int) -> int:
    """Raises where the loop's sections differ from ours."""
    config, raw = pge(), _first(open_lake(str(folder / "lake")), sample)
    ours = normalize(raw, config, config.layers[0], snapshot=SNAPSHOT).sections.drop("content_hash")
    order = ["resource", "feature_key"]
    assert_frame_equal(ours.sort(order), loop(raw, config).sort(order), rel_tol=1e-12, abs_tol=1e-12)
    return ours.height


RUNS: dict[str, Callable[[Path, int], int]] = {
    "loop": run_loop, "ours": run_ours, "whole": run_whole, "equal": run_equal,
}  # fmt: skip


def measure(name: str, folder: Path, sample: int) -> dict[str, float]:
    """Run one way in a process of its own; seconds and CPU without start-up, peak memory with it."""
    options = ["--run", name, "--folder", str(folder), "--sample", str(sample)]
    command = [sys.executable, "-m", "benchmarks.normalize", *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT_DIR)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run(name: str, folder: Path, sample: int) -> None:
    before, clock = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    rows = RUNS[name](folder, sample)
    seconds, after = time.perf_counter() - clock, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"rows": rows, "seconds": seconds, "cpu": cpu, "mb": after.ru_maxrss / 1024}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_300_000)
    parser.add_argument("--sample", type=int, default=20_000)
    parser.add_argument("--run", choices=RUNS)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.run:
        run(given.run, given.folder, given.sample)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder, given.rows)
        same = measure("equal", folder, given.sample)
        print(f"equal on {same['rows']:,.0f} sections of {given.sample:,} features\n")
        print(f"{'':34}{'features':>10}{'s':>8}{'CPU s':>8}{'rows/s':>10}{'peak MB':>9}{'ratio':>7}")
        told = {
            "loop": "loop over rows",
            "ours": "ours, normalize only",
            "whole": "ours, to committed sections",
        }
        peer = 0.0
        for key, title in told.items():
            got = measure(key, folder, given.sample)
            speed = got["rows"] / got["seconds"]
            peer = peer or speed
            cost = f"{got['seconds']:>8.1f}{got['cpu']:>8.1f}{speed:>10,.0f}{got['mb']:>9,.0f}"
            print(f"{title:34}{got['rows']:>10,.0f}{cost}{speed / peer:>6.1f}x")


if __name__ == "__main__":
    main()
