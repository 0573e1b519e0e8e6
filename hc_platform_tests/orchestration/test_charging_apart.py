"""A typo in a utility's YAML stops no charger: both code locations as the UI and its daemon run them."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hc_platform.settings import PROJECT_DIR
from hc_platform_tests.orchestration.charging_site import SENSOR

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
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HC_", "DAGSTER_", "WATTTIME_"))}
    port = _free_port()
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hc_platform.cli", "ui", "--port", str(port)],
            env={**clean, "HC_DATA_DIR": str(tmp_path / "data"), "HC_CONFIG_DIR": str(configs)},
            cwd=PROJECT_DIR,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        entries = _until(process, lambda: _locations(port))
        error = entries["hosting_capacity"]
        assert error["__typename"] == "PythonError"
        told = f"{error['message']} {json.dumps(error.get('cause'))}"
        assert f"rie.yaml:{line}: layers.0.grain" in told
        assert entries["charging"]["__typename"] == "RepositoryLocation"
        tick = _until(process, lambda: _ended_tick(port))
        assert tick["error"] is None
        # on a site that never ran, the sensor asks for the first run
        assert tick["status"] in ("SUCCESS", "SKIPPED")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _until(process: subprocess.Popen[bytes], look: Callable[[], Any]) -> Any:
    """What `look` finds, asked again until it finds something; at most 140 seconds."""
    deadline = time.monotonic() + 140
    while True:
        with contextlib.suppress(OSError):
            if found := look():
                return found
        assert process.poll() is None, "the UI ended by itself"
        assert time.monotonic() < deadline, "nothing within 140 seconds"
        time.sleep(0.3)


def _ask(port: int, query: str, **variables: str) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        told = json.load(answer)
    assert "errors" not in told, told
    return told["data"]


def _locations(port: int) -> dict[str, Any] | None:
    entries = _ask(port, LOCATIONS)["workspaceOrError"]["locationEntries"]
    loaded = all(e["loadStatus"] == "LOADED" and e["locationOrLoadError"] for e in entries)
    return {e["name"]: e["locationOrLoadError"] for e in entries} if loaded else None


def _ended_tick(port: int) -> dict[str, Any] | None:
    sensor = _ask(port, TICKS, name=SENSOR)["sensorOrError"]
    assert sensor["__typename"] == "Sensor", sensor
    ended = [t for t in sensor["sensorState"]["ticks"] if t["status"] != "STARTED"]
    return ended[0] if ended else None
