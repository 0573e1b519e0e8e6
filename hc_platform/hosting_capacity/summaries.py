"""Feeder records -> totals per utility, resource and snapshot, and what changed since the snapshot before.

What belongs here: sums and counts over records. What does not: the records themselves (`feeders`).
"""

import json
from datetime import datetime

import polars as pl

from hc_platform.hosting_capacity.derived_tables import SUMMARIES

_GROUP = ("utility_code", "resource", "snapshot")


def summarize(records: pl.LazyFrame, computed_at: datetime) -> pl.DataFrame:
    """SUMMARIES rows for every (utility, resource, snapshot) in RECORDS rows.

    A total is over feeders, and NULL where none has the value: nothing published is not zero MW. Sections, tiles, points
    and classes without a feeder are counted and stand in no sum: those of one feeder share its capacity, and a sum over
    parcels or grid cells would be many times what the feeders can take. A feeder known from generators alone (its ids may
    be spelled otherwise there) is a record and adds its generation, and is no further feeder.
    """
    whole = pl.col("grain") == "feeder"

    def total(column: str) -> pl.Expr:
        known = pl.col(column).filter(whole)
        return pl.when(known.count() > 0).then(known.sum())

    totals = (
        records.group_by(_GROUP)
        .agg(
            total_feeders=((pl.col("grain") == "feeder") & pl.col("section_count").ne_missing(0))
            .sum()
            .cast(pl.Int64),
            total_records=pl.len().cast(pl.Int64),
            unassigned_sections=(pl.col("grain") == "section").sum().cast(pl.Int64),
            total_hosting_capacity_mw=total("hosting_capacity_mw"),
            total_installed_dg_mw=total("installed_dg_mw"),
            total_queued_dg_mw=total("queued_dg_mw"),
            total_remaining_capacity_mw=total("remaining_capacity_mw"),
            constrained_feeders_count=(whole & (pl.col("hosting_capacity_mw") <= 0)).sum().cast(pl.Int64),
            null_capacity_count=pl.col("hosting_capacity_mw").is_null().sum().cast(pl.Int64),
            censored_count=(pl.col("censored") != "none").sum().cast(pl.Int64),
        )
        .sort(_GROUP)
        .with_columns(
            previous_snapshot=pl.col("snapshot").shift(1).over("utility_code", "resource"),
            total_feeders_change=pl.col("total_feeders").diff().over("utility_code", "resource"),
            total_hosting_capacity_change_mw=pl.col("total_hosting_capacity_mw")
            .diff()
            .over("utility_code", "resource"),
            computed_at=pl.lit(computed_at, pl.Datetime("us", "UTC")),
        )
        .collect()
    )
    counts = (
        records.filter(pl.col("constraining_metric").is_not_null())
        .group_by(*_GROUP, "constraining_metric")
        .agg(n=pl.len())
        .sort("constraining_metric")
        .group_by(_GROUP, maintain_order=True)
        .agg("constraining_metric", "n")
        .collect()
    )
    breakdown = counts.select(
        *_GROUP,
        constraint_breakdown=pl.Series(
            [
                json.dumps(dict(zip(*row, strict=True)))
                for row in counts.select("constraining_metric", "n").iter_rows()
            ],
            dtype=pl.String,
        ),
    )
    joined = totals.join(breakdown, on=_GROUP, how="left").with_columns(
        pl.col("constraint_breakdown").fill_null("{}")
    )
    return SUMMARIES.conform(joined)
