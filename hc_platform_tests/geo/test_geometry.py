"""What is said of geometries, against the exact geodesic and against plain Shapely."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from hc_platform.geo.geometry import PLACE_COLUMNS, describe, hilbert_key, line_lengths_m
from hc_platform_tests.laws import law

GEOD = Geod(ellps="WGS84")


def wkb(*texts: str | None) -> pl.Series:
    shapes = [t and shapely.to_wkb(shapely.from_wkt(t)) for t in texts]
    return pl.Series("geometry", shapes, dtype=pl.Binary)


def described(*texts: str | None) -> list[dict[str, Any]]:
    return describe(wkb(*texts)).rows(named=True)


@pytest.mark.parametrize(
    ("text", "kind", "centroid", "box"),
    [
        ("POINT (-120 38)", "Point", (38, -120), (-120, 38, -120, 38)),
        ("LINESTRING (-120 38, -118 40)", "LineString", (39, -119), (-120, 38, -118, 40)),
        ("MULTILINESTRING ((0 0, 0 2), (4 0, 4 2))", "MultiLineString", (1, 2), (0, 0, 4, 2)),
        ("POLYGON ((0 0, 4 0, 4 2, 0 2, 0 0))", "Polygon", (1, 2), (0, 0, 4, 2)),
        (
            "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 1, 0 0)), ((3 0, 4 0, 4 1, 3 1, 3 0)))",
            "MultiPolygon",
            (0.5, 2),
            (0, 0, 4, 1),
        ),
        ("MULTIPOINT ((0 0), (2 4))", "MultiPoint", (2, 1), (0, 0, 2, 4)),
        ("GEOMETRYCOLLECTION (POINT (1 1), POINT (3 3))", "GeometryCollection", (2, 2), (1, 1, 3, 3)),
    ],
)
def test_type_centroid_and_box(text: str, kind: str, centroid: Any, box: Any) -> None:
    [row] = described(text)
    assert row["geometry_type"] == kind
    assert (row["centroid_lat"], row["centroid_lon"]) == pytest.approx(centroid)
    assert (row["bbox_west"], row["bbox_south"], row["bbox_east"], row["bbox_north"]) == box
    assert (row["length_km"] is None) == ("LINE" not in text)


def test_nothing_is_said_of_what_is_not_there() -> None:
    given = pl.concat([wkb(None, "LINESTRING EMPTY", "POINT EMPTY"), pl.Series("geometry", [b"junk", b""])])
    found = describe(given)
    assert found.columns == list(PLACE_COLUMNS)
    assert found.rows() == [(None,) * len(PLACE_COLUMNS)] * 5
    assert describe(wkb()).height == 0
    assert describe(wkb(None)).rows() == [(None,) * len(PLACE_COLUMNS)]


def test_rows_keep_their_places_among_missing_ones() -> None:
    rows = described(None, "LINESTRING (0 0, 0 1)", None, "POINT (5 5)", "LINESTRING (0 0, 0 2)")
    assert [r["length_km"] and round(r["length_km"]) for r in rows] == [None, 111, None, None, 221]


def exact(shape: Any) -> float:
    return sum(GEOD.line_length(*zip(*part.coords, strict=True)) for part in shapely.get_parts(shape))


LATITUDE = st.floats(-85, 85)
STEP = st.floats(-3000, 3000)


@st.composite
def lines(draw: st.DrawFn) -> Any:
    """Lines of steps of some kilometres anywhere up to 85 degrees, a few across the antimeridian."""
    lon = draw(st.one_of(st.floats(-180, 180), st.sampled_from([179.999, -179.999, 180.0])))
    lat = draw(LATITUDE)
    points = [(lon, lat)]
    for _ in range(draw(st.integers(1, 6))):
        north, east = draw(STEP), draw(STEP)
        lat = min(85.0, max(-85.0, lat + north / 111_000))
        lon = (lon + east / (111_000 * np.cos(np.radians(lat))) + 180) % 360 - 180
        points.append((lon, lat))
    return points


@law(200)
@given(st.lists(st.lists(lines(), min_size=1, max_size=3), min_size=1, max_size=4))
def test_lengths_equal_the_geodesics(parts: Any) -> None:
    shapes = np.array([shapely.MultiLineString(p) if len(p) > 1 else shapely.LineString(p[0]) for p in parts])
    assert line_lengths_m(shapes) == pytest.approx([exact(s) for s in shapes], rel=1e-4, abs=1e-3)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ((-120, 38), (-119.5, 38.2)),
        ((179.9, 10), (-179.9, 10.1)),
        ((0, 65), (1, 65)),
        ((10, 0), (10, 0)),
        ((0, 84.99), (0.2, 85)),
    ],
)
def test_lengths_of_long_segments(start: Any, end: Any) -> None:
    shape = shapely.LineString([start, end])
    assert line_lengths_m(np.array([shape]))[0] == pytest.approx(exact(shape), rel=1e-4)


def test_a_repeated_point_adds_nothing_and_points_have_no_length() -> None:
    shapes = shapely.from_wkt(["LINESTRING (0 0, 0 0, 0 1)", "POINT (0 0)", "MULTIPOINT ((0 0), (1 1))"])
    lengths = line_lengths_m(np.array(shapes))
    assert lengths[0] == pytest.approx(exact(shapes[0]), rel=1e-4)
    assert lengths[1:].tolist() == [0, 0]


def walk(lon: np.ndarray, lat: np.ndarray) -> float:
    """Mean step between rows that follow each other."""
    return float(np.hypot(np.diff(lon), np.diff(lat)).mean())


def test_rows_sorted_by_the_key_lie_near_each_other() -> None:
    chance = np.random.default_rng(7)
    lon, lat = chance.uniform(-124, -114, 5000), chance.uniform(32, 42, 5000)
    order = hilbert_key(pl.Series(lon), pl.Series(lat)).arg_sort().to_numpy()
    assert walk(lon[order], lat[order]) < walk(lon, lat) / 20
    # and better than rows sorted by latitude; and 50 boxes of 100 rows each cover little of the whole
    by_lat = np.argsort(lat)
    assert walk(lon[order], lat[order]) < walk(lon[by_lat], lat[by_lat]) / 10
    boxes = [np.ptp(lon[p]) * np.ptp(lat[p]) for p in np.split(order, 50)]
    assert sum(boxes) < 3 * 100


def test_the_key_follows_the_curve_without_a_jump() -> None:
    """Every cell of a grid, in the order of the key: each step leads to a neighbouring cell."""
    side = 32
    centre = (np.arange(side) + 0.5) / side
    x, y = (a.ravel() for a in np.meshgrid(centre * 360 - 180, centre * 180 - 90))
    order = hilbert_key(pl.Series(x), pl.Series(y)).arg_sort().to_numpy()
    steps = np.abs(np.diff(x[order])) / (360 / side) + np.abs(np.diff(y[order])) / (180 / side)
    assert steps == pytest.approx(np.ones(side * side - 1))


def test_missing_coordinates_come_last_and_edges_are_inside() -> None:
    key = hilbert_key(
        pl.Series([None, -120.0, 180.0, 500.0, 1.0], dtype=pl.Float64),
        pl.Series([1.0, 38.0, 90.0, -500.0, None], dtype=pl.Float64),
    )
    assert key.dtype == pl.Int64
    assert key.null_count() == 0
    assert sorted(key.arg_sort().to_list()[-2:]) == [0, 4]
    assert key[0] == key[4] > max(key[1], key[2], key[3])
    assert hilbert_key(pl.Series([], dtype=pl.Float64), pl.Series([], dtype=pl.Float64)).len() == 0


@law(150)
@given(
    st.lists(
        st.one_of(st.none(), lines(), st.sampled_from(["POINT (1 2)", "LINESTRING Z (0 0 5, 1 1 5)", "x"])),
        max_size=12,
    )
)
def test_plain_lines_are_read_as_shapely_reads_them(given: Any) -> None:
    """Whatever stands between the lines, and wherever the column was cut."""
    shapes = [
        shapely.from_wkt(g) if isinstance(g, str) and g != "x" else g and g != "x" and shapely.LineString(g)
        for g in given
    ]
    column = pl.Series(
        "geometry",
        [
            shapely.to_wkb(s) if s else (b"x" if g == "x" else None)
            for g, s in zip(given, shapes, strict=True)
        ],
        dtype=pl.Binary,
    )
    whole = describe(column)
    for row, shape in zip(whole.rows(named=True), shapes, strict=True):
        if not shape:
            assert row["geometry_type"] is None
            continue
        assert row["geometry_type"] == shape.geom_type
        assert (row["centroid_lon"], row["centroid_lat"]) == pytest.approx(shape.centroid.coords[0], abs=1e-9)
        assert (row["bbox_west"], row["bbox_south"], row["bbox_east"], row["bbox_north"]) == shape.bounds
        if shape.geom_type == "LineString":
            assert row["length_km"] * 1000 == pytest.approx(line_lengths_m(np.array([shape]))[0])
    assert whole[1:].equals(describe(column[1:]))


def test_odd_bytes_are_left_to_shapely() -> None:
    line = shapely.LineString([(0, 0), (0, 1)])
    given = [
        shapely.to_wkb(line, byte_order=0),  # big-endian
        shapely.to_wkb(shapely.set_srid(line, 4326), include_srid=True),
        shapely.to_wkb(line)[:-1],  # cut short
        shapely.to_wkb(line) + b"!",
        b"\x01\x02\x00\x00\x00\x09\x00\x00\x00" + bytes(32),  # says nine points, holds two
        shapely.to_wkb(line),
    ]
    found = describe(pl.Series("geometry", given))
    kinds = [shape and shape.geom_type for shape in shapely.from_wkb(given, on_invalid="ignore")]
    assert found["geometry_type"].to_list() == kinds
    assert [kinds[i] for i in (0, 1, 2, 4, 5)] == ["LineString", "LineString", None, None, "LineString"]
    broken = shapely.to_wkb(shapely.LineString([(0, 0), (float("nan"), 1)]))
    assert describe(pl.Series("geometry", [broken, given[5]]))["length_km"][1] == found["length_km"][5]
