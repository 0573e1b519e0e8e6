"""Running the assets in this process, on the same Dagster instance as the UI.

What belongs here: where that instance lives, and executing a selection on it. What does not: the assets.
"""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg

from hc_platform.orchestration.charging_automation import JOB, run_config
from hc_platform.orchestration.national_assets import NATIONAL
from hc_platform.orchestration.reference_assets import REFERENCE_KEYS
from hc_platform.orchestration.utility_assets import RAW, SECTION, asset_keys
from hc_platform.settings import PROJECT_DIR, Settings

_HOST, _PROCESS = "hc/host", "hc/process"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class RunOutcome:
    """What became of a run. `materialized`: asset key -> its metadata; `warnings`: failed non-blocking checks."""

    run_id: str
    success: bool
    error: str | None
    materialized: dict[str, dict[str, Any]]
    warnings: list[str]

    def fetched(self, code: str) -> tuple[str, int | None]:
        """What fetching came to in a word, and the features that stand; None where none were fetched."""
        raw = self.materialized.get(f"{RAW}/{code}", {})
        status = str(raw.get("status", "rebuilt")).partition(" ")[0] if self.success else "failed"
        return status, raw.get("dagster/row_count")

    def told(self, code: str) -> str:
        """The outcome of a utility's run in a few words."""
        raw = self.materialized.get(f"{RAW}/{code}", {})
        sections = self.materialized.get(f"{SECTION}/{code}", {})
        fetched = f"{raw.get('status')}, {raw.get('dagster/row_count')} features, " if raw else "rebuilt, "
        return f"{fetched}{sections.get('dagster/row_count', 'the same')} sections"


def dagster_home(settings: Settings) -> Path:
    """DAGSTER_HOME as it is set, else <data>/dagster with the project's dagster.yaml; sets the variable."""
    given = os.environ.get("DAGSTER_HOME")
    if given:
        return Path(given)
    home = settings.data_dir.resolve() / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT_DIR / "dagster.yaml", home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home)
    return home


@contextmanager
def local_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance that the UI shows."""
    dagster_home(settings)
    with dg.DagsterInstance.get() as instance:
        bury_killed_runs(instance)
        yield instance


def bury_killed_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs of this machine's command line whose process is gone as failed, and free their hosts' slots.

    The daemon does this for runs that it launched; a killed `hc ingest` has nobody else, and without it the next
    one would wait for the slot for ever.
    """
    running = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags={_HOST: socket.gethostname()})
    buried = []
    for run in instance.get_runs(running):
        if not _is_alive(int(run.tags[_PROCESS])):
            instance.report_run_failed(run, "its process was killed")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            buried.append(run.run_id)
    return buried


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def holders(instance: dg.DagsterInstance, pool: str | None) -> list[str]:
    """The runs that hold the pool's slots now: a new run waits for them."""
    if pool is None:
        return []
    return sorted(instance.event_log_storage.get_concurrency_info(pool).active_run_ids)


def run_utility(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    code: str,
    snapshot: str,
    *,
    force: bool = False,
    fetch: bool = True,
    accept_row_change: bool = False,
) -> RunOutcome:
    """One run of a utility's assets for one snapshot; without `fetch`, only of those after raw_features."""
    ops = {f"{SECTION}__{code}": {"config": {"accept_row_change": accept_row_change}}}
    if fetch:
        ops[f"{RAW}__{code}"] = {"config": {"force": force}}
    keys = asset_keys(code) if fetch else asset_keys(code)[1:]
    return _run(
        definitions,
        instance,
        keys,
        {"ops": ops, **_QUIET},
        {"utility": code, "cause": "hc ingest"},
        snapshot,
    )


def run_national(definitions: dg.Definitions, instance: dg.DagsterInstance) -> RunOutcome:
    """One run of the national assets."""
    return _run(
        definitions, instance, [dg.AssetKey(n) for n in NATIONAL], _QUIET, {"cause": "hc ingest"}, None
    )


def run_reference(definitions: dg.Definitions, instance: dg.DagsterInstance) -> RunOutcome:
    """One run of the reference assets."""
    return _run(definitions, instance, REFERENCE_KEYS, _QUIET, {"cause": "hc reference"}, None)


def run_charge_control(
    definitions: dg.Definitions, instance: dg.DagsterInstance, as_of: datetime
) -> RunOutcome:
    """One run of charge control for an instant."""
    tags = {"cause": "hc charge tick", "as_of": as_of.isoformat()}
    return _executed(definitions.resolve_job_def(JOB), instance, {**run_config(as_of), **_QUIET}, tags)


def _run(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    keys: list[dg.AssetKey],
    config: dict[str, Any],
    tags: dict[str, str],
    partition: str | None,
) -> RunOutcome:
    job = definitions.resolve_implicit_global_asset_job_def()
    return _executed(job, instance, config, tags, partition_key=partition, asset_selection=keys)


def _executed(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    config: dict[str, Any],
    tags: dict[str, str],
    **what: Any,
) -> RunOutcome:
    """Run the job in this process, so marked that a killed run of this machine is known as one."""
    result = job.execute_in_process(
        run_config=config,
        instance=instance,
        tags={**tags, _HOST: socket.gethostname(), _PROCESS: str(os.getpid())},
        raise_on_error=False,
        **what,
    )
    materialized = {
        event.asset_key.to_user_string(): {
            k: v.value for k, v in event.step_materialization_data.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    failures = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    told = [_message(f) for f in failures if f]
    warnings = [
        f"{c.asset_key.to_user_string()}: {c.check_name}: {c.description}"
        for c in result.get_asset_check_evaluations()
        if not c.passed and c.severity == dg.AssetCheckSeverity.WARN
    ]
    return RunOutcome(
        result.run_id, result.success, "; ".join(t for t in told if t) or None, materialized, warnings
    )


def _message(failure: Any) -> str:
    """What a person needs of a failed step: its own message, or the last cause of an unforeseen error."""
    if failure.user_failure_data:
        return str(failure.user_failure_data.description)
    error = failure.error
    while error and error.cause:
        error = error.cause
    return error.message.strip() if error else "unknown"
