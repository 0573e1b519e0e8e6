"""Sections -> feeder records, against expectations worked out by hand."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import shapely

from hc_platform.hosting_capacity.feeders import build_records, disagreeing
from hc_platform.hosting_capacity.tables import RECORDS
from hc_platform.lake.store import open_lake
from hc_platform.pipeline.feeders import prepare_records
from hc_platform.pipeline.normalize import prepared_sections
from hc_platform_tests.hosting_capacity.making import SNAPSHOT, config, put, raw, sections

NO_ATTRIBUTES = pl.DataFrame(
    schema={"feature_key": pl.String, "layer": pl.String, "raw_attributes": pl.String}
)
F = {"feeder_id_external": "01", "capacity_basis": "gross"}
OWN = {"grain": "feeder", "layer": "feeders"}
H, LO, HI = "hosting_capacity_mw", "hosting_capacity_min_mw", "hosting_capacity_max_mw"


def built(*rows: dict[str, Any], least: bool = False, **common: Any) -> pl.DataFrame:
    of = ["generation"] if least else []
    return build_records(sections(*rows, **common), NO_ATTRIBUTES, of)


def one(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return built(*rows, **{**F, **more}).row(0, named=True)


def test_the_greatest_value_any_section_can_take() -> None:
    got = one(
        {H: 2.0, "constraining_metric": "thermal"}, {H: 5.0, "constraining_metric": "voltage"}, {H: None}
    )
    assert (got[H], got[LO], got[HI]) == (5.0, 2.0, 5.0)
    assert (got["constraining_metric"], got["section_count"], got["grain"]) == ("voltage", 3, "feeder")
    assert got["capacity_source"] == "lines"


def test_or_the_least_where_the_config_says_so() -> None:
    got = built(
        {H: 2.0, "remaining_capacity_mw": 2.0, "censored": "at_floor"},
        {H: 5.0, "remaining_capacity_mw": 5.0},
        least=True, **F,
    ).row(0, named=True)  # fmt: skip
    assert (got[H], got["remaining_capacity_mw"], got["censored"]) == (2.0, 2.0, "at_floor")


def test_sections_without_a_value_make_none() -> None:
    got = one({"value_status": "redacted"}, {"value_status": "not_published"})
    assert [got[c] for c in (H, LO, HI, "remaining_capacity_mw", "capacity_source")] == [None] * 5
    assert (got["value_status"], got["censored"], got["capacity_basis"]) == ("redacted", "none", None)


def test_an_open_bound_is_no_value() -> None:
    open_end = {LO: 7.5, "censored": "at_ceiling"}
    got = one({H: 3.0}, open_end, {H: 1.0})
    assert (got[H], got[LO], got[HI], got["censored"]) == (None, 1.0, None, "at_ceiling")


def test_nor_is_what_remains_of_it() -> None:
    net = {"capacity_basis": "net_of_existing"}
    got = one({H: 3.0, "remaining_capacity_mw": 3.0}, {LO: 7.5, "censored": "at_ceiling"}, **net)
    assert (got[H], got["remaining_capacity_mw"]) == (None, None)
    told = {LO: 7.5, "censored": "at_ceiling", "remaining_capacity_mw": 6.0}
    assert one({H: 3.0, "remaining_capacity_mw": 3.0}, told, **net)["remaining_capacity_mw"] == 6.0


def test_a_published_upper_end_at_its_ceiling_is_kept() -> None:
    got = one({LO: 1.25, HI: 10.0, "censored": "at_ceiling"}, **OWN)
    assert (got[H], got[LO], got[HI], got["censored"]) == (None, 1.25, 10.0, "at_ceiling")


def test_a_value_at_its_ceiling_is_marked_and_one_below_is_not() -> None:
    assert one({H: 10.0, "censored": "at_ceiling"}, {H: 2.0})["censored"] == "at_ceiling"
    assert one({H: 10.0, "censored": "none"}, {H: 0.0, "censored": "at_floor"})["censored"] == "none"


def test_a_feeders_own_row_goes_first_column_by_column() -> None:
    got = one(
        {**OWN, H: 4.0, "voltage_kv": None, "installed_dg_mw": 1.0, "queued_dg_mw": None, "record_key": "x"},
        {H: 9.0, "voltage_kv": 12.0, "installed_dg_mw": 2.0, "queued_dg_mw": 0.5, "censored": "at_ceiling"},
        {H: 3.0, "voltage_kv": 12.0, "feeder_name": "OAK", "constraining_metric": "thermal"},
    )
    assert (got[H], got["voltage_kv"], got["installed_dg_mw"], got["queued_dg_mw"]) == (4.0, 12.0, 1.0, 0.5)
    assert got["remaining_capacity_mw"] == 2.5  # 4 - 1 - 0.5
    # what binds at 3 MW is not what binds at the feeder's own 4
    assert (got["feeder_name"], got["constraining_metric"]) == ("OAK", None)
    assert (got["capacity_source"], got["section_count"]) == ("feeders", 3)
    assert got["censored"] == "none"  # the mark is the value's: the section at its ceiling is not the source


def test_capacity_from_sections_brings_its_basis_and_mark() -> None:
    own = {**OWN, "installed_dg_mw": 1.0, "queued_dg_mw": 1.0, "capacity_basis": "net_of_existing"}
    got = one(own, {H: 9.0, "censored": "at_ceiling"})
    assert (got[H], got["capacity_basis"], got["censored"]) == (9.0, "gross", "at_ceiling")
    assert (got["capacity_source"], got["remaining_capacity_mw"]) == ("lines", 7.0)


def test_bounds_of_the_feeder_row_and_the_point_of_its_sections() -> None:
    own = {**OWN, LO: 1.0, HI: 6.0, "capacity_basis": "net_of_existing"}
    got = one(own, {H: 5.0}, {H: 2.0})
    assert (got[H], got[LO], got[HI]) == (5.0, 1.0, 6.0)
    assert (got["capacity_source"], got["capacity_basis"]) == ("lines", "gross")


@pytest.mark.parametrize(
    ("h", "i", "q", "basis", "remaining"),
    [(5.0, 1.0, 0.0, "gross", 4.0), (5.0, None, 0.0, "gross", None), (5.0, 1.0, None, "gross", None),
     (5.0, None, None, "net_of_existing", 5.0), (None, 1.0, 1.0, "gross", None)],
)  # fmt: skip
def test_remaining(h: Any, i: Any, q: Any, basis: str, remaining: Any) -> None:
    got = one({H: h, "installed_dg_mw": i, "queued_dg_mw": q, "capacity_basis": basis})
    assert got["remaining_capacity_mw"] == remaining


def test_sections_that_disagree_on_installed_generation_give_none_and_are_counted() -> None:
    rows = [
        {**F, "installed_dg_mw": 1.0, "queued_dg_mw": 2.0},
        {**F, "installed_dg_mw": 1.5, "queued_dg_mw": None},
        {**F, "feeder_id_external": "02", "installed_dg_mw": 3.0},
        {**F, "feeder_id_external": "02", "installed_dg_mw": 3.0},
    ]
    got = built(*rows)
    assert got.sort("feeder_id_external").select("installed_dg_mw", "queued_dg_mw").rows() == [
        (None, 2.0),
        (3.0, None),
    ]
    found = {k: n for k, n in disagreeing(sections(*rows)).items() if n}
    assert found == {"installed_dg_mw": 1}


def test_names_that_differ_and_rows_of_two_studies_are_counted() -> None:
    rows = [
        {**F, "substation_name": "OAK", "record_date": date(2025, 1, 1)},
        {**F, "substation_name": "ELM", "record_date": date(2026, 5, 1)},
        {**F, "feeder_id_external": "02", "record_date": date(2026, 5, 1)},
        {**F, "feeder_id_external": "02", "record_date": date(2026, 6, 1)},
    ]
    found = {k: n for k, n in disagreeing(sections(*rows)).items() if n}
    assert found == {"substation_name": 1, "record_date": 1}


def test_one_name_for_the_most_common_and_the_fullest() -> None:
    got = one(
        {"voltage_kv": 12.0, "phase_config": None, "is_overhead": True, "is_network": False},
        {"voltage_kv": 12.0, "phase_config": "B", "is_overhead": False, "is_network": None},
        {"voltage_kv": 4.0, "phase_config": "ABC", "is_overhead": True, "is_network": False},
    )
    assert (got["voltage_kv"], got["phase_config"]) == (12.0, "ABC")
    assert (got["is_overhead"], got["is_network"]) == (None, False)


def test_the_metric_and_its_raw_text_belong_together() -> None:
    metrics = [("thermal", "T1"), ("thermal", "T2"), ("thermal", "T3"), ("voltage", "V"), ("voltage", "V")]
    got = one(*[{"constraining_metric": m, "constraining_metric_raw": r} for m, r in metrics])
    assert (got["constraining_metric"], got["constraining_metric_raw"]) == ("thermal", "T3")


def test_resources_and_feeders_are_kept_apart() -> None:
    got = built({**F, H: 1.0}, {**F, H: 2.0, "resource": "load"}, {**F, H: 3.0, "feeder_id_external": "1"})
    keys = got.select("resource", "feeder_id_external", H).sort("resource", H).rows()
    assert keys == [("generation", "01", 1.0), ("generation", "1", 3.0), ("load", "01", 2.0)]
    assert got.schema == pl.Schema(RECORDS.schema)


def test_a_tile_without_a_feeder_keeps_its_own_key() -> None:
    got = built(
        {"grain": "tile", H: 1.0, "record_key": "tiles:7", "capacity_basis": "net_of_existing"},
        {"grain": "tile", "record_key": "tiles:8"},
    ).sort("feeder_id_external")
    assert got["feeder_id_external"].to_list() == ["tiles:7", "tiles:8"]
    assert got["grain"].to_list() == ["tile", "tile"]
    assert got["remaining_capacity_mw"].to_list() == [1.0, None]
    assert got["capacity_source"].to_list() == ["lines", None]
    assert got["section_count"].to_list() == [1, 1]


def test_lengths_add_up_and_the_centre_lies_where_the_length_is() -> None:
    box = {"bbox_west": -1.0, "bbox_south": 0.0, "bbox_east": 1.0, "bbox_north": 2.0}
    got = one(
        {"length_km": 3.0, "centroid_lat": 10.0, "centroid_lon": 20.0, **box},
        {"length_km": 1.0, "centroid_lat": 14.0, "centroid_lon": 24.0, **{**box, "bbox_east": 5.0}},
        {"length_km": None, "centroid_lat": None, "centroid_lon": None},
    )
    assert (got["length_km"], got["centroid_lat"], got["centroid_lon"]) == (4.0, 11.0, 21.0)
    assert [got[c] for c in box] == [-1.0, 0.0, 5.0, 2.0]
    plain = one({"centroid_lat": 1.0, "centroid_lon": 1.0}, {"centroid_lat": 3.0, "centroid_lon": 1.0})
    assert (plain["length_km"], plain["centroid_lat"]) == (None, 2.0)


def test_the_newest_date_counts() -> None:
    got = one({"record_date": date(2026, 1, 1)}, {"record_date": date(2026, 4, 1)}, {"record_date": None})
    assert got["record_date"] == date(2026, 4, 1)


def test_a_feeders_lines_become_one_geometry_with_its_own_attributes() -> None:
    first, second = (shapely.to_wkb(shapely.from_wkt(f"LINESTRING (0 0, {x} 1)")) for x in (1, 2))
    rows = sections(
        {**F, **OWN, H: 1.0, "geometry": first}, {**F, **OWN, H: 1.0, "geometry": second},
        {**F, "feeder_id_external": "02", **OWN, "geometry": first}, {**F, "feeder_id_external": "03"},
    )  # fmt: skip
    given = [("0", "feeders", '{"a": 1}'), ("1", "feeders", '{"a": 2}'), ("2", "other", "{}")]
    attributes = pl.DataFrame(given, schema=NO_ATTRIBUTES.schema, orient="row")
    got = build_records(rows, attributes, []).sort("feeder_id_external")
    assert got["geometry_type"].to_list() == ["MultiLineString", "LineString", None]
    assert shapely.from_wkb(got["geometry"][0]).wkt == "MULTILINESTRING ((0 0, 1 1), (0 0, 2 1))"
    assert got["raw_attributes"].to_list() == ['{"a": 1}', None, None]


def test_the_order_of_the_sections_does_not_matter() -> None:
    rows = [
        {**F, H: v, "phase_config": p, "voltage_kv": k, "constraining_metric": m, "feeder_name": n}
        for v, p, k, m, n in [
            (1.0, "AB", 4.0, "thermal", "X"),
            (1.0, "BC", 12.0, "voltage", "Y"),
            (0.5, None, None, None, None),
        ]
    ]
    whole = sections(*rows)
    backwards = whole.collect().reverse().lazy()
    assert build_records(whole, NO_ATTRIBUTES, []).equals(build_records(backwards, NO_ATTRIBUTES, []))


def test_no_sections_make_no_records(tmp_path: Path) -> None:
    made = config({"field_map": {"Id": "feeder_id_external", "C": H}}, capacity_unit="kw")
    lake = open_lake(str(tmp_path))
    put(lake, made, [raw(made, [{"Id": "1", "C": "all of it is wrong"}])])
    with prepared_sections(made, SNAPSHOT, lake) as prepared:
        prepared.commit(lake)
    records = prepare_records(made, SNAPSHOT, lake)
    records.commit(lake)
    assert (records.records.height, records.distinct) == (0, 0)


REST = "remaining_capacity_mw"
OPEN = {LO: 7.5, "censored": "at_ceiling"}  # ">7.5"
BELOW = {HI: 0.1, "censored": "at_floor"}  # "<=0.1"


@pytest.mark.parametrize(
    ("rows", "rule", "expected"),
    [
        ([{H: 5.0}, {LO: 6.0, HI: 8.0}], "greatest", (None, 5.0, 8.0)),  # at least 6, at most 8
        ([{H: 9.0}, {LO: 6.0, HI: 8.0}], "greatest", (9.0, 6.0, 9.0)),
        ([{H: 8.0}, OPEN], "greatest", (None, 7.5, None)),  # the open one may exceed 8
        ([{H: 5.0}, {LO: 0.0, HI: 0.15}], "least", (None, 0.0, 5.0)),
        ([{H: 5.0}, BELOW], "least", (None, None, 5.0)),
        ([{H: 5.0}, BELOW], "greatest", (5.0, None, 5.0)),
        ([{H: 5.0}, OPEN], "least", (5.0, 5.0, None)),
        (
            [{H: 5.0}, {}],
            "greatest",
            (5.0, 5.0, 5.0),
        ),  # a row that says nothing leaves the others as they are
    ],
)
def test_a_point_stands_only_where_no_other_row_can_beat_it(
    rows: list[Any], rule: str, expected: Any
) -> None:
    got = one(*[{"record_key": str(i), **row} for i, row in enumerate(rows)], least=rule == "least")
    assert (got[H], got[LO], got[HI]) == expected


def test_basis_and_layer_are_those_of_the_row_the_point_was_taken_from() -> None:
    got = one(
        {H: 2.0, "layer": "a", "capacity_basis": "net_of_existing", REST: 2.0, "record_key": "a"},
        {
            H: 5.0,
            "layer": "b",
            "capacity_basis": "gross",
            "record_key": "b",
            "installed_dg_mw": 4.0,
            "queued_dg_mw": 0.5,
        },
    )
    assert (got[H], got["capacity_basis"], got["capacity_source"], got[REST]) == (5.0, "gross", "b", 0.5)


def test_a_feeders_own_capacity_is_not_mixed_with_its_sections() -> None:
    outside = one({**OWN, LO: 0.45, HI: 0.6, "record_key": "x"}, {H: 3.0, "constraining_metric": "thermal"})
    assert (outside[H], outside[LO], outside[HI], outside["constraining_metric"]) == (None, 0.45, 0.6, None)
    inside = one({**OWN, LO: 0.45, HI: 0.6, "record_key": "x"}, {H: 0.6, "constraining_metric": "thermal"})
    assert (inside[H], inside[LO], inside[HI], inside["constraining_metric"]) == (0.6, 0.45, 0.6, "thermal")
    gross = one(
        {
            **OWN,
            H: 5.0,
            "capacity_basis": "gross",
            "installed_dg_mw": 2.0,
            "queued_dg_mw": 1.0,
            "record_key": "x",
        },
        {H: 8.0, "capacity_basis": "net_of_existing", REST: 8.0},
    )
    assert (gross[H], gross["capacity_basis"], gross[REST]) == (5.0, "gross", 2.0)
