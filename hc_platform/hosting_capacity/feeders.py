"""Sections -> feeder records: the utility's own feeder row where it has one, else what its sections say.

What belongs here: the roll-up rules, as pure functions of a utility's sections.
What does not: reading values (`sections`), totals per utility (`summaries`).
"""

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import polars as pl
import shapely

from hc_platform.hosting_capacity.sections import fill_remaining
from hc_platform.hosting_capacity.tables import RECORDS

_GROUP: Final = ("resource", "feeder_id_external")
_STATUS_RANK: Final = {"published": 0, "redacted": 1, "pending": 2, "not_published": 3}
_SAME_MW: Final = 1e-6  # one watt: rounding between a utility's own layers
_DG: Final = ("installed_dg_mw", "queued_dg_mw")
_CAPACITY: Final = ("hosting_capacity_mw", "hosting_capacity_min_mw", "hosting_capacity_max_mw")


def build_records(
    sections: pl.LazyFrame, feeder_attributes: pl.DataFrame, least_of: Iterable[str]
) -> pl.DataFrame:
    """RECORDS rows of one utility and snapshot, unique on (resource, feeder_id_external).

    `sections`: SECTIONS of one utility and snapshot. `feeder_attributes`: feature_key, layer, raw_attributes of its
    feeder layers. `least_of`: the resources whose config says `feeder_rule: least`; the default is the greatest
    value any of a feeder's sections can take.

    The utility's own feeder layer wins over the roll-up, and NULL never wins; what is said of the capacity (mark,
    basis, constraint) comes from the side that the capacity came from. Rows without a feeder (tiles, points,
    sections whose feeder is not known) stay, with their record_key as the id and their own grain.

    Single generators (grain der) add up to their feeder's installed or queued generation where the utility publishes
    no total for it; they never touch a capacity, and one whose feeder is not known makes no record (`unplaced`).
    """
    rows = sections.with_columns(_least=pl.col("resource").is_in(sorted(least_of)))
    named = rows.filter(pl.col("feeder_id_external").is_not_null())
    grain = pl.col("grain")
    own = _roll_up(named.filter(grain == "feeder")).collect(engine="streaming")
    parts = _roll_up(named.filter(~grain.is_in(["feeder", "der"]))).collect(engine="streaming")
    feeders = _with_generators(_prefer(own, parts), named.filter(grain == "der")).with_columns(
        grain=pl.lit("feeder")
    )
    feeders = feeders.join(_own_rows(named, feeder_attributes), on=_GROUP, how="left", validate="1:1")
    loose = rows.filter(pl.col("feeder_id_external").is_null() & (grain != "der")).collect()
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


def disagreeing(sections: pl.LazyFrame) -> dict[str, int]:
    """For each column, how many feeders have sections that do not agree on it.

    A DG total that they disagree on is NULL; of names the first is taken. `record_date` counts feeders whose rows are
    of dates more than a year apart: two studies in one layer, or one id for two feeders.
    """
    named = sections.filter(pl.col("feeder_id_external").is_not_null() & (pl.col("grain") != "der"))
    columns = (*_DG, "feeder_name", "substation_name")
    date = pl.col("record_date")
    counts = named.group_by(*_GROUP, pl.col("grain") == "feeder").agg(
        *[(pl.col(c).drop_nulls().n_unique() > 1).alias(c) for c in columns],
        (date.max() - date.min() > timedelta(days=366)).fill_null(False),
    )
    return counts.select(pl.col(*columns, "record_date").sum()).collect().row(0, named=True)


def unplaced(sections: pl.LazyFrame) -> dict[str, float]:
    """The generators (grain der) whose feeder is not known: `generators`, their count, and their MW by column."""
    loose = sections.filter(pl.col("feeder_id_external").is_null() & (pl.col("grain") == "der"))
    return loose.select(pl.len().alias("generators"), pl.col(_DG).sum()).collect().row(0, named=True)


def _has_capacity() -> pl.Expr:
    return pl.any_horizontal(pl.col(_CAPACITY).is_not_null())


def _roll_up(rows: pl.LazyFrame) -> pl.LazyFrame:
    """One row per resource and feeder id.

    Each row is an interval of capacity: a point, a published range, or an open bound (">7500", "<=5"). The greatest
    of them is a point only if no other row can exceed it, the least only if none can fall below it; otherwise the
    feeder's value is not known and its bounds tell what is.
    """
    value, low, high = (pl.col(c) for c in _CAPACITY)
    informs = _has_capacity() | (pl.col("censored") != "none")
    lowest, highest = pl.coalesce(value, low), pl.coalesce(value, high)
    unbounded_above, unbounded_below = (informs & end.is_null() for end in (highest, lowest))
    greatest = pl.when(~unbounded_above.any() & (value.max() >= highest.max())).then(value.max())
    least = pl.when(~unbounded_below.any() & (value.min() <= lowest.min())).then(value.min())
    by_least = pl.col("_least").any()
    point = pl.when(by_least).then(least).otherwise(greatest)
    at_point = value == point
    remaining = pl.col("remaining_capacity_mw")
    # by itself only where every row that says anything of capacity says it too
    left = pl.when(remaining.count() >= informs.sum()).then(
        pl.when(by_least).then(remaining.min()).otherwise(remaining.max())
    )
    grouped = rows.group_by(_GROUP).agg(
        feeder_name=pl.col("feeder_name").min(),
        substation_name=pl.col("substation_name").min(),
        hosting_capacity_mw=point,
        hosting_capacity_min_mw=pl.when(~unbounded_below.any()).then(
            pl.min_horizontal(low.min(), value.min())
        ),
        hosting_capacity_max_mw=pl.when(~unbounded_above.any()).then(
            pl.max_horizontal(high.max(), value.max())
        ),
        **{c: _agreed(c) for c in _DG},
        **{_told(c): pl.col(c).count() > 0 for c in _DG},
        remaining_capacity_mw=pl.when(point.is_not_null())
        .then(_from(at_point, "remaining_capacity_mw"))
        .otherwise(left),
        censored=pl.when(point.is_not_null())
        .then(_from(at_point & (pl.col("censored") != "none"), "censored"))
        .when((unbounded_above & (pl.col("censored") == "at_ceiling")).any())
        .then(pl.lit("at_ceiling"))
        .otherwise(_from(pl.col("censored") != "none", "censored"))
        .fill_null("none"),
        value_status=pl.col("value_status")
        .sort_by(pl.col("value_status").replace_strict(_STATUS_RANK))
        .first(),
        constraining_metric=pl.when(point.is_not_null())
        .then(_from(at_point, "constraining_metric"))
        .otherwise(_commonest("constraining_metric")),
        constraining_metric_raw=pl.when(point.is_not_null())
        .then(_from(at_point, "constraining_metric_raw"))
        .otherwise(
            _commonest(
                "constraining_metric_raw", pl.col("constraining_metric") == _commonest("constraining_metric")
            )
        ),
        # the basis and the layer go with the value; a layer that publishes no hosting capacity has none
        capacity_basis=pl.when(point.is_not_null())
        .then(_from(at_point, "capacity_basis"))
        .otherwise(_from(_has_capacity(), "capacity_basis")),
        capacity_source=pl.when(point.is_not_null())
        .then(_from(at_point, "layer"))
        .otherwise(_from(_has_capacity(), "layer")),
        voltage_kv=_commonest("voltage_kv"),
        phase_config=_longest("phase_config"),
        is_overhead=_agreed("is_overhead"),
        is_network=_agreed("is_network"),
        record_date=pl.col("record_date").max(),
        section_count=pl.len().cast(pl.Int64),
        bbox_west=pl.col("bbox_west").min(),
        bbox_south=pl.col("bbox_south").min(),
        bbox_east=pl.col("bbox_east").max(),
        bbox_north=pl.col("bbox_north").max(),
        centroid_lat=_weighted("centroid_lat"),
        centroid_lon=_weighted("centroid_lon"),
        length_km=pl.when(pl.col("length_km").count() > 0).then(pl.col("length_km").sum()),
    )
    return grouped.sort(_GROUP)


def _agreed(column: str) -> pl.Expr:
    """The value all rows share; NULL where they differ, for a feeder's total repeats on every section."""
    known = pl.col(column).drop_nulls()
    return pl.when(known.n_unique() == 1).then(known.first()).alias(column)


def _commonest(column: str, where: pl.Expr | None = None) -> pl.Expr:
    chosen = pl.col(column) if where is None else pl.col(column).filter(where)
    return chosen.drop_nulls().mode().sort().last()


def _longest(column: str) -> pl.Expr:
    length = pl.col(column).str.len_chars()
    return pl.col(column).filter(length == length.max()).max()


def _from(rows: pl.Expr, column: str) -> pl.Expr:
    """What stands in `column` in the first of these rows; by key, so that the order of rows does not matter.

    Not `filter(rows).sort_by(key.filter(rows))`: where `rows` compares with an aggregate, Polars 2.1 reads other
    groups' memory there and gives garbage or crashes (test_roll_up_laws).
    """
    key = pl.col("record_key")
    return pl.col(column).filter(key == key.filter(rows).min()).first()


def _weighted(column: str) -> pl.Expr:
    """Mean weighted by length, or plain where there are no lengths."""
    weight = pl.col("length_km").fill_null(0.0)
    known = pl.col(column).is_not_null()
    weighted = (pl.col(column) * weight).sum() / weight.filter(known).sum()
    return pl.when(weight.filter(known).sum() > 0).then(weighted).otherwise(pl.col(column).mean())


def _prefer(own: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """Both sides' feeders. Capacity and what is said of it come as one block from the utility's own row if it has any.

    A feeder row that publishes only a range takes its sections' point if that lies inside the range, with what is
    said of that point. Every other column comes from `own` where it is not NULL, else from `parts`.
    """
    joined = own.join(parts, on=_GROUP, how="full", coalesce=True, suffix="_parts")
    has_own = pl.any_horizontal(pl.col(_CAPACITY).is_not_null())
    point, section_point = pl.col("hosting_capacity_mw"), pl.col("hosting_capacity_mw_parts")
    inside = (
        point.is_null()
        & (section_point >= pl.col("hosting_capacity_min_mw").fill_null(-math.inf) - _SAME_MW)
        & (section_point <= pl.col("hosting_capacity_max_mw").fill_null(math.inf) + _SAME_MW)
    ).fill_null(False)
    from_parts = ~has_own | inside

    def block(column: str) -> pl.Expr:
        return pl.when(from_parts).then(f"{column}_parts").otherwise(column)

    special = {
        "hosting_capacity_mw": pl.when(from_parts).then(section_point).otherwise(point),
        **{c: pl.when(has_own).then(c).otherwise(f"{c}_parts") for c in _CAPACITY[1:]},
        "remaining_capacity_mw": pl.coalesce(
            "remaining_capacity_mw", pl.when(from_parts).then("remaining_capacity_mw_parts")
        ),
        **{
            c: block(c)
            for c in ("capacity_basis", "capacity_source", "constraining_metric", "constraining_metric_raw")
        },
        "censored": block("censored").fill_null("none"),
        "value_status": pl.min_horizontal(
            pl.col("value_status").replace_strict(_STATUS_RANK, default=None),
            pl.col("value_status_parts").replace_strict(_STATUS_RANK, default=None),
        ).replace_strict({v: k for k, v in _STATUS_RANK.items()}),
        "section_count": pl.sum_horizontal("section_count", "section_count_parts"),
        **{_told(c): pl.any_horizontal(_told(c), f"{_told(c)}_parts") for c in _DG},
    }
    plain = [c for c in own.columns if c not in _GROUP and c not in special]
    return joined.select(
        *_GROUP,
        *[pl.coalesce(c, f"{c}_parts").alias(c) for c in plain],
        *[e.alias(c) for c, e in special.items()],
    )


def _told(column: str) -> str:
    """The column that says whether the utility publishes a total of its own, even one that its rows disagree on."""
    return f"_{column}_told"


def _with_generators(feeders: pl.DataFrame, generators: pl.LazyFrame) -> pl.DataFrame:
    """The feeders with the sums of their generators where no total is published, and feeders known from these alone.

    A nameplate that is not published adds nothing: the sum is of those that are. A feeder known from its generators
    alone has no capacity, no section, and their names and place.
    """
    sums = generators.group_by(_GROUP).agg(
        pl.when(pl.col(c).count() > 0).then(pl.col(c).sum()).alias(c) for c in _DG
    )
    whole = _roll_up(generators).drop(_DG).collect().join(sums.collect(), on=_GROUP, validate="1:1")
    joined = feeders.join(
        whole.with_columns(section_count=pl.lit(0, pl.Int64)),
        on=_GROUP,
        how="full",
        coalesce=True,
        suffix="_der",
    )
    known = pl.col("section_count").is_not_null()
    rest = [c for c in feeders.columns if c not in (*_GROUP, *_DG)]
    return joined.select(
        *_GROUP,
        *[pl.when(pl.col(_told(c)).fill_null(False)).then(c).otherwise(f"{c}_der").alias(c) for c in _DG],
        *[pl.when(known).then(c).otherwise(f"{c}_der").alias(c) for c in rest],
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
