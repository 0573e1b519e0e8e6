"""The UI and its daemon as `hc ui` starts them, asked over GraphQL.

What belongs here: starting, asking, waiting, ending. What does not: what a test wants to know.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hc_platform.settings import PROJECT_DIR

_PATIENCE_S = 240


@dataclass(frozen=True)
class Ui:
    """A running UI."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            told = json.load(answer)
        assert "errors" not in told, told
        return told["data"]

    def until(self, look: Callable[[], Any]) -> Any:
        """What `look` finds, asked again until it finds something."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            with contextlib.suppress(OSError):
                if found := look():
                    return found
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.3)


@contextmanager
def running_ui(folder: Path, **environment: str) -> Iterator[Ui]:
    """`hc ui` on the folder's `data`, with the daemon."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HC_", "DAGSTER_", "WATTTIME_"))}
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    log = folder / "ui.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "hc_platform.cli", "ui", "--port", str(port)],
            env={**clean, "HC_DATA_DIR": str(folder / "data"), **environment},
            cwd=PROJECT_DIR,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield Ui(process, port, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
