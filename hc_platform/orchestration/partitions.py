"""Snapshots as Dagster partitions, one definition per cadence.

What belongs here: partition calendars. What does not: what a snapshot holds (`pipeline.snapshots`).
"""

from datetime import timedelta

import dagster as dg

from hc_platform.catalog.fields import Cadence

FIRST_SNAPSHOT = "2025-01"
_CRONS: dict[Cadence, str] = {"monthly": "0 0 1 * *", "quarterly": "0 0 1 1,4,7,10 *", "annual": "0 0 1 1 *"}
STALE_AFTER: dict[Cadence, timedelta] = {
    "monthly": timedelta(days=40),
    "quarterly": timedelta(days=110),
    "annual": timedelta(days=400),
}

# end_offset=1: the running month is a partition, for that is what an ArcGIS layer holds
PARTITIONS: dict[Cadence, dg.TimeWindowPartitionsDefinition] = {
    cadence: dg.TimeWindowPartitionsDefinition(
        start=FIRST_SNAPSHOT, fmt="%Y-%m", cron_schedule=cron, timezone="UTC", end_offset=1
    )
    for cadence, cron in _CRONS.items()
}
