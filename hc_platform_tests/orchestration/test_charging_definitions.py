"""The shape of the charging code location, and what it does not hang on."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg

from hc_platform.charging_definitions import build_definitions
from hc_platform.orchestration.charging_assets import CHECKED
from hc_platform.settings import PROJECT_DIR, Settings
from hc_platform_tests.orchestration.charging_site import JOB, SCHEDULE, SENSOR
from hc_platform_tests.orchestration.test_definitions import described

SNAPSHOT = Path(__file__).with_name("charging_snapshot.json")
OF_HOSTING_CAPACITY = {
    "hc_platform.definitions",
    "hc_platform.orchestration.national_assets",
    "hc_platform.orchestration.utility_assets",
}


def _never() -> Any:
    raise AssertionError("to load the location, nothing of the site is opened")


def _definitions(folder: Path) -> dg.Definitions:
    return build_definitions(Settings(data_dir=folder), _never)


def test_the_graph_is_as_recorded(tmp_path: Path) -> None:
    """After a change that is meant: HC_UPDATE_SNAPSHOT=1 make test TESTS=hc_platform_tests/orchestration."""
    now = described(_definitions(tmp_path))
    if os.environ.get("HC_UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    assert now == json.loads(SNAPSHOT.read_text())


def test_the_charge_run_has_seven_steps_in_order_and_waits_for_no_look_at_openei(tmp_path: Path) -> None:
    repository = _definitions(tmp_path).get_repository_def()
    job = repository.get_job(JOB)
    (graph,) = job.nodes_in_topological_order
    steps = [node.name for node in graph.definition.nodes_in_topological_order]  # type: ignore[attr-defined]
    assert steps == [
        "load_devices",
        "load_schedules",
        "read_moer",
        "decide",
        "enqueue",
        "deliver",
        "record",
    ]
    assert {key.name for key in job.asset_layer.asset_graph.asset_check_keys} == set(CHECKED)
    monthly = repository.get_job("tariff_reimport_job")
    assert {k.name for k in monthly.asset_layer.asset_graph.asset_check_keys} == {
        "imported_tariffs_are_current"
    }
    assert not monthly.asset_layer.selected_asset_keys
    assert int(job.tags["dagster/max_runtime"]) <= 300


def test_the_sensor_and_the_schedules_run_by_themselves(tmp_path: Path) -> None:
    repository = _definitions(tmp_path).get_repository_def()
    sensor = repository.get_sensor_def(SENSOR)
    assert sensor.minimum_interval_seconds == 30
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert {s.default_status for s in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}
    assert repository.get_schedule_def(SCHEDULE).job_name == sensor.job_name == JOB


def test_it_loads_without_a_deprecation_warning_and_without_any_utility(tmp_path: Path) -> None:
    """Not even one that is broken: it reads none."""
    (tmp_path / "pge.yaml").write_text("utility_code: [")
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(tmp_path),
        "HC_DATA_DIR": str(tmp_path / "data"),
        "HC_CONFIG_DIR": str(tmp_path),
    }
    code = (
        "import warnings; warnings.simplefilter('error', DeprecationWarning);"
        "import dagster; warnings.filterwarnings('error', message='.*', module='hc_platform.*');"
        "from hc_platform.charging_definitions import defs; defs().get_repository_def().load_all_definitions();"
        "import sys; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=PROJECT_DIR
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "hc_platform.charging.site" in loaded
    assert loaded & OF_HOSTING_CAPACITY == set()
    assert not (tmp_path / "data").exists()
