"""Events -> runs; snapshots' names; windows verified; national tables."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hc_platform.catalog.loading import Catalog
from hc_platform.hosting_capacity.tables import INGESTION_EVENTS, INGESTION_RUNS, RAW_FEATURES, RECORDS
from hc_platform.pipeline.national import check_records, fold_runs, refresh_runs, refresh_utilities
from hc_platform.pipeline.snapshots import snapshot_at
from hc_platform.pipeline.windows import raw_rows, verify
from hc_platform.sources import PartialPullError
from hc_platform_tests.hosting_capacity.making import config
from hc_platform_tests.pipeline.stub import Bench, StubSource, month

START = datetime(2026, 5, 1, tzinfo=UTC)


def events(*told: tuple[str, str, str, dict[str, Any]]) -> pl.DataFrame:
    """(attempt, utility, status, more), a minute apart."""
    rows = [
        {"ingestion_id": i, "utility_code": u, "snapshot": "2026-05", "at": START + timedelta(minutes=n),
         "status": s, **more}
        for n, (i, u, s, more) in enumerate(told)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=INGESTION_EVENTS.schema)


def test_events_fold_into_one_row_for_each_attempt() -> None:
    runs = fold_runs(
        events(
            ("1", "a", "running", {"run_id": "r1"}),
            ("2", "b", "running", {}),
            ("1", "a", "failed", {"error_message": "the server is down"}),
            ("3", "a", "running", {}),  # killed: a later attempt of the same utility has overtaken it
            ("4", "a", "running", {}),
            (
                "4",
                "a",
                "complete",
                {"records_fetched": 7, "expected_count": 7, "bytes": 99, "source_hash": "h"},
            ),
            ("n", "a", "normalized", {"records_written": 6, "rejected": 1, "source_hash": "h"}),
        )
    )
    assert runs.schema == pl.Schema(INGESTION_RUNS.schema)
    assert runs.select("ingestion_id", "status").rows() == [
        ("1", "failed"), ("2", "running"), ("3", "interrupted"), ("4", "complete"),
    ]  # fmt: skip
    minutes = [(c and (c - START).seconds // 60) for c in runs["completed_at"]]
    assert minutes == [2, None, None, 5]
    assert runs["records_written"].to_list() == [None, None, None, 6]
    last = runs.row(3, named=True)
    assert (last["records_fetched"], last["rejected"], last["bytes"], last["started_at"]) == (
        7,
        1,
        99,
        START + timedelta(minutes=4),
    )
    assert runs.row(0, named=True)["error_message"] == "the server is down"


def test_rows_written_stand_at_the_attempt_they_were_made_from() -> None:
    one, two = {"source_hash": "h1"}, {"source_hash": "h2"}
    runs = fold_runs(
        events(
            ("1", "a", "running", {}),
            ("1", "a", "complete", one),
            ("n1", "a", "normalized", {"records_written": 5, "rejected": 0, **one}),
            ("2", "a", "running", {}),
            ("2", "a", "changed", two),
            ("n2", "a", "normalized", {"records_written": 4, "rejected": 1, **two}),
            ("3", "a", "running", {}),
            ("3", "a", "unchanged", {"records_fetched": 0, **two}),
            ("n3", "a", "normalized", {"records_written": 3, "rejected": 2, **two}),
            ("4", "a", "running", {}),
            ("4", "a", "changed", {"source_hash": "h4"}),  # and then its sections were blocked
        )
    )
    assert runs.select("status", "records_written", "rejected").rows() == [
        ("complete", 5, 0),
        ("changed", 3, 2),
        ("unchanged", None, None),
        ("changed", None, None),
    ]


def test_the_log_may_come_in_any_order_and_may_be_empty() -> None:
    log = events(("1", "a", "running", {}), ("1", "a", "failed", {}), ("2", "a", "running", {}))
    assert fold_runs(log.reverse()).equals(fold_runs(log))
    assert fold_runs(INGESTION_EVENTS.empty()).height == 0


def test_a_fetch_that_is_interrupted_by_the_keyboard_is_a_failure(bench: Bench) -> None:
    class Stopped(StubSource):
        def pull(self, *_: Any) -> Any:
            raise KeyboardInterrupt

    made = config({"name": "lines", "field_map": {}})
    with pytest.raises(KeyboardInterrupt):
        bench.fetch(made, Stopped({"lines": [{"a": 1}]}), month(5))
    assert refresh_runs(bench.lake).select("status", "error_message").rows() == [
        ("failed", "KeyboardInterrupt")
    ]


@pytest.mark.parametrize(
    ("at", "cadence", "name"),
    [(month(1), "monthly", "2026-01"), (month(12), "monthly", "2026-12"), (month(1), "quarterly", "2026-01"),
     (month(3, 31), "quarterly", "2026-01"), (month(4, 1), "quarterly", "2026-04"), (month(12), "quarterly", "2026-10"),
     (month(12), "annual", "2026-01")],
)  # fmt: skip
def test_names_of_snapshots(at: datetime, cadence: Any, name: str) -> None:
    assert snapshot_at(at, cadence) == name


def windows(folder: Path, parts: list[list[int | None]], text: str = "") -> list[Path]:
    files = []
    for number, ids in enumerate(parts):
        file = folder / f"{len(parts)}-{number}.parquet"
        pl.DataFrame(
            {
                "object_id": pl.Series(ids, dtype=pl.Int64),
                "attributes": pl.Series([json.dumps({"i": i, "t": text}) for i in ids], dtype=pl.String),
                "geometry": pl.Series([None if i is None else bytes([i]) for i in ids], dtype=pl.Binary),
            }
        ).write_parquet(file)
        files.append(file)
    return files


def test_the_hash_does_not_depend_on_the_paging(tmp_path: Path) -> None:
    whole = verify(windows(tmp_path, [[1, 2, 3, 5]]), 4, "x")
    assert whole.rows == 4
    assert verify(windows(tmp_path, [[1], [2, 3], [], [5]]), 4, "x") == whole
    assert verify(windows(tmp_path, [[1, 2, 3, 5]], "other"), 4, "x").source_hash != whole.source_hash
    assert verify(windows(tmp_path, [[1, 2, 3, 6]]), 4, "x").source_hash != whole.source_hash


@pytest.mark.parametrize("parts", [[[1, 1]], [[1, 2], [2, 3]], [[2, 1]], [[3], [1]], [[1, None]]])
def test_ids_that_are_not_unique_and_ascending_are_refused(tmp_path: Path, parts: Any) -> None:
    count = sum(map(len, parts))
    with pytest.raises(PartialPullError, match="x: "):
        verify(windows(tmp_path, parts), count, "x")


def test_raw_rows_without_ids_are_known_by_their_content(tmp_path: Path) -> None:
    first, second = windows(tmp_path, [[None]], "a")[0], windows(tmp_path, [[None], []], "b")[0]
    assert verify([first, second], 2, "x").rows == 2
    told = {"code": "a", "snapshot": "2026-05", "layer": "lines", "at": START}
    rows = pl.concat(raw_rows([first, second], **told))
    assert rows["feature_key"].str.len_chars().to_list() == [32, 32]
    assert rows["feature_key"].n_unique() == 2
    [again] = raw_rows([second], **told)
    assert again["feature_key"][0] == rows["feature_key"][1]


def test_many_small_windows_become_few_large_frames(tmp_path: Path) -> None:
    files = windows(tmp_path, [[i] for i in range(100)])
    frames = list(raw_rows(files, code="a", snapshot="2026-05", layer="lines", at=START))
    assert [f.height for f in frames] == [100]
    assert RAW_FEATURES.conform(frames[0])["feature_key"].to_list() == [str(i) for i in range(100)]


def records(*rows: dict[str, Any]) -> pl.DataFrame:
    common = {
        "utility_code": "a",
        "snapshot": "2026-05",
        "resource": "load",
        "grain": "feeder",
        "censored": "none",
    }
    return pl.DataFrame([{**common, **row} for row in rows], schema=RECORDS.schema)


@pytest.mark.parametrize(
    ("rows", "failed"),
    [
        ([{"feeder_id_external": "1"}, {"feeder_id_external": "2"}], set()),
        ([{"feeder_id_external": "1"}, {"feeder_id_external": "1"}], {"records_are_unique"}),
        ([{"feeder_id_external": "1"}, {"feeder_id_external": "1", "resource": "storage"}], set()),
        ([{"feeder_id_external": "1", "constraining_metric": "magic"}], {"values_are_in_vocabulary"}),
    ],
)
def test_national_checks(bench: Bench, rows: Any, failed: set[str]) -> None:
    bench.lake.replace(RECORDS, {"utility_code": "a", "snapshot": "2026-05"}, records(*rows))
    assert {c.name for c in check_records(bench.lake) if not c.passed} == failed


def test_national_checks_of_an_empty_lake(bench: Bench) -> None:
    assert all(c.passed for c in check_records(bench.lake))


def test_utilities_tell_when_they_were_last_ingested(bench: Bench) -> None:
    made, idle = (
        config({"name": "lines", "field_map": {}}),
        config({"name": "x", "field_map": {}}, code="idle"),
    )
    rows = {"lines": [{"a": 1}]}
    bench.fetch(made, StubSource(rows, edited_at=month(4)), month(5))
    bench.fetch(made, StubSource(rows, edited_at=month(4)), month(6))
    with pytest.raises(PartialPullError):
        bench.fetch(made, StubSource(rows, cut=0), month(7), force=True)
    runs = refresh_runs(bench.lake)
    found = refresh_utilities(bench.lake, Catalog({"test": made, "idle": idle}))
    told = {r["utility_code"]: r for r in found.rows(named=True)}
    assert told["test"]["last_snapshot"] == "2026-05"  # the newest that holds rows
    assert told["test"]["last_ingested_at"] == runs["completed_at"][1]
    assert (told["idle"]["last_ingested_at"], told["idle"]["last_snapshot"]) == (None, None)
    assert json.loads(told["idle"]["config_json"])["utility_code"] == "idle"
