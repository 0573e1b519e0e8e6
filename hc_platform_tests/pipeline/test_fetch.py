"""Fetching: all layers or none, unchanged sources cost nothing, the past is not made up, every attempt is logged."""

import json
from typing import Any

import polars as pl
import pytest
from filelock import FileLock

from hc_platform.hosting_capacity.tables import INGESTION_EVENTS, RAW_FEATURES, SOURCE_LAYERS
from hc_platform.pipeline.describing import PastSnapshotError
from hc_platform.pipeline.national import refresh_runs
from hc_platform.pipeline.normalize import NoRawSnapshotError, held_by
from hc_platform.sources import ContractError, PartialPullError, SourceError
from hc_platform_tests.hosting_capacity.making import config
from hc_platform_tests.pipeline.stub import Bench, StubSource, month

MADE = config(
    {"name": "lines", "field_map": {"Id": "feeder_id_external", "C": "hosting_capacity_mw"}},
    {"name": "feeders", "grain": "feeder", "field_map": {"No": "feeder_id_external"}},
    capacity_unit="kw",
)


def source(**more: Any) -> StubSource:
    rows = [{"Id": f"0{i}", "C": 100 * i} for i in range(5)]
    return StubSource({"lines": rows, "feeders": [{"No": "00"}, {"No": "01"}, {"No": "02"}]}, **more)


def statuses(bench: Bench) -> list[str]:
    return bench.lake.scan(INGESTION_EVENTS).sort("at").collect()["status"].to_list()


def raw_ids(bench: Bench, snapshot: str) -> list[str]:
    rows = bench.lake.scan(RAW_FEATURES, utility_code="test", snapshot=snapshot)
    return sorted(rows.select(pl.concat_str("layer", "feature_key", separator="/")).collect().to_series())


ALL = [f"feeders/{i}" for i in (1, 2, 3)] + [f"lines/{i}" for i in (1, 2, 3, 4, 5)]


def test_all_layers_are_committed_once_with_what_the_source_said(bench: Bench) -> None:
    done = bench.fetch(MADE, source(edited_at=month(4)), month(5), run_id="run-1")
    assert (done.status, done.fetched, done.expected, done.same_as) == ("complete", 8, 8, None)
    assert raw_ids(bench, "2026-05") == ALL
    assert (bench.lake.version(RAW_FEATURES), bench.lake.version(SOURCE_LAYERS)) == (1, 1)
    layers = bench.lake.scan(SOURCE_LAYERS).sort("layer").collect()
    assert layers["expected_count"].to_list() == [3, 5]
    assert json.loads(layers["fields_json"][1]) == {"Id": "esriFieldTypeString", "C": "esriFieldTypeString"}
    assert layers["source_edited_at"].to_list() == [month(4)] * 2
    first = bench.lake.scan(RAW_FEATURES).filter(pl.col("layer") == "lines").sort("object_id").collect()
    assert first["raw_attributes"][1] == '{"Id": "01", "C": 100}'
    assert not list((bench.folder / "staging").rglob("*.parquet"))  # what is committed is not kept twice


@pytest.mark.parametrize("edited", [month(4), None], ids=["by edit date", "by content"])
def test_an_unchanged_source_is_not_copied(bench: Bench, edited: Any) -> None:
    first = source(edited_at=edited)
    bench.fetch(MADE, first, month(5))
    version = bench.lake.version(RAW_FEATURES)
    again = source(edited_at=edited)
    done = bench.fetch(MADE, again, month(6))
    assert (done.status, done.same_as, done.snapshot) == ("unchanged", "2026-05", "2026-06")
    assert bench.lake.version(RAW_FEATURES) == version
    assert bool(again.written) is (edited is None)  # an edit date spares even the download
    assert held_by(bench.lake, "test", "2026-06") == "2026-05"
    same = bench.lake.scan(SOURCE_LAYERS, utility_code="test", snapshot="2026-06").collect()
    assert same["same_as_snapshot"].to_list() == ["2026-05"] * 2
    later = bench.fetch(MADE, source(edited_at=edited), month(7))
    assert (later.status, later.same_as) == ("unchanged", "2026-05")  # the one that holds the rows
    assert not list((bench.folder / "staging").rglob("*.parquet"))


@pytest.mark.parametrize("edited", [month(4), None])
def test_the_same_snapshot_again_writes_nothing(bench: Bench, edited: Any) -> None:
    bench.fetch(MADE, source(edited_at=edited), month(5))
    versions = [bench.lake.version(t) for t in (RAW_FEATURES, SOURCE_LAYERS)]
    done = bench.fetch(MADE, source(edited_at=edited), month(5, 20))
    assert (done.status, done.same_as) == ("unchanged", "2026-05")
    assert [bench.lake.version(t) for t in (RAW_FEATURES, SOURCE_LAYERS)] == versions
    assert held_by(bench.lake, "test", "2026-05") == "2026-05"


def test_an_edit_replaces_the_running_snapshot(bench: Bench) -> None:
    bench.fetch(MADE, source(edited_at=month(4)), month(5))
    edited = source(edited_at=month(5, 16))
    edited.layers["lines"] = edited.layers["lines"][:3]
    done = bench.fetch(MADE, edited, month(5, 20))
    assert done.status == "complete"
    assert len(raw_ids(bench, "2026-05")) == 6


def test_another_count_under_the_same_edit_date_is_a_change(bench: Bench) -> None:
    bench.fetch(MADE, source(edited_at=month(4)), month(5))
    shrunk = source(edited_at=month(4))
    shrunk.layers["feeders"] = shrunk.layers["feeders"][:2]
    assert bench.fetch(MADE, shrunk, month(6)).status == "complete"
    assert len(raw_ids(bench, "2026-06")) == 7
    assert len(raw_ids(bench, "2026-05")) == 8


def test_another_filter_is_a_change(bench: Bench) -> None:
    bench.fetch(MADE, source(edited_at=month(4)), month(5))
    narrowed = MADE.model_copy(
        update={"layers": [MADE.layers[0].model_copy(update={"where": "Publish = 1"}), MADE.layers[1]]}
    )
    again = source(edited_at=month(4))
    bench.fetch(narrowed, again, month(6))
    assert again.written


def test_a_field_more_of_a_layer_that_keeps_only_these_is_a_change(bench: Bench) -> None:
    """Else the field would be NULL in every row, for the rows in the lake were pulled without it."""
    layer = {"name": "lines", "attributes": "named", "field_map": {"Id": "feeder_id_external"}}
    stub = StubSource({"lines": [{"Id": "1", "C": 100}]}, edited_at=month(4))
    bench.fetch(config(layer), stub, month(5))
    more = config({**layer, "field_map": {"Id": "feeder_id_external", "C": "feeder_name"}})
    assert bench.fetch(more, stub, month(6)).status == "unchanged"  # the stub's rows are the same...
    assert stub.written == ["lines/0"] * 2  # ... but were pulled to see it
    bench.fetch(more, stub, month(7))
    assert stub.written == ["lines/0"] * 2


def test_force_pulls_all_the_same(bench: Bench) -> None:
    bench.fetch(MADE, source(edited_at=month(4)), month(5))
    again = source(edited_at=month(4))
    done = bench.fetch(MADE, again, month(6), force=True)
    assert (done.status, done.same_as) == ("complete", None)
    assert len(again.written) == 5
    assert raw_ids(bench, "2026-06") == ALL
    assert held_by(bench.lake, "test", "2026-06") == "2026-06"


def test_a_past_snapshot_that_nobody_kept_is_refused(bench: Bench) -> None:
    today = source()
    with pytest.raises(
        PastSnapshotError, match=r"only today's data \(2026-05\).* no raw snapshot 2026-03"
    ) as error:
        bench.fetch(MADE, today, month(5), snapshot="2026-03")
    assert not error.value.retryable
    assert today.described == []
    with pytest.raises(NoRawSnapshotError, match=r"2026-03 \(it has: none\); materialize raw_features/test"):
        held_by(bench.lake, "test", "2026-03")


def test_a_past_snapshot_in_the_lake_is_answered_from_it(bench: Bench) -> None:
    bench.fetch(MADE, source(edited_at=month(4)), month(3))
    bench.fetch(MADE, source(edited_at=month(4)), month(4))
    today = source()
    kept = bench.fetch(MADE, today, month(5), snapshot="2026-03")
    same = bench.fetch(MADE, today, month(5), snapshot="2026-04")
    assert [(f.status, f.same_as) for f in (kept, same)] == [("unchanged", "2026-03")] * 2
    assert today.described == []


def test_a_quarter_is_named_by_its_first_month(bench: Bench) -> None:
    quarterly = MADE.model_copy(update={"cadence": "quarterly"})
    assert bench.fetch(quarterly, source(), month(5), snapshot="2026-04").status == "complete"
    with pytest.raises(PastSnapshotError, match=r"today's data \(2026-04\)"):
        bench.fetch(quarterly, source(), month(5), snapshot="2026-05")


def test_a_field_that_is_gone_stops_before_anything_is_pulled(bench: Bench) -> None:
    bench.fetch(MADE, source(), month(5))
    version = bench.lake.version(RAW_FEATURES)
    changed = source()
    changed.layers["feeders"] = [{"Nos": "00"}]
    with pytest.raises(ContractError, match=r"test, layer feeders: .*No \(now Nos\?\).*test\.yaml") as error:
        bench.fetch(MADE, changed, month(6))
    assert not error.value.retryable
    assert changed.written == []
    assert bench.lake.version(RAW_FEATURES) == version
    assert not bench.lake.has(SOURCE_LAYERS, snapshot="2026-06")
    runs = refresh_runs(bench.lake)
    assert runs["status"].to_list() == ["complete", "failed"]
    assert "No (now Nos?)" in runs["error_message"][1]


def test_a_field_in_another_case_is_taken(bench: Bench) -> None:
    changed = source()
    changed.layers["feeders"] = [{"NO": "00"}]
    assert bench.fetch(MADE, changed, month(5)).status == "complete"


def test_a_partial_pull_keeps_the_old_snapshot_and_the_next_run_resumes(bench: Bench) -> None:
    bench.fetch(MADE, source(), month(5))
    longer = source()
    longer.layers["lines"] = [*longer.layers["lines"], {"Id": "9", "C": 1}, {"Id": "10", "C": 1}]
    longer.cut = 2
    with pytest.raises(PartialPullError) as error:
        bench.fetch(MADE, longer, month(5, 20))
    assert error.value.retryable
    assert raw_ids(bench, "2026-05") == ALL
    assert longer.written == ["lines/0", "lines/1"]
    longer.cut = None
    assert bench.fetch(MADE, longer, month(5, 21)).status == "complete"
    assert longer.written == ["lines/0", "lines/1", "lines/2", "lines/3", "feeders/0", "feeders/1"]
    assert len(raw_ids(bench, "2026-05")) == 10
    assert refresh_runs(bench.lake)["status"].to_list() == ["complete", "failed", "complete"]


def test_windows_of_another_month_are_not_resumed(bench: Bench) -> None:
    with pytest.raises(PartialPullError):
        bench.fetch(MADE, source(cut=1), month(5))
    later = source()
    bench.fetch(MADE, later, month(6))
    assert "lines/0" in later.written


def test_fewer_rows_on_disk_than_counted_are_not_committed(bench: Bench) -> None:
    with pytest.raises(PartialPullError, match="5 features are on disk but the server counted 6"):
        bench.fetch(MADE, source(misses=1), month(5))
    assert bench.lake.version(RAW_FEATURES) == -1


def test_two_at_once_of_one_utility_are_refused(bench: Bench) -> None:
    staging = bench.folder / "staging"
    staging.mkdir()
    with FileLock(staging / "test.lock"), pytest.raises(SourceError, match="another run") as error:
        bench.fetch(MADE, source(), month(5))
    assert error.value.retryable
    assert statuses(bench) == []
    assert bench.fetch(MADE, source(), month(5)).status == "complete"


def test_a_layer_without_rows_is_no_data(bench: Bench) -> None:
    """A filter that fits nothing any more, or a service that was made known before it was filled."""
    empty = config({"name": "lines", "field_map": {}})
    with pytest.raises(ContractError, match="has no rows under where: 1=1"):
        bench.fetch(empty, StubSource({"lines": []}), month(5))


def test_the_log_says_what_moved(bench: Bench) -> None:
    bench.fetch(MADE, source(edited_at=month(4)), month(5), run_id="a")
    bench.fetch(MADE, source(edited_at=month(4)), month(6), run_id="b")
    runs = refresh_runs(bench.lake)
    told = runs.select("run_id", "status", "snapshot", "expected_count", "records_fetched", "bytes").rows()
    assert told == [("a", "complete", "2026-05", 8, 8, 200), ("b", "unchanged", "2026-06", 8, 0, 0)]
    assert runs["source_edited_at"].to_list() == [month(4)] * 2
    assert runs["source_hash"].n_unique() == 1
