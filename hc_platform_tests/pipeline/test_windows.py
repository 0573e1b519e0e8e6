"""Features without object ids: equal rows are several features, with keys that do not depend on the windows."""

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from hc_platform.hosting_capacity.tables import RAW_FEATURES
from hc_platform.pipeline.windows import raw_rows, verify

AT = datetime(2026, 5, 20, tzinfo=UTC)


def windows(folder: Path, *parts: list[str]) -> list[Path]:
    folder.mkdir()
    files = []
    for number, texts in enumerate(parts):
        file = folder / f"{number}.parquet"
        pl.DataFrame(
            {
                "object_id": pl.Series([None] * len(texts), dtype=pl.Int64),
                "attributes": pl.Series([json.dumps({"Id": text}) for text in texts], dtype=pl.String),
                "geometry": pl.Series([b"shape"] * len(texts), dtype=pl.Binary),
            }
        ).write_parquet(file)
        files.append(file)
    return files


def keys(files: list[Path]) -> list[str]:
    frames = raw_rows(files, code="a", snapshot="2026-05", layer="lines", at=AT)
    return RAW_FEATURES.conform(pl.concat(frames))["feature_key"].to_list()


def test_equal_rows_are_verified_and_have_keys_of_their_own(tmp_path: Path) -> None:
    files = windows(tmp_path / "a", ["x", "y", "x"], ["z", "x"])
    assert verify(files, 5, "lines").rows == 5
    found = keys(files)
    first = found[0]
    assert "#" not in first
    assert (found[2], found[4]) == (f"{first}#2", f"{first}#3")
    assert len(set(found)) == 5


def test_keys_do_not_depend_on_the_windows_or_their_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = keys(windows(tmp_path / "a", ["x", "y", "x", "x"]))
    assert keys(windows(tmp_path / "b", ["x"], ["y", "x"], [], ["x"])) == whole
    assert sorted(keys(windows(tmp_path / "c", ["x", "x"], ["x"], ["y"]))) == sorted(whole)
    monkeypatch.setattr("hc_platform.pipeline.windows._BATCH_ROWS", 1)
    assert keys(windows(tmp_path / "d", ["x", "y"], ["x"], ["x"])) == whole
