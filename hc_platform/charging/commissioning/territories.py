"""Which utility's territory a point lies in, by polygons with EIA ids; which utilities a county has.

What belongs here: looking up points in GeoParquet files, and EIA-861's list of utilities by county. What does not:
choosing among what is found.
"""

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow.parquet as pq
import shapely
from shapely.affinity import scale

from hc_platform.charging.commissioning.model import Candidate

FEDERAL_WHOLESALERS: Final = frozenset({1738, 27000})
"""EIA ids of power marketing administrations (Bonneville, Western Area) whose territories are drawn over others'."""

_WGS84 = ({"authority": "EPSG", "code": 4326}, {"authority": "OGC", "code": "CRS84"})
_M_PER_DEGREE = 111_320.0


def utilities_at(lat: float, lon: float, territories: Path, *, margin_m: float = 500.0) -> list[Candidate]:
    """The utilities whose territory holds the point (degrees, WGS 84) or comes within `margin_m` metres of it, by name.

    `territories`: GeoParquet in WGS 84 with columns eia_id, name and, where it has it, segment (who owns it). The
    margin is there because published borders are simplified: near one, both sides are told. Left out are the
    FEDERAL_WHOLESALERS: they serve no homes, though their areas cover half the West.
    Raises FileNotFoundError or ValueError naming the file and what is wrong with it.
    """
    found: dict[int, Candidate] = {}
    for row in _rows_at(lat, lon, territories, ("eia_id", "name"), margin_m):
        eia_id = int(row["eia_id"])
        if eia_id in FEDERAL_WHOLESALERS:
            continue
        found[eia_id] = Candidate(
            eia_id=eia_id,
            name=row["name"],
            investor_owned="INVESTOR" in (row.get("segment") or ""),
            marketer="AGGREGATOR" in (row.get("segment") or ""),
            sources=(
                f"territory at or within {margin_m:.0f} m of {lat:.4f}, {lon:.4f} ({territories.name})",
            ),
        )
    return sorted(found.values(), key=lambda one: one.name)


def utilities_of_county(lat: float, lon: float, counties: Path, service_territory: Path) -> list[Candidate]:
    """The utilities that EIA-861 names for the point's county, by name: many, for a county has many.

    `counties`: GeoParquet in WGS 84 with column fips. `service_territory`: CSV with columns Utility_Number,
    Utility_Name, County_FIPS, County_Name, State_Name. Raises as `utilities_at`.
    """
    codes = [row["fips"] for row in _rows_at(lat, lon, counties, ("fips",), 0.0)]
    needed = {"Utility_Number", "Utility_Name", "County_FIPS", "County_Name", "State_Name"}
    rows = read_table(service_territory, needed).filter(pl.col("County_FIPS").str.zfill(5).is_in(codes))
    found = {
        int(row["Utility_Number"]): Candidate(
            eia_id=int(row["Utility_Number"]),
            name=row["Utility_Name"],
            sources=(f"{row['County_Name']}, {row['State_Name']} ({service_territory.name})",),
        )
        for row in rows.iter_rows(named=True)
    }
    return sorted(found.values(), key=lambda one: one.name)


def read_table(path: Path, needed: set[str]) -> pl.DataFrame:
    """A CSV file's columns as text.

    Raises FileNotFoundError, or ValueError naming the columns that it lacks.
    """
    if not path.is_file():
        raise FileNotFoundError(f"the file {path.name} is not there: give the path of EIA-861's table as CSV")
    rows = pl.read_csv(path, infer_schema=False)
    if lacking := sorted(needed - set(rows.columns)):
        raise ValueError(
            f"{path.name} lacks the columns {', '.join(lacking)}: EIA-861's table as CSV has them"
        )
    return rows


def _rows_at(
    lat: float, lon: float, path: Path, needed: tuple[str, ...], margin_m: float
) -> list[dict[str, Any]]:
    if not path.is_file():
        raise FileNotFoundError(f"the file {path.name} is not there: give the path of a GeoParquet file")
    rows, tree = _shapes(path, path.stat().st_mtime_ns)
    if lacking := [name for name in needed if name not in rows.columns]:
        raise ValueError(f"{path.name} lacks the columns {', '.join(lacking)}")
    place: shapely.Geometry = shapely.Point(lon, lat)
    if margin_m > 0:
        # A degree of longitude is shorter than one of latitude by the latitude's cosine.
        east = margin_m / (_M_PER_DEGREE * max(math.cos(math.radians(lat)), 0.01))
        place = scale(place.buffer(1), east, margin_m / _M_PER_DEGREE)
    return rows[sorted(tree.query(place, predicate="intersects").tolist())].to_dicts()


@lru_cache(maxsize=4)
def _shapes(path: Path, changed_ns: int) -> tuple[pl.DataFrame, shapely.STRtree]:
    """The file's plain columns and an index of its shapes, kept until the file changes."""
    try:
        table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {})[b"geo"])
        shape = about["primary_column"]
        column = about["columns"][shape]
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path.name} is no GeoParquet file: {error}") from None
    if column.get("encoding") != "WKB" or not _is_wgs84(column.get("crs")):
        raise ValueError(f"{path.name} must have its shapes as WKB in WGS 84 (EPSG:4326)")
    shapes = shapely.from_wkb([bytes(value) if value else None for value in table[shape].to_pylist()])
    frame = pl.from_arrow(table.drop_columns([shape]))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 a table always gives one
    return frame, shapely.STRtree(shapes)


def _is_wgs84(crs: Mapping[str, Any] | None) -> bool:
    return crs is None or crs.get("id") in _WGS84
