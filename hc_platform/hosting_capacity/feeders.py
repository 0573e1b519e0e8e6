"""Sections -> feeder records: the utility's own feeder row where it has one, else what its sections say.

What belongs here: the roll-up rules, as pure functions of a utility's sections.
What does not: reading values (`sections`), totals per utility (`summaries`).
"""

from collections.abc import Sequence
from typing import Final

import polars as pl
import shapely

from hc_platform.hosting_capacity.sections import fill_remaining
from hc_platform.hosting_capacity.tables import RECORDS

_GROUP: Final = ("resource", "feeder_id_external")
_STATUS_RANK: Final = {"published": 0, "redacted": 1, "pending": 2, "not_published": 3}
_CAPACITY: Final = ("hosting_capacity_mw", "hosting_capacity_min_mw", "hosting_capacity_max_mw")


def build_records(
    sections: pl.LazyFrame, feeder_attributes: pl.DataFrame, least_of: Sequence[tuple[str, str]]
) -> pl.DataFrame:
    """RECORDS rows of one utility and snapshot, unique on (resource, feeder_id_external).

    `sections`: SECTIONS of one utility and snapshot. `feeder_attributes`: feature_key, layer, raw_attributes of its
    feeder layers. `least_of`: the (layer, resource) pairs whose config says `feeder_rule: least`; the default is
    the greatest value any of a feeder's sections can take.

    Column by column the utility's own feeder layer wins over the roll-up, and NULL never wins. Rows without a
    feeder (tiles, points) stay, with their record_key as the id.
    """
    rows = sections.with_columns(
        _least=pl.struct("layer", "resource").is_in([{"layer": a, "resource": r} for a, r in least_of])
        if least_of
        else pl.lit(False)
    )
    named = rows.filter(pl.col("feeder_id_external").is_not_null())
    own = _roll_up(named.filter(pl.col("grain") == "feeder")).collect()
    parts = _roll_up(named.filter(pl.col("grain") != "feeder")).collect()
    feeders = _prefer(own, parts).with_columns(grain=pl.lit("feeder"))
    feeders = feeders.join(_own_rows(named, feeder_attributes), on=_GROUP, how="left", validate="1:1")
    loose = rows.filter(pl.col("feeder_id_external").is_null()).collect()
    loose = loose.with_columns(
        feeder_id_external="record_key",
        section_count=pl.lit(1, pl.Int64),
        capacity_source=pl.when(_has_capacity()).then("layer"),
    )
    code, snapshot = rows.select(pl.first("utility_code"), pl.first("snapshot")).collect().row(0)
    both = [RECORDS.conform(f.select(c for c in f.columns if c in RECORDS.schema)) for f in (feeders, loose)]
    return fill_remaining(pl.concat(both)).with_columns(
        utility_code=pl.lit(code, pl.String), snapshot=pl.lit(snapshot, pl.String)
    )


def disagreeing(
    sections: pl.LazyFrame, columns: tuple[str, ...] = ("installed_dg_mw", "queued_dg_mw")
) -> dict[str, int]:
    """For each column, how many feeders have sections that do not agree on it; their record's value is NULL."""
    named = sections.filter(pl.col("feeder_id_external").is_not_null())
    counts = named.group_by(*_GROUP, pl.col("grain") == "feeder").agg(
        (pl.col(c).drop_nulls().n_unique() > 1).alias(c) for c in columns
    )
    return counts.select(pl.col(columns).sum()).collect().row(0, named=True)


def _has_capacity() -> pl.Expr:
    return pl.any_horizontal(pl.col(_CAPACITY).is_not_null())


def _roll_up(rows: pl.LazyFrame) -> pl.LazyFrame:
    """One row per resource and feeder id."""
    value, low = pl.col("hosting_capacity_mw"), pl.col("hosting_capacity_min_mw")
    # ">7500": no value and no upper end; a published upper end is one, though it stands at a ceiling
    is_open = (
        value.is_null() & pl.col("hosting_capacity_max_mw").is_null() & (pl.col("censored") == "at_ceiling")
    )
    open_end = low.filter(is_open).max()
    known = open_end.is_null() | (value.max() > open_end)
    greatest = pl.when(known).then(value.max())
    remaining = pl.col("remaining_capacity_mw")
    # what remains is not known either, unless it is published by itself
    most_left = pl.when(known | (remaining.filter(is_open).count() > 0)).then(remaining.max())
    point = pl.when(pl.col("_least").first()).then(value.min()).otherwise(greatest)
    grouped = (
        rows.sort("record_key")
        .group_by(_GROUP)
        .agg(
            *[_first(c) for c in ("feeder_name", "substation_name")],
            # the basis goes with the value: a layer that publishes no hosting capacity has none
            capacity_basis=pl.col("capacity_basis").filter(_has_capacity()).first(),
            hosting_capacity_mw=point,
            hosting_capacity_min_mw=pl.min_horizontal(low.min(), value.min()),
            hosting_capacity_max_mw=pl.when(open_end.is_null()).then(
                pl.max_horizontal(pl.col("hosting_capacity_max_mw").max(), value.max())
            ),
            installed_dg_mw=_agreed("installed_dg_mw"),
            queued_dg_mw=_agreed("queued_dg_mw"),
            remaining_capacity_mw=pl.when(pl.col("_least").first())
            .then(remaining.min())
            .otherwise(most_left),
            censored=_at_point(point, "censored").fill_null(
                pl.when(open_end.is_not_null())
                .then(pl.lit("at_ceiling"))
                .when((pl.col("censored") != "none").any())
                .then(pl.col("censored").filter(pl.col("censored") != "none").first())
                .otherwise(pl.lit("none"))
            ),
            value_status=pl.col("value_status")
            .sort_by(pl.col("value_status").replace_strict(_STATUS_RANK))
            .first(),
            constraining_metric=_at_point(point, "constraining_metric").fill_null(
                _commonest("constraining_metric")
            ),
            constraining_metric_raw=_at_point(point, "constraining_metric_raw").fill_null(
                _commonest(
                    "constraining_metric_raw",
                    pl.col("constraining_metric") == _commonest("constraining_metric"),
                )
            ),
            voltage_kv=_commonest("voltage_kv"),
            phase_config=_longest("phase_config"),
            is_overhead=_agreed("is_overhead"),
            is_network=_agreed("is_network"),
            record_date=pl.col("record_date").max(),
            section_count=pl.len().cast(pl.Int64),
            capacity_source=pl.col("layer").filter(_has_capacity()).first(),
            bbox_west=pl.col("bbox_west").min(),
            bbox_south=pl.col("bbox_south").min(),
            bbox_east=pl.col("bbox_east").max(),
            bbox_north=pl.col("bbox_north").max(),
            centroid_lat=_weighted("centroid_lat"),
            centroid_lon=_weighted("centroid_lon"),
            length_km=pl.when(pl.col("length_km").count() > 0).then(pl.col("length_km").sum()),
        )
    )
    return grouped.sort(_GROUP)


def _first(column: str) -> pl.Expr:
    return pl.col(column).drop_nulls().first()


def _agreed(column: str) -> pl.Expr:
    """The value all rows share; NULL where they differ, for a feeder's total repeats on every section."""
    known = pl.col(column).drop_nulls()
    return pl.when(known.n_unique() == 1).then(known.first()).alias(column)


def _commonest(column: str, where: pl.Expr | None = None) -> pl.Expr:
    chosen = pl.col(column) if where is None else pl.col(column).filter(where)
    return chosen.drop_nulls().mode().sort().last()


def _longest(column: str) -> pl.Expr:
    known = pl.col(column).drop_nulls()
    return known.sort_by(known.str.len_chars(), known, descending=True).first()


def _at_point(point: pl.Expr, column: str) -> pl.Expr:
    """What stands in `column` where the feeder's value was taken."""
    return pl.col(column).filter(pl.col("hosting_capacity_mw") == point).drop_nulls().first()


def _weighted(column: str) -> pl.Expr:
    """Mean weighted by length, or plain where there are no lengths."""
    weight = pl.col("length_km").fill_null(0.0)
    known = pl.col(column).is_not_null()
    weighted = (pl.col(column) * weight).sum() / weight.filter(known).sum()
    return pl.when(weight.filter(known).sum() > 0).then(weighted).otherwise(pl.col(column).mean())


def _prefer(own: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """Both sides' feeders; each column from `own` where it is not NULL, else from `parts`."""
    joined = own.join(parts, on=_GROUP, how="full", coalesce=True, suffix="_parts")
    has_value, parts_value = (pl.col(f"hosting_capacity_mw{s}").is_not_null() for s in ("", "_parts"))
    # what is said of the capacity is said by the side that the capacity came from
    by_parts = (~has_value & parts_value) | (pl.col("capacity_source").is_null())

    def of_the_source(column: str) -> pl.Expr:
        return pl.when(by_parts).then(f"{column}_parts").otherwise(column)

    special = {
        "censored": of_the_source("censored").fill_null("none"),
        "capacity_basis": of_the_source("capacity_basis"),
        "value_status": pl.min_horizontal(
            pl.col("value_status").replace_strict(_STATUS_RANK, default=None),
            pl.col("value_status_parts").replace_strict(_STATUS_RANK, default=None),
        ).replace_strict({v: k for k, v in _STATUS_RANK.items()}),
        "section_count": pl.sum_horizontal("section_count", "section_count_parts"),
        "capacity_source": of_the_source("capacity_source"),
    }
    plain = [c for c in own.columns if c not in _GROUP and c not in special]
    return joined.select(
        *_GROUP,
        *[pl.coalesce(c, f"{c}_parts").alias(c) for c in plain],
        *[e.alias(c) for c, e in special.items()],
    )


def _own_rows(named: pl.LazyFrame, attributes: pl.DataFrame) -> pl.DataFrame:
    """Raw attributes and geometry of the utility's own feeder rows; several lines of one feeder become one."""
    own = (
        named.filter(pl.col("grain") == "feeder")
        .select(*_GROUP, "feature_key", "layer", "record_key", "geometry")
        .collect()
        .join(attributes, on=["feature_key", "layer"], how="left")
        .sort("record_key")
        .group_by(_GROUP)
        .agg(pl.col("raw_attributes").drop_nulls().first(), pl.col("geometry").drop_nulls())
    )
    merged = [_merge(parts) for parts in own["geometry"].to_list()]
    geometry = pl.Series("geometry", merged, dtype=pl.Binary)
    names = pl.Series(
        "geometry_type", [None if w is None else shapely.from_wkb(w).geom_type for w in merged], pl.String
    )
    return own.with_columns(geometry, names)


def _merge(parts: list[bytes]) -> bytes | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    shapes = shapely.get_parts(shapely.from_wkb(parts))
    if all(s.geom_type == "LineString" for s in shapes):
        return bytes(shapely.to_wkb(shapely.multilinestrings(shapes)))
    return bytes(shapely.to_wkb(shapely.geometrycollections(shapes)))
