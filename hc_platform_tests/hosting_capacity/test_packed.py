"""Cells that hold several fields or several feeders."""

import json
from typing import Any

import polars as pl
import pytest

from hc_platform.catalog.layers import Explode, Unpack
from hc_platform.hosting_capacity import checks
from hc_platform.hosting_capacity.packed import FEATURE, explode, unpack
from hc_platform_tests.hosting_capacity.making import config, normal

H, LO, HI = "hosting_capacity_mw", "hosting_capacity_min_mw", "hosting_capacity_max_mw"


def rows(**columns: list[Any]) -> pl.DataFrame:
    height = len(next(iter(columns.values())))
    return pl.DataFrame({FEATURE: pl.int_range(height, eager=True, dtype=pl.UInt32), **columns})


def test_parallel_lists_keep_empty_items_and_other_columns() -> None:
    frame = rows(k=["1", "2", "3", "4"], x=["A;;C", "D", None, "E;F"], y=["1;2;3", "4;5", None, ""])
    opened, rejected = explode(frame, Explode(columns=["x", "y"], separator=";"))
    got = opened.drop(FEATURE).rows()
    told = [("1", "A", "1"), ("1", None, "2"), ("1", "C", "3"), ("3", None, None)]
    assert got == [*told, ("4", "E", None), ("4", "F", None)]  # an empty cell tells nothing of any feeder
    assert rejected.rows() == [(1, "ragged_lists", "the lists in x, y have different lengths")]


DATA = Explode.model_validate({"json": "data", "fields": ["feederID", "sub_name"]})


@pytest.mark.parametrize(
    ("cell", "feeders"),
    [
        ('[{"feederID": "0222_G12", "sub_name": "0222_TRF"}]', ["0222_G12"]),
        ('[{"feederID": "A"}, {"feederID": "B", "more": 1}]', ["A", "B"]),
        ('[{"sub_name": "only"}]', [None]),
        ('[{"feederID": 22}, {"feederID": null}]', ["22", None]),
        ("[]", [None]),
        ("", [None]),
        ("  ", [None]),
        ("null", [None]),
        (None, [None]),
    ],
)
def test_each_object_of_a_json_list_becomes_a_row_and_a_row_without_any_stays(
    cell: str | None, feeders: list[str | None]
) -> None:
    opened, rejected = explode(rows(data=["[]", cell]), DATA)
    assert opened.filter(pl.col(FEATURE) == 1)["data.feederID"].to_list() == feeders
    assert rejected.is_empty()


@pytest.mark.parametrize(
    "cell",
    [
        "[{'feederID': 'A'}]",  # Python, not JSON
        '[{"feederID": "A"',
        '{"feederID": "A"}',
        '["A", "B"]',
        '[{"feederID": "A"}, 7]',
        '[{"feederID": "A"}, null]',
        "A, B",
        "7",
    ],
)
def test_what_is_no_json_list_of_objects_is_rejected_with_its_text(cell: str) -> None:
    opened, rejected = explode(rows(data=['[{"feederID": "A"}]', cell]), DATA)
    assert opened["data.feederID"].to_list() == ["A"]
    [(feature, reason, detail)] = rejected.rows()
    assert (feature, reason) == (1, "unreadable_list")
    assert cell in detail


HEXAGONS: dict[str, Any] = {
    "grain": "tile", "record_key": ["h3_id", "data.feederID"],
    "explode": {"json": "data", "fields": ["feederID", "sub_name"]},
    "field_map": {
        "data.feederID": "feeder_id_external", "data.sub_name": "substation_name", "low": LO, "high": HI,
        "why": "constraining_metric", "dg": "installed_dg_mw",
    },
}  # fmt: skip


def test_what_a_hexagon_says_of_all_its_feeders_bounds_each_and_is_no_feeders_own() -> None:
    made = config(HEXAGONS, capacity_unit="mw")
    two, one = [{"feederID": "01", "sub_name": "S"}, {"feederID": "02"}], [{"feederID": "01"}]
    tile = {"low": 0.03, "high": 0.1, "why": "Primary Over-Voltage", "dg": 2}
    done = normal(
        made, [{"h3_id": f"h{i}", "data": json.dumps(d), **tile} for i, d in enumerate([two, one, []])]
    )
    columns = (
        "record_key",
        "feeder_id_external",
        "substation_name",
        LO,
        HI,
        "constraining_metric",
        "installed_dg_mw",
    )
    assert done.sections.select(columns).rows() == [
        ("layer 0:h0/01", "01", "S", 0.03, 0.1, None, None),
        ("layer 0:h0/02", "02", None, 0.03, 0.1, None, None),
        ("layer 0:h1/01", "01", None, 0.03, 0.1, "voltage", 2.0),  # its only feeder
        ("layer 0:h2/", None, None, 0.03, 0.1, "voltage", 2.0),  # and none: the tile itself
    ]
    assert done.sections["content_hash"].n_unique() == 4
    withheld = dict(done.quality.select("field", "withheld").rows())
    assert {f: n for f, n in withheld.items() if n} == {"why": 2, "dg": 2}


def test_a_point_of_several_feeders_is_nobodys() -> None:
    layer = {**HEXAGONS, "field_map": {"data.feederID": "feeder_id_external", "cap": H}}
    made = config(layer, capacity_unit="mw")
    both = json.dumps([{"feederID": "01"}, {"feederID": "02"}])
    done = normal(made, [{"h3_id": "a", "data": both, "cap": c} for c in (5, "2 - 6", ">9")])
    assert done.sections.select(H, LO, HI, "censored", "value_status").unique(maintain_order=True).rows() == [
        (None, None, None, "none", "published"),
        (None, 2.0, 6.0, "none", "published"),
        (None, 9.0, None, "at_ceiling", "published"),
    ]


def test_what_binds_in_a_tile_of_several_feeders_is_nobodys() -> None:
    columns = {"unit": "mw", "columns": {"V": "voltage", "T": "thermal"}}
    layer = {**HEXAGONS, "field_map": {"data.feederID": "feeder_id_external"}, "constraint_columns": columns}
    one, two = (json.dumps([{"feederID": f} for f in feeders]) for feeders in ("A", "AB"))
    done = normal(
        config(layer), [{"h3_id": str(i), "data": d, "V": 2, "T": 1} for i, d in enumerate((one, two))]
    )
    assert done.sections["constraining_metric"].to_list() == ["thermal", None, None]
    withheld = dict(done.quality.select("field", "withheld").rows())
    assert (withheld["V"], withheld["T"]) == (2, 2)


def test_lists_that_are_parallel_belong_to_each_feeder() -> None:
    ameren = {
        "grain": "tile",
        "explode": {"columns": ["FEEDERID", "MAXGENMW_TXT", "OPERATINGVOLTAGE", "GENLIMITER"]},
        "field_map": {
            "FEEDERID": "feeder_id_external", "MAXGENMW_TXT": H, "OPERATINGVOLTAGE": "voltage_kv",
            "GENLIMITER": "constraining_metric", "GRID": "substation_name",
        },
    }  # fmt: skip
    made = config(ameren, capacity_unit="mw")
    lists = {"FEEDERID": "A,B,C", "MAXGENMW_TXT": "9.9,9.9,5.31", "OPERATINGVOLTAGE": "12.47,4.16,12.47",
             "GENLIMITER": "Thermal,Voltage,Thermal", "GRID": "g1"}  # fmt: skip
    done = normal(made, [lists, {**lists, "OPERATINGVOLTAGE": "12.47"}])
    assert done.sections.select("feeder_id_external", H, "voltage_kv", "constraining_metric").rows() == [
        ("A", 9.9, 12.47, "thermal"), ("B", 9.9, 4.16, "voltage"), ("C", 5.31, 12.47, "thermal"),
    ]  # fmt: skip
    assert done.sections["substation_name"].to_list() == ["g1"] * 3
    assert done.rejected["reason"].to_list() == ["ragged_lists"]  # one value beside three: whose is not said


# --- popups and objects -----------------------------------------------------------------------------

POPUP = Unpack(column="PopupInfo", format="html_table", fields=["Feeder", "Rating", "A & B"])
TABLE = "<table>{}</table>"
FEEDER = "<tr><td>Feeder</td><td>101D1</td></tr>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TABLE.format(FEEDER), ("101D1", None, None)),
        (
            "<html><head><style>td {color: red}</style><title>x</title></head><body>"
            '<TABLE border="1"><TR bgcolor="#fff"><TH colspan=2>Segment 7</TH></TR>'
            '<tr><td width="40"><b>Feeder</b>:</td><td align=right><i>101</i>D1</td></tr>'
            "<tr><td>A &amp; B</td><td>1&nbsp;000 &lt; 2</td></tr></TABLE></body></html>",
            ("101D1", None, "1 000 < 2"),
        ),
        # ArcGIS and Google Earth lay the pairs into a cell of an outer table
        (
            f"<table><tr><td>Title</td></tr><tr><td><table>{FEEDER}</table></td></tr></table>",
            ("101D1", None, None),
        ),
        (f"<table><tr><td>Feeder</td><td><table>{FEEDER}</table></td></tr></table>", ("101D1", None, None)),
        ("<table><tr><td>Feeder<td>101D1<tr><td>Rating<td>5<br>MVA</table>", ("101D1", "5 MVA", None)),
        ("<table><tr><td>Feeder</td><td>101D1</td>", ("101D1", None, None)),
        ("<table><tr><td>Rating</td><td></td></tr></table>", (None, "", None)),
        (f"<![CDATA[<table>{FEEDER}</table>]]>", ("101D1", None, None)),
        (
            "&lt;table&gt;&lt;tr&gt;&lt;td&gt;Feeder&lt;/td&gt;&lt;td&gt;7&lt;/td&gt;&lt;/tr&gt;",
            ("7", None, None),
        ),
        (
            "<table><tr><td>Feeder</td><td>1</td></tr><tr><td>Feeder</td><td>1</td></tr></table>",
            ("1", None, None),
        ),
    ],
)
def test_a_popups_rows_are_names_and_values(text: str, expected: tuple[str | None, ...]) -> None:
    found, unread = unpack(pl.Series("PopupInfo", ["other", text, None, text]), POPUP)
    assert found.columns == ["PopupInfo.Feeder", "PopupInfo.Rating", "PopupInfo.A & B"]
    assert found.rows() == [(None,) * 3, expected, (None,) * 3, expected]
    assert unread.to_list() == [True, False, False, False]


@pytest.mark.parametrize(
    "text",
    ["Feeder 101D1", "<p>Feeder</p>", "<table></table>", "<table><tr><td>1</td></tr></table>",
     "<table><tr><td>Feeder</td><td>1</td></tr><tr><td>Feeder</td><td>2</td></tr></table>"],
)  # fmt: skip
def test_a_popup_without_pairs_or_with_two_answers_is_unreadable(text: str) -> None:
    found, unread = unpack(pl.Series("PopupInfo", [text]), POPUP)
    assert (found.row(0), unread.to_list()) == ((None,) * 3, [True])


def test_an_object_in_a_cell() -> None:
    spec = Unpack(column="info", format="json", fields=["id", "mw"])
    cells = ['{"id": "007", "mw": 1.5}', "{}", "[1]", "{oops", "", None, '"text"']
    found, unread = unpack(pl.Series("info", cells), spec)
    assert found.rows() == [("007", "1.5"), *[(None, None)] * 6]
    assert unread.to_list() == [False, False, True, True, False, False, True]


def test_unpacked_fields_are_read_like_any_and_what_is_not_is_counted() -> None:
    layer = {
        "unpack": [{"column": "PopupInfo", "format": "html_table", "fields": ["Feeder", "HC"]}],
        "record_key": ["PopupInfo.Feeder"],
        "field_map": {"PopupInfo.Feeder": "feeder_id_external", "PopupInfo.HC": {"to": H, "unit": "kw"}},
    }
    made = config(layer)
    assert made.layers[0].named_fields == ["PopupInfo"]
    popup = TABLE.format("<tr><td>Feeder</td><td>{}</td></tr><tr><td>HC</td><td>{}</td></tr>")
    done = normal(made, [{"PopupInfo": p} for p in (popup.format("0101", "450 kW"), "none of it", None)])
    assert done.sections.select("record_key", "feeder_id_external", H).rows() == [
        ("layer 0:0101", "0101", 0.45), ("layer 0:#2", None, None), ("layer 0:#3", None, None),
    ]  # fmt: skip
    counted = done.quality.filter(pl.col("column") == "unpacked").row(0, named=True)
    assert (counted["field"], counted["rows"], counted["unreadable"]) == ("PopupInfo", 3, 1)


@pytest.mark.parametrize("called", ["kw", "KW_new"])
def test_a_field_that_is_called_otherwise_within_every_cell_stops_the_commit(called: str) -> None:
    """The metadata know nothing of it, and a capacity that is gone everywhere must not replace the last good one."""
    made = config(
        {
            "explode": {"json": "data", "fields": ["id", "kw"]},
            "field_map": {"data.id": "feeder_id_external", "data.kw": {"to": H, "unit": "kw"}},
        }
    )
    items = [[{"id": str(i), called: 100}] for i in range(checks.FEW)]
    done = normal(made, [{"data": json.dumps(cell)} for cell in (*items, [], None)])
    check = checks.values_readable(done.quality)
    assert check.passed == (called == "kw")
    assert check.passed or "none of 20 cells has the field data.kw" in check.message


def test_rows_of_one_feature_are_told_apart_by_their_feeders_in_any_order() -> None:
    """Ameren's cells have no key of their own: a number by position would move when a list is ordered anew."""
    made = config(
        {
            "explode": {"columns": ["F", "C"]},
            "field_map": {"F": "feeder_id_external", "C": {"to": "hosting_capacity_mw", "unit": "mw"}},
        }
    )
    first, second = (normal(made, [{"F": f, "C": c}]).sections for f, c in (("A,B#", "1,2"), ("B#,A", "2,1")))
    keys = ["feeder_id_external", "record_key", "hosting_capacity_mw"]
    assert first.select(keys).sort(keys).equals(second.select(keys).sort(keys))
    assert sorted(first["record_key"]) == ["layer 0:#1/A", "layer 0:#1/B##"]
