"""Sizes that only a wrong unit explains stop a commit, odd ones warn, and what is real passes."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hc_platform.checking import Check
from hc_platform.hosting_capacity.plausible import magnitudes, units_plausible
from hc_platform.lake.store import open_lake
from hc_platform.pipeline.normalize import prepared_sections
from hc_platform_tests.hosting_capacity.making import SNAPSHOT, config, normal, put, raw

PASSES, WARNS, STOPS = (True, True), (False, False), (False, True)


def judged(
    column: str,
    greatest: float,
    median: float | None = None,
    *,
    grain: str = "section",
    rows: int = 100,
    guessed: bool = False,
) -> Check:
    found = {
        "layer": "lines", "resource": "generation", "grain": grain, "column": column, "greatest": greatest,
        "median": median, "positive": rows, "field": "HC", "unit": "kw", "guessed": guessed,
    }  # fmt: skip
    return units_plausible(pl.DataFrame([found]))


H = "hosting_capacity_mw"
REAL = [  # what utilities publish, in MW
    (H, 25.65, 1.4, "section"),  # Rhode Island
    (H, 19.3, 0.3, "section"),  # Con Edison
    (H, 4.8058, 4.8, "section"),  # CMP, "4805.8 kW"
    (H, 0.07504, 0.02, "tile"),  # HECO, parcels
    (H, 0.1, 0.05, "section"),  # Avista: caps at 50 to 100 kW
    (H, 0.6, 0.00862, "feeder"),  # ComEd, PV_HC_kW = 8.62
    ("remaining_capacity_mw", 8.0, 1.9, "point"),  # PSE&G, and negative values beside
    ("remaining_capacity_mw", 1.0, 1.0, "point"),  # Potomac Edison
    (H, 24.0, 8.0, "class"),  # Dominion
    ("hosting_capacity_min_mw", 1.2, 0.001, "section"),
    ("installed_dg_mw", 78.4, 0.0076, "der"),  # New York: the usual roof
    ("queued_dg_mw", 24.0, 0.003, "feeder"),
    ("voltage_kv", 69.0, 12.0, "section"),
    ("voltage_kv", 0.12, 0.12, "section"),
]


@pytest.mark.parametrize(("column", "greatest", "median", "grain"), REAL)
def test_what_is_published_passes(column: str, greatest: float, median: float, grain: str) -> None:
    check = judged(column, greatest, median, grain=grain)
    assert (check.passed, check.blocking) == PASSES, check.message


@pytest.mark.parametrize(("column", "greatest", "median", "grain"), [r for r in REAL if r[0] == H])
@pytest.mark.parametrize("wrong", [1000, 1 / 1000])
def test_the_same_in_the_wrong_unit_is_seen(
    column: str, greatest: float, median: float, grain: str, wrong: float
) -> None:
    assert not judged(column, greatest * wrong, median * wrong, grain=grain).passed or median * wrong >= 0.005


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ((H, 100.0), PASSES),
        ((H, 100.1), WARNS),
        ((H, 500.0), WARNS),
        ((H, 500.1), STOPS),
        ((H, 400.0, 100.1), STOPS),
        ((H, 1.0, 0.0049), STOPS),
        (("hosting_capacity_min_mw", 1.0, 0.0001), PASSES),  # the least of a study may be nearly nothing
        (("installed_dg_mw", 1.0, 0.0001), PASSES),
        (("installed_dg_mw", 501.0), STOPS),
        (("voltage_kv", 138.0), PASSES),
        (("voltage_kv", 4160.0), STOPS),
        (("voltage_kv", 0.01247), STOPS),
        (("voltage_kv", 0.0), PASSES),
    ],
)
def test_the_bounds(found: Any, verdict: tuple[bool, bool]) -> None:
    check = judged(*found)
    assert (check.passed, check.blocking) == verdict


def test_grains_have_bounds_of_their_own_and_few_rows_no_median() -> None:
    def verdict(*found: Any, **more: Any) -> tuple[bool, bool]:
        check = judged(*found, **more)
        return check.passed, check.blocking

    assert verdict(H, 1.0, 0.003, grain="tile") == WARNS
    assert verdict(H, 1.0, 0.0004, grain="point") == STOPS
    assert verdict(H, 1.0, 0.0001, rows=19) == PASSES
    assert verdict("queued_dg_mw", 1300.0, 0.02, grain="der") == WARNS  # a power station
    assert verdict("queued_dg_mw", 78_400.0, 10.0, grain="der") == STOPS


def test_the_message_names_layer_resource_column_field_and_unit() -> None:
    stopped = judged(H, 4805.8)
    assert stopped.message == (
        "lines, generation: hosting_capacity_mw (HC, read as kw) reaches 4805.8 MW: is its unit right?"
    )
    assert stopped.metadata == {"lines, generation, hosting_capacity_mw": 4805.8}


def test_magnitudes_are_told_by_layer_and_resource_with_what_they_were_read_from() -> None:
    layer = {
        "name": "lines", "capacity_unit": "kw",
        "field_map": {"V": "voltage_kv"},
        "resources": {
            "generation": {"field_map": {"G": H, "DG": {"to": "installed_dg_mw", "unit": "mw"}}},
            "load": {"field_map": {f: {"to": H, "combine": "least", "unit": u} for f, u in (("S", "mw"), ("W", "kva"))}},
        },
    }  # fmt: skip
    made = config(layer)
    rows = [{"V": 13200, "G": g, "DG": None, "S": 1, "W": 2000} for g in (-9000, 0, 2000, 4000, None)]
    found = magnitudes(normal(made, rows).sections.lazy(), made)
    columns = ("layer", "resource", "column", "greatest", "median", "positive", "field", "unit")
    assert found.select(columns).rows() == [
        ("lines", "generation", H, 9.0, 3.0, 2, "G", "kw"),
        ("lines", "generation", "voltage_kv", 13.2, 13.2, 5, "V", "as written"),
        ("lines", "load", H, 1.0, 1.0, 5, "S, W", "mw, kva"),
        ("lines", "load", "voltage_kv", 13.2, 13.2, 5, "V", "as written"),
    ]


def test_a_joined_column_names_the_field_it_was_taken_from(tmp_path: Path) -> None:
    takes = {"kW": {"to": "installed_dg_mw", "unit": "mw"}}
    lines = {
        "name": "lines",
        "field_map": {"Id": "feeder_id_external"},
        "joins": [{"layer": "t", "field": "Id", "matches": "Id", "takes": takes}],
    }
    made = config(lines, {"name": "t", "grain": "feeder", "field_map": {"Id": "feeder_id_external"}})
    lake = open_lake(str(tmp_path))
    put(lake, made, [raw(made, [{"Id": "1"}]), raw(made, [{"Id": "1", "kW": 4000}], layer=1)])
    with prepared_sections(made, SNAPSHOT, lake) as prepared:
        check = next(c for c in prepared.report.checks(None) if c.name == "units_are_plausible")
    assert "lines, generation: installed_dg_mw (t.kW, read as mw) reaches 4000 MW" in check.message
    assert (check.passed, check.blocking) == STOPS


@pytest.mark.parametrize(
    ("greatest", "verdict"), [(0.0099, STOPS), (0.6, PASSES), (25.0, PASSES), (9900.0, STOPS), (120.0, STOPS)]
)
def test_a_guessed_unit_must_give_a_feeders_size(greatest: float, verdict: tuple[bool, bool]) -> None:
    """9.9 MW of a hexagon read as kW are 0.0099 MW, which nothing else would notice on a tile."""
    check = judged(H, greatest, 0.4 * min(greatest, 20), grain="tile", guessed=True)
    assert (check.passed, check.blocking) == verdict
