"""How a layer is cut into questions: windows over object ids, lists of ids, row ranges, map tiles. Pure.

Belongs here: the pieces, what each asks, how it splits, which rows may be in its answer. Does not belong
here: sending them and judging answers (engine), choosing among them (pull).

A piece is a promise: the pieces of one plan overlap nowhere and leave nothing out, and so do the parts of
a split piece. (Tiles are the exception: a line crossing their border is in both, so tiles are
deduplicated.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
_BIAS = 1 << 63  # makes every 64-bit id a positive number, so that file names sort as ids do


class Piece(Protocol):
    """One question. `size` is the most rows its answer can rightly have, None where that is open."""

    @property
    def name(self) -> str:
        """A file name that sorts as the rows do."""

    @property
    def size(self) -> int | None:
        """The most rows that can be in it."""

    def params(self, where: str) -> dict[str, str]:
        """The query parameters, `where` always kept."""

    def split(self, parts: int) -> Sequence[Piece]:
        """At least two smaller pieces that cover exactly this one; empty where it is too small to split."""

    def holds(self, ids: Ids) -> bool:
        """Whether all of these object ids may be in the answer."""


def span_name(lo: int, hi: int) -> str:
    """The file name of the rows with `lo < id <= hi`."""
    return f"ids-{lo + _BIAS:020d}-{hi + _BIAS:020d}"


def span_of(name: str) -> tuple[int, int] | None:
    """The bounds in a name that span_name made, or None."""
    parts = name.split("-")
    if len(parts) != 3 or parts[0] != "ids":
        return None
    return int(parts[1]) - _BIAS, int(parts[2]) - _BIAS


@dataclass(frozen=True)
class OidWindow:
    """The rows with `lo < id <= hi`: right in any order, under edits, and where offsets are ignored."""

    lo: int
    hi: int
    oid_field: str

    @property
    def name(self) -> str:
        """See Piece."""
        return span_name(self.lo, self.hi)

    @property
    def size(self) -> int:
        """See Piece."""
        return self.hi - self.lo

    def where(self, where: str) -> str:
        """The caller's clause and the window's."""
        return f"({where}) AND {self.oid_field} > {self.lo} AND {self.oid_field} <= {self.hi}"

    def params(self, where: str) -> dict[str, str]:
        """See Piece."""
        return {"where": self.where(where)}

    def split(self, parts: int) -> list[OidWindow]:
        """See Piece."""
        if self.size < 2:
            return []
        width = -(-self.size // max(2, min(parts, self.size)))
        return windows(self.lo, self.hi, width, self.oid_field)

    def holds(self, ids: Ids) -> bool:
        """See Piece."""
        return not len(ids) or bool(ids.min() > self.lo and ids.max() <= self.hi)


@dataclass(frozen=True)
class IdList:
    """The rows with exactly these ids (ascending), for servers that cannot filter by id in `where`."""

    ids: tuple[int, ...]

    @property
    def name(self) -> str:
        """See Piece."""
        return span_name(self.ids[0] - 1, self.ids[-1])

    @property
    def size(self) -> int:
        """See Piece."""
        return len(self.ids)

    def params(self, where: str) -> dict[str, str]:
        """See Piece."""
        return {"where": where, "objectIds": ",".join(map(str, self.ids))}

    def split(self, parts: int) -> list[IdList]:
        """See Piece."""
        if len(self.ids) < 2:
            return []
        return id_lists(self.ids, -(-len(self.ids) // max(2, min(parts, len(self.ids)))))

    def holds(self, ids: Ids) -> bool:
        """See Piece."""
        return bool(np.isin(ids, self.ids).all())


@dataclass(frozen=True)
class RowRange:
    """Rows `lo` to `hi` (excluded) of the layer in a stated order. Only where no filter by id works."""

    lo: int
    hi: int
    order: str

    @property
    def name(self) -> str:
        """See Piece."""
        return f"rows-{self.lo:020d}-{self.hi:020d}"

    @property
    def size(self) -> int:
        """See Piece."""
        return self.hi - self.lo

    def params(self, where: str) -> dict[str, str]:
        """See Piece."""
        page = {"resultOffset": str(self.lo), "resultRecordCount": str(self.size)}
        return {"where": where, **page} | ({"orderByFields": self.order} if self.order else {})

    def split(self, parts: int) -> list[RowRange]:
        """See Piece."""
        if self.size < 2:
            return []
        return row_ranges(self.lo, self.hi, -(-self.size // max(2, min(parts, self.size))), self.order)

    def holds(self, ids: Ids) -> bool:
        """See Piece."""
        return len(ids) <= self.size


@dataclass(frozen=True)
class Tile:
    """What touches a rectangle; without one, the whole layer. For layers that have no object id."""

    path: str = ""
    box: tuple[float, float, float, float] | None = None
    wkid: int | None = None
    inside: tuple[float, float, float, float] | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """See Piece."""
        return f"tile-{self.path or 'all'}"

    @property
    def size(self) -> None:
        """See Piece."""
        return None

    def params(self, where: str) -> dict[str, str]:
        """See Piece."""
        if self.box is None:
            return {"where": where}
        corners = dict(zip(("xmin", "ymin", "xmax", "ymax"), self.box, strict=True))
        return {
            "where": where,
            "geometry": msgspec.json.encode(corners).decode(),
            "geometryType": "esriGeometryEnvelope",
            "spatialRel": "esriSpatialRelIntersects",
            "inSR": str(self.wkid or 4326),
        }

    def split(self, parts: int) -> list[Tile]:
        """Four quarters; of the whole layer, its extent and the four sides around it, so that nothing is
        outside.
        """
        if self.box is None:
            return self._around()
        xmin, ymin, xmax, ymax = self.box
        if len(self.path) > 24 or not (xmax - xmin > 0 or ymax - ymin > 0):
            return []
        x, y = (xmin + xmax) / 2, (ymin + ymax) / 2
        boxes = [(xmin, ymin, x, y), (x, ymin, xmax, y), (xmin, y, x, ymax), (x, y, xmax, ymax)]
        return [Tile(f"{self.path}{n}", box, self.wkid) for n, box in enumerate(boxes)]

    def _around(self) -> list[Tile]:
        degrees = self.wkid in (None, 4326)
        far_x, far_y = (180.0, 90.0) if degrees else (1e8, 1e8)
        x0, y0, x1, y1 = self.inside or (-far_x, -far_y, far_x, far_y)
        boxes = [
            (x0, y0, x1, y1),
            (-far_x, -far_y, x0, far_y),
            (x1, -far_y, far_x, far_y),
            (x0, -far_y, x1, y0),
            (x0, y1, x1, far_y),
        ]
        some = [box for box in boxes if box[2] >= box[0] and box[3] >= box[1]]
        return [Tile(f"{letter}", box, self.wkid) for letter, box in zip("abcde", some, strict=False)]

    def holds(self, ids: Ids) -> bool:
        """See Piece."""
        return True


def windows(lo: int, hi: int, width: int, oid_field: str) -> list[OidWindow]:
    """Adjoining windows of at most `width` ids that cover `lo < id <= hi`."""
    edges = [*range(lo, hi, max(1, width)), hi] if hi > lo else []
    return [OidWindow(a, b, oid_field) for a, b in pairwise(edges)]


def windows_between(ids: Sequence[int], size: int, lo: int, hi: int, oid_field: str) -> list[OidWindow]:
    """Adjoining windows that cover `lo < id <= hi` with at most `size` of the given ids (ascending) in
    each.
    """
    inner = [number for number in ids if lo < number <= hi]
    edges = [lo, *(inner[at - 1] for at in range(size, len(inner), size)), hi] if hi > lo else []
    return [OidWindow(a, b, oid_field) for a, b in pairwise(edges)]


def id_lists(ids: Sequence[int], size: int) -> list[IdList]:
    """The ids (ascending) in lists of at most `size`."""
    return [IdList(tuple(ids[at : at + size])) for at in range(0, len(ids), max(1, size))]


def row_ranges(lo: int, hi: int, size: int, order: str) -> list[RowRange]:
    """Adjoining ranges of at most `size` rows from `lo` to `hi` (excluded)."""
    edges = [*range(lo, hi, max(1, size)), hi] if hi > lo else []
    return [RowRange(a, b, order) for a, b in pairwise(edges)]


def gaps(lo: int, hi: int, done: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What `lo < id <= hi` still lacks after the done spans, as spans in ascending order."""
    missing = []
    for start, end in sorted(done):
        if start > lo:
            missing.append((lo, min(start, hi)))
        lo = max(lo, end)
    missing.append((lo, hi))
    return [(start, end) for start, end in missing if start < end]
