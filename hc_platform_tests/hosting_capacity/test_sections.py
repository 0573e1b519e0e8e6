"""Raw features -> sections, against numbers worked out by hand."""

from typing import Any

import polars as pl
import pytest

from hc_platform.geo.geometry import describe
from hc_platform.hosting_capacity.lookups import lookup_of
from hc_platform.hosting_capacity.sections import normalize
from hc_platform.hosting_capacity.tables import REJECTED_FEATURES, SECTIONS
from hc_platform_tests.hosting_capacity.making import FEEDER, SNAPSHOT, column, config, normal, raw


def test_the_columns_are_the_tables_columns() -> None:
    made = config({"field_map": {**FEEDER, "Cap": "hosting_capacity_mw"}, "capacity_unit": "kw"})
    done = normal(made, [{"Id": "1", "Cap": 5}, {"Id": "2", "Cap": "nonsense"}])
    assert done.sections.drop("content_hash").schema == pl.Schema(SECTIONS.schema)
    assert done.rejected.schema == pl.Schema(REJECTED_FEATURES.schema)


def test_a_unit_belongs_to_its_field() -> None:
    made = config(
        {
            "grain": "feeder",
            "capacity_unit": "kw",
            "field_map": {
                **FEEDER,
                "A": "hosting_capacity_mw",
                "B": {"to": "installed_dg_mw", "unit": "mw"},
                "C": {"to": "queued_dg_mw", "unit": "va"},
                "V": {"to": "voltage_kv", "unit": "v"},
            },
        },
        capacity_unit="w",
    )
    done = normal(made, [{"Id": "1", "A": 1500, "B": 0.25, "C": 2_000_000, "V": 12470}])
    assert done.sections.select("hosting_capacity_mw", "installed_dg_mw", "queued_dg_mw", "voltage_kv").row(
        0
    ) == (1.5, 0.25, 2.0, 12.47)


def test_the_utilitys_unit_serves_where_no_other_is_named() -> None:
    made = config({"field_map": {**FEEDER, "A": "hosting_capacity_mw"}}, capacity_unit="w")
    assert column(normal(made, [{"Id": "1", "A": 7_500_000}]), "hosting_capacity_mw") == [7.5]


def test_sentinels_become_a_status_and_no_value() -> None:
    nulls = {"-9.999": "redacted", "-1": "not_published", "TBD": "pending"}
    made = config(
        {"field_map": {**FEEDER, "Cap": {"to": "hosting_capacity_mw", "unit": "mw", "nulls": nulls}}}
    )
    given = ["-9.999", -9.999, -1, "TBD", "Redacted", None, 0, 2]
    done = normal(made, [{"Id": "1", "Cap": v} for v in given])
    assert column(done, "hosting_capacity_mw") == [None] * 6 + [0.0, 2.0]
    assert column(done, "value_status") == [
        "redacted", "redacted", "not_published", "pending", "redacted", "not_published", "published", "published",
    ]  # fmt: skip
    assert done.rejected.is_empty()


def test_the_most_telling_status_of_several_columns() -> None:
    fields = {
        "Lo": {"to": "hosting_capacity_min_mw", "unit": "mw"},
        "Hi": {"to": "hosting_capacity_max_mw", "unit": "mw"},
    }
    made = config({"field_map": {**FEEDER, **fields}})
    rows = [(None, 3), ("Redacted", None), ("Pending", None), ("Pending", "Redacted"), (None, None)]
    done = normal(made, [{"Id": "1", "Lo": low, "Hi": high} for low, high in rows])
    assert column(done, "value_status") == ["published", "redacted", "pending", "redacted", "not_published"]


def test_a_range_stands_in_min_and_max_and_never_in_the_point() -> None:
    made = config({"field_map": {**FEEDER, "Cap": {"to": "hosting_capacity_mw", "unit": "kw"}}})
    done = normal(made, [{"Id": "1", "Cap": v} for v in ("450 - 600", ">7500", "<=5", "300")])
    assert column(done, "hosting_capacity_mw") == [None, None, None, 0.3]
    assert column(done, "hosting_capacity_min_mw") == [0.45, 7.5, None, None]
    assert column(done, "hosting_capacity_max_mw") == [0.6, None, 0.005, None]
    assert column(done, "censored") == ["none", "at_ceiling", "at_floor", "none"]
    assert column(done, "value_status") == ["published"] * 4
    assert column(done, "remaining_capacity_mw") == [None] * 4


def test_published_bounds_go_before_those_of_a_range() -> None:
    fields = {"Cap": "hosting_capacity_mw", "Lo": "hosting_capacity_min_mw"}
    made = config({"field_map": {**FEEDER, **fields}}, capacity_unit="mw")
    done = normal(made, [{"Id": "1", "Cap": "2 - 6", "Lo": 1}, {"Id": "1", "Cap": "2 - 6", "Lo": None}])
    assert column(done, "hosting_capacity_min_mw") == [1.0, 2.0]
    assert column(done, "hosting_capacity_max_mw") == [6.0, 6.0]


def test_a_ceiling_keeps_its_value_and_is_marked() -> None:
    target = {"to": "hosting_capacity_mw", "unit": "kw", "ceiling": 10000, "floor": 0}
    made = config({"field_map": {**FEEDER, "Cap": target}})
    done = normal(made, [{"Id": "1", "Cap": v} for v in (9999, 10000, 10001, 0, None)])
    assert column(done, "hosting_capacity_mw") == [9.999, 10.0, 10.001, 0.0, None]
    assert column(done, "censored") == ["none", "at_ceiling", "at_ceiling", "at_floor", "none"]


def test_ids_names_and_flags_are_read_as_published() -> None:
    fields = {
        "Id": "feeder_id_external", "Name": "feeder_name", "Ph": "phase_config", "Oh": "is_overhead",
        "Net": "is_network", "Day": "record_date",
    }  # fmt: skip
    made = config({"field_map": fields})
    row = {"Id": "0022", "Name": " Elm 7 ", "Ph": 3, "Oh": "UG", "Net": "Radial", "Day": 1714521600000}
    done = normal(made, [row, {"Id": 1011.0}])
    first = done.sections.row(0, named=True)
    got = [
        first[c] for c in ("feeder_id_external", "feeder_name", "phase_config", "is_overhead", "is_network")
    ]
    assert got == ["0022", "Elm 7", "ABC", False, False]
    assert str(first["record_date"]) == "2024-05-01"
    assert column(done, "feeder_id_external") == ["0022", "1011"]


def test_an_ambiguous_name_gives_no_feeder_id() -> None:
    sections = {
        "name": "lines", "field_map": {"Circuit": "feeder_name"},
        "feeder_id_from": {"layer": "circuits", "field": "Circuit", "matches": "Title"},
    }  # fmt: skip
    circuits = {
        "name": "circuits", "grain": "feeder",
        "field_map": {"Id": "feeder_id_external", "Title": "feeder_name"},
    }  # fmt: skip
    made = config(sections, circuits)
    rows = pl.DataFrame({"Title": ["OAK", "ELM", "ELM", None], "Id": ["007", "1", "2", "3"]})
    known = lookup_of(rows, made.layers[1], made.joins_of(made.layers[0])[0], None)
    done = normal(made, [{"Circuit": c} for c in (" OAK", "ELM", None, "OAK")], lookups=[known])
    assert column(done, "feeder_id_external") == ["007", None, None, "007"]
    assert column(done, "feeder_name") == ["OAK", "ELM", None, "OAK"]


def test_one_row_carries_two_resources() -> None:
    resources = {
        "generation": {
            "field_map": {
                "Gen": "hosting_capacity_mw",
                "GenWhy": "constraining_metric",
                "GenDay": "record_date",
            }
        },
        "load": {
            "capacity_basis": "net_of_existing",
            "field_map": {"Load": "hosting_capacity_mw", "LoadWhy": "constraining_metric"},
        },
    }
    made = config({"field_map": FEEDER, "record_key": ["Id"], "resources": resources}, capacity_unit="kw")
    row = {"Id": "01", "Gen": 500, "GenWhy": "Thermal", "GenDay": "May 2026", "Load": 0, "LoadWhy": None}
    done = normal(made, [row])
    got = done.sections.select(
        "resource", "record_key", "feeder_id_external", "hosting_capacity_mw", "remaining_capacity_mw",
        "capacity_basis", "constraining_metric",
    ).rows()  # fmt: skip
    assert got == [
        ("generation", "layer 0:01", "01", 0.5, None, "gross", "thermal"),
        ("load", "layer 0:01", "01", 0.0, 0.0, "net_of_existing", None),
    ]
    assert [str(d) for d in done.sections["record_date"]] == ["2026-05-01", "None"]


def test_an_unreadable_capacity_rejects_the_feature_whole() -> None:
    resources = {
        "generation": {"field_map": {"Gen": "hosting_capacity_mw"}},
        "load": {"field_map": {"Load": "hosting_capacity_mw"}},
    }
    made = config({"field_map": FEEDER, "resources": resources}, capacity_unit="kw")
    done = normal(made, [{"Id": "1", "Gen": 1, "Load": "9.9 apples"}, {"Id": "2", "Gen": 2, "Load": 3}])
    assert done.sections["feature_key"].to_list() == ["2", "2"]
    reject = done.rejected.row(0, named=True)
    assert (reject["feature_key"], reject["object_id"], reject["layer"]) == ("1", 1, "layer 0")
    assert (reject["reason"], reject["detail"]) == ("unparseable_capacity", "Load = 9.9 apples")
    assert reject["raw_attributes"] == '{"Id": "1", "Gen": 1, "Load": "9.9 apples"}'
    assert done.rejected.height == 1
    counted = done.quality.filter(pl.col("field") == "Load").row(0, named=True)
    assert (counted["rows"], counted["unreadable"], counted["sample"]) == (2, 1, "9.9 apples")


def test_an_unreadable_number_that_is_no_hosting_capacity_is_null_and_counted() -> None:
    made = config({"grain": "feeder", "field_map": {**FEEDER, "Dg": "installed_dg_mw"}}, capacity_unit="kw")
    done = normal(made, [{"Id": "1", "Dg": "some"}])
    assert column(done, "installed_dg_mw") == [None]
    assert done.quality.filter(pl.col("column") == "installed_dg_mw")["unreadable"].to_list() == [1]


def test_both_fields_unreadable_make_one_reject() -> None:
    fields = {"A": "hosting_capacity_min_mw", "B": "hosting_capacity_max_mw"}
    made = config({"field_map": {**FEEDER, **fields}}, capacity_unit="mw")
    done = normal(made, [{"Id": "1", "A": "x y", "B": "z z"}])
    assert done.rejected.select("reason", "detail").rows() == [("unparseable_capacity", "A = x y")]


REMAINING = {
    **FEEDER, "H": "hosting_capacity_mw", "I": "installed_dg_mw", "Q": "queued_dg_mw",
}  # fmt: skip


@pytest.mark.parametrize(
    ("grain", "basis", "h", "i", "q", "remaining"),
    [
        ("feeder", "gross", 5, 1, 0.5, 3.5),
        ("feeder", "gross", 1, 3, 0, -2.0),  # more is installed than can be hosted: a fact, not an error
        ("feeder", "gross", 5, None, 0.5, None),  # NULL is not 0
        ("feeder", "gross", 5, 1, None, None),
        ("feeder", "gross", None, 1, 1, None),
        ("feeder", "gross", 5, 0, 0, 5.0),
        ("section", "gross", 5, 1, 0.5, None),  # the generation published there is its whole feeder's
        ("feeder", "net_of_existing", 5, 1, 0.5, 5.0),
        ("section", "net_of_existing", 5, 1, 0.5, 5.0),
        ("tile", "gross", 5, 1, 0.5, None),
    ],
)
def test_remaining(grain: str, basis: str, h: Any, i: Any, q: Any, remaining: Any) -> None:
    made = config({"grain": grain, "field_map": REMAINING}, capacity_unit="mw", capacity_basis=basis)
    done = normal(made, [{"Id": "1", "H": h, "I": i, "Q": q}])
    assert column(done, "remaining_capacity_mw") == [remaining]


def test_a_published_remaining_goes_before_a_computed_one() -> None:
    fields = {**REMAINING, "R": "remaining_capacity_mw"}
    made = config({"grain": "feeder", "field_map": fields}, capacity_unit="mw")
    done = normal(made, [{"Id": "1", "H": 5, "I": 1, "Q": 1, "R": r} for r in (2.5, None)])
    assert column(done, "remaining_capacity_mw") == [2.5, 3.0]


def test_record_keys() -> None:
    made = config({"name": "lines", "record_key": ["Id", "No"], "field_map": FEEDER})
    rows = [{"Id": "01", "No": 7}, {"Id": "01", "No": None}, {"Id": None, "No": None}, {"Id": "a#2", "No": 1}]
    assert column(normal(made, rows), "record_key") == ["lines:01/7", "lines:01/", "lines:#3", "lines:a##2/1"]
    plain = config({"name": "lines", "field_map": FEEDER})
    assert column(normal(plain, [{"Id": "01"}]), "record_key") == ["lines:#1"]


def test_rows_without_feeder_stay() -> None:
    made = config({"grain": "tile", "field_map": {"Cap": "hosting_capacity_mw"}}, capacity_unit="mw")
    done = normal(made, [{"Cap": 1}, {"Cap": None}])
    assert column(done, "feeder_id_external") == [None, None]
    assert done.rejected.is_empty()


def test_fields_published_in_another_case() -> None:
    made = config({"field_map": {**FEEDER, "CAP": {"to": "hosting_capacity_mw", "unit": "kw"}}})
    done = normal(made, [{"id": "01", "Cap": 500, "other": 1}], names={"Id": "id", "CAP": "Cap"})
    assert column(done, "hosting_capacity_mw") == [0.5]
    assert column(done, "feeder_id_external") == ["01"]
    assert set(done.quality["field"]) == {"Id", "CAP"}  # as the config spells them


EXPLODED = {
    "field_map": {"Ids": "feeder_id_external", "Caps": "hosting_capacity_mw"},
    "explode": {"columns": ["Ids", "Caps"]},
}


def test_parallel_lists_become_rows_and_ragged_ones_rejects() -> None:
    made = config(EXPLODED, capacity_unit="mw")
    rows = [{"Ids": "A,B", "Caps": "9.9, 5.3"}, {"Ids": "C,D", "Caps": "1"}, {"Ids": "E", "Caps": 2}]
    done = normal(made, rows)
    got = done.sections.select("feature_key", "feeder_id_external", "hosting_capacity_mw").rows()
    assert got == [("1", "A", 9.9), ("1", "B", 5.3), ("3", "E", 2.0)]
    assert done.rejected.select("feature_key", "reason").rows() == [("2", "ragged_lists")]
    assert "Ids, Caps" in done.rejected["detail"][0]


def test_one_bad_element_rejects_its_whole_feature() -> None:
    made = config(EXPLODED, capacity_unit="mw")
    done = normal(made, [{"Ids": "A,B", "Caps": "9.9,oops x"}, {"Ids": "C", "Caps": "1"}])
    assert done.sections["feeder_id_external"].to_list() == ["C"]
    assert done.rejected.select("feature_key", "reason").rows() == [("1", "unparseable_capacity")]


def test_place_comes_from_the_geometry() -> None:
    made = config({"field_map": FEEDER})
    frame = raw(made, [{"Id": "1"}, {"Id": "2"}], geometry=["LINESTRING (-120 38, -120 39)", None])
    got = normalize(frame, made, made.layers[0], snapshot=SNAPSHOT).sections
    first, second = got.rows(named=True)
    assert (first["geometry_type"], first["centroid_lon"], first["centroid_lat"]) == (
        "LineString",
        -120,
        38.5,
    )
    assert first["length_km"] == pytest.approx(111.0, abs=0.1)
    assert all(second[c] is None for c in describe(frame["geometry"]).columns)


def test_content_tells_attributes_and_geometry_apart_and_does_not_depend_on_the_batch() -> None:
    made = config(
        {"record_key": ["Id"], "field_map": {**FEEDER, "C": "hosting_capacity_mw"}}, capacity_unit="mw"
    )
    rows = [
        {"Id": "1", "C": 1, "note": "a"},
        {"Id": "1", "C": 1, "note": "b"},
        {"Id": "1", "C": 2},
        {"Id": "1", "C": 1},
    ]
    lines = ["LINESTRING (0 0, 1 1)"] * 3 + ["LINESTRING (0 0, 2 2)"]
    frame = raw(made, rows, geometry=lines)
    layer = made.layers[0]
    hashes = normalize(frame, made, layer, snapshot=SNAPSHOT).sections["content_hash"].to_list()
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
    apart = [
        normalize(frame[i : i + 1], made, layer, snapshot=SNAPSHOT).sections["content_hash"][0]
        for i in range(4)
    ]
    assert apart == hashes


def test_no_rows_give_no_rows() -> None:
    made = config({"field_map": {**FEEDER, "Cap": "hosting_capacity_mw"}}, capacity_unit="kw")
    done = normal(made, [])
    assert (done.sections.height, done.rejected.height, done.fetched) == (0, 0, 0)


def test_the_mark_of_the_point_is_not_that_of_its_bounds() -> None:
    capacity = {"HI": "hosting_capacity_max_mw", "C": "hosting_capacity_mw"}
    layer = {"field_map": {f: {"to": to, "unit": "mw", "ceiling": 10} for f, to in capacity.items()}}
    got = normal(
        config(layer), [{"C": 3, "HI": 10}, {"C": 10, "HI": 10}, {"C": None, "HI": 10}]
    ).sections.to_dicts()
    assert [r["censored"] for r in got] == ["none", "at_ceiling", "at_ceiling"]


def test_null_words_of_a_phase_field_are_heeded() -> None:
    layer = {
        "field_map": {
            "P": {"to": "phase_config", "nulls": ["A"]},
            "C": {"to": "hosting_capacity_mw", "unit": "mw"},
        }
    }
    done = normal(config(layer), [{"P": "A", "C": 1}, {"P": "B", "C": 1}])
    assert column(done, "phase_config") == [None, "B"]
