"""An index over lines that finds those within so many metres of a point, or the nearest, measured to the line itself.

What belongs here: the index and its two questions. What does not: what the answers decide (`devices`,
`substations`), areas (`areas`).

How it measures. Between two vertices a line is straight in longitude and latitude (RFC 7946). Lines are cut into
chunks of at most 32 segments of at most 1 km, whose boxes stand in an STRtree. A query takes every chunk that its
box meets, a box too large rather than too small, and measures to each segment in three-dimensional space: chords
between points of the ellipsoid need no projection, so every latitude and the antimeridian are alike. The distance
reported is that of the geodesic to the nearest point found: right to a millimetre within 50 km (tested against
pyproj), and to 1e-5 of itself beyond 300 km.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import shapely

from hc_platform.geo.ellipsoid import arc_m, chord_limit_m, ecef, reach_degrees
from hc_platform.geo.geometry import Floats, Ints
from hc_platform.geo.shapes import degrees, normal_lon, runs, take_apart

_CHUNK: Final = 32  # segments under one box
_STEP_M: Final = 1000.0  # a longer segment is cut: a chord of 1 km lies 2 cm under the ellipsoid
_DEGREE_M: Final = 111_700.0  # the longest degree there is
_PAIRS: Final = 200_000  # pairs of query and chunk, and vertices, at hand at once: some 50 MB
_QUERIES: Final = 100_000  # of the nearest, at once
_VERTICES: Final = 400_000

Degrees = pl.Series | npt.ArrayLike


# query, row, distance, longitude and latitude of the nearest point
Found = tuple[Ints, Ints, Floats, Floats, Floats]
_NO_INTS: Final = np.empty(0, dtype=np.int64)
_NOTHING: Final[Found] = (_NO_INTS, _NO_INTS, np.empty(0), np.empty(0), np.empty(0))


class LineIndex:
    """Lines (also multipart; points and rings too) by their distance from a point.

    `ids` names each row of `wkb` (EPSG:4326); rows that share an id are pieces of one thing, which is answered
    once, by its nearest piece. A polygon is at distance 0 from points inside. `skipped` holds the rows that have no
    place (NULL, empty, unreadable, not on earth); they are never found. Raises ValueError for a NULL id.
    """

    def __init__(self, ids: pl.Series, wkb: pl.Series) -> None:
        if len(ids) != len(wkb):
            raise ValueError(f"{len(ids)} ids for {len(wkb)} geometries; give each geometry its id")
        if ids.null_count():
            raise ValueError(f"{ids.null_count()} of the ids are NULL; every line needs one")
        self.ids = ids
        self._codes = _codes(ids)
        parts = take_apart(wkb)
        coords, counts = _short_steps(parts.coords, parts.counts)
        self._coords = coords
        self._starts, self._counts, owner = _chunks(counts)
        self._rows = parts.rows[owner]
        low, high = self._boxes()
        self._west = float(low[:, 0].min(initial=180.0))
        self._east = float(high[:, 0].max(initial=-180.0))
        self._middles = (low + high) / 2
        self._tree = shapely.STRtree(shapely.linestrings(np.stack([low, high], axis=1)))
        # points alone are measured without the detour over segments
        self._points = ecef(coords[:, 0], coords[:, 1]) if (self._counts == 1).all() else None
        self._areas, self._area_rows = parts.areas, parts.area_rows
        shapely.prepare(self._areas)
        self._area_tree = shapely.STRtree(self._areas)
        placed = np.zeros(len(ids), dtype=np.bool_)
        placed[parts.rows] = True
        self.skipped = pl.Series("row", np.flatnonzero(~placed), dtype=pl.Int64)

    def __len__(self) -> int:
        return len(self.ids)

    def within(self, lon: Degrees, lat: Degrees, radius_m: npt.ArrayLike) -> pl.DataFrame:
        """Everything no farther than `radius_m` (one, or one per query) from each point.

        Columns: query (position in `lon`), row (position in `wkb` of the nearest piece), id, distance_m, near_lon,
        near_lat (the point of the line that is nearest); by query, nearest first, ties by row. A point without
        coordinates, or beyond a pole, finds nothing.
        """
        return self._frame(*self._within(*self._queries(lon, lat, radius_m)))

    def nearest(self, lon: Degrees, lat: Degrees, max_m: float) -> pl.DataFrame:
        """The nearest of each point within `max_m`, and the next nearest of another id.

        Columns as `within`, one row a query that has any, and runner_up_id, runner_up_m (NULL: none within
        `max_m`).
        """
        x, y, limit = self._queries(lon, lat, max_m)
        firsts: list[Found] = []
        seconds: list[Found] = []
        for start in range(0, len(x), _QUERIES):
            span = slice(start, start + _QUERIES)
            for first, second in self._two_nearest(x[span], y[span], limit[span]):
                firsts.append((first[0] + start, *first[1:]))
                seconds.append((second[0] + start, *second[1:]))
        best, next_best = self._frame(*_joined(firsts)), self._frame(*_joined(seconds))
        next_best = next_best.select("query", runner_up_id="id", runner_up_m="distance_m")
        return best.sort("query").join(next_best, on="query", how="left", maintain_order="left")

    def _two_nearest(self, x: Floats, y: Floats, limit: Floats) -> Iterator[tuple[Found, Found]]:
        """The nearest and the next nearest of some queries at a time, from circles that grow until they hold both."""
        radius = np.minimum(self._likely_m(x, y), limit)
        pending = np.flatnonzero(~np.isnan(x))
        while len(pending):
            found = self._within(x[pending], y[pending], radius[pending])
            query, row, distance, lon, lat = found
            found = (pending[query], row, distance, lon, lat)
            first = np.flatnonzero(np.diff(query, prepend=-1))
            several = np.diff(first, append=len(query)) > 1
            enough = radius[pending] >= limit[pending]
            enough[query[first[several]]] = True
            done = enough[query[first]]
            yield _taken(found, first[done]), _taken(found, first[done & several] + 1)
            pending = pending[~enough]
            radius[pending] = np.minimum(radius[pending] * 3, limit[pending])

    def _boxes(self) -> tuple[Floats, Floats]:
        """Lower left and upper right of each chunk, after turning it so that it begins in [-180, 180)."""
        if not len(self._starts):
            return np.empty((0, 2)), np.empty((0, 2))
        edges = np.column_stack([self._starts, self._starts + self._counts]).ravel()
        points = np.vstack([self._coords, self._coords[-1:]])  # reduceat wants an index after the last
        low, high = (f.reduceat(points, edges)[::2] for f in (np.minimum, np.maximum))
        turn = normal_lon(low[:, 0]) - low[:, 0]
        low[:, 0] += turn
        high[:, 0] += turn
        return low, high

    def _likely_m(self, x: Floats, y: Floats) -> Floats:
        """A radius in which some four chunks are to be expected: from how many stand in the same cell of a grid."""
        likely = np.full(len(x), np.inf)
        for side, columns, counts in self._grids:
            here = counts[np.nan_to_num((y + 90.0) // side * columns + (x + 180.0) // side).astype(np.int64)]
            area = (side * _DEGREE_M) ** 2 * np.cos(np.radians(y))
            with np.errstate(divide="ignore", invalid="ignore"):
                likely = np.where(here > 3, np.sqrt(4.0 * area / (np.pi * here)), likely)
        return likely

    @cached_property
    def _grids(self) -> list[tuple[float, int, Ints]]:
        """How many chunks stand in each cell of coarse to fine grids: side in degrees, columns, counts."""
        grids = []
        for side in (10.0, 1.0, 0.25):
            columns, rows = int(360 / side) + 1, int(180 / side) + 1
            column, row = ((self._middles + np.array([180.0, 90.0])) // side).astype(np.int64).T
            grids.append(
                (side, columns, np.bincount(row * columns + column % columns, minlength=columns * rows))
            )
        return grids

    def _queries(self, lon: Degrees, lat: Degrees, radius_m: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
        x, y = degrees(lon), degrees(lat)
        bad = ~(np.isfinite(x) & (np.abs(y) <= 90.0))
        x = np.where(bad, np.nan, normal_lon(x))
        return x, np.where(bad, np.nan, y), np.broadcast_to(np.asarray(radius_m, dtype=np.float64), x.shape)

    def _frame(self, query: Ints, row: Ints, distance: Floats, lon: Floats, lat: Floats) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "query": query,
                "row": row,
                "id": self.ids.gather(row),
                "distance_m": distance,
                "near_lon": lon,
                "near_lat": lat,
            }
        )

    def _within(self, x: Floats, y: Floats, radius: Floats) -> Found:
        here = ecef(x, y)
        found = []
        for query, chunk, inside, area in self._candidates(x, y, radius):
            some = [(inside, self._area_rows[area], np.zeros(len(inside)), x[inside], y[inside])]
            blocks = np.cumsum(self._counts[chunk]) // _VERTICES
            for block in np.split(np.arange(len(query)), np.flatnonzero(np.diff(blocks)) + 1):
                pair, lon, lat = self._nearest_points(here, query[block], chunk[block], radius)
                q, row = query[block][pair], self._rows[chunk[block][pair]]
                distance = arc_m(x[q], y[q], lon, lat, here=here[q])
                near = distance <= radius[q]
                some.append((q[near], row[near], distance[near], lon[near], lat[near]))
            found.append(self._one_per_id(_joined(some)))
        return _joined(found)

    def _candidates(self, x: Floats, y: Floats, radius: Floats) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
        """(query, chunk) whose boxes meet, and (query, polygon) where it lies inside, for some queries at a time."""
        d_lat, d_lon = reach_degrees(y, radius)
        first, size = 0, 4096
        while first < len(x):
            span = slice(first, first + size)
            west, east = x[span] - d_lon[span], x[span] + d_lon[span]
            south, north = y[span] - d_lat[span], y[span] + d_lat[span]
            query, chunk = [], []
            for turn in (0.0, 360.0, -360.0):
                meets = np.flatnonzero((west + turn <= self._east) & (east + turn >= self._west))
                if len(meets):
                    w, e = west[meets] + turn, east[meets] + turn
                    boxes = np.stack(
                        [np.column_stack([w, south[meets]]), np.column_stack([e, north[meets]])], 1
                    )
                    at, hit = self._tree.query(shapely.linestrings(boxes))
                    query.append(meets[at] + first)
                    chunk.append(hit)
            q, c = (np.concatenate(p) if p else np.empty(0, np.int64) for p in (query, chunk))
            inside, area = _NO_INTS, _NO_INTS
            if len(self._areas):
                inside, area = self._area_tree.query(shapely.points(x[span], y[span]), predicate="intersects")
            yield q, c, inside + first, area
            first += size
            size = int(np.clip(size * _PAIRS / max(len(q), 1), 1, size * 2))

    def _nearest_points(
        self, here: Floats, query: Ints, chunk: Ints, radius: Floats
    ) -> tuple[Ints, Floats, Floats]:
        """The pairs of query and chunk that are surely or perhaps within the radius, and where each chunk is nearest."""
        if not len(query):
            return _NO_INTS, np.empty(0), np.empty(0)
        limit = chord_limit_m(radius[query]) ** 2
        if self._points is not None:
            v = self._points[chunk] - here[query]
            pair = np.flatnonzero(np.einsum("ij,ij->i", v, v) <= limit)
            foot = self._coords[self._starts[chunk[pair]]]
            return pair, normal_lon(foot[:, 0]), foot[:, 1]
        counts = self._counts[chunk]
        first = np.cumsum(counts) - counts
        points = self._coords[runs(self._starts[chunk], counts)]
        v = ecef(points[:, 0], points[:, 1]) - here[np.repeat(query, counts)]
        d = np.diff(v, axis=0, append=v[-1:])
        d[first + counts - 1] = 0.0  # the last vertex leads nowhere
        squared = np.einsum("ij,ij->i", d, d)
        along = -np.einsum("ij,ij->i", v, d)
        t = np.clip(np.divide(along, squared, out=np.zeros_like(along), where=squared > 0), 0.0, 1.0)
        v += t[:, None] * d
        away = np.einsum("ij,ij->i", v, v)
        least = np.minimum.reduceat(away, first)
        near = least <= limit
        best = np.flatnonzero(away == np.repeat(np.where(near, least, -1.0), counts))
        pair = np.searchsorted(first, best, side="right") - 1
        once = np.diff(pair, prepend=-1) > 0  # two segments may be equally near
        best, pair = best[once], pair[once]
        there = points[np.minimum(best + 1, len(points) - 1)]
        foot = points[best] + t[best, None] * (there - points[best])
        return pair, normal_lon(foot[:, 0]), foot[:, 1]

    def _one_per_id(self, found: Found) -> Found:
        """By query, nearest first, ties by row; of each query and id the first only."""
        query, row, distance, _, _ = found
        frame = pl.DataFrame({"query": query, "distance": distance, "row": row})
        order = frame.select(pl.arg_sort_by("query", "distance", "row")).to_series().to_numpy()
        both = pl.Series((query * (len(self.ids) + 1) + self._codes[row])[order])
        order = order[both.is_first_distinct().to_numpy()]
        return _taken(found, order)


def _taken(found: Found, at: Ints) -> Found:
    query, row, distance, lon, lat = found
    return query[at], row[at], distance[at], lon[at], lat[at]


def _joined(found: list[Found]) -> Found:
    query, row, distance, lon, lat = map(np.concatenate, zip(_NOTHING, *found, strict=True))
    return query, row, distance, lon, lat


def _short_steps(coords: Floats, counts: Ints) -> tuple[Floats, Ints]:
    """The lines with points put into segments longer than _STEP_M, evenly in degrees."""
    if len(coords) < 2:
        return coords, counts
    step = np.diff(coords, axis=0)
    metres = np.append(_DEGREE_M * np.hypot(step[:, 0], step[:, 1]), 0.0)
    ends = np.cumsum(counts)
    metres[ends - 1] = 0.0
    pieces = np.maximum(np.ceil(metres / _STEP_M), 1).astype(np.int64)
    if pieces.max() == 1:
        return coords, counts
    at = np.repeat(np.arange(len(coords)), pieces)
    share = (runs(np.zeros_like(pieces), pieces) / pieces[at])[:, None]
    after = np.minimum(at + 1, len(coords) - 1)
    dense = coords[at] + share * (coords[after] - coords[at])
    return dense, np.add.reduceat(pieces, ends - counts)


def _chunks(counts: Ints) -> tuple[Ints, Ints, Ints]:
    """Start and number of vertices of each chunk, and its part; a chunk ends with the vertex the next begins with."""
    starts = np.cumsum(counts) - counts
    pieces = np.maximum(-(-(counts - 1) // _CHUNK), 1)
    owner = np.repeat(np.arange(len(counts)), pieces)
    offset = runs(np.zeros_like(pieces), pieces) * _CHUNK
    return starts[owner] + offset, np.minimum(counts[owner] - offset, _CHUNK + 1), owner


def _codes(ids: pl.Series) -> Ints:
    if ids.n_unique() == len(ids):
        return np.arange(len(ids))
    return ids.rank("dense").to_numpy().astype(np.int64)
