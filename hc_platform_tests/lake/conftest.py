"""A lake on a folder, and the same lake behind an S3 server on the loopback."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from hc_platform.hosting_capacity.tables import RECORDS
from hc_platform.lake.store import Lake, open_lake

_SERVER = """
import sys, threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """moto's S3 server on a free port of the loopback.

    In a process of its own: delta-rs holds Python's lock in some calls, and a server beside it could not answer.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-c", _SERVER], **pipes) as server:
        host, port = server.stdout.readline().split()
        yield f"http://{host}:{port}"
        server.kill()


@pytest.fixture
def s3_root(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """An s3:// root in a bucket of its own; the environment says where the server is."""
    import boto3

    keys = {"AWS_ACCESS_KEY_ID": "loopback", "AWS_SECRET_ACCESS_KEY": "loopback", "AWS_REGION": "us-east-1"}
    for name, value in {**keys, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": s3_endpoint}.items():
        monkeypatch.setenv(name, value)
    bucket = "lake-" + "".join(c for c in tmp_path.name.lower() if c.isalnum())[-40:]
    boto3.client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/some/lake"


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a lake is, on both kinds of storage."""
    if request.param == "s3":
        return str(request.getfixturevalue("s3_root"))
    return str(tmp_path / "lake")


@pytest.fixture
def lake(root: str) -> Lake:
    return open_lake(root)


@pytest.fixture(scope="session")
def records() -> Callable[..., pl.DataFrame]:
    """Records of one partition: `n` feeders, all with one value."""

    def make(code: str = "a", snapshot: str = "2026-05", n: int = 3, value: float = 1.0) -> pl.DataFrame:
        return RECORDS.conform(
            pl.DataFrame(
                {
                    "utility_code": [code] * n,
                    "resource": ["generation"] * n,
                    "snapshot": [snapshot] * n,
                    "feeder_id_external": [f"{i:05d}" for i in range(n)],
                    "grain": ["feeder"] * n,
                    "hosting_capacity_mw": [value] * n,
                }
            )
        )

    return make
