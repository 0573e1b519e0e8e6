"""What a published layer's shape is made of.

What belongs here: the types of the tables in `california` and `east`, and drawings that several share.
What does not: what is particular to a utility (there), how a column is made (`writing`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

from hc_platform.demo.numbers import Area, Rows, draw_capacity
from hc_platform.demo.writing import Maker


@dataclass(frozen=True)
class Field:
    """A published field: its Esri type without 'esriFieldType', and how its column is made."""

    name: str
    type: str
    make: Maker
    codes: Mapping[int, str] | None = None


@dataclass(frozen=True)
class LayerShape:
    """A published layer.

    `rows` sections at scale 1, or one row a feeder where it is None. `truth` says which drawn number stands
    behind which canonical column; `feeder_id` which column of the feeders' table an id must come out as.
    """

    index: int
    name: str
    fields: tuple[Field, ...]
    draw: Callable[[Rows], None]
    truth: Mapping[str, Mapping[str, str]]
    rows: int | None = None
    oid: str = "OBJECTID"
    max_record_count: int = 2000
    wkid: int = 3857
    feeder_id: str = "id"
    only: str | None = None
    left_out: float = 0.0
    repeated: int = 0
    constraints: tuple[str, ...] = ()


@dataclass(frozen=True)
class UtilityShape:
    """A utility: where it is, how many feeders (at scale 1 and at most), how it spells ids."""

    area: Area
    feeders: int
    most_feeders: int
    voltages: tuple[float, ...]
    ids: Callable[[pl.DataFrame], dict[str, pl.Expr]]
    layers: Mapping[str, LayerShape] = field(default_factory=dict)


def digits(number: pl.Expr, width: int) -> pl.Expr:
    """A number as text of at least `width` digits."""
    return number.cast(pl.String).str.zfill(width)


def draw_range(rows: Rows, ceiling: float | None, null: float, negative: float = 0.0) -> None:
    """A least and a greatest value, in that order."""
    draw_capacity(rows, "lo", share=0.4, ceiling=ceiling, null=null, negative=negative)
    draw_capacity(rows, "hi", ceiling=ceiling)
    rows.values["hi"] = rows.values["hi"].clip(rows.values["lo"])
    rows.status["hi"] = rows.status["lo"]
