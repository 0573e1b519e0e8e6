"""Dagster's storage in PostgreSQL, as docs/deploy.md says; a real server on the loopback."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hc_platform.catalog import load_catalog
from hc_platform.demo import synthetic_layers
from hc_platform.demo.server import local_catalog, serve
from hc_platform.settings import PROJECT_DIR

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
pytestmark = pytest.mark.skipif(not BINARIES, reason="no PostgreSQL server is installed (Debian: postgresql)")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of an empty database; the server refuses to run as root, so root steps down to `postgres`."""
    folder = Path(tempfile.mkdtemp(prefix="hc-postgres-"))  # pytest's own folders are closed to other users
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def pg(tool: str, *arguments: str) -> None:
        command = [*as_user, str(BINARIES[-1] / tool), *arguments]
        # its output to a file: a server that it leaves behind would hold a pipe open
        with (folder.parent / f"{folder.name}-{tool}.log").open("w") as log:
            done = subprocess.run(command, stdout=log, stderr=log, cwd="/")
        assert done.returncode == 0, Path(log.name).read_text()

    data = str(folder / "data")
    pg("initdb", "-D", data, "-U", "dagster", "-A", "trust")
    pg(
        "pg_ctl",
        "-D",
        data,
        "-w",
        "-l",
        str(folder / "log"),
        "-o",
        f"-h 127.0.0.1 -p {port} -k {folder}",
        "start",
    )
    try:
        yield f"postgresql+psycopg2://dagster@127.0.0.1:{port}/postgres"
    finally:
        pg("pg_ctl", "-D", data, "-m", "fast", "-w", "stop")
        shutil.rmtree(folder)


def test_runs_stand_in_postgresql(database: str, tmp_path: Path) -> None:
    documented = (PROJECT_DIR / "docs" / "deploy.md").read_text().split("```yaml\n")[1].split("```")[0]
    (tmp_path / "dagster.yaml").write_text((PROJECT_DIR / "dagster.yaml").read_text() + documented)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HC_")}
    environment |= {
        "DAGSTER_HOME": str(tmp_path),
        "DAGSTER_POSTGRES_URL": database,
        "HC_DATA_DIR": str(tmp_path / "data"),
        "HC_CONFIG_DIR": str(tmp_path / "configs"),
        "HC_MIN_INTERVAL_S": "0",
    }
    shipped = load_catalog(PROJECT_DIR / "utility_configs")
    with serve({"pepco": synthetic_layers(shipped["pepco"], 0.1)}, broken_pages=False) as url:
        config = local_catalog(shipped, url)["pepco"]
        (tmp_path / "configs").mkdir()
        (tmp_path / "configs" / "pepco.yaml").write_text(
            yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True))
        )
        command = [sys.executable, "-m", "hc_platform.cli", "ingest", "--utility", "pepco"]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=200, cwd=PROJECT_DIR
        )
    assert done.returncode == 0, done.stderr
    count = (
        "import dagster as dg; i = dg.DagsterInstance.get();"
        "print(type(i.event_log_storage).__name__, len(i.get_runs()),"
        " i.get_latest_materialization_event(dg.AssetKey(['sections', 'pepco'])) is not None)"
    )
    told = subprocess.run([sys.executable, "-c", count], env=environment, capture_output=True, text=True)
    assert told.stdout.split() == ["PostgresEventLogStorage", "3", "True"], (
        told.stderr
    )  # with the reference data's
    assert not (tmp_path / "history").exists()
