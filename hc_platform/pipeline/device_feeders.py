"""devices, sections, records and territories -> device_feeders, all utilities together.

What belongs here: which lines are near any charger, what room the matched feeder has, the checks. What does not: who
is a candidate and in which order (`geo.devices`), or the registry of chargers (`charging`).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import numpy as np
import polars as pl
import shapely

from hc_platform.catalog import Catalog
from hc_platform.charging.tables import DEVICES
from hc_platform.checking import Check
from hc_platform.geo.areas import areas_of_points
from hc_platform.geo.devices import match_devices
from hc_platform.geo.tables import DEVICE_FEEDERS
from hc_platform.hosting_capacity.tables import RECORDS, SECTIONS
from hc_platform.lake.store import Lake
from hc_platform.pipeline.near import M_PER_DEGREE, newest_sections
from hc_platform.pipeline.pieces import BATCH_ROWS, SERVED
from hc_platform.pipeline.reference import reference
from hc_platform.reference.reading import opened
from hc_platform.reference.tables import COUNTIES, UTILITY_TERRITORIES
from hc_platform.settings import Settings

DEVICE_CHECKS: Final = {
    "every_device_stands": (True, "Each active or inactive charger has a row of rank 1, and no rank twice."),
    "devices_have_a_place": (False, "At least 95 of 100 chargers have coordinates."),
    "utilities_agree": (False, "Where the place names a utility for good, the registry has that one."),
}
NEAREST_M: Final = 3_000.0
"""How far a territory's nearest published line is looked for: farther away it tells nothing of a place."""
_FEEDER: Final = ("utility_code", "snapshot", "feeder_id_external")
_LINE: Final = {"utility_code": pl.String, "feeder_id_external": pl.String, "geometry": pl.Binary}


def prepare_devices(lake: Lake, catalog: Catalog, settings: Settings, now: datetime) -> pl.DataFrame:
    """DEVICE_FEEDERS rows of every registered charger, against the newest snapshot of every utility."""
    devices = lake.scan(DEVICES).select("device_id", "lat", "lon").sort("device_id").collect()
    newest = newest_sections(lake)
    parts = [pl.DataFrame(schema=_LINE), *lines_near_points(lake, newest, devices, NEAREST_M)]
    territories = reference(lake, UTILITY_TERRITORIES, settings).filter(pl.col("geometry").is_not_null())
    utilities = pl.DataFrame(
        [(c.utility_code, c.eia_id, c.utility_name) for c in catalog.values()],
        schema={"utility_code": pl.String, "eia_id": pl.Int64, "configured_name": pl.String},
        orient="row",
    )
    found = match_devices(
        devices,
        pl.concat(parts),
        territories.select("eia_id", "geometry", name="utility_name") if territories.height else None,
        utilities=utilities.select("utility_code", "eia_id"),
        confirmed=confirmed_by_county(devices, lake, settings),
        nearest_max_m=NEAREST_M,
    )
    named = (
        found.join(utilities.drop("eia_id"), on="utility_code", how="left", maintain_order="left")
        .with_columns(
            pl.col("eia_id").cast(pl.Int64),
            utility_name=pl.coalesce("territory_name", "configured_name"),
            snapshot=pl.col("utility_code").replace_strict(newest, default=None, return_dtype=pl.String),
            matched_at=pl.lit(now),
        )
        .drop("territory_name", "configured_name")
    )
    return DEVICE_FEEDERS.conform(
        named.join(_headroom(lake, named), on=_FEEDER, how="left", maintain_order="left")
    )


def check_devices(rows: pl.DataFrame, devices: pl.DataFrame, catalog: Catalog) -> list[Check]:
    """All of DEVICE_CHECKS, in their order. `devices`: DEVICES rows."""
    best = rows.filter(pl.col("rank") == 1)
    repeats = rows.height - rows.select("device_id", "rank").n_unique()
    placed = best.filter(pl.col("method") != "no_place").height
    rate = placed / best.height if best.height else 1.0
    sure = best.filter((pl.col("status") == "matched") & pl.col("utility_code").is_not_null())
    both = sure.join(devices.select("device_id", "utility_id"), on="device_id").filter(
        pl.col("utility_id").is_in(list(catalog))  # what tariffs call a utility need not be a config's code
    )
    wrong = both.filter(pl.col("utility_id") != pl.col("utility_code"))["device_id"].sort().to_list()
    told = dict(best["status"].value_counts().iter_rows())
    return [
        Check(
            "every_device_stands",
            best.height == devices.height and not repeats,
            True,
            f"{best.height} of {devices.height} chargers, {repeats} rows repeat a rank",
        ),
        Check("devices_have_a_place", rate >= 0.95, False, f"{placed} of {best.height} ({rate:.1%}); {told}"),
        Check(
            "utilities_agree",
            not wrong,
            False,
            f"{len(wrong)} of {both.height} are registered at another utility: {', '.join(wrong[:10])}"
            if wrong
            else f"all {both.height} that can be compared",
        ),
    ]


def lines_near_points(
    lake: Lake, newest: dict[str, str], points: pl.DataFrame, radius_m: float
) -> Iterator[pl.DataFrame]:
    """The published geometries whose bounding box comes within so many metres of any point (lat, lon), batch by batch.

    Columns utility_code, feeder_id_external (record_key where there is none) and geometry. Boxes a little too large are
    asked, so that none is missed.
    """
    lat, lon = (
        points.filter(pl.col("lat").is_finite() & pl.col("lon").is_finite())[c] for c in ("lat", "lon")
    )
    if lat.is_empty():
        return
    y = np.concatenate([lat.to_numpy()] * 3)
    x = np.concatenate([lon.to_numpy() + turn for turn in (0.0, 360.0, -360.0)])  # over the antimeridian
    tree = shapely.STRtree(shapely.points(x, y))
    high = radius_m / M_PER_DEGREE
    for code, snapshot in sorted(newest.items()):
        for batch in lake.batches(SECTIONS, BATCH_ROWS, utility_code=code, snapshot=snapshot):
            rows = batch.filter(SERVED & pl.col("bbox_west").is_not_null())
            west, south, east, north = (
                rows[f"bbox_{side}"].to_numpy() for side in ("west", "south", "east", "north")
            )
            pole = np.minimum(np.maximum(np.abs(south), np.abs(north)) + high, 89.9)
            wide = high / np.cos(np.radians(pole))
            boxes = shapely.box(west - wide, south - high, east + wide, north + high)
            hit, _ = tree.query(boxes)
            if len(hit):
                met = rows[np.unique(hit)]
                yield met.select(
                    "utility_code",
                    pl.coalesce("feeder_id_external", "record_key").alias("feeder_id_external"),
                    "geometry",
                ).unique(maintain_order=True)


def confirmed_by_county(devices: pl.DataFrame, lake: Lake, settings: Settings) -> pl.DataFrame | None:
    """device_id and eia_id of every utility that EIA-861 names for the charger's county; None if not configured."""
    if settings.county_utilities is None:
        return None
    with opened("HC_COUNTY_UTILITIES", str(settings.county_utilities)) as file:
        named = file.frame("County_FIPS", "Utility_Number").select(
            area_id=pl.col("County_FIPS").str.zfill(5), eia_id=pl.col("Utility_Number").cast(pl.Int64)
        )
    counties = reference(lake, COUNTIES, settings).filter(pl.col("geometry").is_not_null())
    hits = areas_of_points(
        devices.select("lon", "lat"), counties.select(area_id="county_fips", geometry="geometry")
    )
    placed = hits.with_columns(devices["device_id"].gather(hits["row"]))
    return placed.join(named.unique(), on="area_id").select("device_id", "eia_id").unique()


def _headroom(lake: Lake, found: pl.DataFrame) -> pl.DataFrame:
    """Name of each matched feeder and what remains of it, per resource; NULL where nothing says."""
    wanted = found.select(_FEEDER).drop_nulls().unique()
    remaining = pl.col("remaining_capacity_mw")
    return (
        lake.scan(RECORDS)
        .filter(pl.col("utility_code").is_in(wanted["utility_code"].unique().implode()))
        .join(wanted.lazy(), on=_FEEDER, how="semi")
        .group_by(_FEEDER)
        .agg(
            pl.col("feeder_name").drop_nulls().min(),
            headroom_load_mw=remaining.filter(pl.col("resource") == "load").first(),
            headroom_generation_mw=remaining.filter(pl.col("resource") == "generation").first(),
        )
        .collect()
    )
