"""The tables over all utilities: summaries, utilities, ingestion runs.

What belongs here: rebuilding each small national table whole, in one commit. What does not: per-utility steps.
"""

from datetime import datetime

import polars as pl

from hc_platform.catalog import Catalog
from hc_platform.checking import Check
from hc_platform.hosting_capacity.consistency import records_consistent
from hc_platform.hosting_capacity.derived_tables import SUMMARIES
from hc_platform.hosting_capacity.summaries import summarize
from hc_platform.hosting_capacity.tables import (
    INGESTION_EVENTS,
    INGESTION_RUNS,
    RAW_FEATURES,
    RECORDS,
    UTILITIES,
)
from hc_platform.lake.store import Lake


def check_records(lake: Lake) -> list[Check]:
    """Unique keys over all utilities, no word that the schema does not know, and what every record must keep."""
    keys = lake.scan(RECORDS).select(RECORDS.key).collect()
    repeats = keys.height - keys.n_unique()
    closed = {c.name: c.values for c in RECORDS.columns if c.values}
    strange = (
        lake.scan(RECORDS)
        .select(
            (pl.col(c).is_not_null() & ~pl.col(c).is_in(list(v))).sum().alias(c) for c, v in closed.items()
        )
        .collect()
        .row(0, named=True)
    )
    outside = {c: n for c, n in strange.items() if n}
    return [
        Check("records_are_unique", repeats == 0, True, f"{keys.height} records, {repeats} repeat a key"),
        Check(
            "values_are_in_vocabulary",
            not outside,
            True,
            str(outside or "all closed columns hold known values"),
            {},
        ),
        records_consistent(lake.scan(RECORDS)),
    ]


def refresh_summaries(lake: Lake, now: datetime, run_id: str | None = None) -> pl.DataFrame:
    """Recompute hosting_capacity_summaries from all records; returns them."""
    frame = summarize(lake.scan(RECORDS), now)
    lake.replace(SUMMARIES, {}, frame, run_id=run_id)
    return frame


def refresh_runs(lake: Lake, run_id: str | None = None) -> pl.DataFrame:
    """Fold ingestion_events into hc_ingestion_runs, one row per attempt; returns them."""
    frame = fold_runs(lake.scan(INGESTION_EVENTS).collect())
    lake.replace(INGESTION_RUNS, {}, frame, run_id=run_id)
    return frame


def fold_runs(events: pl.DataFrame) -> pl.DataFrame:
    """INGESTION_EVENTS rows -> INGESTION_RUNS rows, oldest first.

    An attempt without an end that a later one of its utility has overtaken was killed: `interrupted`.
    """
    log = events.sort("at")
    normalized = log.filter(pl.col("status") == "normalized")
    of = ["utility_code", "snapshot", "source_hash"]
    counts = normalized.group_by(of).agg(pl.last("records_written", "rejected"))
    events = log.filter(pl.col("status") != "normalized")
    last = pl.col("status") != "running"
    runs = (
        events.group_by("ingestion_id", maintain_order=True)
        .agg(
            pl.first("run_id", "utility_code", "snapshot"),
            started_at=pl.first("at"),
            completed_at=pl.col("at").filter(last).last(),
            status=pl.last("status"),
            **{
                c: pl.last(c)
                for c in (
                    "expected_count",
                    "records_fetched",
                    "bytes",
                    "source_url",
                    "source_edited_at",
                    "source_hash",
                    "error_message",
                )
            },
        )
        .with_columns(newest=pl.col("started_at").max().over("utility_code"))
        .with_columns(
            status=pl.when((pl.col("status") == "running") & (pl.col("started_at") < pl.col("newest")))
            .then(pl.lit("interrupted"))
            .otherwise("status")
        )
        .drop("newest")
    )
    moved = pl.col("status").is_in(["complete", "changed"])
    # an attempt's rows are told apart by their content: what came of them stands beside it, whatever came later
    runs = runs.join(counts, on=of, how="left").with_columns(
        pl.when(moved).then(pl.col("records_written", "rejected"))
    )
    return INGESTION_RUNS.conform(runs)


def ingested(runs: pl.DataFrame) -> pl.DataFrame:
    """The INGESTION_RUNS that brought rows into the tables, or found that they stand: a fetch alone does not count."""
    arrived = pl.col("status").is_in(["complete", "changed"]) & pl.col("records_written").is_not_null()
    return runs.filter(arrived | (pl.col("status") == "unchanged"))


def refresh_utilities(lake: Lake, catalog: Catalog, run_id: str | None = None) -> pl.DataFrame:
    """Rebuild utilities from the configs and the ingestion runs; returns them."""
    runs = lake.scan(INGESTION_RUNS).collect()
    done = ingested(runs).group_by("utility_code").agg(last_ingested_at=pl.max("completed_at"))
    held = pl.DataFrame(
        [(p["utility_code"], p["snapshot"]) for p in lake.partitions(RAW_FEATURES)],
        schema={"utility_code": pl.String, "last_snapshot": pl.String},
        orient="row",
    )
    rows = [
        {
            **{c: getattr(config, c) for c in _COPIED},
            "verification": f"{config.verification.status} on {config.verification.on}",
            "config_json": config.model_dump_json(exclude_none=True),
        }
        for config in catalog.values()
    ]
    frame = UTILITIES.conform(
        pl.DataFrame(rows, schema={c: UTILITIES.schema[c] for c in rows[0]})
        .join(done, on="utility_code", how="left")
        .join(held.group_by("utility_code").agg(pl.max("last_snapshot")), on="utility_code", how="left")
    )
    lake.replace(UTILITIES, {}, frame, run_id=run_id)
    return frame


_COPIED = (
    "utility_code",
    "utility_name",
    "parent_company",
    "iso_id",
    "balancing_authority",
    "eia_id",
    "states",
    "data_source_type",
    "requires_auth",
    "access_status",
    "access_reason",
    "cadence",
    "wave",
    "licence",
    "disclaimer",
    "notes",
)
