"""Whose grid a device is on: the published line that it stands by, else the territories that it stands in.

What belongs here: candidates for a device's feeder and utility, their order, and when one of them may be called the
answer. What does not: measuring (`lines`), containment (`areas`), the capacity of the matched feeder.

The thresholds are proposals of this project: the nearest published line within 300 m decides; it is ambiguous where
lines of another utility are within 300 m too, or another feeder's line is less than 25 m farther. Territory polygons
alone cannot name a utility (more than half of the ZIP centres lie in two or more), so several of them are ambiguous,
always.
"""

from typing import Final

import numpy as np
import polars as pl
import shapely

from hc_platform.geo.areas import areas_of_points
from hc_platform.geo.lines import LineIndex
from hc_platform.geo.shapes import read_areas

LINE_MAX_M: Final = 300.0
CLEAR_GAP_M: Final = 25.0
NEAREST_FEEDER_MAX_M: Final = 50_000.0

_FEEDER: Final = ("utility_code", "feeder_id_external")
_COLUMNS: Final = (
    "device_id",
    "rank",
    "utility_code",
    "feeder_id_external",
    "eia_id",
    "territory_name",
    "method",
    "distance_m",
    "confirmed",
    "n_candidates",
    "runner_up_gap_m",
    "status",
)


class FeederLines:
    """Published lines ready to be asked many times: a feeder in many pieces, or in several resources, is one."""

    def __init__(self, lines: pl.DataFrame) -> None:
        """`lines`: utility_code, feeder_id_external (NULL: the utility alone is known), geometry (WKB, EPSG:4326)."""
        self.feeders = lines.select(*_FEEDER)
        code = self.feeders.select(pl.struct(_FEEDER).rank("dense")).to_series()
        self.index = LineIndex(code, lines["geometry"])

    def within(self, points: pl.DataFrame, radius_m: float) -> pl.DataFrame:
        """Feeders within reach of each point (lon, lat): query, utility_code, feeder_id_external, distance_m."""
        near = self.index.within(points["lon"], points["lat"], radius_m)
        return pl.concat([near.select("query", "distance_m"), self.feeders[near["row"]]], how="horizontal")


def match_devices(
    devices: pl.DataFrame,
    lines: pl.DataFrame | FeederLines,
    territories: pl.DataFrame | None = None,
    *,
    utilities: pl.DataFrame | None = None,
    confirmed: pl.DataFrame | None = None,
    max_m: float = LINE_MAX_M,
    clear_gap_m: float = CLEAR_GAP_M,
    nearest_max_m: float = NEAREST_FEEDER_MAX_M,
) -> pl.DataFrame:
    """Every candidate feeder or territory of every device, best first; a device without one has a row that says so.

    `devices`: device_id, lat, lon. `lines`: utility_code, feeder_id_external, geometry, or `FeederLines` kept from
    before. `territories`: eia_id, name, geometry; None: not at hand, only lines are asked. `utilities`: utility_code,
    eia_id; joins lines with territories. `confirmed`: device_id, eia_id, the utilities that another source (EIA-861
    by county) names for the place.

    Where a line lies within `max_m`, the candidates are the feeders with such a line, by distance. Else they are the
    territories that hold the point: those confirmed first, then by distance to that utility's nearest published line
    (within `nearest_max_m`), then the smaller area first, since the polygons are drawn too wide rather than too narrow.

    Columns: device_id, rank (1 is the best: keep it alone for one row a device), utility_code, feeder_id_external
    (NULL for a territory), eia_id, territory_name, method (line | territory | none | no_place), distance_m (to the
    line, or to the utility's nearest), confirmed (NULL where `confirmed` was not given), n_candidates,
    runner_up_gap_m (rank 2 less rank 1, NULL unless both have a distance), status (matched | ambiguous | unmatched).
    """
    known = lines if isinstance(lines, FeederLines) else FeederLines(lines)
    eia = _eia(utilities)
    by_line = (
        known.within(devices, max_m)
        .join(eia, on="utility_code", how="left")
        .with_columns(method=pl.lit("line"))
    )
    others = pl.DataFrame({"query": range(devices.height)}, schema={"query": pl.Int64})
    others = others.join(by_line, on="query", how="anti")
    found = [by_line]
    if territories is not None and others.height:
        found.append(
            _by_territory(devices, others["query"], known, territories, eia, confirmed, nearest_max_m)
        )
    every = pl.concat(found, how="diagonal_relaxed")
    missing = {"territory_name": pl.String, "confirmed": pl.Boolean, "area": pl.Float64}
    every = every.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in missing.items() if name not in every.columns
    )
    return _decided(devices, every, clear_gap_m)


def _eia(utilities: pl.DataFrame | None) -> pl.DataFrame:
    if utilities is None:
        return pl.DataFrame(schema={"utility_code": pl.String, "eia_id": pl.String})
    pairs = utilities.select("utility_code", pl.col("eia_id").cast(pl.String)).drop_nulls()
    return pairs.unique("utility_code", keep="first", maintain_order=True)


def _by_territory(
    devices: pl.DataFrame,
    queries: pl.Series,
    known: FeederLines,
    territories: pl.DataFrame,
    eia: pl.DataFrame,
    confirmed: pl.DataFrame | None,
    nearest_max_m: float,
) -> pl.DataFrame:
    """Territories that hold the devices without a line at hand, with what ranks them."""
    points = devices[queries].select("lon", "lat")
    areas = territories.select(geometry="geometry").with_columns(area_id=pl.int_range(territories.height))
    hits = areas_of_points(points, areas)
    at = hits["area_id"]
    held = pl.DataFrame(
        {
            "query": queries.gather(hits["row"]),
            "eia_id": territories["eia_id"].cast(pl.String).gather(at),
            "territory_name": territories["name"].gather(at),
            "area": _sizes(territories["geometry"]).gather(at),
        }
    ).unique(["query", "eia_id", "territory_name"], maintain_order=True)
    near = known.within(points, nearest_max_m)
    nearest = (
        near.with_columns(query=queries.gather(near["query"]))
        .join(eia, on="utility_code")
        .group_by("query", "eia_id")
        .agg(pl.col("distance_m", "utility_code").sort_by("distance_m").first())
    )
    held = held.join(nearest, on=["query", "eia_id"], how="left").join(
        # an EIA id of two configs (a company's two maps) does not say which of them
        eia.rename({"utility_code": "of_eia"}).filter(~pl.col("eia_id").is_duplicated()),
        on="eia_id",
        how="left",
    )
    held = held.with_columns(utility_code=pl.coalesce("utility_code", "of_eia"), method=pl.lit("territory"))
    if confirmed is None:
        return held.drop("of_eia")
    names = confirmed.select("device_id", pl.col("eia_id").cast(pl.String), confirmed=pl.lit(True)).unique()
    return (
        held.with_columns(device_id=devices["device_id"].gather(held["query"]))
        .join(names, on=["device_id", "eia_id"], how="left")
        .with_columns(pl.col("confirmed").fill_null(False))
        .drop("of_eia", "device_id")
    )


def _sizes(geometry: pl.Series) -> pl.Series:
    """Size of each area, only to be compared: square degrees shrunk by the cosine of its middle latitude."""
    shapes = read_areas(geometry)
    bounds = shapely.bounds(shapes)
    return pl.Series("area", shapely.area(shapes) * np.cos(np.radians((bounds[:, 1] + bounds[:, 3]) / 2)))


def _decided(devices: pl.DataFrame, every: pl.DataFrame, clear_gap_m: float) -> pl.DataFrame:
    """Candidates ranked and judged, and a row for each device without any."""
    order = [
        pl.col("confirmed").fill_null(False).not_(),
        pl.col("distance_m"),
        pl.col("area"),
        pl.col("utility_code"),
        pl.col("feeder_id_external"),
        pl.col("eia_id"),
    ]
    several = pl.col("utility_code").n_unique().over("query") > 1
    line = pl.col("method") == "line"
    ranked = (
        every.sort("query", *order, nulls_last=True)
        .with_columns(
            rank=pl.int_range(1, pl.len() + 1).over("query"),
            n_candidates=pl.len().over("query").cast(pl.Int64),
            runner_up_gap_m=(
                pl.col("distance_m").get(1, null_on_oob=True) - pl.col("distance_m").first()
            ).over("query"),
        )
        .with_columns(
            status=pl.when(line & (several | (pl.col("runner_up_gap_m") < clear_gap_m).fill_null(False)))
            .then(pl.lit("ambiguous"))
            .when(line.not_() & (pl.col("n_candidates") > 1))
            .then(pl.lit("ambiguous"))
            .otherwise(pl.lit("matched"))
        )
    )
    placed = pl.col("lat").is_between(-90.0, 90.0) & pl.col("lon").is_finite()
    lonely = (
        devices.with_columns(query=pl.int_range(pl.len()))
        .join(ranked, on="query", how="anti")
        .select(
            "query",
            rank=pl.lit(1, pl.Int64),
            method=pl.when(placed.fill_null(False)).then(pl.lit("none")).otherwise(pl.lit("no_place")),
            n_candidates=pl.lit(0, pl.Int64),
            status=pl.lit("unmatched"),
        )
    )
    both = pl.concat([ranked, lonely], how="diagonal_relaxed").sort("query", "rank")
    return both.with_columns(device_id=devices["device_id"].gather(both["query"])).select(_COLUMNS)
