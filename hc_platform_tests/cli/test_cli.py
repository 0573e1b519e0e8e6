"""The command line: exit codes, one clear message for a mistake, the spellings of the hosting-capacity plan."""

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from hc_platform.settings import PROJECT_DIR


def hc(
    *arguments: str, data: Path, module: str = "hc_platform.cli", **environment: str
) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HC_", "DAGSTER_"))}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**clean, "HC_DATA_DIR": str(data), **environment},
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("ingest",), 2, "give --utility"),
        (("ingest", "--utility", "pgee"), 2, "did you mean pge?"),
        (("ingest", "--utility", "pge", "--category", "file"), 2, "no utility that can be fetched fits"),
        (("ingest", "--utility", "pge", "--snapshot", "2025-02"), 1, "holds only today's data"),
        (("ingest", "--utility", "pge", "--snapshot", "2025-02", "--force"), 2, "only the running snapshot"),
        (("ingest", "--utility", "pge", "--snapshot", "2026-13"), 2, "is no snapshot"),
        (("rebuild", "--utility", "pge", "--snapshot", "2020-01"), 2, "has no snapshot 2020-01"),
        (("rebuild", "--utility", "pge"), 2, "the lake has no raw rows of pge"),
        (("rebuild", "--utility", "pge", "--snapshot", "2026-01"), 1, "no raw snapshot 2026-01"),
        (("discover",), 2, "either --utility CODE or --url URL"),
        (("discover", "--url", "file:///etc/passwd"), 1, "only http and https"),
        (("config", "lint", "nobody"), 2, "there is no"),
    ],
)
def test_a_mistake_is_one_message_and_an_exit_code(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    done = hc(*arguments, data=tmp_path)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_lint_tells_every_mistake_and_fails(tmp_path: Path) -> None:
    configs = tmp_path / "configs"
    configs.mkdir()
    good = (PROJECT_DIR / "utility_configs" / "pge.yaml").read_text()
    (configs / "pge.yaml").write_text(
        good.replace("page_size:", "pagesize:").replace("grain: feeder", "grain: feedr")
    )
    done = hc("config", "lint", data=tmp_path, HC_CONFIG_DIR=str(configs))
    assert done.returncode == 2
    assert "did you mean page_size?" in done.stderr
    assert "did you mean feeder?" in done.stderr
    assert hc("config", "lint", data=tmp_path).returncode == 0


def test_the_plans_spellings_work(tmp_path: Path) -> None:
    listed = hc("--list-utilities", data=tmp_path, module="cli.ingest_hosting_capacity")
    assert listed.returncode == 0, listed.stderr
    assert (
        listed.stdout
        == hc("utilities", data=tmp_path).stdout
        == hc("ingest", "--list-utilities", data=tmp_path).stdout
    )
    assert "never" in listed.stdout
    for spelled in (("ingest", "--utility", "pge", "--discover"), ("discover", "--utility", "pge")):
        assert "services2.arcgis.com" in hc(*spelled, data=tmp_path, HC_ATTEMPTS="1").stderr


def test_generated_docs_are_up_to_date(tmp_path: Path) -> None:
    """Mend: hc config schema -o docs/utility_config.schema.json; hc tables > docs/tables.md"""
    schema = hc("config", "schema", data=tmp_path).stdout
    assert json.loads(schema)["title"] == "hc_platform utility config"
    assert schema == (PROJECT_DIR / "docs" / "utility_config.schema.json").read_text()
    assert hc("tables", data=tmp_path).stdout == (PROJECT_DIR / "docs" / "tables.md").read_text()


def test_export_of_an_empty_lake_holds_every_table(tmp_path: Path) -> None:
    target = tmp_path / "out.duckdb"
    assert hc("export", str(target), data=tmp_path).returncode == 0
    with duckdb.connect(str(target), read_only=True) as con:
        names = {name for (name,) in con.sql("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert {"sections", "raw_features", "hosting_capacity_records", "utilities"} <= names
    again = hc("export", str(target), data=tmp_path)
    assert again.returncode == 1
    assert "exists" in again.stderr
