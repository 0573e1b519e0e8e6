"""Single generators (grain der): they add up to their feeder's generation and touch nothing else."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hc_platform.hosting_capacity.feeders import build_records, disagreeing, unplaced
from hc_platform.hosting_capacity.summaries import summarize
from hc_platform.hosting_capacity.tables import RECORDS
from hc_platform.lake.store import open_lake
from hc_platform.pipeline.feeders import prepare_records
from hc_platform.pipeline.normalize import prepared_sections
from hc_platform.pipeline.pieces import feeder_pieces
from hc_platform_tests.hosting_capacity.making import AT, SNAPSHOT, config, put, raw, sections

NO_ATTRIBUTES = pl.DataFrame(
    schema={"feature_key": pl.String, "layer": pl.String, "raw_attributes": pl.String}
)
H, IN, QU, REST = "hosting_capacity_mw", "installed_dg_mw", "queued_dg_mw", "remaining_capacity_mw"
F: dict[str, Any] = {"feeder_id_external": "01"}
DER: dict[str, Any] = {**F, "grain": "der", "layer": "generators", "value_status": "not_published"}


def built(*rows: dict[str, Any]) -> pl.DataFrame:
    return build_records(sections(*rows), NO_ATTRIBUTES, []).sort("feeder_id_external")


def test_they_add_up_where_no_total_is_published_and_what_remains_follows() -> None:
    rows: list[dict[str, Any]] = [
        {**F, H: 5.0, "capacity_basis": "gross"}, {**DER, IN: 0.5}, {**DER, IN: 0.25}, {**DER, QU: 2.0},
        {**DER, IN: None},  # its nameplate is not published
    ]  # fmt: skip
    [got] = built(*rows).to_dicts()
    assert (got[H], got[IN], got[QU], got[REST], got["section_count"]) == (5.0, 0.75, 2.0, 2.25, 1)
    assert (got["capacity_source"], got["value_status"], got["grain"]) == ("lines", "published", "feeder")


@pytest.mark.parametrize(
    ("totals", "installed"),
    [
        ([1.5], 1.5),
        ([0.0], 0.0),
        ([None, 1.5], 1.5),
        ([1.0, 1.5], None),  # published, and in disagreement: the generators do not settle that
        ([None], 0.75),
    ],
)
@pytest.mark.parametrize("grain", ["section", "feeder"])
def test_a_published_total_wins(totals: list[Any], installed: float | None, grain: str) -> None:
    own = [{**F, "grain": grain, H: 1.0, IN: total} for total in totals]
    [got] = built(*own, {**DER, IN: 0.5}, {**DER, IN: 0.25}, {**DER, QU: 0.1}).to_dicts()
    assert (got[IN], got[QU]) == (installed, 0.1)


def test_a_feeder_known_from_its_generators_alone_has_no_capacity() -> None:
    place = {"centroid_lat": 41.0, "centroid_lon": -71.0, "substation_name": "OAK"}
    [got] = built({**DER, IN: 0.5, **place}, {**DER, IN: 1.5, **place}).to_dicts()
    assert (got["feeder_id_external"], got["grain"], got[IN], got["section_count"]) == (
        "01",
        "feeder",
        2.0,
        0,
    )
    assert [got[c] for c in (H, REST, "capacity_basis", "capacity_source", QU, "constraining_metric")] == [
        None
    ] * 6
    assert (got["value_status"], got["censored"]) == ("not_published", "none")
    assert (got["substation_name"], got["centroid_lat"]) == ("OAK", 41.0)


def test_they_change_nothing_but_the_generation_of_a_feeder_that_has_rows() -> None:
    section = {**F, H: 5.0, "voltage_kv": None, "centroid_lat": None, "capacity_basis": "gross"}
    alone = built(section)
    both = built(section, {**DER, IN: 9.0, "voltage_kv": 4.0, "centroid_lat": 41.0, "substation_name": "OAK"})
    assert both.drop(IN).equals(alone.drop(IN))
    assert both[IN].to_list() == [9.0]


def test_one_without_a_feeder_makes_no_record_and_is_counted() -> None:
    rows = [
        {**DER, IN: 0.5},
        {**DER, "feeder_id_external": None, IN: 0.7},
        {**DER, "feeder_id_external": None, QU: 2.0},
    ]
    assert built(*rows)["feeder_id_external"].to_list() == ["01"]
    assert unplaced(sections(*rows)) == {"generators": 2, IN: 0.7, QU: 2.0}
    assert unplaced(sections({**F, H: 1.0})) == {"generators": 0, IN: 0.0, QU: 0.0}


def test_generators_of_different_size_are_no_disagreement() -> None:
    assert set(disagreeing(sections({**DER, IN: 0.5}, {**DER, IN: 0.7})).values()) == {0}


def test_resources_are_kept_apart_and_totals_count_each_once() -> None:
    got = built({**F, H: 1.0}, {**F, H: 1.0, "resource": "load"}, {**DER, IN: 0.5}, {**DER, IN: 0.25})
    assert dict(got.select("resource", IN).rows()) == {"generation": 0.75, "load": None}
    sums = summarize(got.lazy(), AT).filter(pl.col("resource") == "generation").row(0, named=True)
    assert (sums["total_installed_dg_mw"], sums["total_feeders"], sums["total_records"]) == (0.75, 1, 1)


SIZES = st.lists(st.tuples(st.sampled_from("ABC"), st.one_of(st.none(), st.integers(0, 64))), max_size=12)


@settings(max_examples=40, deadline=None)
@given(SIZES, st.sets(st.sampled_from("ABC")))
def test_the_sums_are_those_of_a_plain_loop(ders: list[tuple[str, int | None]], published: set[str]) -> None:
    rows = [{**DER, "feeder_id_external": f, IN: None if n is None else n / 64} for f, n in ders]
    rows += [{"feeder_id_external": f, H: 1.0} for f in published]
    if not rows:
        return
    expected: dict[str, float | None] = dict.fromkeys(published)
    for feeder, size in ders:
        expected.setdefault(feeder, None)
        if size is not None:
            expected[feeder] = (expected[feeder] or 0.0) + size / 64
    assert dict(built(*rows).select("feeder_id_external", IN).rows()) == expected


@pytest.mark.parametrize(
    ("field_map", "message"),
    [
        ({"F": "feeder_id_external"}, "needs the nameplate"),
        ({"K": IN, "C": H}, "has no hosting_capacity_mw of its own"),
        ({"K": IN, "W": "constraining_metric"}, "has no constraining_metric of its own"),
    ],
)
def test_a_generator_has_a_nameplate_and_no_capacity(field_map: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config({"grain": "der", "field_map": field_map}, capacity_unit="kw")


def test_from_rows_to_records_and_no_piece_of_a_feeders_line(tmp_path: Path) -> None:
    lines = {"name": "lines", "field_map": {"F": "feeder_id_external", "C": {"to": H, "unit": "mw"}}}
    queue = {"when": {"Status": ["Queued"]}}
    done = {"when": {"Status": ["Connected"]}}
    generators = {
        "name": "generators", "grain": "der", "capacity_unit": "kw",
        "field_map": {"Ckt": "feeder_id_external", "kW": [{"to": IN, **done}, {"to": QU, **queue}]},
    }  # fmt: skip
    made = config(lines, generators)
    rows = [
        ("01", 250, "Connected"),
        ("01", 750, "Queued"),
        ("02", 9, "Connected"),
        (None, 5, "Queued"),
        ("01", 7, "Gone"),
    ]
    ders = [{"Ckt": f, "kW": kw, "Status": s} for f, kw, s in rows]
    lake = open_lake(str(tmp_path))
    line, point = "LINESTRING (-71 41, -71 42)", "POINT (-70 40)"
    put(
        lake,
        made,
        [
            raw(made, [{"F": "01", "C": 5}], geometry=[line]),
            raw(made, ders, layer=1, geometry=[point] * len(ders)),
        ],
    )
    with prepared_sections(made, SNAPSHOT, lake) as prepared:
        assert prepared.report.null_rate == 0.0  # a generator could have no capacity
        prepared.commit(lake)
    records = prepare_records(made, SNAPSHOT, lake)
    assert records.unplaced == {"generators": 1, IN: 0.0, QU: 0.005}
    records.commit(lake)
    got = lake.scan(RECORDS).sort("feeder_id_external").collect()
    columns = ("feeder_id_external", H, IN, QU, REST, "section_count")
    assert got.select(columns).rows() == [("01", 5.0, 0.25, 0.75, 4.0, 1), ("02", None, 0.009, None, None, 0)]
    pieces = pl.concat(feeder_pieces(lake, utility_code="test", snapshot=SNAPSHOT))
    assert pieces["feeder_id_external"].to_list() == ["01"]
