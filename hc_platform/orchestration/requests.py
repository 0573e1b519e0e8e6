"""Asking for a run of all of a utility's assets for one snapshot, once.

What belongs here: the request, and whether such a run is under way. What does not: when it is asked for.
"""

import dagster as dg

from hc_platform.catalog.models import UtilityConfig
from hc_platform.orchestration.labels import tags_of
from hc_platform.orchestration.utility_assets import asset_keys

_PARTITION = "dagster/partition"
_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def run_request(utility: UtilityConfig, snapshot: str, cause: str, run_key: str) -> dg.RunRequest:
    """One run of the utility's assets, in the queue behind its host's pool."""
    return dg.RunRequest(
        run_key=run_key,
        partition_key=snapshot,
        asset_selection=asset_keys(utility.utility_code),
        tags={**tags_of(utility), "cause": cause},
    )


def under_way(instance: dg.DagsterInstance) -> set[tuple[str, str]]:
    """(utility, snapshot) of every run that is queued or runs."""
    runs = instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY))
    return {
        (run.tags["utility"], run.tags[_PARTITION])
        for run in runs
        if "utility" in run.tags and _PARTITION in run.tags
    }
