"""Cells that hold more than one value: popups and JSON objects with several fields, lists with several feeders.

What belongs here: opening such cells, so that every field has a text column and every feeder a row.
What does not: reading a value out of its text (`values`), or what the fields mean (`sections`).
"""

import json
from collections.abc import Mapping
from html import unescape
from html.parser import HTMLParser
from typing import Final

import polars as pl

from hc_platform.catalog.layers import Explode, LayerConfig, Unpack
from hc_platform.hosting_capacity.extract import ask, extract_fields
from hc_platform.hosting_capacity.values import parse_text, split_list

FEATURE: Final = "__feature"
"""A row's feature by its position in the batch; each once, unless features hold several rows."""
SHARED: Final = "__shared"
"""Whether the row's feature holds other rows too: what is published once is then said of all of them together."""
REJECTS: Final = {FEATURE: pl.UInt32, "reason": pl.String, "detail": pl.String}


def open_rows(
    raw_attributes: pl.Series, layer: LayerConfig, names: Mapping[str, str]
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, pl.Series]]:
    """The features' texts with every packed cell opened.

    `names`: the config's field -> its published spelling; the columns have the config's names, and beside them stand
    FEATURE, SHARED and the virtual fields. Returns also the features whose lists cannot be opened (REJECTS), which
    are left out of the texts, and for each unpacked column which of its cells (a mask) could not be read.
    """
    fields = extract_fields(raw_attributes, list(dict.fromkeys(names.values())))
    position = pl.int_range(len(raw_attributes), eager=True, dtype=pl.UInt32).alias(FEATURE)
    texts = pl.DataFrame([position, *(fields[new].alias(old) for old, new in names.items())])
    unread = {}
    for spec in layer.unpack:
        found, unread[spec.column] = unpack(texts[spec.column], spec)
        texts = texts.hstack(found)
    if layer.explode is None:
        return texts.with_columns(pl.lit(False).alias(SHARED)), pl.DataFrame(schema=REJECTS), unread
    texts, rejects = explode(texts, layer.explode)
    return texts.with_columns((pl.len().over(FEATURE) > 1).alias(SHARED)), rejects, unread


def explode(texts: pl.DataFrame, spec: Explode) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One row for each element of a row's lists, and the rejects: rows whose lists say nothing certain.

    Parallel lists must be equally long, for else which value belongs to which feeder is not known; a value beside a
    list is a list of one; an empty cell tells nothing of any feeder. A JSON cell must hold a list of objects. A row
    without a list stays, with NULLs.
    """
    if spec.json_column:
        return _explode_json(texts, spec, spec.json_column)
    lists = texts.with_columns(split_list(pl.col(c), separator=spec.separator) for c in spec.columns)
    longest = pl.max_horizontal(pl.col(c).list.len() for c in spec.columns)
    ragged = lists.select(
        pl.any_horizontal(pl.col(c).list.len() != longest for c in spec.columns).fill_null(False)
    ).to_series()
    nothing = pl.lit(None, dtype=pl.String).repeat_by(longest)
    whole = lists.filter(~ragged).with_columns(pl.coalesce(c, nothing).alias(c) for c in spec.columns)
    detail = f"the lists in {', '.join(spec.columns)} have different lengths"
    return whole.explode(spec.columns), _rejects(texts, ragged, "ragged_lists", pl.lit(detail))


def _explode_json(texts: pl.DataFrame, spec: Explode, column: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Each object of the list becomes a row; its fields stand under the spec's virtual names."""
    cells = texts.select(parse_text(pl.col(column))).to_series()
    shape = json.dumps([dict.fromkeys(spec.fields, "VARCHAR")])
    found = ask(
        """
        SELECT text IS NULL OR fit AS fit,
               CASE WHEN fit AND json_array_length(text) > 0 THEN from_json(text, ?) END AS items
        FROM (SELECT text, CASE WHEN json_valid(text) THEN json_type(text) = 'ARRAY' AND NOT list_contains(
              list_transform(json_extract(text, '$[*]'), lambda x: json_type(x) = 'OBJECT'), false) ELSE false END AS fit
              FROM cells)
        """,
        cells,
        shape,
    )
    wrong = ~found["fit"]
    detail = pl.concat_str(pl.lit(f"{column} is no JSON list of objects: "), pl.col(column).str.head(200))
    rows = texts.with_columns(found["items"].alias("__items")).filter(~wrong).explode("__items")
    item = pl.col("__items").struct
    opened = rows.with_columns(
        item.field(f).alias(name) for f, name in zip(spec.fields, spec.virtual, strict=True)
    )
    return opened.drop("__items"), _rejects(texts, wrong, "unreadable_list", detail)


def _rejects(texts: pl.DataFrame, wrong: pl.Series, reason: str, detail: pl.Expr) -> pl.DataFrame:
    return texts.filter(wrong).select(FEATURE, reason=pl.lit(reason), detail=detail).cast(REJECTS)  # type: ignore[arg-type]


def unpack(cells: pl.Series, spec: Unpack) -> tuple[pl.DataFrame, pl.Series]:
    """The packed fields as String columns under their virtual names, and which cells (a mask) cannot be read.

    A cell that cannot be read gives NULLs, as does an empty one, or one that does not have the field.
    """
    texts = pl.DataFrame([cells.alias("text")]).select(parse_text(pl.col("text"))).to_series()
    distinct = texts.unique().drop_nulls()
    if spec.format == "json":
        fits = ask(
            "SELECT CASE WHEN json_valid(text) THEN json_type(text) = 'OBJECT' ELSE false END FROM cells",
            distinct,
        )
        known = distinct.filter(fits.to_series())
        found = extract_fields(known, spec.fields)
    else:
        read = [_popup_fields(text, spec.fields) for text in distinct]
        known = distinct.filter(pl.Series([r is not None for r in read], dtype=pl.Boolean))
        found = pl.DataFrame(
            [r for r in read if r is not None], schema=dict.fromkeys(spec.fields, pl.String), orient="row"
        )
    table = found.rename(dict(zip(spec.fields, spec.virtual, strict=True))).with_columns(__text=known)
    opened = texts.rename("__text").to_frame().join(table, on="__text", how="left", maintain_order="left")
    unread = texts.is_not_null() & ~texts.is_in(known.implode())
    return opened.drop("__text"), unread.fill_null(False)


def _popup_fields(text: str, fields: list[str]) -> list[str | None] | None:
    """The values of a popup's rows by their names; None where it has no such row, or names a field twice."""
    reader = _Popup()
    text = text.removeprefix("<![CDATA[").removesuffix("]]>")
    reader.feed(text if "<" in text else unescape(text))  # some exports escape the whole popup once more
    reader.close()
    rows = reader.finished()
    found = {name: {value for n, value in rows if n == name} for name in fields}
    if not rows or any(len(values) > 1 for values in found.values()):
        return None
    return [next(iter(found[name]), None) for name in fields]


class _Popup(HTMLParser):
    """Collects the cells of every table row, whatever stands around and within them.

    A popup's table often lies in a cell of another one: rows are kept on a stack, and a row that holds a table is no
    pair of name and value. Unclosed cells and rows end where the next begins, as browsers have it.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[list[list[str]]] = []  # per open table: the cells of its current row
        self._rows: list[tuple[str, str]] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            if self._open:
                self._open[-1] = [[], [], []]  # this row holds a table: it is no pair
            self._open.append([])
        elif tag == "tr":
            self._end_row()
        elif tag in ("td", "th") and self._open:
            self._open[-1].append([])
        elif tag in ("style", "script", "head"):
            self._silent += 1
        elif tag in ("br", "p", "div"):
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self._end_row()
        elif tag == "table" and self._open:
            self._end_row()
            self._open.pop()
        elif tag in ("style", "script", "head"):
            self._silent = max(0, self._silent - 1)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] and not self._silent:
            self._open[-1][-1].append(data)

    def _end_row(self) -> None:
        if not self._open:
            return
        cells = [" ".join("".join(cell).split()) for cell in self._open[-1]]
        if len(cells) == 2 and cells[0]:
            self._rows.append((cells[0].removesuffix(":").rstrip(), cells[1]))
        self._open[-1] = []

    def finished(self) -> list[tuple[str, str]]:
        """Names and values in their order; a table that was never closed counts too."""
        while self._open:
            self._end_row()
            self._open.pop()
        return self._rows
