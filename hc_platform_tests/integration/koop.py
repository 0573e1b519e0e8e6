"""A real Koop server (Esri's open-source feature server, node) for tests.

Belongs here: installing it once, starting and stopping it. Does not belong here: data and assertions.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

PACKAGES = ("@koopjs/koop-core@10.4.19", "@koopjs/provider-file-geojson@2.2.0")
PROJECT = Path(__file__).parents[2]


def koop_modules() -> Path:
    """A folder with Koop installed, in HC_KOOP_DIR or data/.koop. Skips the test where it cannot be had."""
    folder = Path(os.environ.get("HC_KOOP_DIR") or PROJECT / "data" / ".koop")
    if (folder / "node_modules" / "@koopjs" / "provider-file-geojson").exists():
        return folder
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Koop needs node and npm, which are not installed")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "install.lock"):
        if (folder / "node_modules" / "@koopjs" / "provider-file-geojson").exists():
            return folder
        (folder / "package.json").write_text('{"name": "koop-for-tests", "private": true}')
        command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", *PACKAGES]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
        except subprocess.TimeoutExpired:
            pytest.skip("npm install of Koop took longer than four minutes")
        if done.returncode:
            pytest.skip(f"npm could not install Koop: {done.stderr.strip()[-300:]}")
    return folder


def write_layer(path: Path, features: list[dict[str, Any]], *, max_record_count: int = 2000) -> None:
    """Write GeoJSON for Koop. Features need an OBJECTID property: without idField, Koop makes ids up from
    hashes.
    """
    metadata = {"name": path.stem, "idField": "OBJECTID", "maxRecordCount": max_record_count}
    collection = {"type": "FeatureCollection", "metadata": metadata, "features": features}
    path.write_text(json.dumps(collection))


@contextlib.contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """Serve the .geojson files of a folder; the value is the URL to which `/<name>/FeatureServer` is
    added.
    """
    command = ["node", str(Path(__file__).with_name("koop_server.js")), str(koop_modules()), str(folder)]
    environment = os.environ | {"SUPPRESS_NO_CONFIG_WARNING": "1"}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as server:
        assert server.stdout is not None
        try:
            line = next((line for line in server.stdout if line.startswith("listening")), None)
            if line is None:
                pytest.fail(f"Koop did not start: {' '.join(command)}")
            yield f"http://127.0.0.1:{line.split()[1]}/file-geojson/rest/services"
        finally:
            server.terminate()
