"""Distances on the WGS 84 ellipsoid for whole columns, by way of chords through it.

What belongs here: metres between pairs of points, and bounds in degrees or chords for a circle of so many metres.
What does not: lengths of lines (`geometry`), searching (`lines`).
"""

from typing import Final

import numpy as np
from pyproj import Geod

from hc_platform.geo.geometry import ECCENTRICITY2, SEMI_MAJOR_M, Floats

_FAR_M: Final = 300_000.0  # beyond, an arc over a chord depends too much on its direction
_SLACK_M: Final = 0.5  # more than a chord to a line, whose segments are chords themselves, can err
_GEOD: Final = Geod(ellps="WGS84")


def ecef(lon: Floats, lat: Floats) -> Floats:
    """Points on the ellipsoid in earth-centred, earth-fixed metres: n x 3."""
    x, y = np.radians(lon), np.radians(lat)
    sin = np.sin(y)
    normal = SEMI_MAJOR_M / np.sqrt(1 - ECCENTRICITY2 * sin * sin)
    ring = normal * np.cos(y)
    return np.stack([ring * np.cos(x), ring * np.sin(x), normal * (1 - ECCENTRICITY2) * sin], axis=1)


def arc_m(lon: Floats, lat: Floats, to_lon: Floats, to_lat: Floats, *, here: Floats | None = None) -> Floats:
    """Metres along the geodesic between points, pair by pair.

    From the chord, with the ellipsoid's mean radius between them: within 1 mm up to 50 km and 0.2 m up to 300 km;
    beyond by GeographicLib. `here`: the first points as `ecef` makes them, where they are at hand.
    """
    step = (ecef(lon, lat) if here is None else here) - ecef(to_lon, to_lat)
    chord = np.sqrt(np.einsum("ij,ij->i", step, step))
    w2 = 1 - ECCENTRICITY2 * np.sin(np.radians((lat + to_lat) / 2)) ** 2
    across = 2 * SEMI_MAJOR_M * np.sqrt(1 - ECCENTRICITY2) / w2
    metres: Floats = across * np.arcsin(np.minimum(chord / across, 1.0))
    far = np.flatnonzero(metres > _FAR_M)
    if len(far):
        metres[far] = _GEOD.inv(lon[far], lat[far], to_lon[far], to_lat[far])[2]
    return metres


def chord_limit_m(radius: Floats) -> Floats:
    """A chord that no point within so many metres exceeds."""
    chord = 2 * SEMI_MAJOR_M * np.sin(np.minimum(radius / (2 * SEMI_MAJOR_M), np.pi / 2))
    limit: Floats = chord + _SLACK_M + np.where(radius > _FAR_M, radius / 100, 0.0)
    return limit


def reach_degrees(lat: Floats, radius: Floats) -> tuple[Floats, Floats]:
    """Half height and half width in degrees of a box that surely holds the circle of so many metres.

    On a sphere the circle of angle a around latitude y spans asin(sin a / cos y) either way; a is taken with the
    ellipsoid's least radius of curvature, and one per cent is added for its flattening.
    """
    angle = radius / (SEMI_MAJOR_M * (1 - ECCENTRICITY2)) * 1.01 + 1e-9
    with np.errstate(invalid="ignore", divide="ignore"):
        wide = np.degrees(np.arcsin(np.sin(angle) / np.cos(np.radians(lat))))
    over_pole = np.radians(np.abs(lat)) + angle >= np.pi / 2
    return np.degrees(angle), np.where(over_pole, 180.0, wide)
