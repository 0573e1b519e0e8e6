"""Spatial references: what a server says it answered in, and the way from there to what was asked for.

Belongs here: Esri `spatialReference` objects and projecting coordinates. pyproj is imported when first
needed, since most servers answer as asked.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

_MERCATOR_RADIUS_M = 6378137.0
_SAME = {102100: 3857, 102113: 3857, 900913: 3857}


class SpatialReference(msgspec.Struct, frozen=True):
    """Esri's `spatialReference`: a number of Esri or EPSG, or a text."""

    wkid: int | None = None
    latestWkid: int | None = None  # noqa: N815 (Esri's name)
    wkt: str | None = None

    @property
    def code(self) -> int | str | None:
        """The newest number, else the text, else None."""
        number = self.latestWkid or self.wkid
        return _SAME.get(number, number) if number else self.wkt


def projection(
    source: int | str | None, target: int
) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]] | None:
    """A function that projects coordinates (n x 2 or 3, x first), or None where nothing is to be done.

    Raises ValueError for a spatial reference that nobody knows.
    """
    target = _SAME.get(target, target)
    if source is None or source == target:
        return None
    transformer = _transformer(source, target, threading.get_ident())

    def project(coords: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        x, y = transformer.transform(coords[:, 0], coords[:, 1])
        return np.column_stack([x, y, *coords[:, 2:].T])

    return project


@lru_cache(maxsize=32)
def _transformer(source: int | str, target: int, thread: int) -> Any:  # one per thread: they share no state
    import pyproj

    return pyproj.Transformer.from_crs(_crs(source), _crs(target), always_xy=True)


def _crs(code: int | str) -> Any:
    import pyproj
    from pyproj.exceptions import CRSError

    for text in (f"EPSG:{code}", f"ESRI:{code}") if isinstance(code, int) else (code,):
        try:
            return pyproj.CRS.from_user_input(text)
        except CRSError:
            continue
    raise ValueError(f"unknown spatial reference {str(code)[:80]}")


def web_mercator_to_wgs84(x: float, y: float) -> tuple[float, float]:
    """Longitude and latitude in degrees of a Web Mercator point in metres (EPSG:3857 to 4326)."""
    lon = math.degrees(x / _MERCATOR_RADIUS_M)
    lat = math.degrees(2.0 * math.atan(math.exp(y / _MERCATOR_RADIUS_M)) - math.pi / 2.0)
    return lon, lat
