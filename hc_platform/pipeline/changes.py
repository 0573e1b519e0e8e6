"""Which snapshots are compared with which, and the tables that come of it.

What belongs here: pairs of snapshots, committing feeder_changes and monthly_changes. What does not: the comparison
(`hosting_capacity.changes`).

Each snapshot of a utility and resource is compared with the one before it that holds rows: a month without change holds
none, and has none.
"""

import polars as pl

from hc_platform.hosting_capacity.changes import feeder_changes, monthly
from hc_platform.hosting_capacity.derived_tables import FEEDER_CHANGES, MONTHLY_CHANGES
from hc_platform.hosting_capacity.tables import INGESTION_EVENTS, RECORDS
from hc_platform.lake.store import Lake

_OF = ("utility_code", "resource")


def snapshot_pairs(lake: Lake, **of: str) -> pl.DataFrame:
    """Every snapshot that has one before it: utility_code, resource, snapshot, previous_snapshot, config_changed."""
    held = lake.scan(RECORDS, **of).select(*_OF, "snapshot").unique().sort(*_OF, "snapshot").collect()
    pairs = held.with_columns(previous_snapshot=pl.col("snapshot").shift(1).over(_OF)).drop_nulls()
    made_with = (
        lake.scan(INGESTION_EVENTS, **of)
        .filter(pl.col("status") == "normalized")
        .sort("at")
        .group_by("utility_code", "snapshot")
        .agg(pl.last("config_hash"))
        .collect()
    )
    before = made_with.rename({"snapshot": "previous_snapshot", "config_hash": "previous_hash"})
    return (
        pairs.join(made_with, on=["utility_code", "snapshot"], how="left")
        .join(before, on=["utility_code", "previous_snapshot"], how="left")
        .with_columns(config_changed=pl.col("config_hash").ne_missing(pl.col("previous_hash")))
        .drop("config_hash", "previous_hash")
        .sort(*_OF, "snapshot")
    )


def refresh_changes(lake: Lake, code: str, snapshot: str, run_id: str | None = None) -> pl.DataFrame:
    """Compare a snapshot whose records were just made with the one before it, and the one after with it.

    Returns the FEEDER_CHANGES rows of the snapshot itself. Runs of one utility's months side by side write one snapshot's
    changes both: the caller lets one after the other do so.
    """
    pairs = snapshot_pairs(lake, utility_code=code)
    touched = pairs.filter((pl.col("snapshot") == snapshot) | (pl.col("previous_snapshot") == snapshot))
    for later in sorted({snapshot, *touched["snapshot"]}):
        rows = [
            feeder_changes(
                _records(lake, code, previous, resource),
                _records(lake, code, later, resource),
                config_changed=config_changed,
            )
            for _, resource, _, previous, config_changed in pairs.filter(snapshot=later).iter_rows()
        ]
        partition = {"utility_code": code, "snapshot": later}
        found = pl.concat([FEEDER_CHANGES.empty(), *rows])
        if found.height or lake.has(FEEDER_CHANGES, **partition):
            lake.replace(FEEDER_CHANGES, partition, found, run_id=run_id)
    return lake.scan(FEEDER_CHANGES, utility_code=code, snapshot=snapshot).collect()


def refresh_monthly(lake: Lake, run_id: str | None = None) -> pl.DataFrame:
    """Rebuild monthly_changes from feeder_changes; returns it."""
    frame = monthly(lake.scan(FEEDER_CHANGES), snapshot_pairs(lake))
    lake.replace(MONTHLY_CHANGES, {}, frame, run_id=run_id)
    return frame


def _records(lake: Lake, code: str, snapshot: str, resource: str) -> pl.LazyFrame:
    return lake.scan(RECORDS, utility_code=code, snapshot=snapshot).filter(resource=resource)
