"""The registries that the contract holds for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hc_platform.charging.registry.base import Registry
from hc_platform.charging.registry.sqlite import SqliteRegistry


@pytest.fixture(params=["sqlite"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    """An empty registry of each kind."""
    made = SqliteRegistry(tmp_path / "registry.db")
    yield made
    made.close()
