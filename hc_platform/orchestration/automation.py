"""All that makes things run: the schedules and sensors together, refresh after failures, upkeep.

What belongs here: the list of them and the upkeep job. What does not: what the runs do, when utilities are fetched
(`schedules`, `edits`).
"""

from datetime import timedelta
from typing import Any

import dagster as dg

from hc_platform.charging.tables import LAKE_TABLES as CHARGING_TABLES
from hc_platform.geo.tables import LAKE_TABLES as SPATIAL_TABLES
from hc_platform.hosting_capacity.tables import LAKE_TABLES
from hc_platform.lake.warehouse import publish
from hc_platform.orchestration.edits import upstream_edits
from hc_platform.orchestration.national_assets import NATIONAL
from hc_platform.orchestration.platform import Platform
from hc_platform.orchestration.reference_assets import REFERENCE_KEYS
from hc_platform.orchestration.schedules import (
    AssetJob,
    all_of_one_snapshot,
    ingest_job,
    ingest_schedule,
)
from hc_platform.orchestration.utility_assets import RAW
from hc_platform.reference.tables import LAKE_TABLES as REFERENCE_TABLES

REFERENCE_JOB = "refresh_reference"


def jobs_and_automation(platform: Platform) -> dict[str, Any]:
    """Keyword arguments for dg.Definitions: jobs, schedules, sensors."""
    national = dg.define_asset_job("refresh_national", selection=NATIONAL)
    reference = dg.define_asset_job(REFERENCE_JOB, selection=dg.AssetSelection.assets(*REFERENCE_KEYS))
    jobs, schedules = [national, reference, upkeep_job(platform)], [_upkeep_schedule()]
    sensors: list[dg.SensorDefinition] = [
        dg.AutomationConditionSensorDefinition(
            "national_automation",
            target=dg.AssetSelection.assets(*NATIONAL, *REFERENCE_KEYS),
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=30,
        ),
        _refresh_after_failure(national),
        upstream_edits(platform),
    ]
    for cadence in sorted({c.cadence for c in platform.catalog.values() if c.fetchable}):
        job = ingest_job(platform, cadence)
        all_job, all_sensor = all_of_one_snapshot(platform, cadence, job)
        jobs += [job, all_job]
        schedules.append(ingest_schedule(platform, cadence, job))
        sensors.append(all_sensor)
    return {"jobs": jobs, "schedules": schedules, "sensors": sensors}


def _refresh_after_failure(national: AssetJob) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.FAILURE,
        request_job=national,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A failed fetch moves no asset; this brings it into hc_ingestion_runs all the same.",
    )
    def refresh_after_failure(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
        if not any(key.path[0] == RAW for key in context.dagster_run.asset_selection or ()):
            return dg.SkipReason("it fetched nothing")
        return dg.RunRequest(run_key=context.dagster_run.run_id, tags={"cause": "failed-run"})

    return refresh_after_failure


def upkeep_job(platform: Platform) -> dg.JobDefinition:
    """Compact and vacuum the lake, prune old runs: Dagster keeps every event of every run for ever."""

    @dg.op
    def vacuum_lake(context: dg.OpExecutionContext) -> None:
        for table in (*LAKE_TABLES, *REFERENCE_TABLES, *SPATIAL_TABLES, *CHARGING_TABLES):
            removed = platform.lake.vacuum(table, platform.settings.vacuum_days)
            context.log.info(f"{table.name}: {removed} files removed")
        # compaction wrote new files, and the warehouse's views name the old ones
        publish(platform.lake, platform.settings.warehouse_path, memory=platform.settings.warehouse_memory)

    @dg.op
    def prune_runs(context: dg.OpExecutionContext) -> None:
        before = platform.now() - timedelta(days=platform.settings.run_retention_days)
        done = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
        old = context.instance.get_run_records(
            dg.RunsFilter(statuses=done, created_before=before), limit=5000
        )
        for record in old:
            context.instance.delete_run(record.dagster_run.run_id)
        context.log.info(f"{len(old)} runs older than {platform.settings.run_retention_days} days deleted")

    @dg.job(name="upkeep", description="Compact and vacuum the lake; delete runs past their retention.")
    def upkeep() -> None:
        vacuum_lake()
        prune_runs()

    return upkeep


def _upkeep_schedule() -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="nightly_upkeep",
        job_name="upkeep",
        cron_schedule="30 3 * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
