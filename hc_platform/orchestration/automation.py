"""When things run: schedules by cadence, the upstream-edit sensor, refresh after failures, upkeep.

What belongs here: schedules, sensors and the upkeep job. What does not: what the runs do.
"""

import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from hc_platform.catalog.fields import Cadence
from hc_platform.charging.tables import LAKE_TABLES as CHARGING_TABLES
from hc_platform.geo.tables import LAKE_TABLES as SPATIAL_TABLES
from hc_platform.hosting_capacity.tables import LAKE_TABLES, SOURCE_LAYERS
from hc_platform.lake.warehouse import publish
from hc_platform.orchestration.national_assets import NATIONAL
from hc_platform.orchestration.platform import Platform
from hc_platform.orchestration.reference_assets import REFERENCE_KEYS
from hc_platform.orchestration.utility_assets import RAW, asset_keys
from hc_platform.pipeline.snapshots import snapshot_at
from hc_platform.reference.tables import LAKE_TABLES as REFERENCE_TABLES
from hc_platform.sources import source_for

_SCHEDULES: dict[Cadence, str] = {
    "monthly": "0 6 3 * *",
    "quarterly": "0 6 5 1,4,7,10 *",
    "annual": "0 6 7 1 *",
}
REFERENCE_JOB = "refresh_reference"
_CHECKED_PER_TICK = 8
_ASK_SECONDS = 5.0
_TICK_SECONDS = 40.0  # Dagster ends a tick at 60
AssetJob = Any  # what define_asset_job gives has no public name


def jobs_and_automation(platform: Platform) -> dict[str, Any]:
    """Keyword arguments for dg.Definitions: jobs, schedules, sensors."""
    national = dg.define_asset_job("refresh_national", selection=NATIONAL)
    reference = dg.define_asset_job(REFERENCE_JOB, selection=dg.AssetSelection.assets(*REFERENCE_KEYS))
    jobs, schedules = [national, reference, upkeep_job(platform)], [_upkeep_schedule()]
    for cadence in sorted({c.cadence for c in platform.catalog.values() if c.fetchable}):
        job = _ingest_job(platform, cadence)
        jobs.append(job)
        schedules.append(_ingest_schedule(platform, cadence, job))
    sensors = [
        dg.AutomationConditionSensorDefinition(
            "national_automation",
            target=dg.AssetSelection.assets(*NATIONAL, *REFERENCE_KEYS),
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=30,
        ),
        _refresh_after_failure(national),
        upstream_edits(platform),
    ]
    return {"jobs": jobs, "schedules": schedules, "sensors": sensors}


def _codes(platform: Platform, cadence: Cadence) -> list[str]:
    return [c.utility_code for c in platform.catalog.values() if c.fetchable and c.cadence == cadence]


def _ingest_job(platform: Platform, cadence: Cadence) -> AssetJob:
    keys = [key for code in _codes(platform, cadence) for key in asset_keys(code)]
    return dg.define_asset_job(f"ingest_{cadence}", selection=dg.AssetSelection.assets(*keys))


def _ingest_schedule(platform: Platform, cadence: Cadence, job: AssetJob) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{cadence}_ingest",
        job=job,
        cron_schedule=_SCHEDULES[cadence],
        description=f"One run for each {cadence} utility, for the running snapshot.",
    )
    def ingest(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        snapshot = snapshot_at(context.scheduled_execution_time, cadence)
        return [run_request(code, snapshot, f"{cadence}-schedule") for code in _codes(platform, cadence)]

    return ingest


def run_request(code: str, snapshot: str, cause: str, run_key: str | None = None) -> dg.RunRequest:
    """One run of all of a utility's assets for one snapshot."""
    return dg.RunRequest(
        run_key=run_key or f"{code}:{snapshot}:{cause}",
        partition_key=snapshot,
        asset_selection=asset_keys(code),
        tags={"utility": code, "cause": cause},
    )


def upstream_edits(platform: Platform) -> dg.SensorDefinition:
    """A sensor that asks a few utilities a tick for their edit date and requests those newer than the lake."""
    codes = [c.utility_code for c in platform.catalog.values() if c.fetchable]

    @dg.sensor(
        asset_selection=dg.AssetSelection.assets(*[key for code in codes for key in asset_keys(code)]),
        minimum_interval_seconds=900,
        description="Requests a utility whose source was edited since it was last ingested.",
    )
    def upstream_edit_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        start = int(context.cursor or 0) % max(len(codes), 1)
        deadline = time.monotonic() + _TICK_SECONDS
        requests, failed, asked = [], [], []
        for code in (codes[start:] + codes[:start])[:_CHECKED_PER_TICK]:
            if time.monotonic() > deadline:
                break  # the next tick goes on here: one that hangs must not hold up the others
            asked.append(code)
            try:
                edited, held = _edited_at(platform, code), _held_edit(platform, code)
            except Exception as error:  # one utility's trouble, whatever it is, is not the others'
                failed.append(code)
                context.log.warning(f"{code}: {error}")
                continue
            if edited and held and edited > held:
                today = platform.now()
                snapshot = snapshot_at(today, platform.catalog[code].cadence)
                # once a day at most, until the lake has caught up: a run that failed is asked for again
                key = f"{code}:{edited.isoformat()}:{today:%Y-%m-%d}"
                requests.append(run_request(code, snapshot, "upstream-edit", key))
        told = f"asked {', '.join(asked)}: nothing is newer than the lake"
        told += f"; no answer from {', '.join(failed)}" if failed else ""
        return dg.SensorResult(
            run_requests=requests,
            cursor=str((start + len(asked)) % max(len(codes), 1)),
            skip_reason=None if requests else dg.SkipReason(told),
        )

    return upstream_edit_sensor


def _edited_at(platform: Platform, code: str) -> datetime | None:
    """The newest edit date of a utility's layers; None where its source tells none. Asked once, briefly."""
    config = platform.catalog[code]
    options = replace(platform.source_options, timeout_s=_ASK_SECONDS, attempts=1)
    dates = [source_for(config, layer, options).edited_at(config, layer) for layer in config.layers]
    return max((d for d in dates if d is not None), default=None)


def _held_edit(platform: Platform, code: str) -> datetime | None:
    """The newest edit date that the lake has of a utility; None before its first ingestion."""
    held = platform.lake.scan(SOURCE_LAYERS, utility_code=code)
    return held.select(pl.col("source_edited_at").max()).collect().item()  # type: ignore[no-any-return]


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
