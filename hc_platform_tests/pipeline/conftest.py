"""A bench for the tests of the steps."""

from pathlib import Path

import pytest

from hc_platform.lake.store import open_lake
from hc_platform_tests.pipeline.stub import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, open_lake(str(tmp_path / "lake")))
