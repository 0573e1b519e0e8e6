"""Pieces overlap nowhere and leave nothing out, however they are split."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hc_platform.arcgis import plan

OID = st.integers(min_value=-(2**62), max_value=2**62)


@given(OID, st.integers(0, 10_000), st.integers(1, 500))
def test_windows_cover_a_range_exactly(lo: int, width: int, size: int) -> None:
    made = plan.windows(lo, lo + width, size, "OBJECTID")
    assert sum(window.size for window in made) == width
    assert all(a.hi == b.lo for a, b in itertools.pairwise(made))
    assert all(0 < window.size <= size for window in made)
    if width:
        assert (made[0].lo, made[-1].hi) == (lo, lo + width)


@given(OID, st.integers(1, 10**12), st.integers(-3, 50))
def test_split_window_is_the_same_window(lo: int, width: int, parts: int) -> None:
    window = plan.OidWindow(lo, lo + width, "OBJECTID")
    pieces = window.split(parts)
    if width < 2:
        assert pieces == []
        return
    assert 2 <= len(pieces) <= max(2, parts)
    assert (pieces[0].lo, pieces[-1].hi) == (window.lo, window.hi)
    assert all(a.hi == b.lo for a, b in itertools.pairwise(pieces))


@given(st.sets(st.integers(-1000, 10**9), min_size=1, max_size=300), st.integers(1, 40))
def test_windows_between_ids(ids: set[int], size: int) -> None:
    ordered = sorted(ids)
    made = plan.windows_between(ordered, size, ordered[0] - 1, ordered[-1], "OBJECTID")
    held = [[number for number in ordered if window.lo < number <= window.hi] for window in made]
    assert [number for some in held for number in some] == ordered
    assert all(0 < len(some) <= size for some in held)


@given(st.sets(OID, min_size=1, max_size=300), st.integers(1, 40), st.integers(2, 9))
def test_id_lists(ids: set[int], size: int, parts: int) -> None:
    ordered = sorted(ids)
    lists = plan.id_lists(ordered, size)
    assert [number for piece in lists for number in piece.ids] == ordered
    for piece in lists:
        split = piece.split(parts)
        assert [number for part in split for number in part.ids] == (
            list(piece.ids) if len(piece.ids) > 1 else []
        )
        assert piece.holds(np.array(piece.ids))
        assert not piece.holds(np.array([*piece.ids, 2**62 + 1]))


@given(st.integers(0, 5000), st.integers(1, 700), st.integers(2, 9))
def test_row_ranges(rows: int, size: int, parts: int) -> None:
    ranges = plan.row_ranges(0, rows, size, "OBJECTID")
    flat = [part for piece in ranges for part in (piece.split(parts) or [piece])]
    assert [number for part in flat for number in range(part.lo, part.hi)] == list(range(rows))


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100))), st.integers(0, 50), st.integers(0, 100))
def test_gaps_are_what_is_not_done(spans: list[tuple[int, int]], lo: int, width: int) -> None:
    done = [(min(span), max(span)) for span in spans]
    covered = {number for a, b in done for number in range(a + 1, b + 1)}
    missing = [number for a, b in plan.gaps(lo, lo + width, done) for number in range(a + 1, b + 1)]
    assert missing == [number for number in range(lo + 1, lo + width + 1) if number not in covered]


@given(OID, OID)
def test_file_names_sort_as_ids_do(a: int, b: int) -> None:
    first, second = sorted((a, b))
    assert plan.span_name(first, second) <= plan.span_name(second, second)
    assert plan.span_of(plan.span_name(first, second)) == (first, second)


def test_the_caller_s_where_keeps_its_meaning() -> None:
    window = plan.OidWindow(10, 20, "FID")
    assert window.params("A = 1 OR B = 2")["where"] == "(A = 1 OR B = 2) AND FID > 10 AND FID <= 20"


@given(
    st.tuples(st.floats(-1000, 1000), st.floats(-1000, 1000)),
    st.lists(st.tuples(st.floats(-1000, 1000), st.floats(-1000, 1000)), max_size=30),
)
def test_every_point_is_in_some_tile(corner: tuple[float, float], points: list[tuple[float, float]]) -> None:
    x, y = corner
    tiles = plan.Tile(wkid=3857, inside=(x, y, x + 10, y + 20)).split(4)
    tiles = [part for tile in tiles for part in tile.split(4)]
    for px, py in points:
        boxes = [tile.box for tile in tiles if tile.box]
        assert any(box[0] <= px <= box[2] and box[1] <= py <= box[3] for box in boxes)
