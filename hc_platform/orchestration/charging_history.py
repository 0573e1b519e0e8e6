"""Around the run: replays of past days as a backfillable asset, and the monthly look at imported tariffs.

What belongs here: what charge control does that no charger waits for. What does not: the run (`charging_assets`).
"""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import dagster as dg

from hc_platform.charging.history import replay_day
from hc_platform.charging.site import Site
from hc_platform.charging.tables import CHARGE_REPLAYS
from hc_platform.charging.tariffs.loading import load_tariffs
from hc_platform.charging.tariffs.urdb import KEY_NAME, api_client, fetch_rate
from hc_platform.charging.tariffs.urdb_import import reimport_report
from hc_platform.orchestration.metadata import bar, column_schema
from hc_platform.settings import secret

_FIRST_DAY = "2025-01-01"


def replays(site: Callable[[], Site], group: str) -> dg.AssetsDefinition:
    """A day each: what would have been decided. A backfill of it sends nothing, ever."""

    @dg.asset(
        name="charge_replays",
        group_name=group,
        partitions_def=dg.DailyPartitionsDefinition(_FIRST_DAY, timezone="UTC"),
        deps=["devices", "tou_schedules", "moer_readings"],
        kinds={"polars", "deltalake"},
        description=CHARGE_REPLAYS.meaning,
        metadata={"dagster/column_schema": column_schema(CHARGE_REPLAYS)},
    )
    def charge_replays(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        try:
            told = replay_day(site(), date.fromisoformat(context.partition_key), context.run.run_id)
        except LookupError as error:
            raise dg.Failure(str(error.args[0]), allow_retries=False) from error
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": told.decisions.height,
                "commands that would have gone out": told.commands,
                "flips a device and day": round(told.flips_per_day, 3),
                "longest pause": str(told.longest_pause),
                "share of time paused": round(told.paused_share, 4),
                "device-decisions by reason": bar(told.reasons),
            }
        )

    return charge_replays


def reimport_check(site: Callable[[], Site]) -> tuple[dg.AssetChecksDefinition, dict[str, Any]]:
    """The check that imported tariffs are still what USURDB says, with its monthly job and schedule."""

    @dg.asset_check(
        name="imported_tariffs_are_current",
        asset="tou_schedules",
        description="Every plan imported from USURDB is what USURDB says now; nothing is written.",
        retry_policy=dg.RetryPolicy(max_retries=2, delay=60),
    )
    def imported_tariffs_are_current() -> dg.AssetCheckResult:
        files = load_tariffs(site().tariff_dir).files.values()
        if not os.environ.get(KEY_NAME):
            return dg.AssetCheckResult(
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description=f"not looked up: {KEY_NAME} is not set",
            )
        with api_client(secret(KEY_NAME)) as client:
            reports = reimport_report(files, partial(fetch_rate, client=client), on=datetime.now(UTC).date())
        told = [f"{r.schedule} {r.status}: {'; '.join(r.lines)}" for r in reports if r.status != "equal"]
        return dg.AssetCheckResult(
            passed=not told,
            severity=dg.AssetCheckSeverity.WARN,
            description="\n".join(told) or f"{len(reports)} imported plans, all equal",
        )

    job = dg.define_asset_job(
        "tariff_reimport_job", selection=dg.AssetSelection.checks(imported_tariffs_are_current)
    )
    schedule = dg.ScheduleDefinition(
        name="tariff_reimport_schedule",
        job=job,
        cron_schedule="0 7 2 * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    return imported_tariffs_are_current, {"job": job, "schedule": schedule}
