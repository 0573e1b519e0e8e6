"""The shipped tariffs, read once."""

from pathlib import Path

import pytest

from hc_platform.charging.tariffs.loading import Tariffs, load_tariffs

SHIPPED = Path(__file__).resolve().parents[3] / "tou_schedules"


@pytest.fixture(scope="session")
def shipped() -> Tariffs:
    """All shipped tariffs by schedule, utility_id/rate_plan."""
    return load_tariffs(SHIPPED)
