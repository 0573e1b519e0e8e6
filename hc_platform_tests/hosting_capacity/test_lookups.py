"""Columns taken from another layer of the config, through the lake as the pipeline does it."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity import checks
from hc_platform.hosting_capacity.tables import SECTIONS
from hc_platform.lake.store import Lake, open_lake
from hc_platform.pipeline.normalize import SectionsReport, prepared_sections
from hc_platform_tests.hosting_capacity.making import SNAPSHOT, config, put, raw

LINES: dict[str, Any] = {
    "name": "lines",
    "field_map": {"Circuit": "feeder_id_external", "C": "hosting_capacity_mw"},
    "capacity_unit": "kw",
    "joins": [
        {
            "layer": "totals", "field": "Circuit", "matches": "CKT",
            "takes": {
                "DG_kW": {"to": "installed_dg_mw", "unit": "kw"}, "Queue": "queued_dg_mw",
                "Sub": "substation_name", "kV": "voltage_kv",
            },
        }
    ],
}  # fmt: skip
TOTALS: dict[str, Any] = {
    "name": "totals", "grain": "feeder", "field_map": {"CKT": "feeder_id_external"}, "capacity_unit": "mw",
}  # fmt: skip
LEAST: dict[str, Any] = {"to": "queued_dg_mw", "combine": "least"}
OF_LINES = pl.col("layer") == "lines"


def normalized(
    folder: Path, made: UtilityConfig, *layers: list[dict[str, Any]]
) -> tuple[Lake, SectionsReport]:
    lake = open_lake(str(folder))
    put(lake, made, [raw(made, rows, layer=i) for i, rows in enumerate(layers)])
    with prepared_sections(made, SNAPSHOT, lake) as prepared:
        prepared.commit(lake)
        return lake, prepared.report


def test_columns_come_from_another_layer_by_its_key_in_its_units(tmp_path: Path) -> None:
    made = config(LINES, TOTALS)
    totals = [
        {"CKT": "1011.0", "DG_kW": 250, "Queue": 1.5, "Sub": "OAK", "kV": "12kV"},
        {"CKT": "0022", "DG_kW": None, "Queue": 0, "Sub": None, "kV": "oops"},
        {"CKT": None, "DG_kW": 9, "Queue": 9, "Sub": "NONE", "kV": 4},
    ]
    lines = [{"Circuit": c, "C": 500} for c in (1011, "0022", "22", None, "1011")]
    lake, report = normalized(tmp_path, made, lines, totals)
    got = lake.scan(SECTIONS).filter(OF_LINES).sort("feature_key").collect()
    columns = ("installed_dg_mw", "queued_dg_mw", "substation_name", "voltage_kv")
    found, nothing = (0.25, 1.5, "OAK", 12.0), (None,) * 4
    assert got.select(columns).rows() == [found, (None, 0.0, None, None), nothing, nothing, found]
    taken = report.quality.filter(
        OF_LINES & (pl.col("field") == "Circuit") & (pl.col("column") == "installed_dg_mw")
    )
    assert taken.select("rows", "nulls", "withheld").row(0) == (5, 3, 0)


def test_a_key_whose_rows_disagree_gives_null_and_is_counted(tmp_path: Path) -> None:
    made = config(LINES, TOTALS)
    same = {"CKT": "A", "DG_kW": 100, "Queue": 1, "Sub": "OAK", "kV": 12}
    totals = [same, {**same, "DG_kW": 100.0, "Queue": 2, "Sub": None, "kV": "12 kV"}, {**same, "CKT": "B"}]
    lake, report = normalized(tmp_path, made, [{"Circuit": c, "C": 1} for c in "ABA"], totals)
    got = lake.scan(SECTIONS).filter(OF_LINES).sort("feature_key").collect()
    columns = ("installed_dg_mw", "queued_dg_mw", "substation_name", "voltage_kv")
    disagreeing = (
        0.1,
        None,
        "OAK",
        12.0,
    )  # on the queue alone: NULL is no other answer, 100 and 100.0 are one
    assert got.select(columns).rows() == [disagreeing, (0.1, 1.0, "OAK", 12.0), disagreeing]
    quality = report.quality.filter(OF_LINES & (pl.col("withheld") > 0))
    assert quality.select("field", "column", "withheld").rows() == [("Circuit", "queued_dg_mw", 2)]


def test_a_text_of_the_other_layer_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    made = config(LINES, TOTALS)
    rest: dict[str, Any] = {"Queue": 1, "Sub": None, "kV": None}
    totals = [{"CKT": c, "DG_kW": v, **rest} for c, v in (("A", "all"), ("B", 5), ("B", "all"))]
    lake, report = normalized(tmp_path, made, [{"Circuit": c, "C": 1} for c in "AB"], totals)
    got = lake.scan(SECTIONS).filter(OF_LINES).collect()
    assert got["installed_dg_mw"].to_list() == [
        None,
        None,
    ]  # of B too: whether the other row says 5 is not known
    of_dg = OF_LINES & (pl.col("field") == "Circuit") & (pl.col("column") == "installed_dg_mw")
    assert report.quality.filter(of_dg).select("unreadable", "withheld").row(0) == (1, 1)
    assert not next(c for c in report.checks(None) if c.name == "values_are_readable").passed


SHARED_TOTAL = [{"CKT": "A,B", "DG_kW": 900}, {"CKT": "C", "DG_kW": 100}]


def test_a_total_of_several_feeders_is_taken_for_none_of_them(tmp_path: Path) -> None:
    """The other layer lists the feeders: its one total beside them is that of both."""
    join = {**LINES["joins"][0], "takes": {"DG_kW": {"to": "installed_dg_mw", "unit": "kw"}}}
    made = config({**LINES, "joins": [join]}, {**TOTALS, "explode": {"columns": ["CKT"]}})
    lake, report = normalized(tmp_path, made, [{"Circuit": c, "C": 1} for c in "ABC"], SHARED_TOTAL)
    got = lake.scan(SECTIONS).filter(OF_LINES).sort("feature_key").collect()
    assert got["installed_dg_mw"].to_list() == [None, None, 0.1]
    assert report.quality.filter(OF_LINES & (pl.col("withheld") > 0))["withheld"].to_list() == [2]


def test_what_a_tile_looks_up_is_none_of_its_feeders(tmp_path: Path) -> None:
    """The rows list the feeders: what is found by their tile's number is the tile's."""
    join = {"layer": "totals", "field": "Tile", "matches": "CKT"}
    join |= {"takes": {"DG_kW": {"to": "installed_dg_mw", "unit": "kw"}, "Sub": "substation_name"}}
    made = config({**LINES, "joins": [join], "explode": {"columns": ["Circuit", "C"]}}, TOTALS)
    lines = [{"Circuit": "A,B", "C": "1,2", "Tile": 1}, {"Circuit": "D", "C": "3", "Tile": 2}]
    totals = [{"CKT": str(t), "DG_kW": 100 * t, "Sub": "OAK"} for t in (1, 2)]
    lake, _ = normalized(tmp_path, made, lines, totals)
    got = lake.scan(SECTIONS).filter(OF_LINES).sort("feeder_id_external").collect()
    assert got["installed_dg_mw"].to_list() == [None, None, 0.2]
    assert got["substation_name"].to_list() == ["OAK"] * 3


@pytest.mark.parametrize(("their", "passed"), [("{:04d}", True), ("D-{:04d}", False)])
def test_a_join_that_finds_nothing_stops_the_commit(tmp_path: Path, their: str, passed: bool) -> None:
    """One layer spells ids otherwise now: no total would be known any more, and nothing else would show it."""
    made = config(LINES, TOTALS)
    rest: dict[str, Any] = {"DG_kW": 5, "Queue": 1, "Sub": None, "kV": None}
    totals = [{"CKT": their.format(i), **rest} for i in range(checks.FEW)]
    _, report = normalized(
        tmp_path, made, [{"Circuit": f"{i:04d}", "C": 1} for i in range(checks.FEW)], totals
    )
    check = next(c for c in report.checks(None) if c.name == "values_are_readable")
    assert check.passed == passed
    assert passed or "none of 20 rows finds its Circuit in totals" in check.message


def test_a_join_reaches_into_a_popup_and_keeps_to_the_rows_it_is_meant_for(tmp_path: Path) -> None:
    lines = {
        **LINES,
        "joins": [
            {
                "layer": "totals", "field": "Circuit", "matches": "P.Feeder",
                "takes": {"P.kW": {"to": "installed_dg_mw", "unit": "kw", "when": {"Status": ["Connected"]}}},
            }
        ],
    }  # fmt: skip
    totals = {**TOTALS, "unpack": [{"column": "P", "format": "html_table", "fields": ["Feeder", "kW"]}]}
    made = config(lines, totals)
    assert made.fields_of_contract(made.layer("totals")) == ["CKT", "P", "Status"]
    popup = "<table><tr><td>Feeder</td><td>A</td></tr><tr><td>kW</td><td>{}</td></tr></table>"
    rows = [
        {"CKT": i, "P": popup.format(kw), "Status": s}
        for i, (kw, s) in enumerate([(5, "Connected"), (7, "Gone")])
    ]
    lake, _ = normalized(tmp_path, made, [{"Circuit": "A", "C": 1}], rows)
    assert lake.scan(SECTIONS).filter(OF_LINES).collect()["installed_dg_mw"].to_list() == [0.005]


def test_without_the_other_layer_its_columns_are_null(tmp_path: Path) -> None:
    made = config(LINES, TOTALS)
    lake = open_lake(str(tmp_path))
    put(lake, config(LINES | {"joins": []}), [raw(made, [{"Circuit": "A", "C": 1}])])
    with prepared_sections(made, SNAPSHOT, lake) as prepared:
        prepared.commit(lake)
        assert prepared.report.skipped_layers == ["totals"]
    assert lake.scan(SECTIONS).collect()["installed_dg_mw"].to_list() == [None]


@pytest.mark.parametrize(
    ("lines", "totals", "message"),
    [
        ({"joins": [{**LINES["joins"][0], "layer": "lines"}]}, {}, "no other layer of this config"),
        ({"joins": [{**LINES["joins"][0], "takes": {"C": "hosting_capacity_mw"}}]}, {}, "mapped to hosting"),
        ({}, {"capacity_unit": None}, "Queue, taken from totals, has no unit"),
        (
            {"joins": [{**LINES["joins"][0], "takes": {"X": LEAST, "Y": LEAST}}]},
            {},
            "takes of a join has no combine",
        ),
        ({"feeder_id_from": {"layer": "totals", "field": "Circuit", "matches": "CKT"}}, {}, "not from both"),
    ],
)
def test_a_join_that_cannot_be_is_refused(
    lines: dict[str, Any], totals: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        config({**LINES, **lines}, {**TOTALS, **totals})
