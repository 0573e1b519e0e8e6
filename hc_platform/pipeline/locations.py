"""sections and records -> feeder_locations of one utility and snapshot.

What belongs here: shares of counties and states, the midpoint, the checks. What does not: which lines stand for a
feeder (`pieces`), its grid region (`grid`), joins with outlines (`geo.areas`).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from hc_platform.catalog.models import UtilityConfig
from hc_platform.checking import Check
from hc_platform.geo.areas import midpoints, shares_of_lines
from hc_platform.geo.tables import FEEDER_LOCATIONS
from hc_platform.hosting_capacity.tables import RECORDS
from hc_platform.lake.store import Lake
from hc_platform.pipeline.grid import areas_at_middle, grid_sources, name_grid
from hc_platform.pipeline.pieces import feeder_pieces
from hc_platform.pipeline.reference import reference
from hc_platform.reference.tables import COUNTIES
from hc_platform.settings import Settings

LOCATION_CHECKS: Final = {
    "every_feeder_stands_once": (True, "One row for each feeder of hosting_capacity_records."),
    "feeders_are_located": (False, "At least 95 of 100 feeders with a geometry lie in a county."),
    "states_are_the_utilitys": (False, "At least 95 of 100 located feeders lie in a state of the config."),
    "authorities_agree": (False, "EIA's table, the config, outlines and county name the same authority."),
}
_ENOUGH: Final = 0.95
_SHARE = {
    "feeder_id_external": pl.String,
    "county_fips": pl.String,
    "length_m": pl.Float64,
    "share": pl.Float64,
}
_MIDDLE = {"feeder_id_external": pl.String, "lon": pl.Float64, "lat": pl.Float64, "length_km": pl.Float64}


@dataclass(frozen=True)
class PreparedLocations:
    """Rows waiting for their checks. `with_geometry`: feeders that published any."""

    rows: pl.DataFrame
    partition: dict[str, str]
    expected: int
    with_geometry: int
    states: tuple[str, ...]

    def checks(self) -> list[Check]:
        """All of LOCATION_CHECKS, in their order."""
        rows = self.rows
        distinct = rows["feeder_id_external"].n_unique()
        located = rows.filter(pl.col("state").is_not_null())
        at_home = located.filter(pl.col("state").is_in(self.states)).height
        doubtful = rows.filter(~pl.col("authorities_agree"))
        said = doubtful["authorities_said"].value_counts(sort=True).head(3).rows()
        return [
            Check(
                "every_feeder_stands_once",
                rows.height == distinct == self.expected,
                True,
                f"{rows.height} rows of {distinct} feeders, {self.expected} in the records",
            ),
            rate_check("feeders_are_located", located.height, self.with_geometry, "feeders with a geometry"),
            rate_check("states_are_the_utilitys", at_home, located.height, "located feeders"),
            Check(
                "authorities_agree",
                doubtful.is_empty(),
                False,
                f"{doubtful.height} of {rows.height} feeders are told different authorities: {said}"
                if doubtful.height
                else f"{rows['authorities_agree'].sum()} agree, of the others one source or none says anything",
            ),
        ]

    def commit(self, lake: Lake, run_id: str | None = None) -> None:
        """Replace the partition."""
        lake.replace(FEEDER_LOCATIONS, self.partition, self.rows, run_id=run_id)


def rate_check(name: str, hits: int, of: int, what: str, enough: float = _ENOUGH) -> Check:
    """A warning when fewer than so great a part are hits; nothing to hit passes."""
    rate = hits / of if of else 1.0
    return Check(name, rate >= enough, False, f"{hits} of {of} {what} ({rate:.1%})", {"rate": rate})


def prepare_locations(
    config: UtilityConfig, snapshot: str, lake: Lake, settings: Settings
) -> PreparedLocations:
    """Locate every feeder of one utility and snapshot."""
    partition = {"utility_code": config.utility_code, "snapshot": snapshot}
    feeders = (
        lake.scan(RECORDS, **partition)
        .select("feeder_id_external")
        .unique()
        .sort("feeder_id_external")
        .collect()
    )
    counties = reference(lake, COUNTIES, settings)
    shares, middles = _placed(feeder_pieces(lake, **partition), counties)
    middle = _middle(middles)
    placed = feeders.join(_by_county(shares, counties), on="feeder_id_external", how="left").join(
        middle, on="feeder_id_external", how="left"
    )
    at_middle = areas_at_middle(placed, counties, "county_fips").rename({"county_fips": "county_at_midpoint"})
    states = counties.select(county_at_midpoint="county_fips", state_at_midpoint="state")
    placed = (
        placed.join(at_middle.unique("feeder_id_external", keep="first"), on="feeder_id_external", how="left")
        .join(states, on="county_at_midpoint", how="left")
        .with_columns(pl.col("location_method").fill_null("none"))
    )
    rows = (
        name_grid(placed, config, grid_sources(lake, settings, counties))
        .with_columns(pl.lit(v).alias(k) for k, v in partition.items())
        .select(FEEDER_LOCATIONS.names)
        .sort("feeder_id_external")
    )
    return PreparedLocations(
        FEEDER_LOCATIONS.conform(rows), partition, feeders.height, middle.height, tuple(config.states)
    )


def _placed(pieces: Iterator[pl.DataFrame], counties: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Per feeder and county (NULL: outside) the metres and the share of pieces; and every piece's middle."""
    areas = counties.select(area_id="county_fips", geometry="geometry")
    shares, middles = [pl.DataFrame(schema=_SHARE)], [pl.DataFrame(schema=_MIDDLE)]
    for piece in pieces:
        found = shares_of_lines(piece["geometry"], areas)
        shares.append(
            found.with_columns(piece["feeder_id_external"].gather(found["row"]))
            .group_by("feeder_id_external", county_fips="area_id")
            .agg(pl.col("length_m", "share").sum())
            .select(list(_SHARE))
        )
        middle = midpoints(piece["geometry"]).with_columns(piece["feeder_id_external", "length_km"])
        middles.append(middle.filter(pl.col("lon").is_not_null()).select(list(_MIDDLE)))
    summed = (
        pl.concat(shares).group_by("feeder_id_external", "county_fips").agg(pl.col("length_m", "share").sum())
    )
    return summed, pl.concat(middles)


def _middle(middles: pl.DataFrame) -> pl.DataFrame:
    """Of each feeder the piece's middle that is nearest to the centre of all, weighted by length; and all its km."""
    turned = pl.col("lon") - pl.col("lon").first().over("feeder_id_external")
    weight = pl.col("length_km").fill_null(0.0) + 1e-9  # points count alike
    of = "feeder_id_external"
    away = middles.with_columns(x=(turned + 180.0) % 360.0 - 180.0, w=weight).with_columns(
        cx=(pl.col("x") * pl.col("w")).sum().over(of) / pl.col("w").sum().over(of),
        cy=(pl.col("lat") * pl.col("w")).sum().over(of) / pl.col("w").sum().over(of),
    )
    squared = ((pl.col("x") - pl.col("cx")) * pl.col("lat").radians().cos()) ** 2 + (
        pl.col("lat") - pl.col("cy")
    ) ** 2
    return (
        away.with_columns(away=squared)
        .sort(of, "away", "lon", "lat")
        .group_by(of, maintain_order=True)
        .agg(
            midpoint_lon=pl.col("lon").first(),
            midpoint_lat=pl.col("lat").first(),
            length_km=pl.col("length_km").sum(),
        )
        .with_columns(
            length_km=pl.when(pl.col("length_km") > 0).then("length_km"),
            location_method=pl.when(pl.col("length_km") > 0)
            .then(pl.lit("line_share"))
            .otherwise(pl.lit("centroid")),
        )
    )


def _by_county(shares: pl.DataFrame, counties: pl.DataFrame) -> pl.DataFrame:
    """One row a feeder: its greatest county and state, and all shares, which add up to 1 with those outside."""
    of = "feeder_id_external"
    total = shares.group_by(of).agg(metres=pl.col("length_m").sum(), pieces=pl.col("share").sum())
    named = (
        shares.join(total, on=of)
        .with_columns(
            # what has no length, points and areas, counts by the piece
            part=pl.when(pl.col("metres") > 0)
            .then(pl.col("length_m") / pl.col("metres"))
            .otherwise(pl.col("share") / pl.col("pieces")),
        )
        .join(counties.select("county_fips", "county_name", "state"), on="county_fips", how="left")
        .sort(of, pl.col("part").neg(), "county_fips")
    )
    inside = named.filter(pl.col("county_fips").is_not_null())
    county = inside.group_by(of, maintain_order=True).agg(
        pl.col("county_fips", "county_name").first(),
        county_share=pl.col("part").first(),
        fips=pl.col("county_fips"),
        parts=pl.col("part"),
    )
    state = (
        inside.group_by(of, "state")
        .agg(state_share=pl.col("part").sum().clip(upper_bound=1.0))
        .sort(of, pl.col("state_share").neg(), "state")
        .group_by(of, maintain_order=True)
        .first()
    )
    outside = (
        named.filter(pl.col("county_fips").is_null()).group_by(of).agg(outside_share=pl.col("part").sum())
    )
    shown = pl.Series(
        "county_shares",
        [
            json.dumps({f: round(p, 4) for f, p in zip(fips, parts, strict=True)})
            for fips, parts in county.select("fips", "parts").iter_rows()
        ],
        dtype=pl.String,
    )
    return (
        total.join(county.with_columns(shown).drop("fips", "parts"), on=of, how="left")
        .join(state, on=of, how="left")
        .join(outside, on=of, how="left")
        .with_columns(pl.col("outside_share").fill_null(0.0))
        .drop("metres", "pieces")
    )
