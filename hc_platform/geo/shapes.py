"""Columns of WKB read into arrays that the joins work on: shapes, and the points of lines in one long array.

What belongs here: reading geometries tolerantly, taking lines apart into points, mending the antimeridian.
What does not: measuring them (`geometry`) or joining them (`areas`, `lines`).
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import shapely

from hc_platform.geo.geometry import Bools, Floats, Ints, plain_lines

Objects = npt.NDArray[np.object_]

_MULTI: Final = 4  # Shapely's type ids from here on are collections


class Parts(NamedTuple):
    """Lines (and lone points) taken apart: part i owns coords[starts[i]:starts[i] + counts[i]], of row `rows[i]`."""

    coords: Floats  # n x 2: longitude, latitude; a part's longitudes run on past 180 instead of jumping
    starts: Ints
    counts: Ints
    rows: Ints
    areas: Objects  # the polygons, whose rings are among the parts too
    area_rows: Ints


def plain_wkb(wkb: pl.Series) -> pl.Series:
    """The column as Binary, also when a Parquet file's GeoArrow metadata made it an extension type."""
    if wkb.dtype == pl.Binary:
        return wkb
    if isinstance(wkb.dtype, pl.BaseExtension):
        return plain_wkb(wkb.ext.storage())
    if wkb.dtype == pl.Null:
        return wkb.cast(pl.Binary)
    raise TypeError(f"column {wkb.name!r} is {wkb.dtype}; geometries come as Binary WKB in EPSG:4326")


def read_shapes(wkb: pl.Series) -> Objects:
    """Shapely geometries; None where one is NULL, empty, unreadable or has a coordinate that is no place on earth."""
    shapes: Objects = shapely.from_wkb(plain_wkb(wkb).to_numpy(), on_invalid="ignore")
    shapes[shapely.is_missing(shapes) | shapely.is_empty(shapes)] = None
    coords, owner = shapely.get_coordinates(shapes, return_index=True)
    shapes[owner[~_on_earth(coords)]] = None
    return shapes


def read_areas(wkb: pl.Series) -> Objects:
    """Prepared (multi)polygons; invalid rings are made valid; None where there is no area."""
    shapes = read_shapes(wkb)
    broken = ~shapely.is_valid(shapes) & ~shapely.is_missing(shapes)
    if broken.any():
        shapes[broken] = shapely.make_valid(shapes[broken], method="structure")
    shapes[(shapely.get_dimensions(shapes) < 2) | shapely.is_empty(shapes)] = None
    shapely.prepare(shapes)
    return shapes


def take_apart(wkb: pl.Series) -> Parts:
    """Every line, ring and lone point of the column; rows without a place have no part.

    Plain lines, which are nearly all there is, are read from their bytes; the rest goes through Shapely.
    """
    wkb = plain_wkb(wkb)
    plain, coords, ends = plain_lines(wkb)
    counts, rows = np.diff(ends, prepend=0), np.flatnonzero(plain)
    if len(coords) and not _on_earth(coords).all():
        plain, coords, counts, rows = plain & False, coords[:0], counts[:0], rows[:0]
    areas, area_rows = np.empty(0, dtype=object), np.empty(0, dtype=np.int64)
    rest = np.flatnonzero(~plain & wkb.is_not_null().to_numpy())
    if len(rest):
        simple, owner = _simple_parts(read_shapes(wkb.gather(rest)))
        is_area = shapely.get_dimensions(simple) == 2
        areas, area_rows = simple[is_area], rest[owner[is_area]]
        rings, of_area = shapely.get_rings(areas, return_index=True)
        pieces = np.concatenate([simple[~is_area], rings])
        lengths = shapely.get_num_coordinates(pieces).astype(np.int64)
        coords = np.concatenate([coords, shapely.get_coordinates(pieces)])
        counts = np.concatenate([counts, lengths[lengths > 0]])
        owners = np.concatenate([rest[owner[~is_area]], area_rows[of_area]])
        rows = np.concatenate([rows, owners[lengths > 0]])
    starts = np.cumsum(counts) - counts
    return Parts(_unwrapped(coords, starts, counts), starts, counts, rows, areas, area_rows)


def _simple_parts(shapes: Objects) -> tuple[Objects, Ints]:
    """The single points, lines and polygons in the shapes, and whose each is."""
    owner = np.arange(len(shapes))
    while True:  # a collection may hold collections
        shapes, index = shapely.get_parts(shapes, return_index=True)
        owner = owner[index]
        if not (shapely.get_type_id(shapes) >= _MULTI).any():
            return shapes, owner


def _on_earth(coords: Floats) -> Bools:
    """Whether each point has finite coordinates that can be degrees."""
    return (np.abs(coords[:, 0]) <= 540.0) & (np.abs(coords[:, 1]) <= 90.0)  # a comparison with NaN is false


def _unwrapped(coords: Floats, starts: Ints, counts: Ints) -> Floats:
    """The coordinates with no step of a part longer than half way round the earth."""
    steps = np.diff(coords[:, 0], prepend=coords[:1, 0])
    steps[starts] = 0.0
    if not (np.abs(steps) > 180.0).any():
        return coords
    turns = np.cumsum(-np.round(steps / 360.0))
    turns -= np.repeat(turns[starts], counts)
    return np.column_stack([coords[:, 0] + 360.0 * turns, coords[:, 1]])


def normal_lon(lon: Floats) -> Floats:
    """Longitudes in [-180, 180)."""
    inside = (lon >= -180.0) & (lon < 180.0)
    wrapped: Floats = np.where(inside, lon, (lon + 180.0) % 360.0 - 180.0)
    return wrapped


def degrees(values: pl.Series | npt.ArrayLike) -> Floats:
    """A column of degrees as a float array, NaN where NULL."""
    if isinstance(values, pl.Series):
        return values.cast(pl.Float64).to_numpy().astype(np.float64)
    array: npt.NDArray[Any] = np.asarray(values, dtype=np.float64)
    return np.atleast_1d(array)


def runs(starts: Ints, counts: Ints) -> Ints:
    """The indices starts[0], starts[0]+1, ... (counts[0] of them), then those of the next run, in one array."""
    ends = np.cumsum(counts)
    if not len(ends) or not ends[-1]:
        return np.empty(0, dtype=np.int64)
    indices: Ints = np.arange(ends[-1], dtype=np.int64) + np.repeat(starts - (ends - counts), counts)
    return indices


def point_wkb(lon: pl.Series, lat: pl.Series) -> pl.Series:
    """Points as WKB; NULL where a coordinate is."""
    x, y = degrees(lon), degrees(lat)
    shapes = shapely.points(x, y)
    shapes[~(np.isfinite(x) & np.isfinite(y))] = None
    return pl.Series("geometry", shapely.to_wkb(shapes), dtype=pl.Binary)
