"""Snapshots: the month under which a capture stands, and which snapshot holds a utility's rows.

What belongs here: naming snapshots and finding them in the lake. What does not: fetching (`fetch`).
"""

import json
from datetime import datetime

import polars as pl

from hc_platform.catalog.fields import Cadence
from hc_platform.hosting_capacity.tables import RAW_FEATURES, SOURCE_LAYERS
from hc_platform.lake.store import Lake
from hc_platform.sources.contract import KnownLayer
from hc_platform.sources.vintage import Period

_MONTHS: dict[Cadence, int] = {"monthly": 1, "quarterly": 3, "annual": 12}


def snapshot_at(at: datetime, cadence: Cadence) -> str:
    """The snapshot (YYYY-MM) a capture at that time belongs to; a quarter or year is named by its first month."""
    months = _MONTHS[cadence]
    return f"{at.year:04d}-{(at.month - 1) // months * months + 1:02d}"


def period_of(snapshot: str, cadence: Cadence) -> Period:
    """The days that a snapshot covers. Raises ValueError where the cadence has no snapshot of that name."""
    first = datetime.strptime(snapshot, "%Y-%m")  # noqa: DTZ007 - a month has no time zone
    if snapshot_at(first, cadence) != snapshot:
        raise ValueError(f"{snapshot} is no {cadence} snapshot; {snapshot_at(first, cadence)} is")
    return Period.of(first.year, first.month, months=_MONTHS[cadence])


def layers_of(lake: Lake, code: str, snapshot: str) -> pl.DataFrame:
    """SOURCE_LAYERS rows of one utility and snapshot."""
    return lake.scan(SOURCE_LAYERS, utility_code=code, snapshot=snapshot).collect()


def raw_snapshots(lake: Lake, code: str) -> list[str]:
    """The snapshots of a utility that hold raw rows, oldest first."""
    return sorted(p["snapshot"] for p in lake.partitions(RAW_FEATURES) if p["utility_code"] == code)


def newest_pull(lake: Lake, code: str, *, until: str) -> pl.DataFrame:
    """SOURCE_LAYERS rows of the newest snapshot up to `until` that holds raw rows; empty if there is none."""
    held = [s for s in raw_snapshots(lake, code) if s <= until]
    return layers_of(lake, code, held[-1]) if held else SOURCE_LAYERS.empty()


def known_layers(pulled: pl.DataFrame) -> dict[str, KnownLayer]:
    """What each layer was when it was pulled, by label, from SOURCE_LAYERS rows."""
    return {
        row["layer"]: KnownLayer(
            (json.loads(row["metadata_json"]) if row["metadata_json"] else {}).get("name"),
            row["layer_index"],
            json.loads(row["fields_json"]),
        )
        for row in pulled.iter_rows(named=True)
    }
