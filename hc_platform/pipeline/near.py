"""Published lines near a place, out of the lake: what `hc near`, `hc devices place` and the API ask.

What belongs here: choosing the rows to read, and what is said of each feeder found. What does not: distances
(`geo.nearby`).
"""

import math
from typing import Final

import polars as pl

from hc_platform.geo.nearby import nearby
from hc_platform.hosting_capacity.tables import RECORDS, SECTIONS
from hc_platform.lake.store import Lake
from hc_platform.pipeline.pieces import SERVED

SERVED_M: Final = 300.0
"""A published line no farther than this says whose grid a place is on (research: api_map_geodata.md, section 1)."""
M_PER_DEGREE: Final = 110_000.0  # of latitude, and of longitude at the equator: a little less than the least


def feeders_near(lake: Lake, lat: float, lon: float, radius_km: float) -> pl.DataFrame:
    """Every feeder with a published line within so many km of a place (degrees, EPSG:4326), nearest first.

    Of each utility's newest snapshot. Columns: utility_code, snapshot, feeder_id_external (what has no feeder keeps its
    record_key), feeder_name, distance_m (to the line itself), near_lat, near_lon, and remaining_load_mw,
    remaining_generation_mw, NULL where not known. Only rows whose bounding box meets the circle are read.
    Raises ValueError for what is no place on earth.
    """
    there = _partitions(newest_sections(lake))
    if there is None:
        return _FOUND
    lines = (
        lake.scan(SECTIONS)
        .filter(there & _meets(lat, lon, radius_km * 1000.0) & SERVED)
        .select(
            "utility_code",
            "snapshot",
            pl.coalesce("feeder_id_external", "record_key").alias("feeder_id_external"),
            "geometry",
        )
        .unique()
        .collect()
        .with_columns(id=pl.struct("utility_code", "feeder_id_external").rank("dense"))
        .sort("id")
    )
    found = nearby(lines, lat, lon, radius_km)
    if found.is_empty():
        return _FOUND
    records = _records(lake, there, found)
    named = found.join(
        records, on=["utility_code", "snapshot", "feeder_id_external"], how="left", maintain_order="left"
    )
    return named.select(_FOUND.columns)


def utility_near(lake: Lake, lat: float, lon: float) -> list[tuple[str, str, float]]:
    """(utility_code, feeder, distance in metres) of every feeder with a line within SERVED_M, nearest first."""
    found = feeders_near(lake, lat, lon, SERVED_M / 1000.0)
    shown = pl.coalesce("feeder_name", "feeder_id_external")
    return list(found.select("utility_code", shown, "distance_m").iter_rows())


def newest_sections(lake: Lake) -> dict[str, str]:
    """Each utility's newest snapshot that has sections."""
    newest: dict[str, str] = {}
    for held in lake.partitions(SECTIONS):
        code, snapshot = held["utility_code"], held["snapshot"]
        newest[code] = max(snapshot, newest.get(code, snapshot))
    return newest


def _partitions(newest: dict[str, str]) -> pl.Expr | None:
    each = [(pl.col("utility_code") == c) & (pl.col("snapshot") == s) for c, s in sorted(newest.items())]
    return pl.any_horizontal(each) if each else None


def _meets(lat: float, lon: float, radius_m: float) -> pl.Expr:
    """The bounding box surely meets the circle if any part of the line does; also across the antimeridian."""
    high = radius_m / M_PER_DEGREE
    nearest_pole = abs(lat) + high
    wide = 360.0 if nearest_pole >= 89.0 else high / math.cos(math.radians(nearest_pole))
    rows = (pl.col("bbox_south") <= lat + high) & (pl.col("bbox_north") >= lat - high)
    turns = [
        (pl.col("bbox_west") <= lon + wide + turn) & (pl.col("bbox_east") >= lon - wide + turn)
        for turn in (0.0, 360.0, -360.0)
    ]
    return rows & pl.any_horizontal(turns)


def _records(lake: Lake, there: pl.Expr, found: pl.DataFrame) -> pl.DataFrame:
    """One row a feeder found: its name, and what remains of it for load and for generation."""
    of = ("utility_code", "snapshot", "feeder_id_external")
    wanted = found.select(of[2]).unique().lazy()
    return (
        lake.scan(RECORDS)
        .filter(there)
        .select(*of, "resource", "feeder_name", "remaining_capacity_mw")
        .join(wanted, on=of[2], how="semi")
        .group_by(of)
        .agg(
            pl.col("feeder_name").drop_nulls().min(),
            **{
                f"remaining_{resource}_mw": pl.col("remaining_capacity_mw")
                .filter(pl.col("resource") == resource)
                .first()
                for resource in ("load", "generation")
            },
        )
        .collect()
    )


_FOUND: Final = pl.DataFrame(
    schema={
        "utility_code": pl.String,
        "snapshot": pl.String,
        "feeder_id_external": pl.String,
        "feeder_name": pl.String,
        "distance_m": pl.Float64,
        "near_lat": pl.Float64,
        "near_lon": pl.Float64,
        "remaining_load_mw": pl.Float64,
        "remaining_generation_mw": pl.Float64,
    }
)
