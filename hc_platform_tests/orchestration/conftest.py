"""A small loopback upstream, a data folder and a Dagster instance of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from hc_platform.catalog import Catalog, load_catalog
from hc_platform.definitions import build_definitions
from hc_platform.demo import synthetic_layers
from hc_platform.demo.server import local_catalog, serve
from hc_platform.orchestration.platform import Platform
from hc_platform.settings import PROJECT_DIR, Settings

CODES = ("pepco", "pge")


@pytest.fixture(scope="session")
def shipped() -> Catalog:
    return load_catalog(PROJECT_DIR / "utility_configs")


@pytest.fixture(scope="session")
def upstream(shipped: Catalog) -> Iterator[Catalog]:
    """Two utilities' configs, pointed at a loopback server."""
    layers = {code: synthetic_layers(shipped[code], 0.05) for code in CODES}
    with serve(layers, broken_pages=False) as url:
        local = local_catalog(shipped, url)
        yield Catalog({code: local[code] for code in CODES})


@pytest.fixture
def platform(upstream: Catalog, tmp_path: Path) -> Platform:
    return Platform(Settings(data_dir=tmp_path, min_interval_s=0), upstream)


@pytest.fixture
def definitions(platform: Platform) -> dg.Definitions:
    return build_definitions(platform)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made
