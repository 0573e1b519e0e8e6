"""What a config's `where` leaves out: values for the fields that only a filter reads, and which rows are served.

What belongs here: reading literals out of a filter, asking DuckDB what it lets through (as the server does). What does
not: the server's own answers (`hc_platform.demo.query`).
"""

import itertools
import re
from collections.abc import Sequence
from random import Random
from typing import Final

import duckdb
import polars as pl

from hc_platform.demo.catalogue.spelling import Published
from hc_platform.demo.query import dotted_names_quoted

_COMPARED: Final = re.compile(
    r"""(?P<field>[\w.]+|"[^"]+")\s*
    (?: IS\s+(?:NOT\s+)?(?P<null>NULL)
      | (?:=|<>|!=|>=|<=|>|<|(?:NOT\s+)?LIKE)\s*(?P<value>'[^']*'|-?[\d.]+)
      | (?:NOT\s+)?IN\s*\((?P<list>[^)]*)\) )""",
    re.VERBOSE | re.IGNORECASE,
)


def compared(where: str) -> dict[str, list[Published]]:
    """Field -> the literals a filter holds it against, NULL among them where it asks for that."""
    found: dict[str, list[Published]] = {}
    if where.replace(" ", "") == "1=1":
        return found
    for match in _COMPARED.finditer(where):
        values = found.setdefault(match["field"].strip('"'), [])
        if match["list"]:
            values += [_literal(part) for part in match["list"].split(",")]
        elif match["value"]:
            values.append(_literal(match["value"]))
        else:
            values.append(None)
    if not found:
        raise ValueError(f"the catalogue does not know the filter {where!r}")
    return found


def fill(columns: dict[str, list[Published]], where: str, read: Sequence[str], draw: Random) -> None:
    """Add the fields that nothing but the filter reads: mostly with values that are served, and a few that are not."""
    literals = compared(where)
    missing = [name for name in literals if name not in columns or name not in read]
    if not missing:
        return
    count = len(next(iter(columns.values())))
    choices = [list(dict.fromkeys([*literals[n], None, _another(literals[n])])) for n in missing]
    rows = [dict(zip(missing, values, strict=True)) for values in itertools.product(*choices)]
    others = {n: next(v for v in columns[n] if v not in (None, "")) for n in literals if n not in missing}
    through = served(pl.DataFrame([row | others for row in rows], infer_schema_length=None), where)
    right = [row for row, ok in zip(rows, through, strict=True) if ok]
    wrong = [row for row, ok in zip(rows, through, strict=True) if not ok]
    if not right:
        raise ValueError(f"the catalogue finds no row that passes the filter {where!r}")
    chosen = [draw.choice(wrong if wrong and draw.random() < 0.06 else right) for _ in range(count)]
    for name in missing:
        columns[name] = [row[name] for row in chosen]


def served(frame: pl.DataFrame, where: str) -> list[bool]:
    """Row by row, whether a server with this filter gives it."""
    condition = dotted_names_quoted(where, frame.columns)
    with duckdb.connect() as connection:
        connection.register("rows", frame.with_row_index("__row").to_arrow())
        found = connection.execute(f"SELECT __row FROM rows WHERE {condition}").fetchnumpy()["__row"]  # noqa: S608
    through = set(found.tolist())
    return [row in through for row in range(frame.height)]


def _literal(text: str) -> str | float:
    text = text.strip()
    return text[1:-1] if text.startswith("'") else float(text)


def _another(values: Sequence[Published]) -> Published:
    return -99.0 if any(isinstance(v, float) for v in values) else "Elsewhere"
