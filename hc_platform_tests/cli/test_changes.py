"""`hc changes`: the sums, a utility's feeders, and nothing to compare."""

from pathlib import Path

import pytest

from hc_platform.cli import app
from hc_platform.lake.store import Lake
from hc_platform.pipeline.changes import refresh_monthly
from hc_platform_tests.pipeline.test_changes import put


@pytest.fixture
def data(tmp_path: Path) -> Path:
    lake = Lake(str(tmp_path / "lake"))
    put(lake, "2026-08", generation={"elm": 1.0, "oak": 2.0, "ash": 4.0})
    put(lake, "2026-09", generation={"elm": 1.0, "oak": 2.5, "ash": 1.0})
    put(lake, "2026-10", config="two", generation={"elm": 1.0, "oak": 2.5, "fir": 7.0})
    refresh_monthly(lake)
    return tmp_path


def changes(data: Path, *arguments: str) -> None:
    app(["changes", "--data-dir", str(data), *arguments], standalone_mode=False)


def test_the_newest_snapshots_sums_are_told_and_that_the_config_is_another(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes(data)
    told = capsys.readouterr().out
    assert [x.strip() for x in told.splitlines()[4].strip("│ ").split("│")] == [
        *("pge", "generation", "2026-09", "2026-10", "1", "1", "", "", "changed")
    ]
    assert "may be theirs" in told
    assert "elm" not in told


def test_a_utilitys_feeders_come_with_both_values_those_first_that_moved_most(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes(data, "--utility", "pge", "--snapshot", "2026-09", "--limit", "1")
    told = capsys.readouterr().out
    assert "the same" in told
    last = [x.strip() for x in told.splitlines()[-3].strip("│ ").split("│")]
    assert last == ["ash", "generation", "lowered", "4.000", "1.000", "measured", "measured"]
    assert "1 more; --limit shows them" in told


def test_nothing_to_compare_is_told_with_its_reason(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes(data, "--utility", "sce")
    assert "nothing to compare of sce: two snapshots are needed" in capsys.readouterr().out
