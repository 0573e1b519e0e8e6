"""What several rooms of tests share: where the real data is, and how often laws are tried (`laws`)."""

from pathlib import Path

import pytest

from hc_platform_tests import laws

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

LONG = (
    "cli/test_readme.py",
    "orchestration/test_backfill.py",
    "lake/test_concurrency.py",
    "charging/replay/test_real_moer.py",
    "cli/test_ingest_all.py",
    "cli/test_cli.py",
    "orchestration/test_charging_apart.py",
    "cli/test_killed.py",
)
"""Files that take a minute or more: begun first, so that no worker has one of them left when the others are done."""

laws.register()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, in this order; everything else as it was."""
    rank = {name: number for number, name in enumerate(LONG)}

    def place(item: pytest.Item) -> int:
        return rank.get("/".join(item.path.parts).partition("hc_platform_tests/")[2], len(LONG))

    items.sort(key=place)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real published files beside the project; a test without it is skipped, and says so."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data: {SHARED_DATA} is absent")
    return SHARED_DATA
