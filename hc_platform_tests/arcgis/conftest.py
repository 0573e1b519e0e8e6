"""What the tests of the ArcGIS client share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded real answers, beside the project."""
    folder = Path(__file__).parents[3] / "shared" / "data"
    if not (folder / "arcgis_fixtures").exists():
        pytest.skip(f"recorded answers are not at {folder}")
    return folder
