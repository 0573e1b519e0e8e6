"""Slow and plain answers to compare with: one geodesic after the other, by GeographicLib."""

from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import shapely
from pyproj import Geod

GEOD = Geod(ellps="WGS84")
# where the United States reach: Utqiagvik, Attu and Semisopochnoi across the antimeridian, Hawaii, Puerto Rico, Guam
PLACES = {
    "contiguous": (-98.0, 39.0),
    "maine": (-67.0, 47.0),
    "florida_keys": (-81.7, 24.6),
    "utqiagvik": (-156.8, 71.3),
    "attu": (172.9, 52.9),
    "antimeridian": (179.99, 51.9),
    "west_of_it": (-179.98, 51.9),
    "hawaii": (-155.5, 19.6),
    "puerto_rico": (-66.1, 18.4),
    "guam": (144.8, 13.4),
}


def wkb(*shapes: Any) -> pl.Series:
    """Shapely geometries, None or bytes as a column."""
    values = [s if s is None or isinstance(s, bytes) else shapely.to_wkb(s) for s in shapes]
    return pl.Series("geometry", values, dtype=pl.Binary)


def line(*points: tuple[float, float]) -> Any:
    return shapely.LineString(points)


def segments(shape: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """The pairs of vertices of every part; a lone point is a segment without length."""
    pairs = []
    for part in shapely.get_parts(shape):
        if shapely.get_type_id(part) > 3:
            pairs += segments(part)
            continue
        for ring in [part] if shapely.get_dimensions(part) < 2 else shapely.get_rings(part):
            points = shapely.get_coordinates(ring)
            if len(points) == 1:
                pairs.append((points[0], points[0]))
            pairs += list(pairwise(points))
    return pairs


def distance_m(lon: float, lat: float, shape: Any, *, steps: int = 64) -> float:
    """Geodesic metres to the nearest point of a shape, each segment straight in degrees the short way round."""
    if shapely.get_dimensions(shape) == 2 and shapely.intersects_xy(shape, lon, lat):
        return 0.0
    return min(_to_segment(lon, lat, a, b, steps) for a, b in segments(shape))


def _to_segment(lon: float, lat: float, a: np.ndarray, b: np.ndarray, steps: int) -> float:
    turn = (b[0] - a[0] + 180.0) % 360.0 - 180.0 if abs(b[0] - a[0]) > 180.0 else b[0] - a[0]
    low, high = 0.0, 1.0
    best = np.inf
    for _ in range(6):  # each round looks closer around the nearest of the last
        t = np.linspace(low, high, steps + 1)
        x, y = a[0] + t * turn, a[1] + t * (b[1] - a[1])
        away = GEOD.inv(np.full_like(x, lon), np.full_like(y, lat), x, y)[2]
        at = int(np.argmin(away))
        best = min(best, float(away[at]))
        low, high = t[max(at - 1, 0)], t[min(at + 1, steps)]
    return best
