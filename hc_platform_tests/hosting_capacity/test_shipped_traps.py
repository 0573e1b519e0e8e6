"""What shipped configs make of rows whose plain reading is wrong: the traps of the Mid-Atlantic's maps."""

from pathlib import Path
from typing import Any

import polars as pl

from hc_platform.catalog.loading import load_config
from hc_platform.hosting_capacity.sections import normalize
from hc_platform_tests.hosting_capacity.making import SNAPSHOT, raw

CONFIGS = Path(__file__).parents[2] / "utility_configs"


def read(code: str, label: str, *rows: dict[str, Any]) -> pl.DataFrame:
    config = load_config(CONFIGS / f"{code}.yaml")
    layer = config.layer(label)
    features = raw(config, rows, layer=config.layers.index(layer))
    made = normalize(features, config, layer, snapshot=SNAPSHOT)
    assert made.rejected.is_empty()
    return made.sections


def test_potomac_edisons_zero_is_less_than_100_kw() -> None:
    rows = read("potomac_edison", "transformers", {"RemainNum": 0, "Remaining": "Less than 100 kW AC"})
    assert rows.select(
        "hosting_capacity_mw", "hosting_capacity_max_mw", "remaining_capacity_mw", "censored"
    ).row(0) == (None, 0.1, None, "at_floor")


def test_psegs_null_is_pending_and_its_negative_values_are_real() -> None:
    rows = read(
        "pseg",
        "EV circuits",
        {"base_circuitid": "ADA8012", "CAPACITY_REMAINING": -1.3217},
        {"base_circuitid": None, "CAPACITY_REMAINING": None},
    )
    assert rows["hosting_capacity_mw"].to_list() == [-1.3217, None]
    assert rows["remaining_capacity_mw"].to_list() == [-1.3217, None]
    assert rows["value_status"].to_list() == ["published", "pending"]


def test_comeds_row_says_two_resources_and_leaves_load_to_the_ev_service() -> None:
    row = {"Feeder_N": "F4536", "PV_HC_kW": 8.62, "BESS_HC": 7.5, "EV_HC_kW": 780, "Queue_RD": "03/06/2026"}
    rows = read("comed", "buffered feeders", row).sort("resource")
    assert rows["resource"].to_list() == ["generation", "storage"]
    assert rows["hosting_capacity_mw"].to_list() == [0.00862, 0.0075]


def test_a_value_of_several_comed_feeders_is_nobodys() -> None:
    rows = read("comed", "EV circuits", {"Feeders": "F1", "EV_HC_kW": 0}, {"Feeders": "F1,F2", "EV_HC_kW": 9})
    assert rows["feeder_id_external"].to_list() == ["F1", None]
    assert rows["hosting_capacity_mw"].to_list() == [0.0, 0.009]


def test_dominions_class_has_an_upper_end_and_its_ev_map_a_value() -> None:
    classes = read("dominion", "Primary_HostingCapacity_Final", {"LIMIT_VAL": 4, "Line_Voltage": 34500})
    assert classes.select("hosting_capacity_mw", "hosting_capacity_max_mw", "voltage_kv").row(0) == (
        None,
        4.0,
        34.5,
    )
    values = read("dominion", "EV load", {"LIMIT_VAL": 2.37, "PRI_NOM_VOLT_CD": 12470})
    assert values["hosting_capacity_mw"].to_list() == [2.37]


def test_a_tile_is_no_feeder_and_its_range_no_value() -> None:
    tile = {"MAP_NAME": "3042644", "Min_Hosting_Capacity_Remaining_kW": 10}
    rows = read("bge", "generation tiles", {**tile, "Max_Hosting_Capacity_Remaining_kW": 900})
    assert rows.select("feeder_id_external", "hosting_capacity_mw", "record_key").row(0) == (
        None,
        None,
        "generation tiles:3042644",
    )
    assert rows.select("hosting_capacity_min_mw", "hosting_capacity_max_mw").row(0) == (0.01, 0.9)


def test_pecos_mva_is_taken_at_unity_power_factor_and_its_null_stays_null() -> None:
    tiles = [{"GRID_NAME": "01E4H8", "NET_AVAILABLE_CAPACITY": c} for c in (4.6, None)]
    assert read("peco", "Minor_Quad", *tiles)["hosting_capacity_mw"].to_list() == [4.6, None]
