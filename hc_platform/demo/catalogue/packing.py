"""Columns that hold several fields: lists side by side, JSON in a cell, a popup's table.

What belongs here: the outer text around values that are made already. What does not: the values (`spelling`).
"""

import json
from collections.abc import Mapping, Sequence
from html import escape

from hc_platform.catalog.layers import Explode, Unpack
from hc_platform.demo.catalogue.spelling import Published


def parallel_lists(
    spec: Explode, items: Mapping[str, Sequence[Published]], sizes: Sequence[int], ragged: set[int]
) -> dict[str, list[Published]]:
    """Column -> 'A,B' a feature; the last list of a ragged feature is one item short. No items: NULL."""
    packed: dict[str, list[Published]] = {}
    gap = spec.separator if spec.separator.isspace() else f"{spec.separator} "
    for name in spec.columns:
        cells: list[Published] = []
        at = 0
        for feature, size in enumerate(sizes):
            texts = ["" if v is None else str(v) for v in items[name][at : at + size]]
            at += size
            if feature in ragged and name == spec.columns[-1]:
                texts = texts[:-1]
            cells.append((gap if feature % 3 == 0 else spec.separator).join(texts))
        packed[name] = cells
    return packed


def json_lists(
    spec: Explode, items: Mapping[str, Sequence[Published]], sizes: Sequence[int]
) -> list[Published]:
    """A JSON list of objects a feature, with a member that nobody asked for."""
    cells: list[Published] = []
    at = 0
    for size in sizes:
        rows = [
            {name: items[virtual][row] for name, virtual in zip(spec.fields, spec.virtual, strict=True)}
            | {"unasked": row}
            for row in range(at, at + size)
        ]
        cells.append(json.dumps(rows))
        at += size
    return cells


def packed_cells(part: Unpack, items: Mapping[str, Sequence[Published]]) -> list[Published]:
    """One text a row that holds all of the column's fields."""
    rows = [
        dict(zip(part.fields, cells, strict=True))
        for cells in zip(*(items[v] for v in part.virtual), strict=True)
    ]
    return [
        json.dumps({"id": at, **row}) if part.format == "json" else _popup(row) for at, row in enumerate(rows)
    ]


def _popup(row: Mapping[str, Published]) -> str:
    """The popup that ArcMap writes into KML: a title, and a table in a table."""
    lines = "".join(
        f"<tr{' bgcolor=#D4E4F3' if at % 2 else ''}>\n<td>{escape(name)}</td>\n"
        f"<td>{'&lt;Null&gt;' if value is None else escape(str(value))}</td>\n</tr>\n"
        for at, (name, value) in enumerate([("FID", "7"), *row.items()])
    )
    title = "<tr><td style='text-align:center;font-weight:bold'>Circuit</td></tr>"
    return (
        "<html xmlns:fo='http://www.w3.org/1999/XSL/Format'><head><meta http-equiv='content-type'></head>"
        f"<body><table border='1'>{title}<tr><td><table>{lines}</table></td></tr></table></body></html>"
    )
