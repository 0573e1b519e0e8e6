"""Lines near a place, out of the lake: none is missed, and the distance is the geodesic's."""

import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from pyproj import Geod

from hc_platform.pipeline.near import feeders_near, utility_near
from hc_platform_tests.laws import law
from hc_platform_tests.pipeline.placing import CODE, fill, record, section
from hc_platform_tests.pipeline.stub import Bench

GEOD = Geod(ellps="WGS84")
TILE = shapely.box(-95.0, 38.45, -94.9, 38.55)


def brute_m(line: shapely.Geometry, lat: float, lon: float) -> float:
    """Distance to a line's densely put points."""
    points = shapely.get_coordinates(shapely.segmentize(line, 1e-5))
    return float(min(GEOD.inv([lon] * len(points), [lat] * len(points), points[:, 0], points[:, 1])[2]))


@law(30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lat=st.sampled_from([0.0, 18.2, 21.3, 38.5, 51.9, 64.8, 71.3]),
    lon=st.sampled_from([-179.999, 179.999, -95.0, -66.1, 0.0]),
    seed=st.integers(0, 2**32 - 1),
    radius_km=st.floats(0.05, 3.0),
)
def test_no_line_within_the_radius_is_missed(
    bench: Bench, lat: float, lon: float, seed: int, radius_km: float
) -> None:
    random = np.random.default_rng(seed)
    lines = []
    for _ in range(6):
        start = np.array([lon, lat]) + random.uniform(-0.03, 0.03, 2)
        lines.append(shapely.LineString([start, start + random.normal(0, 0.005, 2)]))
    fill(bench.lake, [section(str(i), line) for i, line in enumerate(lines)])
    found = dict(
        feeders_near(bench.lake, lat, lon, radius_km).select("feeder_id_external", "distance_m").iter_rows()
    )
    for i, line in enumerate(lines):
        truth = brute_m(line, lat, lon)
        if abs(truth - radius_km * 1000) < 1.5:
            continue  # the brute force is itself no better than a metre
        assert (str(i) in found) == (truth < radius_km * 1000)
        if str(i) in found:
            assert found[str(i)] == pytest.approx(truth, abs=1.5)


def test_the_newest_snapshot_answers_each_feeder_once_with_what_room_it_has(bench: Bench) -> None:
    line = shapely.LineString([(-95.0, 38.5), (-94.9, 38.5)])
    old = {"utility_code": CODE, "snapshot": "2026-01"}
    fill(bench.lake, [section("old", line)], partition=old)
    rows = [
        section("F", line, key="a"),
        section("F", line, key="a", resource="load"),
        section(None, line, key="loose"),
        section("sun", shapely.Point(-94.95, 38.501), key="roof", grain="der"),
        section(None, TILE, key="empty", grain="tile", value_status="not_published"),
    ]
    records = [
        record("F", feeder_name="OAK 1101", remaining_capacity_mw=2.5),
        record("F", resource="load", remaining_capacity_mw=None),
        record("loose", grain="section"),
    ]
    fill(bench.lake, rows, records)
    found = feeders_near(bench.lake, 38.501, -94.95, 1.0)
    assert sorted(found["feeder_id_external"]) == ["F", "loose"]
    row = found.filter(pl.col("feeder_id_external") == "F").row(0, named=True)
    assert (row["remaining_generation_mw"], row["remaining_load_mw"]) == (2.5, None)
    assert row["near_lat"] == pytest.approx(38.5, abs=1e-4)
    near = utility_near(bench.lake, 38.501, -94.95)
    assert {(u, f) for u, f, _ in near} == {(CODE, "OAK 1101"), (CODE, "loose")}
    assert utility_near(bench.lake, 38.504, -94.95) == [], "444 m are too far to decide"


def test_an_empty_lake_and_a_place_that_is_none(bench: Bench) -> None:
    assert feeders_near(bench.lake, 38.5, -95.0, 5.0).is_empty()
    fill(bench.lake, [section("F", None)])
    assert feeders_near(bench.lake, 38.5, -95.0, 5.0).is_empty()
    with pytest.raises(ValueError, match="no place on earth"):
        feeders_near(bench.lake, 138.5, -95.0, 5.0)
