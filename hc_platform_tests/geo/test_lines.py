"""The search over lines: nothing within reach is missed, and distances are the geodesic's, at every latitude."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from hc_platform.geo.ellipsoid import arc_m, reach_degrees
from hc_platform.geo.lines import LineIndex
from hc_platform.geo.nearby import nearby
from hc_platform_tests.geo.truth import GEOD, PLACES, distance_m, line, wkb
from hc_platform_tests.laws import law

DEGREE_M = 111_320.0


def index(*shapes: Any, ids: list[Any] | None = None) -> LineIndex:
    return LineIndex(pl.Series("id", ids if ids is not None else range(len(shapes))), wkb(*shapes))


def found(lines: LineIndex, lon: float, lat: float, radius_m: float) -> dict[Any, float]:
    rows = lines.within([lon], [lat], radius_m)
    assert rows["distance_m"].is_sorted()
    assert (rows["distance_m"] <= radius_m).all()
    return dict(rows.select("id", "distance_m").rows())


def away(place: tuple[float, float], east_m: float, north_m: float) -> tuple[float, float]:
    """A point so far from a place, its longitude within [-180, 180)."""
    lon, lat, _ = GEOD.fwd(*place, np.degrees(np.arctan2(east_m, north_m)), np.hypot(east_m, north_m))
    return (lon + 180.0) % 360.0 - 180.0, lat


@st.composite
def a_shape(draw: st.DrawFn, place: tuple[float, float], span_m: float) -> Any:
    offset = st.tuples(*[st.floats(-span_m, span_m)] * 2)
    points = [away(place, *draw(offset)) for _ in range(draw(st.integers(1, 7)))]
    kind = draw(st.sampled_from(["line", "line", "multi", "point", "collection"]))
    if len(points) == 1 or kind == "point":
        return shapely.Point(points[0])
    if kind == "line" or len(points) < 4:
        return shapely.LineString(points)
    halves = [shapely.LineString(points[:2]), shapely.LineString(points[2:])]
    if kind == "multi":
        return shapely.MultiLineString(halves)
    return shapely.GeometryCollection([shapely.MultiLineString(halves), shapely.Point(points[0])])


@st.composite
def a_search(draw: st.DrawFn) -> tuple[float, float, float, list[Any]]:
    place = draw(st.sampled_from(sorted(PLACES.values())))
    span = draw(st.sampled_from([200.0, 5_000.0, 40_000.0]))
    shapes = draw(st.lists(a_shape(place, span), min_size=1, max_size=6))
    lon, lat = away(place, *draw(st.tuples(*[st.floats(-span, span)] * 2)))
    return lon, lat, draw(st.floats(0.05, 1.5)) * span, shapes


@given(a_search())
@law(120)
def test_nothing_is_missed_and_metres_are_geodesic(search: tuple[float, float, float, list[Any]]) -> None:
    lon, lat, radius, shapes = search
    got = found(index(*shapes), lon, lat, radius)
    for i, shape in enumerate(shapes):
        true = distance_m(lon, lat, shape)
        if i in got:
            assert got[i] == pytest.approx(true, abs=0.02)
        else:
            assert true > radius - 0.02, f"missed {shape} at {true} m of {radius}"


@given(a_search(), st.sampled_from([300.0, 50_000.0, 400_000.0]))
@law(80)
def test_the_nearest_and_the_runner_up_are_the_first_two_of_all(
    search: tuple[float, float, float, list[Any]], reach: float
) -> None:
    lon, lat, _, shapes = search
    shapes = [*shapes, *shapes[:1]]  # the last is a piece of the first
    lines = index(*shapes, ids=[*range(len(shapes) - 1), 0])
    every = lines.within([lon], [lat], reach)
    assert every["id"].is_unique().all()
    best = lines.nearest([lon, lon], [lat, np.nan], reach)
    assert best["query"].to_list() == [0][: every.height]
    assert best["id"].to_list() == every["id"].head(1).to_list()
    assert best["distance_m"].to_list() == every["distance_m"].head(1).to_list()
    second = every[1:2] if every.height > 1 else None
    assert best["runner_up_m"].to_list() == (
        [second["distance_m"][0]] if second is not None else [None][: every.height]
    )


@given(
    st.floats(-179.99, 179.99),
    st.floats(-85, 85),
    st.floats(0, 360),
    st.floats(0, 1),
    st.sampled_from([3e2, 1e4, 3e5]),
)
@law(300)
def test_the_box_holds_the_circle(
    lon: float, lat: float, azimuth: float, share: float, radius: float
) -> None:
    to_lon, to_lat, _ = GEOD.fwd(lon, lat, azimuth, radius * share)
    d_lat, d_lon = reach_degrees(np.array([lat]), np.array([radius]))
    assert abs(to_lat - lat) <= d_lat[0]
    assert abs((to_lon - lon + 180) % 360 - 180) <= d_lon[0]


@given(st.floats(-180, 180), st.floats(-89, 89), st.floats(0, 360), st.floats(0, 2e6))
@law(300)
def test_an_arc_is_the_geodesic(lon: float, lat: float, azimuth: float, metres: float) -> None:
    to_lon, to_lat, _ = GEOD.fwd(lon, lat, azimuth, metres)
    got = arc_m(*(np.array([v]) for v in (lon, lat, to_lon, to_lat)))[0]
    assert got == pytest.approx(metres, abs=1e-3 if metres <= 5e4 else 0.2)


@pytest.mark.parametrize("place", PLACES)
def test_a_line_is_found_to_the_metre_of_its_distance(place: str) -> None:
    """A line 300 m away is within 300.5 m and not within 299.5 m, on every side."""
    lon, lat = PLACES[place]
    for east, north in ((300, 0), (-300, 0), (0, 300), (0, -300), (212.132, 212.132)):
        x, y = away((lon, lat), east, north)
        along = [away((x, y), -north * k, east * k) for k in (-1, 1)]  # crosses the direction squarely
        lines = index(shapely.LineString(along))
        assert found(lines, lon, lat, 299.5) == {}
        assert list(found(lines, lon, lat, 300.5)) == [0]


@pytest.mark.parametrize(
    "query", [(179.999, 52.0), (-179.999, 52.0), (180.0, 52.0), (-180.0, 52.0), (540.0, 52.0)]
)
def test_both_sides_of_the_antimeridian_see_the_same(query: tuple[float, float]) -> None:
    jumping = line((179.99, 52.001), (-179.99, 52.001))
    running_on = line((179.99, 52.002), (180.01, 52.002))
    below = line((-180.01, 52.003), (-179.99, 52.003))
    cut = shapely.MultiLineString([[(179.99, 52.004), (180, 52.004)], [(-180, 52.004), (-179.99, 52.004)]])
    got = found(index(jumping, running_on, below, cut), *query, 1_000)
    assert list(got) == [0, 1, 2, 3]
    for i, metres in enumerate(got.values()):
        assert metres == pytest.approx(GEOD.inv(0, 52, 0, 52.001 + i / 1000)[2], abs=0.01)


def test_what_has_no_place_is_told_and_never_found() -> None:
    broken = [
        None,
        b"junk",
        b"",
        shapely.from_wkt("LINESTRING EMPTY"),
        shapely.Point(),
        line((0, 91), (0, 92)),
    ]
    lines = index(*broken, line((0, 1), (0, np.nan)), line((0, 0), (0, 0)))
    assert lines.skipped.to_list() == [0, 1, 2, 3, 4, 5, 6]
    assert found(lines, 0.0, 0.0, 20_000_000) == {7: 0.0}
    assert index(None, b"junk").within([0.0], [0.0], 1e6).height == 0
    assert index().nearest([0.0], [0.0], 1e6).height == 0
    nowhere = lines.within(pl.Series([None, 0.0, 0.0], dtype=pl.Float64), pl.Series([0.0, 91.0, None]), 2e7)
    assert nowhere.height == 0


def test_a_line_of_100_000_vertices_is_one_line() -> None:
    t = np.linspace(0, 400 * np.pi, 100_000)
    spiral = np.column_stack([-150 + t / 200 * np.cos(t), 62 + t / 600 * np.sin(t)])
    lines = index(shapely.LineString(spiral), line((-150, 62), (-150.001, 62)))
    rng = np.random.default_rng(1)
    queries = rng.uniform((-155, 60.2), (-145, 63.8), (40, 2))
    got = lines.within(queries[:, 0], queries[:, 1], 30_000.0).filter(pl.col("id") == 0)
    assert got["query"].is_unique().all()
    for query, metres, near_lon, near_lat in got.select("query", "distance_m", "near_lon", "near_lat").rows():
        lon, lat = queries[query]
        assert metres == pytest.approx(GEOD.inv(lon, lat, near_lon, near_lat)[2], abs=1e-3)
        vertices = GEOD.inv(np.full(len(spiral), lon), np.full(len(spiral), lat), *spiral.T)[2]
        around = np.flatnonzero(vertices < vertices.min() + 2_000)
        pieces = shapely.MultiLineString(
            [spiral[max(i - 1, 0) : i + 2] for i in around[:: max(len(around) // 40, 1)]]
        )
        assert metres <= vertices.min() + 1e-3
        assert metres <= distance_m(lon, lat, pieces) + 0.25


def test_a_long_straight_line_is_met_in_its_middle() -> None:
    """Straight in longitude and latitude (RFC 7946), 560 km long; its ends and its box tell nothing of it."""
    lines = index(line((-150.0, 68.0), (-140.0, 71.0)))
    true = distance_m(-145.0, 69.45, line((-150.0, 68.0), (-140.0, 71.0)), steps=2_000)
    assert found(lines, -145.0, 69.45, true + 1) == {0: pytest.approx(true, abs=0.02)}
    assert found(lines, -145.0, 69.45, true - 1) == {}


def test_inside_a_polygon_is_no_distance() -> None:
    tile = shapely.Polygon(
        [(0, 0), (1, 0), (1, 1), (0, 1)], [[(0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6)]]
    )
    lines = index(shapely.GeometryCollection([tile, line((3, 3), (4, 4))]))
    assert found(lines, 0.2, 0.2, 10) == {0: 0.0}
    assert found(lines, 0.5, 0.5, 50_000) == {0: pytest.approx(0.1 * 110_574, rel=0.01)}
    assert found(lines, 3.5, 3.5, 10) == {0: pytest.approx(0.0, abs=0.05)}


def test_many_queries_are_answered_as_one_by_one() -> None:
    rng = np.random.default_rng(2)
    walks = rng.uniform((-72, 41), (-71, 42), (3_000, 2))[:, None] + rng.normal(
        0, 0.002, (3_000, 12, 2)
    ).cumsum(1)
    lines = LineIndex(
        pl.Series(rng.integers(0, 800, 3_000)), pl.Series(shapely.to_wkb(shapely.linestrings(walks)))
    )
    lon, lat = rng.uniform(-72, -71, 5_000), rng.uniform(41, 42, 5_000)
    radius = rng.uniform(0, 3_000, 5_000)
    every = lines.within(lon, lat, radius)
    assert every["query"].is_sorted()
    for i in rng.integers(0, 5_000, 25):
        alone = lines.within([lon[i]], [lat[i]], radius[i])
        assert every.filter(pl.col("query") == i).drop("query").rows() == alone.drop("query").rows()
    best = lines.nearest(lon, lat, 2_000.0)
    by_hand = lines.within(lon, lat, 2_000.0).group_by("query", maintain_order=True).head(1)
    assert best.select(by_hand.columns).rows() == by_hand.rows()


def test_ids_must_be_there() -> None:
    with pytest.raises(ValueError, match="NULL"):
        index(line((0, 0), (1, 1)), ids=[None])
    with pytest.raises(ValueError, match="each geometry"):
        LineIndex(pl.Series([1, 2]), wkb(line((0, 0), (1, 1))))


def test_nearby_answers_with_the_frames_own_columns_by_distance() -> None:
    frame = pl.DataFrame(
        {
            "id": ["far", "near", "gone"],
            "utility_code": ["a", "b", "c"],
            "geometry": wkb(line((-71, 41.02), (-71, 41.03)), line((-71.1, 41.01), (-70.9, 41.01)), None),
        }
    )
    got = nearby(frame, 41.0, -71.0, 5)
    assert got.select("id", "utility_code").rows() == [("near", "b"), ("far", "a")]
    assert got["distance_m"].to_list() == pytest.approx(
        [GEOD.inv(0, 41, 0, 41 + d)[2] for d in (0.01, 0.02)], abs=0.5
    )
    kept = nearby(LineIndex(frame["id"], frame["geometry"]), 41.0, -71.0, 1.2)
    assert kept["id"].to_list() == ["near"]
    for lat, lon, radius in ((91.0, 0.0, 1.0), (0.0, float("nan"), 1.0), (0.0, 0.0, -1.0)):
        with pytest.raises(ValueError, match=r"place on earth|radius"):
            nearby(frame, lat, lon, radius)
