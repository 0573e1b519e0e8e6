"""What becomes of each grain: made-up rows in the shape of the shipped configs, from raw features to records."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pyproj import Geod

from hc_platform.catalog.loading import Catalog, load_catalog
from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.summaries import summarize
from hc_platform.lake.store import open_lake
from hc_platform.pipeline.feeders import prepare_records
from hc_platform.pipeline.normalize import prepared_sections
from hc_platform.settings import PROJECT_DIR
from hc_platform_tests.hosting_capacity.making import AT, SNAPSHOT, config, put, raw

H, LO, HI, REST = (
    "hosting_capacity_mw", "hosting_capacity_min_mw", "hosting_capacity_max_mw", "remaining_capacity_mw",
)  # fmt: skip
ID = "feeder_id_external"
REMAINING_KW = "Hosting_Capacity_Remaining_kW"
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(PROJECT_DIR / "utility_configs")


def rolled_up(
    folder: Path, made: UtilityConfig, rows: Rows, *, layer: int = 0, geometry: list[str] | None = None
) -> pl.DataFrame:
    """Records of one layer's rows; the config's other layers have none."""
    lake = open_lake(str(folder))
    whole = [{**dict.fromkeys(made.layers[layer].named_fields), **row} for row in rows]
    frames = [
        raw(made, whole if i == layer else [], layer=i, geometry=geometry if i == layer else None)
        for i in range(len(made.layers))
    ]
    put(lake, made, frames)
    with prepared_sections(made, SNAPSHOT, lake) as prepared:
        assert prepared.report.rejected == 0
        prepared.commit(lake)
    return prepare_records(made, SNAPSHOT, lake).records.sort("resource", ID)


def test_the_points_of_a_circuit_are_one_feeder(catalog: Catalog, tmp_path: Path) -> None:
    """PSE&G: 124 vertices of one value; negative values are real, and NULL is an analysis that is pending."""
    rows = [{"base_circuitid": c, "CAPACITY_REMAINING": v} for c, v, n in
            (("ADA8012", -2.5, 124), ("BEN8011", 1.5, 3), (None, None, 2)) for _ in range(n)]  # fmt: skip
    got = rolled_up(tmp_path, catalog["pseg"], rows)
    assert got.filter(pl.col("grain") == "feeder").select(
        ID, H, REST, "section_count", "value_status"
    ).rows() == [
        ("ADA8012", -2.5, -2.5, 124, "published"),
        ("BEN8011", 1.5, 1.5, 3, "published"),
    ]
    pending = got.filter(pl.col("grain") == "point")
    assert pending.select(H, "section_count", "value_status").rows() == [(None, 1, "pending")] * 2


def test_the_cells_of_a_circuit_are_one_feeder_per_resource_each_with_its_ceiling(
    catalog: Catalog, tmp_path: Path
) -> None:
    """SDG&E: hundreds of cells a circuit, generation and load in each row, both cut off at 10 MW."""
    cells = [(0.1, 10), (2.5, 3), (0.0, 0), (None, 10)]
    rows = [
        {
            "CIRCUIT_NAME": "42",
            "ICAWOF_UNIGENERATION": g,
            "ICAWOF_UNILOAD": load,
            "ICAWOF_UNIGENERATION_LC": "Thermal",
        }
        for g, load in cells
    ]
    got = rolled_up(tmp_path, catalog["sdge"], rows)
    columns = ("resource", ID, H, LO, HI, "censored", REST, "section_count")
    assert got.select(columns).rows() == [
        ("generation", "42", 2.5, 0.0, 2.5, "none", 2.5, 4),
        ("load", "42", 10.0, 0.0, 10.0, "at_ceiling", 10.0, 4),
    ]
    assert got["constraining_metric"].to_list() == ["thermal", None]


def test_the_lists_of_a_tile_are_its_feeders_own_values(catalog: Catalog, tmp_path: Path) -> None:
    """Ameren: "A,B" beside "9.9,5.31"."""
    names = ("FEEDERID", "MAXGENMW_TXT", "OPERATINGVOLTAGE", "GENLIMITER")
    tiles = [
        ("A,B", "9.9,5.31", "12.47,4.16", "Thermal,Voltage"),
        ("B", "7.2", "4.16", "Thermal"),
        ("A", "9.9", "12.47", ""),
    ]
    got = rolled_up(tmp_path, catalog["ameren_il"], [dict(zip(names, tile, strict=True)) for tile in tiles])
    assert got.select(ID, H, LO, HI, "voltage_kv", "constraining_metric", "section_count").rows() == [
        ("A", 9.9, 9.9, 9.9, 12.47, "thermal", 2),
        ("B", 7.2, 5.31, 7.2, 4.16, "thermal", 2),
    ]


def test_a_hexagon_of_several_feeders_bounds_each_and_gives_none_a_point(
    catalog: Catalog, tmp_path: Path
) -> None:
    """Consumers: the range is the hexagon's. A feeder's lies within that of its hexagons; what limits is known where
    the hexagon is its alone."""
    hexagons = [("h1", ["F1", "F2"], 0.03, 0.1), ("h2", ["F1"], 0.5, 0.8), ("h3", [], 0.2, 0.3)]
    rows = [
        {"h3_id": h, "data": json.dumps([{"feederID": f, "sub_name": "S"} for f in feeders]),
         "min_constraint_value_for_gen": low, "max_constraint_value_for_gen": high,
         "min_constraint_for_gen": "Primary Over-Voltage"}
        for h, feeders, low, high in hexagons
    ]  # fmt: skip
    got = rolled_up(tmp_path, catalog["consumers"], rows)
    columns = ("grain", H, LO, HI, "constraining_metric", "section_count")
    found = {i: row for i, *row in got.select(ID, *columns).rows()}
    assert found["F1"] == ["feeder", None, 0.03, 0.8, "voltage", 2]
    assert found["F2"] == ["feeder", None, 0.03, 0.1, None, 1]
    [tile] = [row for i, row in found.items() if i.endswith("h3/")]
    assert tile == ["tile", None, 0.2, 0.3, "voltage", 1]
    assert summarize(got.lazy(), AT)["total_hosting_capacity_mw"].to_list() == [None]  # ranges make no sum


def test_a_hexagon_that_lists_several_circuits_stands_for_itself(catalog: Catalog, tmp_path: Path) -> None:
    """Duke: ids beside fewer ratings, so that nothing can be told apart."""
    tile = {"min_generation": 100, "max_generation": 900, "gen_in_queue": 50}
    rows = [
        {**tile, "grid_id_v": str(i), "circuit_ids_v": c}
        for i, c in enumerate(["01332413", "01332413, 01332414"])
    ]
    got = rolled_up(tmp_path, catalog["duke_carolinas"], rows)
    assert got.select("grain", LO, HI, "queued_dg_mw").rows() == [
        ("feeder", 0.1, 0.9, 0.05),
        ("tile", 0.1, 0.9, 0.05),
    ]
    assert got[ID][0] == "01332413"


def test_classes_keep_their_key_and_stand_in_no_sum(catalog: Catalog, tmp_path: Path) -> None:
    """Dominion: every line of one class dissolved into one row; no feeder."""
    rows = [{"LIMIT_VAL": v, "Line_Voltage": 34500, "OPERATINGVOLTAGE": "34.5"} for v in (1, 4, 24)]
    got = rolled_up(tmp_path, catalog["dominion"], rows)
    assert got.select("grain", H, HI, "voltage_kv", "section_count").rows() == [
        ("class", None, 1.0, 34.5, 1), ("class", None, 24.0, 34.5, 1), ("class", None, 4.0, 34.5, 1),
    ]  # fmt: skip
    assert got[ID].to_list() == [f"Primary_HostingCapacity_Final:{v}/34500/34.5" for v in (1, 24, 4)]
    sums = summarize(got.lazy(), AT).row(0, named=True)
    assert (sums["total_feeders"], sums["total_records"], sums["total_hosting_capacity_mw"]) == (0, 3, None)


@pytest.mark.parametrize(
    ("code", "rows", "expected"),
    [
        (
            "bge",  # a tile without a feeder under it is wholly NULL
            [
                {"MAP_NAME": "3042644", f"Min_{REMAINING_KW}": 250, f"Max_{REMAINING_KW}": 900},
                {"MAP_NAME": "3042645"},
            ],
            [("generation tiles:3042644", None, 0.25, 0.9, None, "published"),
             ("generation tiles:3042645", None, None, None, None, "not_published")],
        ),
        (
            "peco",  # MVA, net
            [{"GRID_NAME": "01E4H8", "NET_AVAILABLE_CAPACITY": 3.5}, {"GRID_NAME": "01E4H9"}],
            [("Minor_Quad:01E4H8", 3.5, None, None, 3.5, "published"),
             ("Minor_Quad:01E4H9", None, None, None, None, "not_published")],
        ),
    ],
)  # fmt: skip
def test_tiles_without_a_feeder_stay(
    catalog: Catalog, tmp_path: Path, code: str, rows: Rows, expected: list[Any]
) -> None:
    got = rolled_up(tmp_path, catalog[code], rows)
    assert got.select(ID, H, LO, HI, REST, "value_status").rows() == expected
    assert set(got["grain"]) == {"tile"}


def test_segments_without_a_feeder_stay_unassigned(catalog: Catalog, tmp_path: Path) -> None:
    """LADWP: ranges in text, no feeder on any of 211,078 conductors."""
    texts = ["0 - 150", "1000-1500", ">7500", "NO CAPACITY"]
    rows = [{"GISID": str(i), "Capacity_Range_KW": t, "Voltage_Class": "4.8-KV"} for i, t in enumerate(texts)]
    line = "LINESTRING (-118.2 34.0, -118.2 34.01)"
    got = rolled_up(tmp_path, catalog["ladwp"], rows, geometry=[line] * 4)
    assert got.select(H, LO, HI, "censored").rows() == [
        (None, 0.0, 0.15, "none"), (None, 1.0, 1.5, "none"),
        (None, 7.5, None, "at_ceiling"), (None, None, 0.0, "at_floor"),
    ]  # fmt: skip
    assert set(got["grain"]) == {"section"}
    sums = summarize(got.lazy(), AT).row(0, named=True)
    assert (sums["unassigned_sections"], sums["total_feeders"], sums["total_hosting_capacity_mw"]) == (
        4,
        0,
        None,
    )
    metres = Geod(ellps="WGS84").line_length([-118.2, -118.2], [34.0, 34.01])
    assert got["length_km"].to_list() == pytest.approx([metres / 1000] * 4, rel=1e-4)


def test_a_feeders_length_is_that_of_its_lines_and_points_and_tiles_have_none(tmp_path: Path) -> None:
    made = config({"field_map": {"F": ID, "C": {"to": H, "unit": "mw"}}})
    lines = [
        "LINESTRING (-71 42, -71.01 42.02, -71.03 42.02)",
        "MULTILINESTRING ((-71 42, -71 42.1), (-71.2 42, -71.3 42))",
        "POINT (-71 42)",
        "POLYGON ((-71 42, -71 42.1, -71.1 42, -71 42))",
    ]
    rows = [{"F": f, "C": 1} for f in ("01", "01", "02", "03")]
    got = dict(rolled_up(tmp_path, made, rows, geometry=lines).select(ID, "length_km").rows())
    geod = Geod(ellps="WGS84")
    parts = [
        ([-71, -71.01, -71.03], [42, 42.02, 42.02]), ([-71, -71], [42, 42.1]), ([-71.2, -71.3], [42, 42]),
    ]  # fmt: skip
    assert got["01"] == pytest.approx(sum(geod.line_length(*p) for p in parts) / 1000, rel=1e-4)
    assert (got["02"], got["03"]) == (None, None)
