"""Points and lines in areas: all that hold them, borders included, and shares by metres."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from hc_platform.geo import areas as joins
from hc_platform.geo.areas import areas_of_points, midpoints, shares_of_lines
from hc_platform.geo.geometry import line_lengths_m
from hc_platform_tests.geo.truth import GEOD, PLACES, line, segments, wkb
from hc_platform_tests.laws import law


def areas(**shapes: Any) -> pl.DataFrame:
    return pl.DataFrame({"area_id": list(shapes), "geometry": wkb(*shapes.values())})


def at(*points: tuple[float | None, float | None]) -> pl.DataFrame:
    return pl.DataFrame(points, schema={"lon": pl.Float64, "lat": pl.Float64}, orient="row")


def pairs(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return frame.select("row", "area_id").rows()


WEST, EAST = shapely.box(-2, 0, 0, 2), shapely.box(0, 0, 2, 2)


def test_a_border_belongs_to_both_sides() -> None:
    got = areas_of_points(at((0, 1), (-1, 1), (-2, 0), (0, 2.0000001), (1, 2)), areas(west=WEST, east=EAST))
    assert pairs(got) == [(0, "west"), (0, "east"), (1, "west"), (2, "west"), (4, "east")]


def test_holes_are_outside_and_overlaps_are_all_told() -> None:
    ring = shapely.Polygon(shapely.box(0, 0, 9, 9).exterior, [shapely.box(3, 3, 6, 6).exterior])
    got = areas_of_points(at((4.5, 4.5), (1, 1), (3, 4)), areas(ring=ring, inner=shapely.box(3, 3, 6, 6)))
    assert pairs(got) == [(0, "inner"), (1, "ring"), (2, "ring"), (2, "inner")]


def test_what_has_no_place_holds_nothing_and_lies_nowhere() -> None:
    bowtie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    held = areas(null=None, junk=b"junk", empty=shapely.Polygon(), line=line((0, 0), (1, 1)), bowtie=bowtie)
    points = at(
        (1.5, 0.9),
        (None, 1.0),
        (1.0, None),
        (float("nan"), 0.5),
        (1.0, 91.0),
        (1.0, float("inf")),
        (0.5, 1.0),
    )
    assert pairs(areas_of_points(points, held)) == [(0, "bowtie"), (6, "bowtie")]
    assert areas_of_points(points, held[:0]).height == 0
    assert areas_of_points(points[:0], held).height == 0
    assert shares_of_lines(wkb(None, b"junk", shapely.LineString()), held).height == 0


def test_the_aleutians_lie_on_both_sides_of_the_antimeridian() -> None:
    split = shapely.MultiPolygon([shapely.box(170, 50, 180, 54), shapely.box(-180, 50, -165, 54)])
    runs_on = shapely.box(170, 50, 195, 54)
    points = at(
        (179.9, 52), (-179.9, 52), (180, 52), (-180, 52), (180.1, 52), (-190, 52), (169, 52), (-164.9, 52)
    )
    got = areas_of_points(points, areas(split=split, runs_on=runs_on))
    assert pairs(got) == [(row, name) for row in range(6) for name in ("split", "runs_on")]


@st.composite
def some_areas(draw: st.DrawFn, around: tuple[float, float]) -> list[Any]:
    shapes = []
    for _ in range(draw(st.integers(1, 6))):
        offset = [draw(st.floats(-3, 3)) for _ in range(4)]
        centre = shapely.Point(around[0] + offset[0], around[1] + offset[1])
        disc = shapely.buffer(centre, 0.2 + abs(offset[2]), quad_segs=draw(st.integers(1, 4)))
        shapes.append(
            disc if offset[3] > 0 else shapely.union(disc, shapely.box(*(np.array(disc.bounds) + 1.5)))
        )
    return shapes


@given(st.sampled_from(["contiguous", "utqiagvik", "hawaii", "puerto_rico"]), st.data())
@law(60)
def test_every_area_that_holds_a_point_is_found(place: str, data: st.DataObject) -> None:
    lon, lat = PLACES[place]
    shapes = data.draw(some_areas((lon, lat)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    xy = np.concatenate(
        [rng.uniform((lon - 6, lat - 6), (lon + 6, lat + 6), (200, 2)), *map(shapely.get_coordinates, shapes)]
    )
    got = areas_of_points(
        pl.DataFrame(xy, schema=["lon", "lat"]), areas(**{str(i): s for i, s in enumerate(shapes)})
    )
    points = shapely.points(xy)
    expected = [
        (row, str(i))
        for row in range(len(xy))
        for i, s in enumerate(shapes)
        if shapely.intersects(s, points[row])
    ]
    assert pairs(got) == expected


def test_shares_are_of_metres_not_of_degrees() -> None:
    """North of 60 a degree of longitude is half as long as a degree of latitude."""
    bent = line((0, 60), (1, 60), (1, 61))
    [north, south] = (
        shares_of_lines(wkb(bent), areas(south=shapely.box(-1, 59, 2, 60), north=shapely.box(-1, 60, 2, 62)))
        .sort("area_id")
        .rows(named=True)
    )
    across, up = GEOD.inv(0, 60, 1, 60)[2], GEOD.inv(1, 60, 1, 61)[2]
    assert north["share"] == 1.0  # the border belongs to both
    assert south["length_m"] == pytest.approx(across, rel=1e-4)
    assert south["share"] == pytest.approx(across / (across + up), rel=1e-4)


def test_the_part_outside_every_area_is_told() -> None:
    got = shares_of_lines(
        wkb(line((-4, 1), (4, 1)), line((5, 5), (6, 5)), line((-1.5, 1), (-0.5, 1))),
        areas(west=WEST, east=EAST),
    )
    assert got.filter(pl.col("row") == 0)["area_id"].to_list() == [None, "west", "east"]
    assert got["share"].to_list() == pytest.approx([0.5, 0.25, 0.25, 1.0, 1.0])
    assert got.filter(pl.col("row") > 0).select("row", "area_id").rows() == [(1, None), (2, "west")]


def test_overlapping_areas_leave_the_right_rest() -> None:
    both = areas(a=shapely.box(0, 0, 2, 2), b=shapely.box(1, 0, 3, 2))
    got = shares_of_lines(wkb(line((0, 1), (4, 1))), both)
    assert dict(got.select("area_id", "share").rows()) == pytest.approx(
        {"a": 0.5, "b": 0.5, None: 0.25}, rel=1e-3
    )


def test_what_has_no_length_is_shared_equally() -> None:
    got = shares_of_lines(
        wkb(
            shapely.Point(0, 1),
            shapely.Point(1, 1),
            shapely.Point(9, 9),
            shapely.box(-2, 0, -1, 1),
            line((1, 1), (1, 1)),
        ),
        areas(west=WEST, east=EAST),
    )
    assert got.select("row", "area_id", "length_m", "share").rows() == [
        (0, "west", 0.0, 0.5),
        (0, "east", 0.0, 0.5),
        (1, "east", 0.0, 1.0),
        (2, None, 0.0, 1.0),
        (3, "west", 0.0, 1.0),
        (4, "east", 0.0, 1.0),
    ]


def test_a_line_across_the_antimeridian_has_its_shares() -> None:
    held = areas(asia=shapely.box(170, 50, 180, 54), america=shapely.box(-180, 50, -170, 54))
    there_and_back = line((183, 52), (179, 52), (183, 52))
    for crossing in (
        line((179, 52), (-177, 52)),
        line((179, 52), (183, 52)),
        line((-181, 52), (-177, 52)),
        there_and_back,
    ):
        got = shares_of_lines(wkb(crossing), held)
        assert dict(got.select("area_id", "share").rows()) == pytest.approx({"asia": 0.25, "america": 0.75})
        assert got["length_m"].sum() == pytest.approx(line_lengths_m(np.array([crossing]))[0])


def test_an_area_that_runs_on_past_the_antimeridian_has_its_shares() -> None:
    held = areas(runs_on=shapely.box(170, 50, 190, 54), other_way=shapely.box(-190, 50, -171, 54))
    got = shares_of_lines(wkb(line((-179, 52), (-168, 52)), line((178, 52), (-178, 52))), held)
    assert got.select("row", "area_id", "share").rows() == [
        (0, "runs_on", pytest.approx(9 / 11)),
        (0, "other_way", pytest.approx(8 / 11)),
        (0, None, pytest.approx(2 / 11)),
        (1, "runs_on", 1.0),
        (1, "other_way", 1.0),
    ]


def _inside(start: Any, end: Any, box: Any) -> float:
    """How much of a segment lies in a closed box, 0 to 1 (Liang and Barsky)."""
    low, high = 0.0, 1.0
    for axis in (0, 1):
        least, most, step = box.bounds[axis], box.bounds[axis + 2], end[axis] - start[axis]
        if step == 0 and not least <= start[axis] <= most:
            return 0.0
        if step != 0:
            first, last = sorted(((least - start[axis]) / step, (most - start[axis]) / step))
            low, high = max(low, first), min(high, last)
    return max(high - low, 0.0)


@st.composite
def walks(draw: st.DrawFn, around: tuple[float, float]) -> list[Any]:
    """The parts of a line within two degrees of a place, some of it run there and back, or drawn twice."""
    micro = st.one_of(st.integers(-2, 2).map(lambda n: n * 1_000_000), st.integers(-2_000_000, 2_000_000))
    parts = []
    for _ in range(draw(st.integers(1, 2))):
        offsets = draw(st.lists(st.tuples(micro, micro), min_size=2, max_size=6, unique=True))
        points = [(around[0] + x / 1e6, around[1] + y / 1e6) for x, y in offsets]
        parts.append(points + points[-2::-1][: draw(st.integers(0, 4))])
    return [*parts, *parts[: draw(st.integers(0, 1))]]


@given(st.sampled_from(["contiguous", "utqiagvik", "hawaii"]), st.data())
@law(100)
def test_shares_of_areas_side_by_side_are_exact_and_add_up_to_one(place: str, data: st.DataObject) -> None:
    lon, lat = PLACES[place]
    boxes = [
        shapely.box(lon + i, lat + j, lon + i + 1, lat + j + 1) for i in range(-2, 2) for j in range(-2, 2)
    ]
    shape = shapely.MultiLineString(data.draw(walks((lon, lat))))
    steps = [(a, b, line_lengths_m(np.array([line(a, b)]))[0]) for a, b in segments(shape)]
    total = sum(metres for *_, metres in steps)
    assume(total > 100)
    got = dict(
        shares_of_lines(wkb(shape), areas(**{str(i): box for i, box in enumerate(boxes)}))
        .select("area_id", "share")
        .rows()
    )
    expected = {
        str(i): sum(_inside(a, b, box) * metres for a, b, metres in steps) / total
        for i, box in enumerate(boxes)
    }
    assert {name: got.pop(name, 0.0) for name in expected} == pytest.approx(expected, abs=1e-9)
    assert got == {}, "nothing lies outside"
    borders = {(axis, lon_lat + n) for axis, lon_lat in enumerate((lon, lat)) for n in (-1, 0, 1)}
    if not any(a[axis] == b[axis] == at for a, b, _ in steps for axis, at in borders):
        assert sum(expected.values()) == pytest.approx(1.0, abs=1e-9)


def test_a_line_there_and_back_counts_twice_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two spurs off a main line into the west, each there and back, and one of them on to nowhere."""
    there_and_back = line((1, 1), (-1, 1), (1, 1), (1, 0.5), (-3, 0.5), (1, 0.5))
    got = shares_of_lines(wkb(there_and_back), areas(west=WEST, east=EAST))
    monkeypatch.setattr(joins, "_SEGMENTS", 2)  # a few at a time come to the same
    assert_frame_equal(shares_of_lines(wkb(there_and_back), areas(west=WEST, east=EAST)), got)
    shares = dict(got.select("area_id", "share").rows())
    assert shares == pytest.approx({"west": 6 / 12.5, "east": 4.5 / 12.5, None: 2 / 12.5}, abs=1e-3)
    assert got["share"].sum() == pytest.approx(1.0, abs=1e-9)
    assert got["length_m"].sum() == pytest.approx(line_lengths_m(np.array([there_and_back]))[0], rel=1e-9)


@given(
    st.lists(st.tuples(st.floats(-0.02, 0.02), st.floats(-0.02, 0.02)), min_size=1, max_size=8),
    st.sampled_from(sorted(PLACES)),
)
@law(100)
def test_the_midpoint_halves_the_metres(offsets: list[tuple[float, float]], place: str) -> None:
    lon, lat = PLACES[place]
    points = [(lon + x, lat + y) for x, y in offsets]
    shape = shapely.LineString(points) if len(points) > 1 else shapely.Point(points[0])
    [(x, y)] = midpoints(wkb(shape)).rows()
    steps = [GEOD.inv(*a, *b)[2] for a, b in pairwise(points)]
    x += 360.0 * round((points[0][0] - x) / 360.0)
    halves = [
        sum(steps[:i]) + GEOD.inv(*points[i], x, y)[2]
        for i in range(len(steps))
        if shapely.distance(shapely.LineString(points[i : i + 2]), shapely.Point(x, y)) < 1e-9
    ] or [0.0]
    assert min(abs(h - sum(steps) / 2) for h in halves) <= 0.01 + sum(steps) * 1e-3


def test_midpoints_of_parts_areas_and_nothing() -> None:
    two = shapely.MultiLineString([[(0, 0), (1, 0)], [(5, 0), (8, 0)]])
    got = midpoints(wkb(two, None, shapely.box(0, 0, 2, 2), b"junk", line((179.9, 0), (-179.7, 0))))
    assert got.rows() == [
        pytest.approx((6.0, 0.0)),
        (None, None),
        (1.0, 1.0),
        (None, None),
        pytest.approx((-179.9, 0.0)),
    ]


@pytest.mark.real_data
def test_most_zip_centres_lie_in_several_territories(shared_data: Path) -> None:
    territories = pl.read_parquet(
        shared_data / "geo" / "utility_territories.parquet", columns=["eia_id", "geometry"]
    )
    zips = pl.read_csv(shared_data / "geo" / "zip_centroids.csv", schema_overrides={"zip": pl.String})
    got = areas_of_points(zips, territories.rename({"eia_id": "area_id"}))
    several = got.group_by("row").len().filter(pl.col("len") >= 2).height
    assert zips.height == 33_791
    assert several / zips.height == pytest.approx(0.565, abs=0.01)
