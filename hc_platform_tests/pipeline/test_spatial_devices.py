"""Which feeder a charger is on: headroom by resource, territories where no line is near, and no line overlooked."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from hc_platform.catalog import Catalog
from hc_platform.charging.tables import DEVICES
from hc_platform.geo.devices import match_devices
from hc_platform.pipeline.device_feeders import (
    DEVICE_CHECKS,
    check_devices,
    confirmed_by_county,
    lines_near_points,
    prepare_devices,
)
from hc_platform.pipeline.near import newest_sections
from hc_platform.reference.tables import UTILITY_TERRITORIES
from hc_platform.settings import Settings
from hc_platform_tests.hosting_capacity.making import SNAPSHOT
from hc_platform_tests.laws import law
from hc_platform_tests.pipeline.placing import fill, record, section, utility
from hc_platform_tests.pipeline.stub import Bench

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LINE = shapely.LineString([(-95.0, 38.5), (-94.9, 38.5)])
ABOUT = {"source": "made up", "licence": "none", "vintage": "2026"}
CATALOG = Catalog(
    {"test": utility(eia_id=7), "other": utility(eia_id=8).model_copy(update={"utility_code": "other"})}
)


def register(bench: Bench, **places: tuple[float | None, float | None, str | None]) -> pl.DataFrame:
    rows: list[dict[str, Any]] = [
        {
            "device_id": name, "status": "active", "protocol": "window", "lat": lat, "lon": lon, "utility_id": of,
            "policy_id": "default", "registry_version": 1,
        }
        for name, (lat, lon, of) in places.items()
    ]  # fmt: skip
    frame = DEVICES.conform(pl.DataFrame(rows, schema={c: DEVICES.schema[c] for c in rows[0]}))
    bench.lake.replace(DEVICES, {}, frame)
    return frame


def territories(bench: Bench, **boxes: tuple[int, shapely.Geometry]) -> None:
    rows = pl.DataFrame(
        {
            "eia_id": [eia for eia, _ in boxes.values()],
            "utility_name": list(boxes),
            "geometry": [shapely.to_wkb(shape) for _, shape in boxes.values()],
            **ABOUT,
        }
    )
    bench.lake.replace(UTILITY_TERRITORIES, {}, UTILITY_TERRITORIES.conform(rows))


def test_the_line_at_hand_decides_and_its_room_is_told_by_resource(bench: Bench) -> None:
    records = [
        record("F", feeder_name="OAK", remaining_capacity_mw=2.5),
        record("F", resource="load", remaining_capacity_mw=0.4),
        record("G"),
    ]
    fill(
        bench.lake, [section("F", LINE), section("G", shapely.LineString([(-90, 38), (-89.9, 38)]))], records
    )
    devices = register(
        bench,
        near=(38.501, -94.95, "test"),
        unknown=(38.0005, -89.95, None),
        far=(38.6, -94.95, None),
        lost=(None, None, None),
    )
    rows = prepare_devices(bench.lake, CATALOG, Settings(), NOW)
    found = {r["device_id"]: r for r in rows.to_dicts()}
    near = found["near"]
    assert (near["status"], near["method"], near["utility_code"], near["feeder_id_external"]) == (
        "matched", "line", "test", "F"
    )  # fmt: skip
    assert near["distance_m"] == pytest.approx(111, abs=1)
    assert (near["headroom_generation_mw"], near["headroom_load_mw"]) == (2.5, 0.4)
    assert (near["feeder_name"], near["snapshot"], near["matched_at"]) == ("OAK", SNAPSHOT, NOW)
    assert found["unknown"]["headroom_generation_mw"] is None
    assert found["unknown"]["headroom_load_mw"] is None
    assert (found["far"]["status"], found["far"]["method"]) == ("unmatched", "none")
    assert (found["lost"]["status"], found["lost"]["method"]) == ("unmatched", "no_place")
    checks = check_devices(rows, devices, CATALOG)
    assert [c.name for c in checks] == list(DEVICE_CHECKS)
    assert [c.name for c in checks if not c.passed] == ["devices_have_a_place"]


def test_away_from_lines_all_territories_stay_and_the_county_only_ranks_them(
    bench: Bench, tmp_path: Path
) -> None:
    fill(bench.lake, [section("F", LINE)])
    wide, narrow = shapely.box(-96, 38, -94, 39), shapely.box(-95.2, 38.2, -94.8, 38.8)
    territories(bench, wide=(7, wide), narrow=(8, narrow), elsewhere=(9, shapely.box(0, 0, 1, 1)))
    devices = register(bench, home=(38.51, -94.95, "other"), alone=(38.1, -95.9, None))
    rows = prepare_devices(bench.lake, CATALOG, Settings(), NOW)
    home = rows.filter(pl.col("device_id") == "home").to_dicts()
    assert [(r["rank"], r["utility_name"], r["status"]) for r in home] == [
        (1, "wide", "ambiguous"), (2, "narrow", "ambiguous")
    ]  # fmt: skip
    assert home[0]["distance_m"] == pytest.approx(1110, rel=0.01), (
        "its line is near, if not near enough to decide"
    )
    assert {r["n_candidates"] for r in home} == {2}
    alone = rows.filter(pl.col("device_id") == "alone").row(0, named=True)
    assert (alone["status"], alone["eia_id"], alone["feeder_id_external"]) == ("matched", 7, None)
    table = tmp_path / "served.csv"
    table.write_text("County_FIPS,Utility_Number\n20121,8\n20059,9\n")
    confirmed = prepare_devices(bench.lake, CATALOG, Settings(county_utilities=table), NOW)
    first = confirmed.filter((pl.col("device_id") == "home") & (pl.col("rank") == 1)).row(0, named=True)
    assert (first["utility_name"], first["confirmed"], first["status"]) == ("narrow", True, "ambiguous")
    assert confirmed_by_county(devices, bench.lake, Settings()) is None


def test_a_charger_registered_at_another_utility_than_its_line_says_is_warned_of(bench: Bench) -> None:
    roof = section("G", shapely.Point(-94.95, 38.5), grain="der")  # a generator, which is no line
    fill(bench.lake, [section("F", LINE), roof])
    devices = register(
        bench, right=(38.5, -94.95, "test"), wrong=(38.5, -94.94, "other"), tariff=(38.5, -94.93, "no_config")
    )
    checks = {
        c.name: c
        for c in check_devices(prepare_devices(bench.lake, CATALOG, Settings(), NOW), devices, CATALOG)
    }
    assert "1 of 2 are registered at another utility: wrong" in checks["utilities_agree"].message
    assert not checks["utilities_agree"].passed
    assert not checks["utilities_agree"].blocking


@pytest.mark.parametrize(
    ("tile", "expected"),
    [
        ({"value_status": "not_published"}, ("other", "F")),
        ({"value_status": "redacted"}, ("test", "tile")),
        ({"hosting_capacity_max_mw": 2.0}, ("test", "tile")),
        ({"feeder_id_external": "G", "value_status": "not_published"}, ("test", "G")),
    ],
)
def test_a_tile_under_which_nothing_lies_says_nothing_of_whose_grid_it_is(
    bench: Bench, tile: dict[str, Any], expected: tuple[str, str]
) -> None:
    square = section(None, shapely.box(-95.0, 38.4, -94.9, 38.6), key="tile", grain="tile")
    fill(bench.lake, [square | tile])
    fill(bench.lake, [section("F", LINE)], partition={"utility_code": "other", "snapshot": SNAPSHOT})
    register(bench, home=(38.501, -94.95, None))
    best = prepare_devices(bench.lake, CATALOG, Settings(), NOW).row(0, named=True)
    assert (best["utility_code"], best["feeder_id_external"]) == expected


def test_no_chargers_and_no_lines_give_no_rows(bench: Bench) -> None:
    assert prepare_devices(bench.lake, CATALOG, Settings(), NOW).is_empty()


@law(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lat=st.sampled_from([18.2, 38.5, 51.9, 71.3]),
    lon=st.sampled_from([-179.999, 179.999, -95.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_reading_only_what_is_near_changes_no_answer(bench: Bench, lat: float, lon: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    lines = [
        shapely.LineString(
            np.array([lon, lat]) + random.uniform(-0.1, 0.1, 2) + random.normal(0, 0.01, (3, 2))
        )
        for _ in range(20)
    ]
    fill(bench.lake, [section(str(i), line) for i, line in enumerate(lines)])
    points = np.array([lon, lat]) + random.uniform(-0.1, 0.1, (5, 2))
    devices = pl.DataFrame(
        {"device_id": list("abcde"), "lat": points[:, 1], "lon": (points[:, 0] + 180.0) % 360.0 - 180.0}
    )
    every = pl.DataFrame(
        {
            "utility_code": ["test"] * len(lines),
            "feeder_id_external": [str(i) for i in range(len(lines))],
            "geometry": [shapely.to_wkb(line) for line in lines],
        }
    )
    few = pl.concat(
        [every.head(0), *lines_near_points(bench.lake, newest_sections(bench.lake), devices, 300.0)]
    )
    columns = ["device_id", "rank", "feeder_id_external", "status", "method"]
    assert match_devices(devices, few).select(columns).equals(match_devices(devices, every).select(columns))
