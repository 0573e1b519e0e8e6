"""What several rooms of tests share: where the real data is, and how often laws are tried (`laws`)."""

from pathlib import Path

import pytest

from hc_platform_tests import laws

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

laws.register()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real published files beside the project; a test without it is skipped, and says so."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data: {SHARED_DATA} is absent")
    return SHARED_DATA
