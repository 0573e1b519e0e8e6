"""`hc ingest --utility all`: hosts at once, one utility's failure its own, Ctrl-C, what cannot be fetched."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hc_platform import connect
from hc_platform.catalog import UtilityConfig, load_catalog
from hc_platform.demo import synthetic_layers
from hc_platform.demo.server import local_catalog, serve
from hc_platform.settings import PROJECT_DIR

HC = [sys.executable, "-m", "hc_platform.cli"]
CODES = ("pepco", "pge")
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("HC_", "DAGSTER_"))}
CLOSED = {
    "utility_code": "closed_co",
    "utility_name": "Closed",
    "states": ["GA"],
    "data_source_type": "unknown",
    "access_status": "no_machine_readable_source",
    "access_reason": "only a PDF",
    "verification": {"status": "documented", "on": "2026-08-15", "sources": ["a test"]},
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[dict[str, UtilityConfig]]:
    """Two utilities on two names of the loopback."""
    shipped = load_catalog(PROJECT_DIR / "utility_configs")
    layers = {code: synthetic_layers(shipped[code], 0.05) for code in CODES}
    with serve(layers, broken_pages=False) as url:
        elsewhere = url.replace("127.0.0.1", "localhost")
        local, other = local_catalog(shipped, url), local_catalog(shipped, elsewhere)
        yield {"pepco": local["pepco"], "pge": other["pge"]}


def environment(folder: Path, configs: dict[str, UtilityConfig], **more: str) -> dict[str, str]:
    (folder / "configs").mkdir(exist_ok=True)
    for code, config in configs.items():
        told = config.model_dump(mode="json", exclude_defaults=True)
        (folder / "configs" / f"{code}.yaml").write_text(yaml.safe_dump(told))
    own = {"HC_DATA_DIR": str(folder / "data"), "HC_CONFIG_DIR": str(folder / "configs")}
    return {**CLEAN, **own, "HC_MIN_INTERVAL_S": "0", "HC_ATTEMPTS": "1", **more}


def ingest(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*HC, "ingest", "--utility", "all", *arguments]
    return subprocess.run(command, env=env, cwd=PROJECT_DIR, capture_output=True, text=True, timeout=240)


def test_one_that_fails_does_not_stop_the_others_and_what_is_closed_is_told(
    upstream: dict[str, UtilityConfig], tmp_path: Path
) -> None:
    dead = upstream["pepco"].model_copy(
        update={"service_url": "http://127.0.0.1:9/arcgis/rest/services/X/FeatureServer"}
    )
    env = environment(tmp_path, {**upstream, "pepco": dead})
    (tmp_path / "configs" / "closed_co.yaml").write_text(yaml.safe_dump(CLOSED))
    done = ingest(env)
    assert done.returncode == 1, done.stderr
    assert "pepco" in done.stderr
    assert "FAILED" in done.stderr
    rows = {c[0]: c for line in done.stdout.splitlines() if (c := [x.strip() for x in line.split("│")[1:]])}
    assert {code: rows[code][2] for code in CODES} == {
        "pepco": "failed",
        "pge": "complete",
    }
    assert int(rows["pge"][3].replace(",", "")) > 900
    assert "not fetched: closed_co (no_machine_readable_source): only a PDF" in done.stdout
    with connect(str(tmp_path / "data")) as con:
        runs = dict(con.sql("SELECT utility_code, status FROM hc_ingestion_runs").fetchall())
        assert runs == {
            "pepco": "failed",
            "pge": "complete",
        }
        [(closed,)] = con.sql(
            "SELECT access_reason FROM utilities WHERE utility_code = 'closed_co'"
        ).fetchall()
    assert closed == "only a PDF"


def test_ctrl_c_ends_what_runs_and_the_next_run_goes_on(
    upstream: dict[str, UtilityConfig], tmp_path: Path
) -> None:
    slow = {code: config.model_copy(update={"page_size": 20}) for code, config in upstream.items()}
    env = environment(tmp_path, slow)
    with subprocess.Popen(
        [*HC, "ingest", "--utility", "all"],
        env={**env, "HC_MIN_INTERVAL_S": "0.3"},
        cwd=PROJECT_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stderr is not None
        for line in first.stderr:  # pages of a layer are on disk
            if " of " in line and " 0 of" not in line:
                break
        first.send_signal(signal.SIGINT)
        _, told = first.communicate(timeout=120)
    assert first.returncode == 130, told
    assert "stopping: what runs ends at its next page" in told
    assert "stopped; what was fetched is kept" in told
    assert "of 2 are not done" in told
    assert list((tmp_path / "data" / "staging").rglob("*.parquet"))

    second = ingest(env)
    assert second.returncode == 0, second.stderr
    assert "waiting for run" not in second.stderr, "a stopped run holds its host's slot"
    with connect(str(tmp_path / "data")) as con:
        statuses = con.sql("SELECT DISTINCT status FROM hc_ingestion_runs").fetchall()
        [(notes,)] = con.sql("SELECT string_agg(notes::VARCHAR) FROM source_layers").fetchall()
        held = con.sql("SELECT DISTINCT utility_code FROM sections_latest ORDER BY 1").fetchall()
    assert set(statuses) == {("failed",), ("complete",)}
    assert "resumed" in notes
    assert held == [(code,) for code in sorted(CODES)]
