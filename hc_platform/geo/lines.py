"""An index over lines that finds those within so many metres of a point, or the nearest, measured to the line itself.

What belongs here: the index and its two questions. What does not: what the answers decide (`devices`,
`substations`), areas (`areas`).

How it measures. Between two vertices a line is straight in longitude and latitude (RFC 7946). Lines are cut into
chunks of at most 32 segments of at most 1 km, whose boxes stand in an STRtree. A query takes every chunk that its
box meets, a box too large rather than too small, and measures to each segment in three-dimensional space: chords
between points of the ellipsoid need no projection, so every latitude and the antimeridian are alike. The distance
reported is that of the geodesic to the nearest point found: within 300 km it is right to a few centimetres (tested
against pyproj), beyond to 1e-5 of itself.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import shapely
from pyproj import Geod

from hc_platform.geo.geometry import ECCENTRICITY2, SEMI_MAJOR_M, Floats, Ints, steps_m
from hc_platform.geo.shapes import degrees, normal_lon, runs, take_apart

_CHUNK: Final = 32  # segments under one box
_STEP_M: Final = 1000.0  # a longer segment is cut: a chord of 1 km lies 2 cm under the ellipsoid
_SLACK_M: Final = 0.5  # more than the chord can err before the distance is taken anew
_FAR_M: Final = 300_000.0  # beyond, the length of an arc over a chord depends on its direction
_PAIRS: Final = 500_000  # vertices measured at once: some 50 MB

Degrees = pl.Series | npt.ArrayLike

_GEOD: Final = Geod(ellps="WGS84")


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
        self._tree = shapely.STRtree(shapely.linestrings(np.stack([low, high], axis=1)))
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
        x, y, _ = self._queries(lon, lat, max_m)
        pending = np.flatnonzero(~np.isnan(x))
        radius = min(max_m, self._first_radius())
        found = []
        while len(pending):
            query, *rest = self._within(x[pending], y[pending], np.full(len(pending), radius))
            enough = np.bincount(query, minlength=len(pending)) >= (2 if radius < max_m else 0)
            done = enough[query]
            found.append((pending[query[done]], *(column[done] for column in rest)))
            pending, radius = pending[~enough], min(max_m, radius * 4)
        every = (
            self._frame(*map(np.concatenate, zip(*found, strict=True))) if found else self._frame(*_NOTHING)
        )
        place = pl.int_range(pl.len()).over("query")
        second = every.filter(place == 1).select("query", runner_up_id="id", runner_up_m="distance_m")
        return (
            every.filter(place == 0).sort("query").join(second, on="query", how="left", maintain_order="left")
        )

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

    def _first_radius(self) -> float:
        """A radius in which a point near lines finds about two of them."""
        return 100.0

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

    def _within(self, x: Floats, y: Floats, radius: Floats) -> tuple[Ints, Ints, Floats, Floats, Floats]:
        found = [
            self._one_per_id(*(np.concatenate(column) for column in zip(*measured, strict=True)))
            for query, chunk, inside, area in self._candidates(x, y, radius)
            if (
                measured := [
                    *self._measured(query, chunk, x, y, radius),
                    (inside, self._area_rows[area], np.zeros(len(inside)), x[inside], y[inside]),
                ]
            )
        ]
        if not found:
            return _NOTHING
        query, row, distance, lon, lat = map(np.concatenate, zip(*found, strict=True))
        return query, row, distance, lon, lat

    def _candidates(self, x: Floats, y: Floats, radius: Floats) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
        """(query, chunk) whose boxes meet, and (query, polygon) where it lies inside, for some queries at a time."""
        d_lat, d_lon = _reach(y, radius)
        first, size = 0, 256
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
            inside, area = self._area_tree.query(shapely.points(x[span], y[span]), predicate="intersects")
            yield q, c, inside + first, area
            first += size
            size = int(np.clip(size * _PAIRS / max(len(q), 1), 1, size * 2))

    def _measured(
        self, query: Ints, chunk: Ints, x: Floats, y: Floats, radius: Floats
    ) -> Iterator[tuple[Ints, Ints, Floats, Floats, Floats]]:
        """Query, row, distance and nearest point of the pairs within the radius."""
        blocks = np.cumsum(self._counts[chunk]) // _PAIRS
        edges = np.flatnonzero(np.diff(blocks)) + 1
        for q, c in zip(np.split(query, edges), np.split(chunk, edges), strict=True):
            if not len(q):
                continue
            lon, lat = self._nearest_points(q, c, x, y, radius[q])
            far = arc_m(x[q], y[q], lon, lat)
            keep = far <= radius[q]  # NaN where nothing was near
            yield q[keep], self._rows[c[keep]], far[keep], lon[keep], lat[keep]

    def _nearest_points(
        self, q: Ints, c: Ints, x: Floats, y: Floats, radius: Floats
    ) -> tuple[Floats, Floats]:
        """Where each chunk is nearest to its query; NaN where that is clearly farther than the radius."""
        counts = self._counts[c]
        at = runs(self._starts[c], counts)
        first = np.cumsum(counts) - counts
        here = np.column_stack(_ecef(x[q], y[q]))
        points = self._coords[at]
        v = np.column_stack(_ecef(points[:, 0], points[:, 1])) - np.repeat(here, counts, axis=0)
        d = np.diff(v, axis=0, append=v[-1:])
        d[first + counts - 1] = 0.0  # the last vertex leads nowhere
        squared = np.einsum("ij,ij->i", d, d)
        t = np.einsum("ij,ij->i", v, d)
        t = np.clip(np.divide(-t, squared, out=np.zeros_like(t), where=squared > 0), 0.0, 1.0)
        v += t[:, None] * d
        away = np.einsum("ij,ij->i", v, v)
        least = np.minimum.reduceat(away, first)
        limit = (
            2 * SEMI_MAJOR_M * np.sin(np.minimum(radius / (2 * SEMI_MAJOR_M), np.pi / 2))
            + _SLACK_M
            + radius * (radius > _FAR_M) / 100
        )
        least = np.where(least <= limit**2, least, -1.0)
        best = np.flatnonzero(away == np.repeat(least, counts))
        pair = np.searchsorted(first, best, side="right") - 1
        lon, lat = np.full(len(c), np.nan), np.full(len(c), np.nan)
        step = np.minimum(best + 1, len(points) - 1)
        foot = points[best] + np.where(t[best] > 0, t[best], 0.0)[:, None] * (points[step] - points[best])
        lon[pair], lat[pair] = normal_lon(foot[:, 0]), foot[:, 1]
        return lon, lat

    def _one_per_id(
        self, query: Ints, row: Ints, distance: Floats, lon: Floats, lat: Floats
    ) -> tuple[Ints, Ints, Floats, Floats, Floats]:
        code = self._codes[row]
        order = np.lexsort((row, distance, code, query))
        fresh = np.ones(len(order), dtype=np.bool_)
        q, c = query[order], code[order]
        fresh[1:] = (q[1:] != q[:-1]) | (c[1:] != c[:-1])
        order = order[fresh]
        order = order[np.lexsort((row[order], distance[order], query[order]))]
        return query[order], row[order], distance[order], lon[order], lat[order]


_NO_INTS: Final = np.empty(0, dtype=np.int64)
_NOTHING: Final = (_NO_INTS, _NO_INTS, np.empty(0), np.empty(0), np.empty(0))


def arc_m(lon: Floats, lat: Floats, to_lon: Floats, to_lat: Floats) -> Floats:
    """Metres along the geodesic between points of the WGS 84 ellipsoid, pair by pair.

    From the chord, with the ellipsoid's mean radius: within 1 mm up to 50 km and 0.2 m up to 300 km; beyond by
    GeographicLib.
    """
    a, b = _ecef(lon, lat), _ecef(to_lon, to_lat)
    chord = np.sqrt(sum((u - v) ** 2 for u, v in zip(a, b, strict=True)))
    w2 = 1 - ECCENTRICITY2 * np.sin(np.radians((lat + to_lat) / 2)) ** 2
    across = 2 * SEMI_MAJOR_M * np.sqrt(1 - ECCENTRICITY2) / w2
    metres: Floats = across * np.arcsin(np.minimum(chord / across, 1.0))
    far = np.flatnonzero(metres > _FAR_M)
    if len(far):
        metres[far] = _GEOD.inv(lon[far], lat[far], to_lon[far], to_lat[far])[2]
    return metres


def _ecef(lon: Floats, lat: Floats) -> tuple[Floats, Floats, Floats]:
    """Points on the ellipsoid in earth-centred metres."""
    x, y = np.radians(lon), np.radians(lat)
    sin = np.sin(y)
    normal = SEMI_MAJOR_M / np.sqrt(1 - ECCENTRICITY2 * sin * sin)
    ring = normal * np.cos(y)
    return ring * np.cos(x), ring * np.sin(x), normal * (1 - ECCENTRICITY2) * sin


def _reach(lat: Floats, radius: Floats) -> tuple[Floats, Floats]:
    """Half height and half width in degrees of a box that surely holds the circle of so many metres.

    On a sphere the circle of angle a around latitude y spans asin(sin a / cos y) either way; a is taken with the
    ellipsoid's least radius of curvature, and one per cent is added for its flattening.
    """
    angle = radius / (SEMI_MAJOR_M * (1 - ECCENTRICITY2)) * 1.01 + 1e-9
    with np.errstate(invalid="ignore", divide="ignore"):
        wide = np.degrees(np.arcsin(np.sin(angle) / np.cos(np.radians(lat))))
    over_pole = np.radians(np.abs(lat)) + angle >= np.pi / 2
    return np.degrees(angle), np.where(over_pole, 180.0, wide)


def _short_steps(coords: Floats, counts: Ints) -> tuple[Floats, Ints]:
    """The lines with points put into segments longer than _STEP_M, evenly in degrees."""
    if len(coords) < 2:
        return coords, counts
    metres = np.append(steps_m(coords), 0.0)
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
