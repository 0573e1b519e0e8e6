"""A typo in a utility's YAML stops no charger: both code locations as the UI and its daemon run them."""

import json
from pathlib import Path
from typing import Any

from hc_platform.settings import PROJECT_DIR
from hc_platform_tests.orchestration.charging_site import SENSOR
from hc_platform_tests.orchestration.ui import Ui, running_ui

LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError {
  __typename ... on PythonError { message cause { message } } } } } } }"""
TICKS = """query ($name: String!) { sensorOrError(sensorSelector: {sensorName: $name,
  repositoryLocationName: "charging", repositoryName: "__repository__"}) { __typename ... on Sensor {
  sensorState { status ticks(limit: 5) { status skipReason error { message } } } } ... on PythonError { message } } }"""


def test_a_broken_utility_yaml_is_a_load_error_there_and_the_sensor_ticks_here(tmp_path: Path) -> None:
    configs = tmp_path / "utility_configs"
    configs.mkdir()
    good = (PROJECT_DIR / "utility_configs" / "rie.yaml").read_text()
    (configs / "rie.yaml").write_text(good.replace("grain: section", "grain: sektion"))
    line = next(n for n, text in enumerate(good.splitlines(), 1) if "grain: section" in text)
    with running_ui(tmp_path, HC_CONFIG_DIR=str(configs)) as ui:
        entries = ui.until(lambda: _locations(ui))
        error = entries["hosting_capacity"]
        assert error["__typename"] == "PythonError"
        told = f"{error['message']} {json.dumps(error.get('cause'))}"
        assert f"rie.yaml:{line}: layers.0.grain" in told
        assert entries["charging"]["__typename"] == "RepositoryLocation"
        tick = ui.until(lambda: _ended_tick(ui))
        assert tick["error"] is None
        # on a site that never ran, the sensor asks for the first run
        assert tick["status"] in ("SUCCESS", "SKIPPED")


def _locations(ui: Ui) -> dict[str, Any] | None:
    entries = ui.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
    loaded = all(e["loadStatus"] == "LOADED" and e["locationOrLoadError"] for e in entries)
    return {e["name"]: e["locationOrLoadError"] for e in entries} if loaded else None


def _ended_tick(ui: Ui) -> dict[str, Any] | None:
    sensor = ui.ask(TICKS, name=SENSOR)["sensorOrError"]
    assert sensor["__typename"] == "Sensor", sensor
    ended = [t for t in sensor["sensorState"]["ticks"] if t["status"] != "STARTED"]
    return ended[0] if ended else None
