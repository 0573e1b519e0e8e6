"""`kill -9` of an ingest in the middle of a pull, as a power cut would: the next one goes on where it was."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from hc_platform import connect
from hc_platform.catalog import load_catalog
from hc_platform.demo import synthetic_layers
from hc_platform.demo.server import local_catalog, serve
from hc_platform.settings import PROJECT_DIR

INGEST = [sys.executable, "-m", "hc_platform.cli", "ingest", "--utility", "pge"]


def test_a_killed_ingest_is_resumed_and_leaves_no_slot_taken(tmp_path: Path) -> None:
    shipped = load_catalog(PROJECT_DIR / "utility_configs")
    layers = {"pge": synthetic_layers(shipped["pge"], 0.5)}
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HC_", "DAGSTER_"))}
    with serve(layers, broken_pages=False) as url:
        config = local_catalog(shipped, url)["pge"].model_copy(update={"page_size": 250})
        (tmp_path / "configs").mkdir()
        (tmp_path / "configs" / "pge.yaml").write_text(
            yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True))
        )
        environment = {
            **clean,
            "HC_DATA_DIR": str(tmp_path / "data"),
            "HC_CONFIG_DIR": str(tmp_path / "configs"),
            "HC_MIN_INTERVAL_S": "0.2",
        }
        with subprocess.Popen(
            INGEST, env=environment, stderr=subprocess.PIPE, text=True, cwd=PROJECT_DIR
        ) as first:
            assert first.stderr is not None
            for line in first.stderr:  # a quarter of the sections is on disk
                if "ICA LineDetail" in line and " 0 of" not in line:
                    break
            first.send_signal(signal.SIGKILL)
        staged = list((tmp_path / "data" / "staging").rglob("*.parquet"))
        assert staged
        assert not (tmp_path / "data" / "lake" / "raw_features").exists()

        second = subprocess.run(
            INGEST,
            env={**environment, "HC_MIN_INTERVAL_S": "0"},
            capture_output=True,
            text=True,
            timeout=120,
            cwd=PROJECT_DIR,
        )
    assert second.returncode == 0, second.stderr
    with connect(str(tmp_path / "data")) as con:
        runs = con.sql("SELECT status FROM hc_ingestion_runs ORDER BY started_at").fetchall()
        [(notes, fetched, expected)] = con.sql(
            "SELECT notes, records_fetched, expected_count FROM source_layers WHERE layer = 'ICA LineDetail'"
        ).fetchall()
        [(rows,)] = con.sql("SELECT count(*) FROM raw_features WHERE layer = 'ICA LineDetail'").fetchall()
    assert runs == [("interrupted",), ("complete",)]
    assert fetched == expected == rows > 9000
    assert any("resumed" in note for note in notes), notes
