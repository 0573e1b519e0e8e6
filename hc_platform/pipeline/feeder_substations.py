"""records, sections and substations -> feeder_substations of one utility and snapshot.

What belongs here: what is compared with what, reviewed overrides, price nodes of the matched ones, the checks.
What does not: names, distances and scores (`geo.substations`).
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import polars as pl

from hc_platform.catalog.models import UtilityConfig
from hc_platform.checking import Check
from hc_platform.geo.names import FEEDER_NAME_PATTERN
from hc_platform.geo.substations import match_pricing_nodes, match_substations
from hc_platform.geo.tables import FEEDER_SUBSTATIONS
from hc_platform.hosting_capacity.tables import RECORDS
from hc_platform.lake.store import Lake
from hc_platform.pipeline.pieces import feeder_pieces
from hc_platform.pipeline.reference import reference, substations_of
from hc_platform.reference.reading import ReferenceDataError, opened
from hc_platform.reference.tables import PRICING_NODES
from hc_platform.settings import Settings

SUBSTATION_CHECKS: Final = {
    "every_feeder_stands": (True, "Each feeder has a row of rank 1, and no candidate stands twice."),
    "substations_are_known": (False, "Where a file of substations is configured, it has this utility's."),
    "feeders_are_matched": (False, "At least 8 of 10 feeders that tell a substation are matched for good."),
}
_ENOUGH: Final = 0.8
_M_PER_DEGREE: Final = 111_320.0
_KEY: Final = ("utility_code", "feeder_id_external")
_OVERRIDE: Final = ("utility_code", "feeder_id_external", "substation_id")


@dataclass(frozen=True)
class PreparedSubstations:
    """Rows waiting for their checks. `known`: substations of the utility; `placed`: of these, with coordinates;
    `configured`: a file of substations is named, so that this utility's should be in it.
    """

    rows: pl.DataFrame
    partition: dict[str, str]
    expected: int
    known: int
    placed: int
    configured: bool = False

    @property
    def best(self) -> pl.DataFrame:
        """The row of rank 1 of each feeder."""
        return self.rows.filter(pl.col("rank") == 1)

    def checks(self) -> list[Check]:
        """All of SUBSTATION_CHECKS, in their order."""
        best = self.best
        repeats = self.rows.height - self.rows.select("feeder_id_external", "rank").n_unique()
        named = best.filter(pl.col("name_used").is_not_null())
        hits = named.filter(pl.col("status") == "matched").height
        rate = hits / named.height if named.height and self.known else 1.0
        told = dict(best["status"].value_counts().iter_rows())
        none = (
            "none of this utility are known, by HC_SUBSTATIONS or a layer of its config"
            if self.configured
            else "not looked for: set HC_SUBSTATIONS to a file of substations"
        )
        return [
            Check(
                "every_feeder_stands",
                best.height == self.expected and not repeats,
                True,
                f"{best.height} of {self.expected} feeders, {repeats} rows repeat a rank",
            ),
            Check(
                "substations_are_known",
                self.known > 0 or not self.configured,
                False,
                f"{self.known}, of which {self.placed} have coordinates" if self.known else none,
            ),
            Check(
                "feeders_are_matched",
                rate >= _ENOUGH,
                False,
                f"{hits} of {named.height} feeders that tell a substation ({rate:.1%}); all: {told}",
                {"rate": rate},
            ),
        ]

    def commit(self, lake: Lake, run_id: str | None = None) -> None:
        """Replace the partition."""
        lake.replace(FEEDER_SUBSTATIONS, self.partition, self.rows, run_id=run_id)


def prepare_substations(
    config: UtilityConfig, snapshot: str, lake: Lake, settings: Settings
) -> PreparedSubstations:
    """Match every feeder of one utility and snapshot. Raises ReferenceDataError for overrides that cannot be."""
    code = config.utility_code
    partition = {"utility_code": code, "snapshot": snapshot}
    records = (
        lake.scan(RECORDS, **partition)
        .group_by(_KEY)
        .agg(pl.col("feeder_name", "substation_name").drop_nulls().min())
        .sort(_KEY)
        .collect()
    )
    stations = substations_of(config, lake, snapshot, settings)
    placed = stations.filter(pl.col("lat").is_not_null()).height
    known = stations.select(
        "substation_id", pl.lit(code).alias("utility_code"), "substation_name", "lon", "lat"
    )
    match = partial(
        match_substations,
        substations=known,
        overrides=overrides(settings.substation_overrides, code),
        feeder_name_pattern=FEEDER_NAME_PATTERN,
    )
    try:
        found = match(records)
        if placed:  # by name first: of the lines, only those at a candidate are needed
            at = known.filter(pl.col("lat").is_not_null()).select("substation_id", "lon", "lat")
            candidates = (
                found.select("feeder_id_external", "substation_id")
                .unique()
                .join(at.unique("substation_id"), on="substation_id")
            )
            found = match(_with_lines(records, candidates, lake, partition))
    except ValueError as error:  # an override that no longer fits
        raise ReferenceDataError(f"HC_SUBSTATION_OVERRIDES: {error}") from error
    rows = (
        found.join(records.rename({"substation_name": "published_substation"}), on=_KEY, how="left")
        .join(_nodes(known, reference(lake, PRICING_NODES, settings)), on="substation_id", how="left")
        .with_columns(snapshot=pl.lit(snapshot))
    )
    return PreparedSubstations(
        FEEDER_SUBSTATIONS.conform(rows),
        partition,
        records.height,
        stations.height,
        placed,
        bool(settings.substations),
    )


def overrides(path: Path | None, code: str) -> pl.DataFrame | None:
    """The reviewed matches of a utility: utility_code, feeder_id_external, substation_id (empty: none is right).

    Raises ReferenceDataError for a file that is not there or lacks a column.
    """
    if path is None:
        return None
    with opened("HC_SUBSTATION_OVERRIDES", str(path)) as file:
        rows = file.frame(*_OVERRIDE).select(_OVERRIDE)
    return rows.filter(pl.col("utility_code") == code)


def _with_lines(
    records: pl.DataFrame, candidates: pl.DataFrame, lake: Lake, partition: dict[str, str]
) -> pl.DataFrame:
    """A row for each published piece of a feeder that may be its nearest to a candidate, one for any other feeder.

    `candidates`: feeder_id_external, substation_id, lon, lat. Of the pieces of a feeder, all but a few are farther from
    the substation than another one surely is; so a utility's millions of lines are never held at once.
    """
    pair = ["feeder_id_external", "substation_id"]
    lower, upper = _bounds_m()
    kept = pl.DataFrame(
        schema={
            **dict.fromkeys(pair, pl.String),
            "geometry": pl.Binary,
            "lower": pl.Float64,
            "upper": pl.Float64,
        }
    )
    some = pl.DataFrame(schema={"feeder_id_external": pl.String, "geometry": pl.Binary})
    for piece in feeder_pieces(lake, **partition):
        # any piece at all says that the feeder has a place, so that one too far away is no candidate
        some = pl.concat([some, piece.select(some.columns)]).unique("feeder_id_external", keep="first")
        met = piece.join(candidates, on="feeder_id_external").with_columns(lower=lower, upper=upper)
        kept = pl.concat([kept, met.select(kept.columns)]).filter(
            pl.col("lower") <= pl.col("upper").min().over(pair)
        )
    pieces = pl.concat([some, kept.select(some.columns)]).unique()
    return records.join(pieces, on="feeder_id_external", how="left")


def _bounds_m() -> tuple[pl.Expr, pl.Expr]:
    """Metres that a piece in the box is at least and at most away from lon, lat; 3 in 100 are left for the ellipsoid."""
    turn = 360.0 * ((pl.col("bbox_west") + pl.col("bbox_east")) / 2 - pl.col("lon")).truediv(360.0).round()
    west, east = pl.col("bbox_west") - turn - pl.col("lon"), pl.col("bbox_east") - turn - pl.col("lon")
    south, north = pl.col("bbox_south") - pl.col("lat"), pl.col("bbox_north") - pl.col("lat")
    # a degree of longitude is longest at the end of the box that is nearest to the equator, shortest at the other
    low = pl.min_horizontal(*(pl.col(c).abs() for c in ("lat", "bbox_south", "bbox_north"))).radians().cos()
    high = pl.max_horizontal(*(pl.col(c).abs() for c in ("lat", "bbox_south", "bbox_north"))).radians().cos()
    least_x = pl.max_horizontal(west, -east, pl.lit(0.0)) * high
    least_y = pl.max_horizontal(south, -north, pl.lit(0.0))
    most_x = pl.max_horizontal(west.abs(), east.abs()) * low
    most_y = pl.max_horizontal(south.abs(), north.abs())
    lower = (least_x**2 + least_y**2).sqrt() * _M_PER_DEGREE * 0.97
    upper = (most_x**2 + most_y**2).sqrt() * _M_PER_DEGREE * 1.03
    return lower, upper


def _nodes(known: pl.DataFrame, nodes: pl.DataFrame) -> pl.DataFrame:
    """The price node of each substation that has one at hand."""
    if nodes.is_empty() or known.is_empty():
        return pl.DataFrame(schema={"substation_id": pl.String})
    found = match_pricing_nodes(known, nodes.select("node_id", "node_name", "lon", "lat"))
    return (
        found.filter(pl.col("rank") == 1)
        .unique("substation_id", keep="first", maintain_order=True)  # one with two names
        .join(nodes.select("node_id", "stands_in"), on="node_id")
        .select(
            "substation_id",
            pricing_node_id="node_id",
            pricing_node_m="distance_m",
            pricing_node_status="status",
            pricing_node_stands_in="stands_in",
        )
    )
