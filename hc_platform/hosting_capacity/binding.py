"""Which constraint binds, where a utility publishes one capacity column per constraint.

What belongs here: reading those columns and finding the least. What does not: constraints published by name
(`vocabulary`).
"""

import polars as pl

from hc_platform.catalog.fields import ConstraintColumns
from hc_platform.hosting_capacity import values


def read_limits(texts: pl.DataFrame, spec: ConstraintColumns, unit: str | None) -> pl.DataFrame:
    """Each constraint column as the struct of `values.parse_capacity`, in MW."""
    assert unit is not None  # noqa: S101 - UtilityConfig refuses constraint columns without a unit
    return texts.select(
        values.parse_capacity(pl.col(name), unit=unit, nulls=spec.nulls, ceiling=spec.ceiling_of(name)).alias(
            name
        )
        for name in spec.columns
    )


def binding(limits: pl.DataFrame, spec: ConstraintColumns) -> pl.Series:
    """struct{metric, raw}: the column(s) with the least value; 'none' where all stand at their ceiling.

    A bound counts with the end that is known ("<=0.1" is at most 0.1). Where a column cannot be read, or one is
    missing and the others stand at their ceilings, what binds is not known: NULL. Where several tie below the
    ceiling, `raw` names them all and `metric` is the first in the config's order.
    """

    def part(name: str, field: str) -> pl.Expr:
        return pl.col(name).struct.field(field)

    names = list(spec.columns)
    limit = {n: pl.coalesce(part(n, "value"), part(n, "high"), part(n, "low")) for n in names}
    least = pl.min_horizontal(limit.values())
    unread = pl.any_horizontal([part(n, "bad") for n in names])
    missing = pl.any_horizontal([limit[n].is_null() for n in names])
    at_ends = pl.all_horizontal([limit[n].is_null() | (part(n, "censored") == "at_ceiling") for n in names])
    first = pl.coalesce(
        [pl.when(limit[n] == least).then(pl.lit(metric)) for n, metric in spec.columns.items()]
    )
    tied = [pl.when(limit[n] == least).then(pl.lit(n)) for n in names]
    return limits.select(
        pl.when(least.is_not_null() & ~unread & ~(at_ends & missing))
        .then(
            pl.struct(
                metric=pl.when(at_ends).then(pl.lit("none")).otherwise(first),
                raw=pl.concat_str(tied, separator="; ", ignore_nulls=True),
            )
        )
        .alias("__binding")
    ).to_series()
