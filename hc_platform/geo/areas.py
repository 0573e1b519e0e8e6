"""Which areas hold a point, how much of a line lies in each, and where a line's middle is.

What belongs here: joins of points and lines with polygons (states, counties, territories, grid regions). What does
not: distances to lines (`lines`), or which of several areas is the answer: all come back.

The rule at borders: an area holds its border, so a point on a shared border lies in both areas, and a stretch of
line along one counts in both. Polygons are taken as they are, never simplified; invalid ones are made valid first.
A polygon that crosses the antimeridian is split there or runs on past 180, as RFC 7946 asks.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl
import shapely

from hc_platform.geo.geometry import Floats, Ints, line_lengths_m, steps_m
from hc_platform.geo.shapes import Objects, degrees, normal_lon, read_areas, read_shapes, runs, take_apart

_BAND: Final = 0.1  # degrees of latitude in which points stand sorted by longitude
_BAND_WIDTH: Final = 1000.0  # between the keys of one band and the next, more than all longitudes
_EDGE: Final = 1e-6  # degrees by which a box is widened: more than the keys' rounding
_ROUNDING_M: Final = 1e-3  # a part outside all areas that is shorter is none
_SEGMENTS: Final = 200_000  # of lines that cross borders, at hand at once: some 100 MB
_TURNS: Final = (0.0, 360.0, -360.0)
_MAP: Final = shapely.box(-180.0, -90.0, 180.0, 90.0)


def areas_of_points(points: pl.DataFrame, areas: pl.DataFrame) -> pl.DataFrame:
    """Every area that holds each point: columns row (position of the point) and area_id; by row, then area's order.

    `points` has lon and lat, `areas` has area_id and geometry (WKB), all in EPSG:4326. A point in no area, or
    without coordinates, has no row. A longitude may be off by whole turns.
    """
    x, y = normal_lon(degrees(points["lon"])), degrees(points["lat"])
    placed = np.flatnonzero(np.isfinite(x) & (np.abs(y) <= 90.0))
    # sorted by band of latitude, then longitude: the points in a box are a few runs
    keys = y[placed] // _BAND * _BAND_WIDTH + x[placed]
    order = np.argsort(keys)
    at, keys = placed[order], keys[order]
    x, y = x[at], y[at]
    rows, hits = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    shapes = read_areas(areas["geometry"])
    for area, turn, near in _near(shapes, keys):
        inside = near[shapely.intersects_xy(shapes[area], x[near] + turn, y[near])]
        rows.append(at[inside])
        hits.append(np.full(len(inside), area, dtype=np.int64))
    row, hit = np.concatenate(rows), np.concatenate(hits)
    by = np.argsort(row, kind="stable")  # areas come in order already
    row, hit = row[by], hit[by]
    new = np.ones(
        len(row), dtype=np.bool_
    )  # a point on the antimeridian meets an area split there from both sides
    new[1:] = (row[1:] != row[:-1]) | (hit[1:] != hit[:-1])
    row, hit = row[new], hit[new]
    return pl.DataFrame({"row": row, "area_id": areas["area_id"].gather(hit)})


def _near(shapes: Objects, keys: Floats) -> Iterator[tuple[int, float, Ints]]:
    """(area, turn to add to a longitude, the points in its box or little beyond), area by area."""
    for area, (west, south, east, north) in enumerate(shapely.bounds(shapes)):
        if np.isnan(west):
            continue
        bands = np.arange(south // _BAND, north // _BAND + 1) * _BAND_WIDTH
        for turn in _TURNS:
            if west - turn <= 180.0 and east - turn >= -180.0:
                low = np.searchsorted(keys, bands + (max(west - turn, -180.0) - _EDGE), "left")
                high = np.searchsorted(keys, bands + (min(east - turn, 180.0) + _EDGE), "right")
                if (near := runs(low, high - low)).size:
                    yield area, turn, near


def shares_of_lines(lines: pl.Series, areas: pl.DataFrame) -> pl.DataFrame:
    """How much of each line lies in each area that it meets.

    Columns: row (position in `lines`), area_id (NULL: the part outside every area), length_m, share (of the line's
    length in metres; 0 to 1); by row, the greatest share first. A stretch that a line runs twice, there and back,
    counts twice. Shares add up to 1, or more where areas overlap or share a border that the line follows. What has no
    length (a point; an area, which stands for its centroid) counts with length 0 and is shared equally among the areas
    that hold it. A row without a place is not told.
    """
    shapes = read_shapes(lines)
    flat = shapely.get_dimensions(shapes) == 2
    shapes[flat] = shapely.centroid(shapes[flat])
    shapes = _cut_at_antimeridian(shapes)
    held = _areas_cut_at_antimeridian(read_areas(areas["geometry"]))
    total = line_lengths_m(shapes)
    tree = shapely.STRtree(held)
    line, area = tree.query(shapes)
    by = np.lexsort((line, area))  # one area after the other keeps its prepared form at hand
    line, area = line[by], area[by]
    whole = shapely.covers(held[area], shapes[line])
    met = whole | shapely.intersects(held[area], shapes[line])
    line, area, whole = line[met], area[met], whole[met]
    part = np.flatnonzero(~whole)
    metres = np.where(whole, total[line], 0.0)
    outside = np.where(shapely.is_missing(shapes), 0.0, total)
    outside[line[whole]] = 0.0
    crossing = np.unique(line[part])
    pairs = area[part] * len(shapes) + line[part]  # ascending
    for owner, hit, inside, new in _by_segment(shapes, crossing, tree, held):
        pair = hit * len(shapes) + owner
        at = np.searchsorted(pairs, pair)
        known = np.flatnonzero(np.append(pairs, -1)[at] == pair)  # others are whole already
        np.add.at(metres, part[at[known]], inside[known])
        np.subtract.at(outside, owner, new)
    point = total[line] == 0
    keep = point | (metres > 0)
    line, area, metres = line[keep], area[keep], metres[keep]
    never = ~shapely.is_missing(shapes)
    never[line] = False
    out = np.flatnonzero(never | (outside > _ROUNDING_M))
    row = np.concatenate([line, out])
    length = np.concatenate([metres, outside[out]])
    touched = np.bincount(row, minlength=len(shapes))[row]
    base = total[row]
    ids = areas["area_id"].gather(area)
    return (
        pl.DataFrame(
            {
                "row": row.astype(np.int64),
                "area_id": pl.concat([ids, pl.Series([None] * len(out), dtype=ids.dtype)]),
                "length_m": length,
                "share": np.where(
                    base > 0, length / np.where(base > 0, base, 1.0), 1.0 / np.maximum(touched, 1)
                ),
                "order": np.concatenate([area, np.full(len(out), len(held))]),
            }
        )
        .sort("row", pl.col("share").neg(), "order")
        .drop("order")
    )


def _by_segment(
    shapes: Objects, lines: Ints, tree: shapely.STRtree, held: Objects
) -> Iterator[tuple[Ints, Ints, Floats, Floats]]:
    """Line, area, metres of one of its segments there, and how many of these lie in no other area: some at a time.

    A stretch that is run twice is two segments, and counts twice; within one the metres run evenly in degrees.
    """
    parts, part_of = shapely.get_parts(shapes[lines], return_index=True)
    coords, index = shapely.get_coordinates(parts, return_index=True)
    steps = np.flatnonzero(index[1:] == index[:-1])
    for first in range(0, len(steps), _SEGMENTS):
        step = steps[first : first + _SEGMENTS]
        ends = np.stack([coords[step], coords[step + 1]], axis=1)
        segments = shapely.linestrings(ends)
        segment, area = tree.query(segments)
        by = np.lexsort((segment, area))
        segment, area = segment[by], area[by]
        at, start, end = _stretches(ends[segment], segments[segment], held[area])
        segment, area = segment[at], area[at]
        metres = steps_m(ends.reshape(-1, 2))[::2][segment]
        yield (
            lines[part_of[index[step[segment]]]],
            area,
            (end - start) * metres,
            _new(segment, start, end) * metres,
        )


def _new(segment: Ints, start: Floats, end: Floats) -> Floats:
    """How much of each stretch no stretch of the same segment that begins earlier covers."""
    before = pl.col("end").cum_max().shift().over("segment").fill_null(0.0)
    return (
        pl.DataFrame({"segment": segment, "start": start, "end": end})
        .with_row_index("row")
        .sort("segment", "start")
        .with_columns(new=(pl.col("end") - pl.max_horizontal("start", before)).clip(lower_bound=0.0))
        .sort("row")["new"]
        .to_numpy()
    )


def _stretches(ends: Floats, segments: Objects, held: Objects) -> tuple[Ints, Floats, Floats]:
    """Where a segment, given by its ends too (n x 2 x 2), lies in its area: position, start and end along it, 0 to 1."""
    whole = shapely.covers(held, segments)
    cut = np.flatnonzero(~whole & shapely.intersects(held, segments))
    pieces, of = shapely.get_parts(shapely.intersection(segments[cut], held[cut]), return_index=True)
    at = cut[of]
    points, piece = shapely.get_coordinates(pieces, return_index=True)
    origin, along = ends[at, 0][piece], (ends[at, 1] - ends[at, 0])[piece]
    square = (along**2).sum(axis=1)
    far = np.clip(((points - origin) * along).sum(axis=1) / np.where(square > 0, square, 1.0), 0.0, 1.0)
    start, end = np.ones(len(pieces)), np.zeros(len(pieces))
    np.minimum.at(start, piece, far)
    np.maximum.at(end, piece, far)
    full = np.flatnonzero(whole)
    return (
        np.concatenate([full, at]),
        np.concatenate([np.zeros(len(full)), start]),
        np.concatenate([np.ones(len(full)), end]),
    )


def _cut_at_antimeridian(shapes: Objects) -> Objects:
    """The points and lines, with those that jump across or run past the antimeridian cut there, all in [-180, 180]."""
    coords, owner = shapely.get_coordinates(shapes, return_index=True)
    jump = (np.abs(np.diff(coords[:, 0])) > 180.0) & (owner[1:] == owner[:-1])
    beyond = np.abs(coords[:, 0]) > 180.0
    for row in np.union1d(owner[1:][jump], owner[beyond]):  # few, if any
        parts = take_apart(pl.Series([shapely.to_wkb(shapes[row])]))
        steps = runs(parts.starts, parts.counts - 1)
        if len(steps):  # each by itself: cut as one, a stretch that is run twice would be one
            segments = np.stack([parts.coords[steps], parts.coords[steps + 1]], axis=1)
            shapes[row] = shapely.multilinestrings(_on_the_map(shapely.linestrings(segments), 1))
        else:
            shapes[row] = shapely.multipoints(_on_the_map(shapely.points(parts.coords), 0))
    return shapes


def _areas_cut_at_antimeridian(areas: Objects) -> Objects:
    """The areas, with those that run past the antimeridian cut there, all in [-180, 180]; prepared."""
    box = shapely.bounds(areas)
    for row in np.flatnonzero((box[:, 0] < -180.0) | (box[:, 2] > 180.0)):
        areas[row] = shapely.union_all(_on_the_map(areas[row : row + 1], 2))
    shapely.prepare(areas)
    return areas


def _on_the_map(shapes: Objects, dimensions: int) -> Objects:
    """The simple shapes of so many dimensions that lie in [-180, 180], whole turns off or not."""
    turned = [shapely.transform(shapes, lambda c, by=by: c + np.array([by, 0.0])) for by in _TURNS]
    parts = shapely.get_parts(shapely.intersection(np.concatenate(turned), _MAP))
    inside: Objects = parts[(shapely.get_dimensions(parts) == dimensions) & ~shapely.is_empty(parts)]
    return inside


def midpoints(lines: pl.Series) -> pl.DataFrame:
    """Columns lon, lat: the point half way along each line by its length in metres, over all its parts in turn.

    Within a segment the metres run evenly in degrees. A point is its own middle and an area's is its centroid; NULL
    where there is no place.
    """
    parts = take_apart(lines)
    lon, lat = np.full(len(lines), np.nan), np.full(len(lines), np.nan)
    if len(parts.coords):
        coords = parts.coords
        by = np.argsort(parts.rows, kind="stable")
        starts, counts, rows = parts.starts[by], parts.counts[by], parts.rows[by]
        metres = np.append(steps_m(coords), 0.0) if len(coords) > 1 else np.zeros(1)
        metres[parts.starts + parts.counts - 1] = 0.0
        at = runs(starts, counts)
        owner = np.repeat(rows, counts)
        ends = np.cumsum(metres[at])
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        last = np.append(first[1:], len(owner)) - 1
        before = ends[first] - metres[at[first]]
        half = before + (ends[last] - before) / 2
        found = np.clip(np.searchsorted(ends, half, side="left"), first, last)
        step = metres[at[found]]
        share = np.where(step > 0, (half - ends[found] + step) / np.where(step > 0, step, 1.0), 0.0)
        here = coords[at[found]]
        there = coords[np.minimum(at[found] + 1, len(coords) - 1)]
        middle = here + np.clip(share, 0.0, 1.0)[:, None] * np.where((step > 0)[:, None], there - here, 0.0)
        lon[owner[first]], lat[owner[first]] = normal_lon(middle[:, 0]), middle[:, 1]
    if len(parts.areas):
        centre = shapely.centroid(parts.areas)
        lon[parts.area_rows], lat[parts.area_rows] = shapely.get_x(centre), shapely.get_y(centre)
    return pl.DataFrame({"lon": lon, "lat": lat}).with_columns(pl.all().fill_nan(None))
