"""When each utility is fetched: by its cadence, at a time of its own, once.

What belongs here: cadences' days, slots, schedules, and the job that asks for all utilities of a snapshot. What does not:
what a run does, or runs for other reasons (`edits`).

All utilities of a cadence have the same day, spread over its working hours by a hash of their codes, so that neither the
machine nor a host that many share is asked for everything at once. A tick asks for whoever is due by then and was not
asked for yet: a daemon that slept through some ticks makes up for them at the next, and no utility is asked for twice.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any, Final

import dagster as dg

from hc_platform.catalog.fields import Cadence
from hc_platform.catalog.models import UtilityConfig
from hc_platform.orchestration.partitions import PARTITIONS
from hc_platform.orchestration.platform import Platform
from hc_platform.orchestration.requests import asked_for, run_request
from hc_platform.orchestration.utility_assets import asset_keys
from hc_platform.pipeline.snapshots import snapshot_at

FIRST_HOUR: Final = 6
HOURS: Final = 8
_STEP: Final = timedelta(minutes=10)
_SLOTS: Final = HOURS * 6
_DAYS: Final[dict[Cadence, str]] = {"monthly": "3 * *", "quarterly": "5 1,4,7,10 *", "annual": "7 1 *"}
AssetJob = Any  # what define_asset_job gives has no public name


def slot(code: str) -> timedelta:
    """How long after midnight UTC of its cadence's day a utility is due: the same in every month and on every machine."""
    number = int.from_bytes(hashlib.blake2b(code.encode(), digest_size=8).digest()) % _SLOTS
    return timedelta(hours=FIRST_HOUR) + number * _STEP


def utilities_of(platform: Platform, cadence: Cadence) -> list[UtilityConfig]:
    """Those of the cadence that can be fetched."""
    return [c for c in platform.catalog.values() if c.fetchable and c.cadence == cadence]


def ingest_job(platform: Platform, cadence: Cadence) -> AssetJob:
    """All assets of all utilities of the cadence; of a run, one utility's."""
    keys = [key for c in utilities_of(platform, cadence) for key in asset_keys(c.utility_code)]
    return dg.define_asset_job(f"ingest_{cadence}", selection=dg.AssetSelection.assets(*keys))


def ingest_schedule(platform: Platform, cadence: Cadence, job: AssetJob) -> dg.ScheduleDefinition:
    """One run for each utility of the cadence, at its slot of the cadence's day."""
    cause = f"{cadence}-schedule"

    @dg.schedule(
        name=f"{cadence}_ingest",
        job=job,
        cron_schedule=f"*/10 {FIRST_HOUR}-{FIRST_HOUR + HOURS - 1} {_DAYS[cadence]}",
        description=f"One run for each {cadence} utility, for the running snapshot, each at a time of its own.",
    )
    def ingest(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        at: datetime = context.scheduled_execution_time
        snapshot = snapshot_at(at, cadence)
        since_midnight = timedelta(hours=at.hour, minutes=at.minute)
        due = [c for c in utilities_of(platform, cadence) if slot(c.utility_code) <= since_midnight]
        done = asked_for(context.instance, cause, snapshot) if due else set()
        missing = [c for c in due if c.utility_code not in done]
        if not missing:
            return dg.SkipReason(f"{len(done)} of {len(due)} that are due by now were asked for")
        return [run_request(c, snapshot, cause) for c in missing]

    return ingest


def all_of_one_snapshot(platform: Platform, cadence: Cadence, job: AssetJob) -> tuple[Any, Any]:
    """A job that asks for every utility of the cadence for the partition it is launched or backfilled for; its sensor.

    A backfill of the assets themselves would be a single run, one utility after the other, red if any of them is. This
    one gives a run for each utility, as the schedule does, through the queue and its hosts' pools.
    """
    name = f"ingest_all_{cadence}"

    @dg.op(name=f"ask_for_all_{cadence}")
    def ask(context: dg.OpExecutionContext) -> None:
        codes = [c.utility_code for c in utilities_of(platform, cadence)]
        context.log.info(
            f"{name}_sensor now asks for {context.partition_key} of {len(codes)}: {', '.join(codes)}"
        )

    @dg.job(
        name=name,
        partitions_def=PARTITIONS[cadence],
        description=f"Asks for one snapshot of all {cadence} utilities, a run for each.",
    )
    def all_job() -> None:
        ask()

    @dg.run_status_sensor(
        name=f"{name}_sensor",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[all_job],
        request_job=job,
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=10,
        description=f"Starts the runs that {name} asks for.",
    )
    def all_sensor(context: dg.RunStatusSensorContext) -> dg.SensorResult:
        run = context.dagster_run
        snapshot = run.tags["dagster/partition"]
        cause = f"{name}:{run.run_id[:8]}"
        return dg.SensorResult(
            run_requests=[run_request(c, snapshot, cause) for c in utilities_of(platform, cadence)]
        )

    return all_job, all_sensor
