"""When charge control runs: the sensor, its fallback schedule, the warehouse, replays, the monthly tariff check.

What belongs here: sensors, schedules and the small jobs around the run. What does not: the run (`charging_assets`).
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg

from hc_platform.charging.downlinks.local import prune
from hc_platform.charging.site import Site
from hc_platform.charging.steps import PAST
from hc_platform.charging.wake import look
from hc_platform.lake.warehouse import publish
from hc_platform.orchestration.charging_assets import TABLES
from hc_platform.settings import Settings

JOB = "charge_control_job"
_MAX_RUNTIME_S = 300


def charging_automation(
    settings: Settings, site: Callable[[], Site], apart: dg.AssetChecksDefinition
) -> dict[str, Any]:
    """Jobs, schedules and sensors; `apart` is a check that a run of charge control must not wait for."""
    job = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(*(t.name for t in TABLES)) - dg.AssetSelection.checks(apart),
        tags={"dagster/max_runtime": str(_MAX_RUNTIME_S), "charge_control": "run"},
        description="Load devices, schedules and MOER; decide; enqueue; deliver; record.",
    )
    publish_job, upkeep = _publish_job(settings, site), _upkeep_job(settings, site)
    return {
        "jobs": [job, publish_job, upkeep],
        "sensors": [_sensor(job, site)],
        "schedules": [
            _fallback(job),
            _running("publish_charge_tables_schedule", publish_job, "*/10 * * * *"),
            _running("charge_upkeep_schedule", upkeep, "40 3 * * *"),
        ],
    }


def _sensor(job: Any, site: Callable[[], Site]) -> dg.SensorDefinition:
    @dg.sensor(
        name="charge_control_sensor",
        job=job,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Launches a run when some device's state can change, and at no other time.",
    )
    def charge_control_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        polled_at = datetime.fromisoformat(context.cursor) if context.cursor else None
        here = site()
        found = look(here, here.now(), polled_at)
        cursor = found.polled_at.isoformat() if found.polled_at else None
        if not found.causes:
            return dg.SensorResult(skip_reason=found.told, cursor=cursor)
        return dg.SensorResult(
            run_requests=[run_request(found.as_of, "+".join(found.causes), found.run_key)], cursor=cursor
        )

    return charge_control_sensor


def run_request(as_of: datetime, cause: str, run_key: str | None) -> dg.RunRequest:
    """One run of charge control for an instant."""
    return dg.RunRequest(
        run_key=run_key,
        run_config=run_config(as_of),
        tags={"cause": cause, "as_of": as_of.isoformat(), "dagster/priority": "10"},
    )


def run_config(as_of: datetime | None) -> dict[str, Any]:
    """The run's configuration: the instant to decide for."""
    given = {"as_of": as_of.isoformat()} if as_of else {}
    return {"ops": {"charge_control": {"ops": {"load_devices": {"config": given}}}}}


def _fallback(job: Any) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="charge_control_schedule",
        job=job,
        cron_schedule="*/15 * * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="A run every quarter of an hour whatever the sensor does: news of devices are taken in, nothing "
        "is sent when nothing changed.",
    )
    def charge_control_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        at = context.scheduled_execution_time
        if datetime.now(at.tzinfo) - at > PAST:
            return dg.SkipReason(f"{at} is past: the sensor sees to now")
        return run_request(at, "schedule", f"schedule|{at.isoformat()}")

    return charge_control_schedule


def _publish_job(settings: Settings, site: Callable[[], Site]) -> dg.JobDefinition:
    @dg.op
    def publish_warehouse(context: dg.OpExecutionContext) -> None:
        rebuilt = publish(site().lake, settings.warehouse_path, memory=settings.warehouse_memory)
        context.log.info(
            f"{settings.warehouse_path}: {'rebuilt' if rebuilt else 'stood at the newest state'}"
        )

    @dg.job(name="publish_charge_tables", description="Bring charge control's tables into warehouse.duckdb.")
    def publish_charge_tables() -> None:
        publish_warehouse()

    return publish_charge_tables


def _upkeep_job(settings: Settings, site: Callable[[], Site]) -> dg.JobDefinition:
    @dg.op
    def prune_files(context: dg.OpExecutionContext) -> None:
        for where in (settings.downlink_to, settings.events_from):
            kind, _, folder = where.partition(":")
            if kind == "file":
                removed = prune(Path(folder), settings.run_retention_days, site().now())
                context.log.info(f"{folder}: {removed} files removed")

    @dg.job(
        name="charge_upkeep",
        description="Delete files of sent commands and of events dealt with, once they are past their retention.",
    )
    def charge_upkeep() -> None:
        prune_files()

    return charge_upkeep


def _running(name: str, job: dg.JobDefinition, cron: str) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=name, job=job, cron_schedule=cron, default_status=dg.DefaultScheduleStatus.RUNNING
    )
