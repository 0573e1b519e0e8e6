"""Uniqueness of record keys: what is one feature served twice, and what only shares a key."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hc_platform.hosting_capacity.keys import repeated_keys
from hc_platform.hosting_capacity.tables import REJECTED_FEATURES, SECTIONS
from hc_platform.lake.store import Lake, open_lake
from hc_platform.pipeline.normalize import SectionsReport, prepared_sections
from hc_platform_tests.hosting_capacity.making import SNAPSHOT, config, put, raw

FIELDS = {"Id": "feeder_id_external", "C": "hosting_capacity_mw"}
KEYED = {"name": "lines", "record_key": ["Id"], "field_map": FIELDS}
PARTITION = {"utility_code": "test", "snapshot": SNAPSHOT}


def keys(*rows: tuple[str, str, int]) -> pl.LazyFrame:
    frame = pl.DataFrame(rows, schema=["resource", "record_key", "content_hash"], orient="row")
    return frame.with_columns(
        row=pl.int_range(pl.len()), layer=pl.lit("lines"), feature_key=pl.int_range(pl.len()).cast(pl.String)
    ).lazy()


def test_copies_are_rejected_and_namesakes_numbered() -> None:
    found = repeated_keys(
        keys(
            ("generation", "a", 1), ("load", "a", 1), ("generation", "b", 5),
            ("generation", "a", 1), ("generation", "a", 2), ("generation", "a", 2), ("generation", "a", 3),
        )
    )  # fmt: skip
    assert found.sort("row").select("row", "new_key").rows() == [(3, None), (4, "a#3"), (5, None), (6, "a#5")]


def test_the_order_in_which_rows_are_stored_does_not_matter() -> None:
    given = keys(*[("load", "a", n // 2) for n in range(24)])
    shuffled = given.collect().sample(fraction=1, shuffle=True, seed=5).lazy()
    assert repeated_keys(shuffled).sort("row").equals(repeated_keys(given).sort("row"))
    assert repeated_keys(shuffled).sort("row")["new_key"].to_list()[:3] == [None, "a#3", None]


def test_distinct_keys_need_nothing() -> None:
    assert repeated_keys(keys(("generation", "a", 1), ("load", "a", 1))).is_empty()


def run(
    lake: Lake, layers: list[dict[str, Any]], frames: Any
) -> tuple[SectionsReport, pl.DataFrame, pl.DataFrame]:
    made = config(*layers, capacity_unit="mw")
    put(lake, made, frames(made))
    with prepared_sections(made, SNAPSHOT, lake) as prepared:
        prepared.commit(lake)
        report = prepared.report
    return (
        report,
        lake.scan(SECTIONS, **PARTITION).collect(),
        lake.scan(REJECTED_FEATURES, **PARTITION).collect(),
    )


def test_a_copy_across_batches_is_a_reject_with_its_attributes(tmp_path: Path) -> None:
    first = [{"Id": "1", "C": 1}, {"Id": "1", "C": 1}]
    report, rows, rejected = run(
        open_lake(str(tmp_path)), [KEYED], lambda made: [raw(made, [*first, {"Id": "1", "C": 2}])]
    )
    assert sorted(rows["record_key"]) == ["lines:1", "lines:1#3"]
    assert rejected.select("feature_key", "reason", "raw_attributes").rows() == [
        ("2", "duplicate_feature", '{"Id": "1", "C": 1}')
    ]
    assert "lines:1" in rejected["detail"][0]
    assert (report.fetched, report.accepted, report.rejected, report.collisions) == (3, 2, 1, 1)


def test_one_key_and_content_at_two_places_are_two_features(tmp_path: Path) -> None:
    lines = ["LINESTRING (0 0, 1 1)", "LINESTRING (1 1, 2 2)"]
    report, rows, _ = run(
        open_lake(str(tmp_path)),
        [KEYED],
        lambda made: [raw(made, [{"Id": "1", "C": 1}] * 2, geometry=lines)],
    )
    assert sorted(rows["record_key"]) == ["lines:1", "lines:1#2"]
    assert report.rejected == 0


def test_several_feeders_of_one_feature_keep_their_rows(tmp_path: Path) -> None:
    packed = {"name": "lines", "field_map": FIELDS, "explode": {"columns": ["Id", "C"]}}
    report, rows, rejected = run(
        open_lake(str(tmp_path)),
        [packed],
        lambda made: [raw(made, [{"Id": "A,B,C", "C": "1,2,3"}, {"Id": "D,D", "C": "4,4"}])],
    )
    assert sorted(rows.select("record_key", "feeder_id_external", "hosting_capacity_mw").rows()) == [
        ("lines:#1/A", "A", 1.0), ("lines:#1/B", "B", 2.0), ("lines:#1/C", "C", 3.0), ("lines:#2/D", "D", 4.0),
    ]  # fmt: skip
    assert rejected.is_empty()  # feature 2 is accepted; that it says the same thing twice loses nothing
    assert (report.accepted, report.rejected, report.fetched) == (2, 0, 2)


def test_a_published_key_that_looks_numbered_collides_with_none(tmp_path: Path) -> None:
    rows = [
        {"Id": "a", "C": 1},
        {"Id": "a", "C": 2},
        {"Id": "a#2", "C": 3},
        {"Id": None, "C": 4},
        {"Id": "#4", "C": 5},
    ]
    _, kept, _ = run(open_lake(str(tmp_path)), [KEYED], lambda made: [raw(made, rows)])
    assert kept["record_key"].n_unique() == kept.height == 5


def test_a_feeder_name_of_two_ids_gives_none(tmp_path: Path) -> None:
    lines = {
        "name": "lines", "field_map": {"Circuit": "feeder_name"},
        "feeder_id_from": {"layer": "circuits", "field": "Circuit", "matches": "Title"},
    }  # fmt: skip
    circuits = {
        "name": "circuits", "grain": "feeder",
        "field_map": {"No": "feeder_id_external", "Title": "feeder_name"},
    }  # fmt: skip

    def frames(made: Any) -> list[pl.DataFrame]:
        named = [{"No": "007", "Title": "OAK"}, {"No": "007", "Title": " OAK "}, {"No": "1", "Title": "ELM"}]
        return [
            raw(made, [{"Circuit": c} for c in ("OAK", "ELM", "FIR", None)]),
            raw(made, [*named, {"No": "2", "Title": "ELM"}, {"No": None, "Title": "FIR"}], layer=1),
        ]

    _, rows, _ = run(open_lake(str(tmp_path)), [lines, circuits], frames)
    found = rows.filter(pl.col("layer") == "lines").select("feeder_name", "feeder_id_external").rows()
    assert sorted(found, key=str) == sorted(
        [("OAK", "007"), ("ELM", None), ("FIR", None), (None, None)], key=str
    )


ROW = st.fixed_dictionaries(
    {
        "Id": st.sampled_from(["a", "b", "a#2", "#1", "", None, "a,b", "x,y,z"]),
        "C": st.sampled_from([1, 2, "1,2", "1,2,3", "NA", "Redacted", "junk", ">7", None, "1,junk"]),
    }
)
GEOMETRY = st.sampled_from([None, "LINESTRING (0 0, 1 1)", "LINESTRING (0 0, 1 2)"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(st.tuples(ROW, GEOMETRY), max_size=14),
    keyed=st.booleans(),
    packed=st.booleans(),
    two=st.booleans(),
)
def test_every_feature_is_accepted_or_rejected_and_every_key_unique(
    rows: list[tuple[dict[str, Any], str | None]], keyed: bool, packed: bool, two: bool
) -> None:
    layer: dict[str, Any] = {"name": "lines", "field_map": {"Id": "feeder_id_external"}}
    layer["record_key"] = ["Id"] if keyed else []
    if packed:
        layer["explode"] = {"columns": ["Id", "C"]}
    of_one = {"field_map": {"C": "hosting_capacity_mw"}}
    layer["resources"] = {"generation": of_one, **({"load": of_one} if two else {})}
    attributes, lines = [a for a, _ in rows], [g for _, g in rows]
    with TemporaryDirectory() as folder:
        report, kept, rejected = run(
            open_lake(folder), [layer], lambda made: [raw(made, attributes, geometry=lines)]
        )
    accepted = set(kept["feature_key"])
    assert report.accepted == len(accepted)
    assert report.rejected == rejected.height == rejected["feature_key"].n_unique()
    assert report.accepted + report.rejected == report.fetched == len(rows)
    assert not accepted & set(rejected["feature_key"])
    assert (
        kept.select("resource", "record_key").n_unique() == kept.height == report.rows == report.distinct_keys
    )
    assert all(check.passed for check in report.checks(None)[:2])
    if two:
        assert kept.group_by("resource").len()["len"].n_unique() <= 1
