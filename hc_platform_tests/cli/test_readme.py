"""Every command of the README is run here, as it stands; and "add a utility" is followed to the letter."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from hc_platform import connect
from hc_platform.catalog import load_catalog
from hc_platform.demo import synthetic_layers
from hc_platform.demo.server import local_catalog, serve
from hc_platform.settings import PROJECT_DIR
from hc_platform_tests.integration import koop

README = (PROJECT_DIR / "README.md").read_text()
EXAMPLE_URL = "https://gis.example-coop.org/arcgis/rest/services/HostingCapacity/FeatureServer"
NAMED = ("pge", "rie", "pepco")
BY_CI = {"make test", "make lint"}  # .ci/run itself runs these two; running them from a test would not end


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def commands(text: str = README) -> list[str]:
    lines = [
        re.sub(r"\s+#.*$", "", line).strip() for block in blocks("bash", text) for line in block.splitlines()
    ]
    return [line for line in lines if line and not line.startswith("#")]


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


SERVERS = [c for c in commands() if c == "make dev" or c.startswith("hc ui")]
WALKTHROUGH = commands(section("Add a utility"))
ORDINARY = [c for c in commands() if c not in {*SERVERS, *WALKTHROUGH, *BY_CI}]


@dataclass(frozen=True)
class Stage:
    folder: Path
    environment: dict[str, str]

    def run(self, command: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=PROJECT_DIR if command.startswith("make") else self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=500,  # the demo, on a slow machine that does something else too
        )
        assert done.returncode == expect, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A folder with the configs of those utilities that the README names, their sources on a loopback server."""
    folder = tmp_path_factory.mktemp("readme")
    configs = folder / "utility_configs"
    configs.mkdir()
    shipped = load_catalog(PROJECT_DIR / "utility_configs")
    layers = {code: synthetic_layers(shipped[code], 0.05) for code in NAMED}
    with serve(layers, broken_pages=False) as url:
        served = local_catalog(shipped, url)
        for code, config in ((code, served[code]) for code in NAMED):
            (configs / f"{code}.yaml").write_text(
                yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True))
            )
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("HC_", "DAGSTER_"))}
        environment |= {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HC_DATA_DIR": str(folder / "data"),
            "HC_CONFIG_DIR": str(configs),
            "HC_MIN_INTERVAL_S": "0",
            "DATA": str(folder / "data"),
        }
        yield Stage(folder, environment)


def test_no_command_is_left_out() -> None:
    assert {"make demo", "make test", "hc ingest --utility pge", "hc export hosting_capacity.duckdb"} <= set(
        commands()
    )
    assert set(commands()) == {*ORDINARY, *SERVERS, *WALKTHROUGH, *BY_CI}
    ci = (PROJECT_DIR / ".ci" / "run").read_text()
    assert all(command in ci for command in BY_CI)


@pytest.mark.timeout(900)
def test_the_commands_run_as_they_stand(stage: Stage) -> None:
    # the demo goes to its own configs and folder, and touches neither a real lake nor a real instance
    real = {name: stage.folder / f"real-{name}" for name in ("HC_DATA_DIR", "HC_LAKE_ROOT", "DAGSTER_HOME")}
    real["DAGSTER_HOME"].mkdir()
    plain = {k: v for k, v in stage.environment.items() if k != "HC_CONFIG_DIR"}
    demo = Stage(stage.folder, plain | {name: str(path) for name, path in real.items()})
    said = {}
    for command in ORDINARY:
        done = (demo if command == "make demo" else stage).run(command)
        said[command] = done.stdout + done.stderr
    assert [str(path) for folder in real.values() for path in folder.rglob("*")] == []
    assert "all numbers above are synthetic" in said["make demo"]
    assert "nothing was written" in said["hc ingest --utility pge --dry-run"]
    assert "unchanged since" in said["hc ingest --utility all"]
    assert "complete" in said["hc ingest --utility pge --force"]
    assert (stage.folder / "hosting_capacity.duckdb").is_file()
    assert (stage.folder / "data" / "demo" / "warehouse.duckdb").is_file()
    assert (stage.folder / "data" / "demo" / "lake" / "sections").is_dir()

    [notebook] = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", notebook],
        env=stage.environment,
        cwd=stage.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "remaining_capacity_mw" in done.stdout
    assert '"coordinates"' in done.stdout


@pytest.mark.parametrize("command", SERVERS)
def test_the_ui_comes_up(stage: Stage, command: str) -> None:
    port = int(re.search(r"--port (\d+)", command).group(1)) if "--port" in command else 3000  # type: ignore[union-attr]
    cwd = PROJECT_DIR if command.startswith("make") else stage.folder
    log = stage.folder / f"ui-{port}.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            ["bash", "-c", command],
            env=stage.environment,
            cwd=cwd,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        status = _graphql(
            port, "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }", process
        )
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    entries = status["data"]["workspaceOrError"]["locationEntries"]
    loaded = [{"name": name, "loadStatus": "LOADED"} for name in ("hosting_capacity", "charging")]
    assert entries == loaded, log.read_text()


def _graphql(port: int, query: str, process: subprocess.Popen[bytes]) -> dict:  # type: ignore[type-arg]
    """Ask until the UI answers, at most two minutes."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": query}).encode(),
        {"content-type": "application/json"},
    )
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)  # type: ignore[no-any-return]
        except OSError:
            assert process.poll() is None, "the UI ended by itself"
            assert time.monotonic() < deadline, "the UI did not answer within two minutes"
            time.sleep(0.5)


@pytest.mark.koop
def test_a_utility_is_added_with_one_yaml(stage: Stage, tmp_path: Path) -> None:
    """The README's walk-through on a layer served by Koop, which is none of ours; no Python is written."""
    koop.koop_modules()
    _write_coop_layer(tmp_path / "coop.geojson")
    [config] = blocks("yaml", section("Add a utility"))
    with koop.serve_folder(tmp_path) as base:
        url = f"{base}/coop/FeatureServer"
        target = Path(stage.environment["HC_CONFIG_DIR"]) / "example_coop.yaml"
        target.write_text(config.replace(EXAMPLE_URL, url))
        try:
            said = {command: stage.run(command.replace(EXAMPLE_URL, url)).stdout for command in WALKTHROUGH}
        finally:
            target.unlink()
    discovered, lint, dry, _ = said.values()
    assert "FDR_NO" in discovered
    assert "in order" in lint
    assert "ok  all_features_accounted_for" in dry
    with connect(stage.environment["HC_DATA_DIR"]) as con:
        rows = con.sql(
            """SELECT feeder_id_external, section_count, hosting_capacity_mw, installed_dg_mw, remaining_capacity_mw,
                      censored, constraining_metric, voltage_kv
               FROM hosting_capacity_records_latest WHERE utility_code = 'example_coop' ORDER BY 1"""
        ).fetchall()
        [(status,)] = con.sql(
            "SELECT status FROM hc_ingestion_runs WHERE utility_code = 'example_coop'"
        ).fetchall()
    assert status == "complete"
    # feeder 0n: sections of n, 2n, ... 11n times 100 kW, the twelfth pending; 300 kW connected, 100 kW queued
    assert [r[:5] for r in rows[:4]] == [
        (f"0{n}", 12, pytest.approx(1.1 * n), pytest.approx(0.3), pytest.approx(1.1 * n - 0.4))
        for n in range(1, 5)
    ]
    assert rows[4][2:6] == (pytest.approx(5.5), pytest.approx(0.3), pytest.approx(5.1), "at_ceiling")
    assert {r[6:] for r in rows} == {("thermal", 12.47)}


def _write_coop_layer(path: Path) -> None:
    features = []
    for feeder in range(1, 6):
        for part in range(1, 13):
            number = len(features) + 1
            start = [-105.0 - feeder / 100, 39.0 + part / 1000]
            properties = {
                "OBJECTID": number,
                "SEG_ID": f"S{number:04d}",
                "FDR_NO": f"0{feeder}",
                "SUB_NAME": "EXAMPLE",
                "VOLTS": "12.47 kV",
                "HC_KW": -1 if part == 12 else 100 * feeder * part,
                "DER_KW": 300,
                "QUEUE_KW": 100,
                "LIMIT_BY": "Thermal Loading",
            }
            geometry = {"type": "LineString", "coordinates": [start, [start[0], start[1] + 0.001]]}
            features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    koop.write_layer(path, features)
