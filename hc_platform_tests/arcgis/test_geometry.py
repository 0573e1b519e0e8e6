"""Esri geometries to WKB, held against shapely."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiLineString, MultiPoint, MultiPolygon, Point, Polygon

from hc_platform.arcgis import crs
from hc_platform.arcgis.geometry import to_wkb
from hc_platform_tests.integration.fake_arcgis import mercator

LINE, POLYGON, POINT, MULTI = (
    f"esriGeometry{kind}" for kind in ("Polyline", "Polygon", "Point", "Multipoint")
)


def shapes(geometries: list[Any], kind: str, *, has_z: bool = False) -> list[Any]:
    found = to_wkb([json.dumps(geometry) for geometry in geometries], kind, has_z, None)
    return list(shapely.from_wkb(found.wkb.to_list()))


NUMBER = st.floats(-180, 180, allow_nan=False).map(lambda x: round(x, 6))
PATH = st.lists(st.tuples(NUMBER, NUMBER), min_size=2, max_size=8)


@given(st.lists(st.lists(PATH, max_size=4), max_size=12))
def test_lines(paths: list[list[list[tuple[float, float]]]]) -> None:
    for ours, given_paths in zip(shapes([{"paths": each} for each in paths], LINE), paths, strict=True):
        if not given_paths:
            assert ours is None
            continue
        expected = (
            MultiLineString(given_paths) if len(given_paths) > 1 else shapely.LineString(given_paths[0])
        )
        assert shapely.equals_exact(ours, expected)
        assert ours.geom_type == expected.geom_type


def test_absent_and_empty_geometries_keep_their_place() -> None:
    line = {"paths": [[[1, 2], [3, 4]]]}
    given_ = [None, {}, line, {"paths": []}, {"paths": [[]]}, {"paths": None}, line]
    assert [shape is None for shape in shapes(given_, LINE)] == [True, True, False, True, True, True, False]
    assert shapes([None, {"x": None, "y": None}, {"x": 0, "y": 0}], POINT) == [None, None, Point(0, 0)]
    assert shapes([{"rings": []}, None], POLYGON) == [None, None]


def test_z_is_kept_and_m_dropped() -> None:
    zm = {"paths": [[[1, 2, 3, 9], [4, 5, 6, 9]]]}
    assert shapely.get_coordinates(shapes([zm], LINE, has_z=True), include_z=True).tolist() == [
        [1, 2, 3],
        [4, 5, 6],
    ]
    assert not shapes([zm], LINE)[0].has_z
    assert shapes([{"x": 1, "y": 2, "z": 3, "m": 4}], POINT, has_z=True)[0].z == 3
    assert not shapes([{"x": 1, "y": 2, "m": 4}], POINT)[0].has_z


def test_numbers_sent_as_text() -> None:
    found = to_wkb(['{"x": "NaN", "y": "NaN"}', '{"x": "1.5", "y": 2}', "null"], POINT, False, None)
    assert list(shapely.from_wkb(found.wkb.to_list())) == [None, Point(1.5, 2), None]
    assert found.null_tokens == 2
    found = to_wkb(['{"paths": [[[0, 0], ["NaN", 1], [2, 2]]]}'], LINE, False, None)
    assert shapely.from_wkb(found.wkb[0]).wkt == "LINESTRING (0 0, 2 2)"


def test_vertices_of_unequal_length() -> None:
    assert shapes([{"paths": [[[0, 0, 5], [1, 1]]]}], LINE)[0].wkt == "LINESTRING (0 0, 1 1)"


def test_path_of_one_vertex_keeps_its_place() -> None:
    line = shapes([{"paths": [[[3, 4]]]}], LINE)[0]
    assert line.wkt == "LINESTRING (3 4, 3 4)"


def test_multipoints() -> None:
    assert shapes([{"points": [[1, 2], [3, 4]]}, None], MULTI) == [MultiPoint([(1, 2), (3, 4)]), None]


def ring(x: float, y: float, size: float, *, hole: bool = False) -> list[list[float]]:
    clockwise = [[x, y], [x, y + size], [x + size, y + size], [x + size, y], [x, y]]
    return clockwise[::-1] if hole else clockwise


def square(x: float, y: float, size: float, *holes: list[list[float]]) -> Polygon:
    return Polygon(ring(x, y, size), holes)


@pytest.mark.parametrize(
    ("rings", "expected"),
    [
        ([ring(0, 0, 9)], square(0, 0, 9)),
        ([ring(0, 0, 9)[:-1]], square(0, 0, 9)),
        ([ring(0, 0, 9, hole=True)], square(0, 0, 9)),
        ([ring(0, 0, 9), ring(1, 1, 2, hole=True)], square(0, 0, 9, ring(1, 1, 2))),
        ([ring(1, 1, 2, hole=True), ring(0, 0, 9)], square(0, 0, 9, ring(1, 1, 2))),
        ([ring(0, 0, 9), ring(20, 0, 9)], MultiPolygon([square(0, 0, 9), square(20, 0, 9)])),
        (
            [ring(0, 0, 9), ring(20, 0, 9), ring(21, 1, 2, hole=True), ring(1, 1, 2, hole=True)],
            MultiPolygon([square(0, 0, 9, ring(1, 1, 2)), square(20, 0, 9, ring(21, 1, 2))]),
        ),
        (
            [ring(0, 0, 30), ring(1, 1, 20, hole=True), ring(2, 2, 10), ring(3, 3, 2, hole=True)],
            MultiPolygon([square(0, 0, 30, ring(1, 1, 20)), square(2, 2, 10, ring(3, 3, 2))]),
        ),
        (
            [ring(0, 0, 9), ring(20, 0, 9), ring(50, 0, 9, hole=True)],
            MultiPolygon([square(0, 0, 9), square(20, 0, 9), square(50, 0, 9)]),
        ),
    ],
)
def test_rings(rings: list[Any], expected: Any) -> None:
    padding: list[Any] = [{"rings": [ring(100, 0, 1)]}, None]
    ours = shapes([*padding, {"rings": rings}, *padding], POLYGON)
    assert ours[2].is_valid
    assert shapely.normalize(ours[2]) == shapely.normalize(expected)
    assert shapely.normalize(ours[0]) == shapely.normalize(ours[3]) == shapely.normalize(square(100, 0, 1))
    exteriors = [part.exterior for part in getattr(ours[2], "geoms", [ours[2]])]
    assert all(exterior.is_ccw for exterior in exteriors)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30))
def test_rows_keep_their_polygons(counts: list[int]) -> None:
    geometries = [{"rings": [ring(10 * n, row, 5) for n in range(count)]} for row, count in enumerate(counts)]
    for row, (ours, count) in enumerate(zip(shapes(geometries, POLYGON), counts, strict=True)):
        if not count:
            assert ours is None
        else:
            assert ours.area == pytest.approx(25 * count)
            assert ours.bounds[1] == row


def test_unreadable_ring_is_named_and_the_others_survive() -> None:
    found = to_wkb(
        [json.dumps({"rings": [ring(0, 0, 9)]}), '{"curveRings": [[[0, 0], {"c": [[1, 1], [2, 2]]}]]}'],
        POLYGON,
        False,
        None,
    )
    assert [wkb is None for wkb in found.wkb] == [False, True]
    assert found.unreadable == [(1, "true curve geometry")]


def test_projection_from_metres_feet_and_text() -> None:
    lon, lat = -71.4128, 41.824
    for code in (3857, 102100, 2249, 102748):
        import pyproj

        known = {102100: "EPSG:3857", 102748: "ESRI:102748"}.get(code, f"EPSG:{code}")
        x, y = pyproj.Transformer.from_crs(4326, known, always_xy=True).transform(lon, lat)
        project = crs.projection(crs.SpatialReference(wkid=code).code, 4326)
        assert project is not None
        assert project(np.array([[x, y]]))[0].tolist() == pytest.approx([lon, lat], abs=1e-6)
    assert crs.projection(4326, 4326) is None
    assert crs.projection(crs.SpatialReference(wkid=102100, latestWkid=3857).code, 3857) is None
    with pytest.raises(ValueError, match="unknown spatial reference"):
        crs.projection(123456789, 4326)


def test_web_mercator_to_wgs84() -> None:
    assert crs.web_mercator_to_wgs84(0.0, 0.0) == pytest.approx((0.0, 0.0))
    assert crs.web_mercator_to_wgs84(*mercator(-71.4128, 41.824)) == pytest.approx((-71.4128, 41.824))
