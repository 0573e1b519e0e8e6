"""Which ISO and balancing authority a feeder lies in, and who says so.

What belongs here: the order of the sources, and where they contradict each other. What does not: reading their files
(`reference`), or places (`locations`).

The utility's EIA id decides first, then its own config, then outlines, last the county: outlines of authorities are drawn
over each other and few counties have a single one (measured: api_map_geodata.md, section 1), while a utility has one.
"""

import json
from dataclasses import dataclass

import polars as pl

from hc_platform.catalog.models import UtilityConfig
from hc_platform.geo.areas import areas_of_points
from hc_platform.lake.store import Lake
from hc_platform.pipeline.reference import reference
from hc_platform.reference.codes import ISO_OF_AUTHORITY
from hc_platform.reference.tables import BALANCING_AUTHORITIES, ISO_REGIONS, UTILITY_TERRITORIES
from hc_platform.settings import Settings

_FEEDER = "feeder_id_external"


@dataclass(frozen=True)
class GridSources:
    """What may name a grid region: rows of the reference tables, none where they are not configured."""

    utilities: pl.DataFrame
    authorities: pl.DataFrame
    isos: pl.DataFrame
    counties: pl.DataFrame


def grid_sources(lake: Lake, settings: Settings, counties: pl.DataFrame) -> GridSources:
    """The reference tables as they stand."""
    return GridSources(
        reference(lake, UTILITY_TERRITORIES, settings).select("eia_id", "balancing_authority"),
        reference(lake, BALANCING_AUTHORITIES, settings),
        reference(lake, ISO_REGIONS, settings),
        counties.select("county_fips", "balancing_authority"),
    )


def name_grid(placed: pl.DataFrame, config: UtilityConfig, sources: GridSources) -> pl.DataFrame:
    """The feeders with iso_id, iso_method, balancing_authority, balancing_authority_method, authorities_said (JSON:
    method to code, or codes where outlines overlap) and authorities_agree.

    `placed`: feeder_id_external, midpoint_lon, midpoint_lat, county_fips. An outline decides only where it is
    the only one there.
    """
    by_id = dict(sources.utilities.iter_rows()).get(config.eia_id) if config.eia_id else None
    of_county = dict(sources.counties.iter_rows())
    outlines = _collected(placed, sources.authorities, "balancing_authority")
    regions = _collected(placed, sources.isos, "iso_id")
    # feeders of one utility see few combinations: each is decided once
    seen = placed.select(_FEEDER, "county_fips").join(outlines, on=_FEEDER, how="left")
    seen = seen.join(regions, on=_FEEDER, how="left").with_columns(
        pl.col("county_fips")
        .replace_strict(of_county, default=None, return_dtype=pl.String)
        .alias("by_county")
    )
    what = ["by_county", "balancing_authority", "iso_id"]
    cases = seen.select(what).unique(maintain_order=True)
    decided = pl.DataFrame(
        [_decide(config, by_id, row) for row in cases.iter_rows()], schema=_DECIDED, orient="row"
    )
    numbered = cases.with_row_index("case").join(decided.with_row_index("case"), on="case", suffix="_decided")
    joined = seen.select(_FEEDER, *what).join(numbered, on=what, how="left", nulls_equal=True)
    return placed.join(
        joined.select(_FEEDER, **{c: c + "_decided" if c in what else c for c in _DECIDED}), on=_FEEDER
    )


_DECIDED = {
    "balancing_authority": pl.String,
    "balancing_authority_method": pl.String,
    "iso_id": pl.String,
    "iso_method": pl.String,
    "authorities_said": pl.String,
    "authorities_agree": pl.Boolean,
}


def _decide(
    config: UtilityConfig, by_id: str | None, seen: tuple[str | None, list[str] | None, list[str] | None]
) -> tuple[str | None, str, str | None, str, str, bool | None]:
    by_county, outlines, regions = seen
    said: dict[str, str | list[str] | None] = {
        "eia_id": by_id,
        "config": config.balancing_authority,
        "polygon": outlines[0] if outlines and len(outlines) == 1 else None,
        "county": by_county,
    }
    method = next((m for m, code in said.items() if code), "none")
    authority = said.get(method)
    assert not isinstance(authority, list)  # noqa: S101 - overlapping outlines come in below
    if outlines and len(outlines) > 1:
        said["polygon"] = outlines
    told = {m: code for m, code in said.items() if code}
    single = {code for code in told.values() if isinstance(code, str)}
    agree = len(single) == 1 and all(next(iter(single)) in c for c in told.values() if isinstance(c, list))
    iso, iso_method = _iso(config, by_id, regions, authority, method)
    return authority, method, iso, iso_method, json.dumps(told), agree if len(told) > 1 else None


def _iso(
    config: UtilityConfig, by_id: str | None, regions: list[str] | None, authority: str | None, method: str
) -> tuple[str | None, str]:
    """The ISO that the authority is, or else that the config names, or the only one drawn here."""
    if by_id:
        return ISO_OF_AUTHORITY.get(by_id), "eia_id"
    if config.iso_id or config.balancing_authority:
        return config.iso_id or ISO_OF_AUTHORITY.get(config.balancing_authority or ""), "config"
    if regions and len(regions) == 1:
        return regions[0], "polygon"
    return (ISO_OF_AUTHORITY.get(authority), method) if authority else (None, "none")


def areas_at_middle(placed: pl.DataFrame, areas: pl.DataFrame, name: str) -> pl.DataFrame:
    """feeder_id_external and the `name` of each area that holds its midpoint, in the areas' order."""
    shapes = areas.filter(pl.col("geometry").is_not_null()).select(area_id=name, geometry="geometry")
    points = placed.select(lon="midpoint_lon", lat="midpoint_lat")
    hits = areas_of_points(points, shapes)
    return pl.DataFrame({_FEEDER: placed[_FEEDER].gather(hits["row"]), name: hits["area_id"]})


def _collected(placed: pl.DataFrame, areas: pl.DataFrame, name: str) -> pl.DataFrame:
    found = areas_at_middle(placed, areas, name).sort(_FEEDER, name)
    return found.group_by(_FEEDER, maintain_order=True).agg(pl.col(name))
