"""Asking for a run of all of a utility's assets for one snapshot, once.

What belongs here: the request, and what was asked for before. What does not: when it is asked for.
"""

from typing import Final

import dagster as dg

from hc_platform.catalog.models import UtilityConfig
from hc_platform.orchestration.labels import tags_of
from hc_platform.orchestration.utility_assets import asset_keys

_PARTITION: Final = "dagster/partition"
_UNDER_WAY: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def run_request(
    utility: UtilityConfig, snapshot: str, cause: str, run_key: str | None = None
) -> dg.RunRequest:
    """One run of the utility's assets; it waits in the queue for a slot, and its fetch for its host's pool."""
    code = utility.utility_code
    return dg.RunRequest(
        run_key=run_key or f"{code}:{snapshot}:{cause}",
        partition_key=snapshot,
        asset_selection=asset_keys(code),
        tags={**tags_of(utility), "cause": cause},
    )


def asked_for(instance: dg.DagsterInstance, cause: str, snapshot: str) -> set[str]:
    """The utilities that have had a run for this cause and snapshot, whatever became of it."""
    runs = instance.get_runs(dg.RunsFilter(tags={"cause": cause, _PARTITION: snapshot}))
    return {run.tags["utility"] for run in runs}


def under_way(instance: dg.DagsterInstance) -> set[tuple[str, str]]:
    """(utility, snapshot) of every run that is queued or runs."""
    runs = instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY))
    found = ((run.tags.get("utility"), run.tags.get(_PARTITION)) for run in runs)
    return {(code, snapshot) for code, snapshot in found if code and snapshot}
