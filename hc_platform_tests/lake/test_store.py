"""Delta tables by partition, on a folder and on S3."""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from hc_platform.hosting_capacity.tables import INGESTION_EVENTS, RECORDS, SUMMARIES
from hc_platform.lake.store import Lake, open_lake
from hc_platform.tables import Column, Table

Records = Callable[..., pl.DataFrame]


def key(code: str = "a", snapshot: str = "2026-05") -> dict[str, str]:
    return {"utility_code": code, "snapshot": snapshot}


def stands(lake: Lake) -> list[tuple[str, str, int, float]]:
    """(utility, snapshot, rows, value) of each partition."""
    groups = lake.scan(RECORDS).group_by("utility_code", "snapshot")
    values = groups.agg(pl.len(), pl.col("hosting_capacity_mw").unique())
    return sorted((u, s, n, *v) for u, s, n, v in values.collect().rows())


def test_nothing_before_the_first_commit(lake: Lake) -> None:
    assert lake.scan(RECORDS, **key()).collect().schema == pl.Schema(RECORDS.schema)
    assert (lake.version(RECORDS), lake.partitions(RECORDS), lake.files(RECORDS)) == (-1, [], [])
    assert not lake.has(RECORDS, **key())
    assert list(lake.batches(RECORDS, 10, **key())) == []
    assert lake.vacuum(RECORDS, 7) == 0


def test_exactly_one_partition_is_replaced(lake: Lake, records: Records) -> None:
    for code, snapshot in (("a", "2026-04"), ("a", "2026-05"), ("ab", "2026-05")):
        assert lake.replace(RECORDS, key(code, snapshot), records(code, snapshot)) == 3
    assert lake.replace(RECORDS, key(), records(n=2, value=9.0)) == 2
    assert stands(lake) == [("a", "2026-04", 3, 1.0), ("a", "2026-05", 2, 9.0), ("ab", "2026-05", 3, 1.0)]
    assert lake.has(RECORDS, utility_code="ab")
    assert lake.scan(RECORDS, **key()).collect().equals(records(n=2, value=9.0))


def test_rows_come_back_as_they_went_in(lake: Lake, records: Records) -> None:
    frame = records().with_columns(
        geometry=pl.lit(b"\x00\xff"), is_overhead=pl.Series([True, None, False]), voltage_kv=pl.lit(None, pl.Float64)
    )  # fmt: skip
    lake.replace(RECORDS, key(), frame)
    assert lake.scan(RECORDS, **key()).collect().equals(frame)
    batches = list(lake.batches(RECORDS, 2, **key()))
    assert [b.height for b in batches] == [2, 1]
    assert pl.concat(batches).equals(frame)


def test_an_empty_replace_empties_the_partition(lake: Lake, records: Records) -> None:
    lake.replace(RECORDS, key(), records())
    lake.replace(RECORDS, key("b"), records("b"))
    assert lake.replace(RECORDS, key(), RECORDS.empty()) == 0
    assert stands(lake) == [("b", "2026-05", 3, 1.0)]
    assert lake.replace(RECORDS, key("b"), iter(())) == 0
    assert stands(lake) == []


def test_a_stream_that_raises_commits_nothing(lake: Lake, records: Records) -> None:
    lake.replace(RECORDS, key(), records())
    before = lake.version(RECORDS)

    def rows() -> Iterator[pl.DataFrame]:
        yield records(n=60_000, value=2.0)
        raise RuntimeError("the source broke")

    with pytest.raises(Exception, match="the source broke"):
        lake.replace(RECORDS, key(), rows())
    assert lake.version(RECORDS) == before
    assert stands(lake) == [("a", "2026-05", 3, 1.0)]


def test_a_stream_is_one_commit(lake: Lake, records: Records) -> None:
    lake.replace(RECORDS, key(), records())
    before = lake.version(RECORDS)
    assert lake.replace(RECORDS, key(), (records(n=n, value=3.0) for n in (5, 0, 7)), run_id="run-7") == 12
    assert lake.version(RECORDS) == before + 1
    delta = lake.open(RECORDS)
    assert delta is not None
    assert delta.history(1)[0]["run_id"] == "run-7"


def test_partition_values_stay_text(lake: Lake) -> None:
    table = Table(
        "odd", "Partition values that look like numbers and dates.",
        (Column("utility_code", "text", "."), Column("snapshot", "text", "."), Column("n", "int", ".")),
        partition_by=("utility_code", "snapshot"),
    )  # fmt: skip
    values = [
        ("0022", "2026-05"),
        ("22", "2026-05"),
        ("1e5", "2026"),
        ("true", "2026-05-01"),
        ("a.b-c_d", "0"),
    ]
    for n, (code, snapshot) in enumerate(values):
        frame = pl.DataFrame({"utility_code": [code], "snapshot": [snapshot], "n": [n]})
        lake.replace(table, key(code, snapshot), frame)
    assert sorted(lake.scan(table).collect().rows()) == sorted((c, s, n) for n, (c, s) in enumerate(values))
    assert sorted((p["utility_code"], p["snapshot"]) for p in lake.partitions(table)) == sorted(values)
    for n, (code, snapshot) in enumerate(values):
        assert next(lake.batches(table, 9, **key(code, snapshot))).rows() == [(code, snapshot, n)]


@pytest.mark.parametrize("value", ["a'; DROP", "a b", "ä/", "", "a%20b", "../up"])
def test_other_partition_values_are_refused(tmp_path: Path, records: Records, value: str) -> None:
    with pytest.raises(ValueError, match="partition value"):
        open_lake(str(tmp_path)).replace(RECORDS, key(value), records())


def test_rows_of_another_partition_are_refused(tmp_path: Path, records: Records) -> None:
    lake = open_lake(str(tmp_path))
    with pytest.raises(Exception, match=r"(?i)partition|predicate|invalid|violat|does not match"):
        lake.replace(RECORDS, key("a"), records("b"))
    assert stands(lake) == []


def test_the_whole_partition_key_must_be_given(tmp_path: Path, records: Records) -> None:
    with pytest.raises(ValueError, match="partitioned by"):
        open_lake(str(tmp_path)).replace(RECORDS, {"utility_code": "a"}, records())


def test_a_column_the_table_does_not_know_is_refused(tmp_path: Path, records: Records) -> None:
    with pytest.raises(Exception, match="no column surprise"):
        open_lake(str(tmp_path)).replace(RECORDS, key(), records().with_columns(surprise=1))


def test_an_unpartitioned_table_is_replaced_whole(lake: Lake) -> None:
    row = {"utility_code": "a", "resource": "load", "snapshot": "2026-05"}
    lake.replace(SUMMARIES, {}, SUMMARIES.conform(pl.DataFrame([row, {**row, "resource": "storage"}])))
    lake.replace(SUMMARIES, {}, SUMMARIES.conform(pl.DataFrame([row])))
    assert lake.scan(SUMMARIES).collect()["resource"].to_list() == ["load"]


def test_append_adds(lake: Lake) -> None:
    for n in range(3):
        event = {"ingestion_id": str(n), "utility_code": "a", "snapshot": "2026-05", "status": "running"}
        lake.append(INGESTION_EVENTS, INGESTION_EVENTS.conform(pl.DataFrame([event])))
    assert sorted(lake.scan(INGESTION_EVENTS).collect()["ingestion_id"]) == ["0", "1", "2"]


def test_of_two_that_append_what_is_missing_none_repeats_the_other(lake: Lake) -> None:
    """The second begins and ends while the first has looked and not yet written: the worst that two can do."""
    looked = 0

    def events(*names: str) -> pl.DataFrame:
        rows = [
            {"ingestion_id": n, "utility_code": "a", "snapshot": "2026-05", "status": "running"}
            for n in names
        ]
        return INGESTION_EVENTS.conform(pl.DataFrame(rows))

    def add(frame: pl.DataFrame, meanwhile: Callable[[], object]) -> pl.DataFrame:
        def missing(there: pl.LazyFrame) -> pl.DataFrame:
            nonlocal looked
            looked += 1
            found = frame.join(there.collect(), on="ingestion_id", how="anti")
            meanwhile()
            return found

        return lake.append_missing(INGESTION_EVENTS, missing)

    def other() -> None:
        if looked == 1:
            assert add(events("b", "c"), lambda: None).height == 2
            lake.append(INGESTION_EVENTS, events("x"))  # who adds without looking hinders nobody

    assert add(events("a", "b"), other)["ingestion_id"].to_list() == ["a"]
    assert looked == 3
    assert sorted(lake.scan(INGESTION_EVENTS).collect()["ingestion_id"]) == ["a", "b", "c", "x"]
    version = lake.version(INGESTION_EVENTS)
    assert add(events("a"), lambda: None).is_empty()
    assert lake.version(INGESTION_EVENTS) == version  # nothing to add, no commit


def test_vacuum_keeps_what_an_open_reader_needs(lake: Lake, records: Records) -> None:
    lake.replace(RECORDS, key(), records(n=50, value=1.0))
    reader, files = lake.scan(RECORDS), lake.files(RECORDS)
    lake.replace(RECORDS, key(), records(n=60, value=2.0))
    assert lake.files(RECORDS) != files
    assert lake.vacuum(RECORDS, 7) == 0  # replaced just now: within the days that readers are given
    assert reader.select("hosting_capacity_mw").collect().to_series().to_list() == [1.0] * 50
    assert lake.vacuum(RECORDS, 0) > 0
    assert stands(lake) == [("a", "2026-05", 60, 2.0)]
    with pytest.raises(Exception, match=r"(?i)no such file|not found|404|does not exist|failed"):
        reader.select("hosting_capacity_mw").collect()


def test_a_relative_root_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_lake("data/lake").root == str(tmp_path / "data" / "lake")


def test_a_folder_with_blanks_and_signs(tmp_path: Path, records: Records) -> None:
    lake = open_lake(str(tmp_path / "my lake (ü)"))
    lake.replace(RECORDS, key(), records())
    assert all(Path(f).is_file() for f in lake.files(RECORDS, **key()))
    assert next(lake.batches(RECORDS, 10, **key())).height == 3
