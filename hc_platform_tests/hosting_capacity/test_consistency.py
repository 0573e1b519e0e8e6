"""Each rule of a record catches what breaks it, alone, and lets real records pass."""

from typing import Any

import polars as pl
import pytest

from hc_platform.hosting_capacity.consistency import RULES, inconsistencies, records_consistent
from hc_platform.hosting_capacity.tables import RECORDS

GOOD: dict[str, Any] = {
    "utility_code": "a", "resource": "generation", "snapshot": "2026-05", "feeder_id_external": "01", "grain": "feeder",
    "hosting_capacity_mw": 5.0, "hosting_capacity_min_mw": 1.0, "hosting_capacity_max_mw": 5.0, "installed_dg_mw": 2.0,
    "queued_dg_mw": 0.0, "remaining_capacity_mw": 3.0, "capacity_basis": "gross", "capacity_source": "lines",
    "censored": "none", "value_status": "published", "voltage_kv": 12.47, "section_count": 3,
    "centroid_lat": 41.5, "centroid_lon": -71.4, "bbox_south": 41.0, "bbox_north": 42.0, "bbox_west": -72.0,
    "bbox_east": -71.0,
}  # fmt: skip
NOTHING = dict.fromkeys(
    c for c in GOOD if c.endswith("_mw") or c.startswith(("capacity_", "centroid", "bbox"))
)


def records(*rows: dict[str, Any]) -> pl.LazyFrame:
    return pl.DataFrame([{**GOOD, **row} for row in rows], schema=RECORDS.schema).lazy()


def at(lat: float, lon: float) -> dict[str, float]:
    return {
        "centroid_lat": lat, "centroid_lon": lon, "bbox_south": lat - 1, "bbox_north": lat + 1, "bbox_west": lon - 1,
        "bbox_east": lon + 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "row",
    [
        {},
        {**NOTHING, "value_status": "pending"},
        {"remaining_capacity_mw": -4.0, "installed_dg_mw": 9.0},  # more is connected than fits: a fact
        {"hosting_capacity_mw": -2.5, "hosting_capacity_min_mw": -2.5, "hosting_capacity_max_mw": -2.5},
        {"hosting_capacity_mw": None, "hosting_capacity_max_mw": None, "censored": "at_ceiling"},  # ">1"
        {"grain": "section", "remaining_capacity_mw": None},
        {"installed_dg_mw": None, "remaining_capacity_mw": None},
        {**NOTHING, "remaining_capacity_mw": 9.86, "value_status": "published"},  # SCE's circuits
        at(21.3, -157.8), at(18.2, -66.1), at(64.8, -147.7), at(13.4, 144.8),
    ],
)  # fmt: skip
def test_what_utilities_publish_keeps_the_rules(row: dict[str, Any]) -> None:
    assert inconsistencies(records(row)).to_dicts() == []


BROKEN: dict[str, dict[str, Any]] = {
    "least above greatest": {
        "hosting_capacity_min_mw": 6.0,
        "hosting_capacity_mw": None,
        "remaining_capacity_mw": None,
    },
    "point outside of its bounds": {"hosting_capacity_max_mw": 4.9},
    "capacity without a basis": {"capacity_basis": None},
    "capacity without its layer": {"capacity_source": None},
    "capacity that is said not to be published": {"value_status": "redacted"},
    "ceiling or floor of nothing": {**NOTHING, "censored": "at_ceiling"},
    "remaining not derived where it could be": {"remaining_capacity_mw": None},
    "negative generation": {"queued_dg_mw": -0.1},
    "capacity beyond any feeder's": {"remaining_capacity_mw": -900.0},
    "voltage beyond distribution": {"voltage_kv": 0.0},
    "place outside of the United States": at(-71.4, 41.5),  # swapped, as in one of PECO's layers
    "centre outside of its box": {"centroid_lat": 40.0},
    "generator as a record": {"grain": "der"},
}


def test_every_rule_has_a_record_that_breaks_it() -> None:
    assert set(BROKEN) == set(RULES)


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_told_with_utility_count_and_example(rule: str) -> None:
    rows = [{"feeder_id_external": str(i), "utility_code": c, **BROKEN[rule]} for i, c in enumerate("bba")]
    found = inconsistencies(records({}, *rows))
    assert found.rows() == [(rule, "b", 2, "0"), (rule, "a", 1, "2")]
    check = records_consistent(records({}, *rows))
    assert (check.passed, check.blocking) == (False, False)
    assert f"b: {rule} in 2 records, e.g. 0" in check.message


def test_net_capacity_is_what_remains() -> None:
    net = {"capacity_basis": "net_of_existing", "installed_dg_mw": None, "remaining_capacity_mw": None}
    assert inconsistencies(records(net))["rule"].to_list() == ["remaining not derived where it could be"]
