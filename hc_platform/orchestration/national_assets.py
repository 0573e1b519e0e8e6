"""The assets over all utilities: records, summaries, changes, utilities, ingestion runs, devices' feeders, warehouse.

What belongs here: thin assets over `pipeline.national` and `lake.warehouse`, and when they run.
What does not: anything of one utility.

They are few and unpartitioned, and rebuilt whole: an automation condition runs them once after any number of
utility runs, so that their cost does not grow with the number of parallel runs.
"""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl

from hc_platform.hosting_capacity.derived_tables import CHANGES, FEEDER_CHANGES, SUMMARIES
from hc_platform.hosting_capacity.tables import INGESTION_RUNS, RECORDS, UTILITIES
from hc_platform.lake.warehouse import publish
from hc_platform.orchestration.failures import refuse_if_blocked
from hc_platform.orchestration.metadata import bar, check_result, column_schema, markdown
from hc_platform.orchestration.platform import Platform
from hc_platform.orchestration.spatial_assets import device_feeders
from hc_platform.orchestration.utility_assets import FEEDER, LOCATION, RAW, SUBSTATION, Events
from hc_platform.pipeline.changes import refresh_monthly
from hc_platform.pipeline.national import check_records, refresh_runs, refresh_summaries, refresh_utilities

NATIONAL = [
    "hosting_capacity_records",
    "hosting_capacity_summaries",
    "feeder_changes",
    "hc_ingestion_runs",
    "utilities",
    "device_feeders",
    "warehouse",
]
# never waits for a partition that nobody asked for: one missing month of one utility must not hold back the nation
_WHEN_UPSTREAM_MOVES = dg.AutomationCondition.eager().without(~dg.AutomationCondition.any_deps_missing())


def national_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """All national assets, depending on every fetchable utility's feeders."""
    codes = [c.utility_code for c in platform.catalog.values() if c.fetchable]
    shared: dict[str, Any] = {"group_name": "national", "automation_condition": _WHEN_UPSTREAM_MOVES}
    records_key = dg.AssetKey("hosting_capacity_records")

    @dg.asset(
        **shared,
        key=records_key,
        deps=[[FEEDER, code] for code in codes],
        kinds={"deltalake"},
        description="All utilities' feeder records: one Delta table, of which feeders/<utility> writes the partitions.",
        metadata={"dagster/column_schema": column_schema(RECORDS)},
        check_specs=[
            *(
                dg.AssetCheckSpec(name, asset=records_key, blocking=True)
                for name in ("records_are_unique", "values_are_in_vocabulary")
            ),
            dg.AssetCheckSpec("records_are_consistent", asset=records_key),
        ],
    )
    def hosting_capacity_records() -> Events:
        checks = check_records(platform.lake)
        yield from (check_result(c, records_key) for c in checks)
        refuse_if_blocked(checks)
        counts = platform.lake.scan(RECORDS).group_by("utility_code", "snapshot").len("records").collect()
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": int(counts["records"].sum()),
                "by utility": markdown(counts.sort("utility_code", "snapshot", descending=[False, True])),
            }
        )

    @dg.asset(
        **shared,
        deps=[hosting_capacity_records],
        kinds={"polars", "deltalake"},
        description="Totals per utility, resource and snapshot, with the change since the snapshot before.",
        metadata={"dagster/column_schema": column_schema(SUMMARIES)},
    )
    def hosting_capacity_summaries(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        frame = refresh_summaries(platform.lake, datetime.now(UTC), context.run.run_id)
        shown = frame.select(
            "utility_code", "resource", "snapshot", "total_feeders", "total_hosting_capacity_mw"
        )
        totals = frame.group_by("utility_code").agg(pl.sum("total_feeders")).sort("utility_code")
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": frame.height,
                "summaries": markdown(shown),
                "feeders": bar(dict(totals.iter_rows())),
            }
        )

    @dg.asset(
        **shared,
        deps=[hosting_capacity_records],
        kinds={"polars", "deltalake"},
        description="What changed since the snapshot before: one Delta table, of which feeders/<utility> writes the "
        "partitions, and monthly_changes, its sums.",
        metadata={"dagster/column_schema": column_schema(FEEDER_CHANGES)},
    )
    def feeder_changes(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        frame = refresh_monthly(platform.lake, context.run.run_id)
        newest = frame.filter(pl.col("snapshot") == pl.col("snapshot").max().over("utility_code", "resource"))
        counts = [c for c in CHANGES if newest[c].sum()]
        shown = newest.select(
            "utility_code", "resource", "snapshot", "config_changed", *counts, "raised_mw", "lowered_mw"
        )
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": platform.lake.scan(FEEDER_CHANGES).select(pl.len()).collect().item(),
                "of the newest snapshots": markdown(shown, 120),
                "changes": bar({c: float(newest[c].sum()) for c in counts}),
            }
        )

    @dg.asset(
        **shared,
        deps=[[RAW, code] for code in codes],
        kinds={"polars", "deltalake"},
        description="Every attempt to fetch a utility, also the failed and the killed ones.",
        metadata={"dagster/column_schema": column_schema(INGESTION_RUNS)},
    )
    def hc_ingestion_runs(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        frame = refresh_runs(platform.lake, context.run.run_id)
        newest = frame.sort("started_at", descending=True).select(
            "utility_code", "snapshot", "status", "started_at", "records_fetched", "rejected", "error_message"
        )
        return dg.MaterializeResult(
            metadata={"dagster/row_count": frame.height, "newest": markdown(newest, 20)}
        )

    @dg.asset(
        **shared,
        deps=[hc_ingestion_runs],
        kinds={"polars", "deltalake"},
        description="Every configured utility: who it is, how it publishes and when it was last ingested.",
        metadata={"dagster/column_schema": column_schema(UTILITIES)},
    )
    def utilities(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        frame = refresh_utilities(platform.lake, platform.catalog, context.run.run_id)
        shown = frame.select(
            "utility_code", "access_status", "verification", "last_ingested_at", "last_snapshot"
        )
        return dg.MaterializeResult(
            metadata={"dagster/row_count": frame.height, "utilities": markdown(shown, 120)}
        )

    of_devices = device_feeders(platform)

    @dg.asset(
        **shared,
        deps=[
            *(hosting_capacity_records, hosting_capacity_summaries, feeder_changes),
            *(hc_ingestion_runs, utilities, of_devices),
            *([layer, code] for code in codes for layer in (LOCATION, SUBSTATION)),
        ],
        kinds={"duckdb"},
        description="warehouse.duckdb: every table and view, for notebooks, the API and any DuckDB client.",
    )
    def warehouse() -> dg.MaterializeResult:
        path = platform.settings.warehouse_path
        rebuilt = publish(platform.lake, path, memory=platform.settings.warehouse_memory)
        return dg.MaterializeResult(
            metadata={"path": str(path), "rebuilt": rebuilt, "megabytes": round(path.stat().st_size / 1e6, 3)}
        )

    of_records = [hosting_capacity_records, hosting_capacity_summaries, feeder_changes]
    return [*of_records, hc_ingestion_runs, utilities, of_devices, warehouse]
