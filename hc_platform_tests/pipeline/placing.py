"""A lake with hand-made sections and records at known places, for the tests of the spatial joins."""

from typing import Any

import polars as pl
import shapely

from hc_platform.catalog.models import UtilityConfig
from hc_platform.geo.geometry import describe
from hc_platform.hosting_capacity.tables import RECORDS, SECTIONS
from hc_platform.lake.store import Lake
from hc_platform_tests.hosting_capacity.making import SNAPSHOT, config

CODE = "test"
PARTITION = {"utility_code": CODE, "snapshot": SNAPSHOT}


def utility(**keys: Any) -> UtilityConfig:
    return config({"name": "lines", "field_map": {"F": "feeder_id_external"}}, **{"states": ["KS"], **keys})


def section(feeder: str | None, shape: shapely.Geometry | None, **more: Any) -> dict[str, Any]:
    """One SECTIONS row."""
    key = more.pop("key", f"{feeder}-{hash(shapely.to_wkb(shape)) if shape else 0}")
    return {
        "resource": "generation",
        "layer": "lines",
        "record_key": key,
        "feature_key": key,
        "grain": "section",
        "feeder_id_external": feeder,
        "censored": "none",
        "value_status": "published",
        "geometry": None if shape is None else shapely.to_wkb(shape),
        **more,
    }


def record(feeder: str, **more: Any) -> dict[str, Any]:
    """One RECORDS row."""
    base = {"resource": "generation", "feeder_id_external": feeder, "grain": "feeder"}
    return {**base, "censored": "none", "value_status": "published", **more}


def fill(
    lake: Lake,
    sections: list[dict[str, Any]],
    records: list[dict[str, Any]] | None = None,
    partition: dict[str, str] = PARTITION,
) -> None:
    """Commit the sections, and records: those given, else one for each feeder (or record key) and resource."""
    fixed = {k: pl.lit(v) for k, v in partition.items()}
    rows = pl.DataFrame(sections, schema={k: SECTIONS.schema[k] for k in {k for s in sections for k in s}})
    placed = pl.concat([rows.drop("geometry"), describe(rows["geometry"])], how="horizontal")
    lake.replace(SECTIONS, partition, SECTIONS.conform(placed.with_columns(**fixed)))
    if records is None:
        pairs = dict.fromkeys((s["feeder_id_external"] or s["record_key"], s["resource"]) for s in sections)
        records = [record(feeder, resource=resource) for feeder, resource in pairs]
    made = pl.DataFrame(records, schema={k: RECORDS.schema[k] for k in {k for r in records for k in r}})
    lake.replace(RECORDS, partition, RECORDS.conform(made.with_columns(**fixed)))
