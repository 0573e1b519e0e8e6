"""One server with all six utilities, for the tests that only read from it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hc_platform.catalog.loading import Catalog, load_catalog
from hc_platform.demo import SyntheticLayer, synthetic_layers
from hc_platform.demo.server import serve
from hc_platform.demo.synthetic import SHAPES, shaped

SCALE = 0.1


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The six utilities, with the layers whose shapes are drawn by hand."""
    shipped = load_catalog(Path(__file__).parents[2] / "utility_configs")
    return Catalog({code: shaped(shipped[code]) for code in SHAPES})


@pytest.fixture(scope="session")
def layers(catalog: Catalog) -> Mapping[str, list[SyntheticLayer]]:
    return {code: synthetic_layers(catalog[code], SCALE) for code in SHAPES}


@pytest.fixture(scope="session")
def polite(layers: Mapping[str, list[SyntheticLayer]]) -> Iterator[str]:
    """Base URL of a server that never fails."""
    with serve(layers, broken_pages=False) as url:
        yield url
