"""A backfill of all utilities for one snapshot, launched as the UI launches it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from hc_platform.catalog import Catalog
from hc_platform.hosting_capacity.tables import SECTIONS
from hc_platform.lake.store import Lake
from hc_platform.pipeline.snapshots import snapshot_at
from hc_platform_tests.orchestration.ui import Ui, running_ui

REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "hosting_capacity"}
LOADED = """{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } } }"""
LAUNCH = """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  ... on PartitionSetNotFoundError { message } } }"""
RUNS = (
    """{ runsOrError(limit: 100) { ... on Runs { results { runId jobName status tags { key value } } } } }"""
)
POOLS = "{ instance { concurrencyLimits { concurrencyKey slotCount } } }"


def runs_of(ui: Ui, snapshot: str) -> dict[str, dict[str, Any]]:
    """utility -> its run of the snapshot."""
    found = {}
    for run in ui.ask(RUNS)["runsOrError"]["results"]:
        run["tags"] = {t["key"]: t["value"] for t in run["tags"]}
        if run["tags"].get("dagster/partition") == snapshot and "utility" in run["tags"]:
            assert run["tags"]["utility"] not in found, "a utility was asked for twice"
            found[run["tags"]["utility"]] = run
    return found


@pytest.mark.timeout(600)
def test_a_backfill_of_all_gives_each_utility_a_run_through_queue_and_pools(
    upstream: Catalog, tmp_path: Path
) -> None:
    (tmp_path / "configs").mkdir()
    for code, config in upstream.items():
        told = config.model_dump(mode="json", exclude_defaults=True)
        (tmp_path / "configs" / f"{code}.yaml").write_text(yaml.safe_dump(told))
    snapshot = snapshot_at(datetime.now(UTC), "monthly")
    with running_ui(tmp_path, HC_CONFIG_DIR=str(tmp_path / "configs"), HC_MIN_INTERVAL_S="0") as ui:
        ui.until(lambda: _loaded(ui))
        job = "ingest_all_monthly"
        selector = {"partitionSetName": f"{job}_partition_set", "repositorySelector": REPOSITORY}
        params = {"selector": selector, "partitionNames": [snapshot]}
        launched = ui.ask(LAUNCH, params=params)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched

        def ended() -> dict[str, dict[str, Any]] | None:
            runs = runs_of(ui, snapshot)
            over = {"SUCCESS", "FAILURE", "CANCELED"}
            return (
                runs
                if set(runs) == set(upstream) and all(r["status"] in over for r in runs.values())
                else None
            )

        runs = ui.until(ended)
        assert {code: run["status"] for code, run in runs.items()} == dict.fromkeys(upstream, "SUCCESS")
        for run in runs.values():
            assert run["jobName"] == "ingest_monthly"
            assert run["tags"]["cause"].startswith(job)
            assert "wave" in run["tags"]
        pools = {p["concurrencyKey"]: p["slotCount"] for p in ui.ask(POOLS)["instance"]["concurrencyLimits"]}
        assert pools == {"host_127_0_0_1": 1}
    held = {p["utility_code"] for p in Lake(str(tmp_path / "data" / "lake")).partitions(SECTIONS)}
    assert held == set(upstream)


def _loaded(ui: Ui) -> bool:
    entries = ui.ask(LOADED)["workspaceOrError"]["locationEntries"]
    kinds = [(e["locationOrLoadError"] or {}).get("__typename") for e in entries]
    assert "PythonError" not in kinds, ui.log.read_text()[-3000:]
    return bool(kinds) and all(kinds)
