"""Esri JSON geometries to WKB, a page at a time, without a loop over features.

Belongs here: shapes, rings, dimensions. Does not belong here: attributes and ids (decode), spatial
references (crs).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import shapely

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Shapes = npt.NDArray[Any]  # of shapely geometries and None
Project = Callable[[Floats], Floats]

# geometry type -> the member of the geometry object that holds its coordinates
_MEMBER = {
    "esriGeometryPolyline": "paths",
    "esriGeometryPolygon": "rings",
    "esriGeometryMultipoint": "points",
}


@dataclass(frozen=True)
class Geometries:
    """A page's geometries, one entry per feature.

    `wkb` is binary, NULL where absent or empty; `null_tokens` counts coordinates sent as NaN;
    `unreadable` lists the positions of geometries that are there but could not be turned into a shape,
    with the reason.
    """

    wkb: pl.Series
    null_tokens: int
    unreadable: list[tuple[int, str]]


@dataclass(frozen=True)
class _Parts:
    """Paths, rings or points of all features: coordinates end to end, vertices per part, and each part's
    row.
    """

    coords: Floats
    sizes: Ints
    rows: Ints

    @property
    def starts(self) -> Ints:
        return offsets(self.sizes)[:-1]

    def take(self, order: Ints) -> _Parts:
        """The parts at these positions, in this order."""
        sizes = self.sizes[order]
        index = np.repeat(self.starts[order] - offsets(sizes)[:-1], sizes) + np.arange(sizes.sum())
        return _Parts(self.coords[index], sizes, self.rows[order])


def offsets(sizes: Ints) -> Ints:
    """Where each of several adjoining runs starts, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def to_wkb(
    texts: Sequence[str], geometry_type: str | None, has_z: bool, project: Project | None
) -> Geometries:
    """ISO WKB of a page's geometry objects, given as their JSON texts ("null" where there is none).

    Z is kept where the page has it, M is dropped. `project` turns the coordinates into the wanted spatial
    reference. Curves are reported as unreadable, never straightened silently.
    """
    unreadable = [(row, "true curve geometry") for row, text in enumerate(texts) if '"curve' in text]
    shapes: Shapes = np.full(len(texts), None, dtype=object)
    if geometry_type in _MEMBER:
        parts, nulls = _read_parts(texts, _MEMBER[geometry_type], has_z)
        build = _BUILDERS[geometry_type]
        projected = project(parts.coords) if project and len(parts.coords) else parts.coords
        try:
            rows, built = build(_Parts(projected, parts.sizes, parts.rows))
            shapes[rows] = built
        except (
            shapely.errors.ShapelyError
        ):  # one bad shape spoils the page: build them singly and name the bad ones
            unreadable += _build_singly(_Parts(projected, parts.sizes, parts.rows), build, shapes)
    else:
        nulls = _read_points(texts, has_z, project, shapes)
    wkb = shapely.to_wkb(shapes, flavor="iso", byte_order=1)
    return Geometries(pl.Series("geometry", wkb.tolist(), dtype=pl.Binary), nulls, unreadable)


def _decode(texts: Sequence[str], members: dict[str, Any]) -> tuple[pl.DataFrame, int]:
    """The members of the geometry objects as columns; numbers sent as text are read, "NaN" becomes null,
    counted.
    """
    dtype = pl.Struct(members)
    try:
        return pl.Series(texts, dtype=pl.String).str.json_decode(dtype).struct.unnest(), 0
    except pl.exceptions.PolarsError:
        nulls = 0

        def mend(match: re.Match[str]) -> str:
            nonlocal nulls
            try:
                number = float(match.group(1))
            except ValueError:
                return "null"
            if np.isfinite(number):
                return match.group(1)
            nulls += 1
            return "null"

        mended = [re.sub(r'"([^"]*)"(?=\s*[,}\]])', mend, text) for text in texts]
        return pl.Series(mended, dtype=pl.String).str.json_decode(dtype).struct.unnest(), nulls


def _read_points(texts: Sequence[str], has_z: bool, project: Project | None, shapes: Shapes) -> int:
    names = ["x", "y", "z"] if has_z else ["x", "y"]
    frame, nulls = _decode(texts, dict.fromkeys(names, pl.Float64))
    coords = np.stack([frame[name].to_numpy() for name in names], axis=1).astype(np.float64)
    there = np.isfinite(coords[:, :2]).all(axis=1)
    if there.any():
        coords = coords[there]
        shapes[there] = shapely.points(project(coords) if project else coords)
    return nulls


def _read_parts(texts: Sequence[str], member: str, has_z: bool) -> tuple[_Parts, int]:
    vertices: Any = pl.List(pl.List(pl.Float64))
    frame, nulls = _decode(texts, {member: vertices if member == "points" else pl.List(vertices)})
    frame = frame.select(
        pl.Series("row", np.arange(len(texts), dtype=np.int64)), pl.col(member).alias("part")
    )
    if member != "points":
        frame = frame.filter(pl.col("part").list.len() > 0).explode("part")
    frame = frame.filter(pl.col("part").list.len() > 0)
    sizes = frame["part"].list.len().to_numpy().astype(np.int64)
    vertex = frame["part"].explode()
    rows = frame["row"].to_numpy()
    if not len(sizes):
        return _Parts(np.empty((0, 2)), sizes, rows), nulls
    width = vertex.list.len()
    if width.n_unique() == 1 and width[0] and width[0] >= 2:
        coords = vertex.explode().to_numpy().astype(np.float64).reshape(-1, width[0])
    else:  # ragged vertices
        coords = np.stack([vertex.list.get(axis, null_on_oob=True).to_numpy() for axis in range(3)], axis=1)
    coords = coords[:, : 3 if has_z else 2].astype(np.float64)
    good = np.isfinite(coords[:, :2]).all(axis=1)
    if not good.all():  # a vertex without a place is dropped, the rest of the shape stays
        kept = np.add.reduceat(good, offsets(sizes)[:-1]).astype(np.int64)
        coords, sizes, rows = coords[good], kept[kept > 0], rows[kept > 0]
    return _Parts(coords, sizes, rows), nulls


def _build_singly(
    parts: _Parts, build: Callable[[_Parts], tuple[Ints, Shapes]], shapes: Shapes
) -> list[tuple[int, str]]:
    bad: list[tuple[int, str]] = []
    for row in np.unique(parts.rows).tolist():
        try:
            rows, built = build(parts.take(np.flatnonzero(parts.rows == row)))
            shapes[rows] = built
        except shapely.errors.ShapelyError as error:
            bad.append((row, f"unreadable geometry ({error})"))
    return bad


def _collect(pieces: Shapes, rows: Ints, gather: Callable[..., Shapes]) -> tuple[Ints, Shapes]:
    """One shape per row: the piece itself, or a multi-shape where the row has several. `rows` is
    ascending.
    """
    distinct, first, counts = np.unique(rows, return_index=True, return_counts=True)
    shapes = pieces[first]
    several = counts > 1
    if several.any():
        member = np.repeat(several, counts)
        shapes[several] = gather(pieces[member], indices=np.repeat(np.arange(several.sum()), counts[several]))
    return distinct, shapes


def _lines(parts: _Parts) -> tuple[Ints, Shapes]:
    if (parts.sizes == 1).any():  # a path of one vertex keeps its place as a line of no length
        index = np.repeat(
            np.arange(len(parts.coords)), np.repeat(np.where(parts.sizes == 1, 2, 1), parts.sizes)
        )
        parts = _Parts(parts.coords[index], np.maximum(parts.sizes, 2), parts.rows)
    lines = shapely.from_ragged_array(shapely.GeometryType.LINESTRING, parts.coords, (offsets(parts.sizes),))
    return _collect(lines, parts.rows, shapely.multilinestrings)


def _multipoints(parts: _Parts) -> tuple[Ints, Shapes]:
    shapes = shapely.from_ragged_array(shapely.GeometryType.MULTIPOINT, parts.coords, (offsets(parts.sizes),))
    return parts.rows, shapes


def _polygons(parts: _Parts) -> tuple[Ints, Shapes]:
    """Rings to polygons: outer rings run clockwise, holes the other way, each hole belongs to the outer
    around it.
    """
    parts = _close_rings(parts)
    if not len(parts.sizes):
        return parts.rows, np.empty(0, dtype=object)
    hole = _signed_areas(parts) > 0
    outers = np.bincount(parts.rows[~hole], minlength=parts.rows.max() + 1)[parts.rows]
    hole &= outers > 0  # a row that has only counter-clockwise rings was wound the wrong way
    owner = np.arange(len(hole))  # which ring each ring's polygon is named after
    lone = hole & (outers == 1)
    if lone.any():
        outer_of_row = np.zeros(parts.rows.max() + 1, dtype=np.int64)
        outer_of_row[parts.rows[~hole]] = np.flatnonzero(~hole)
        owner[lone] = outer_of_row[parts.rows[lone]]
    for row in np.unique(parts.rows[hole & (outers > 1)]).tolist():
        _own_holes(parts, np.flatnonzero(parts.rows == row), hole, owner)
    hole = owner != np.arange(len(hole))
    order = np.lexsort((hole, owner, parts.rows))
    ordered = parts.take(order)
    polygon_at = np.flatnonzero(~hole[order])
    polygons = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON,
        ordered.coords,
        (offsets(ordered.sizes), np.append(polygon_at, len(order))),
    )
    return _collect(shapely.orient_polygons(polygons), ordered.rows[polygon_at], shapely.multipolygons)


def _close_rings(parts: _Parts) -> _Parts:
    """Rings closed where the last vertex is not the first; those without an area to speak of (< 4)
    dropped.
    """
    ends = offsets(parts.sizes)[1:]
    open_ = (parts.coords[parts.starts] != parts.coords[ends - 1])[:, :2].any(axis=1)
    coords = np.insert(parts.coords, ends[open_], parts.coords[parts.starts[open_]], axis=0)
    closed = _Parts(coords, parts.sizes + open_, parts.rows)
    whole = closed.sizes >= 4
    return closed if whole.all() else closed.take(np.flatnonzero(whole))


def _signed_areas(parts: _Parts) -> Floats:
    """Twice the area of each closed ring, positive when it runs counter-clockwise."""
    local = parts.coords[:, :2] - np.repeat(parts.coords[parts.starts, :2], parts.sizes, axis=0)
    x, y = local[:, 0], local[:, 1]
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    cross[parts.starts + parts.sizes - 1] = 0.0  # the step from one ring to the next is no edge
    areas: Floats = np.add.reduceat(cross, parts.starts)
    return areas


def _own_holes(parts: _Parts, rings: Ints, hole: npt.NDArray[np.bool_], owner: Ints) -> None:
    """Give each hole of one row to the smallest outer ring around it; a hole outside all of them stands
    alone.
    """
    starts = parts.starts
    shape = {
        ring: shapely.Polygon(parts.coords[starts[ring] : starts[ring] + parts.sizes[ring], :2])
        for ring in rings.tolist()
    }
    outers = sorted((ring for ring in shape if not hole[ring]), key=lambda ring: float(shape[ring].area))
    for ring in (ring for ring in shape if hole[ring]):
        owner[ring] = next((outer for outer in outers if shape[outer].covers(shape[ring].exterior)), ring)


_BUILDERS: dict[str, Callable[[_Parts], tuple[Ints, Shapes]]] = {
    "esriGeometryPolyline": _lines,
    "esriGeometryPolygon": _polygons,
    "esriGeometryMultipoint": _multipoints,
}
