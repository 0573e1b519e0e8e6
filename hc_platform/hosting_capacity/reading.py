"""A layer's text columns -> canonical columns, and how well each field could be read.

What belongs here: which parser a target takes, and what its keys (`when`, `single`, `classes`, `combine`) do to it.
What does not: the parsers (`values`), opening packed cells (`packed`), what a row then says as a whole (`sections`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from operator import and_
from typing import Final, Literal

import polars as pl

from hc_platform.catalog.fields import CAPACITY_COLUMNS, HOSTING_COLUMNS, FieldTarget
from hc_platform.catalog.layers import LayerConfig
from hc_platform.hosting_capacity import values
from hc_platform.hosting_capacity.packed import SHARED
from hc_platform.hosting_capacity.texts import is_one_of, translate

QUALITY: Final = {
    "resource": pl.String,
    "field": pl.String,
    "column": pl.String,
    "rows": pl.Int64,
    "nulls": pl.Int64,
    "unreadable": pl.Int64,
    "withheld": pl.Int64,
    "sample": pl.String,
}
"""One row per resource, field and column. `unreadable`: texts no rule reads (`sample` is the first). `withheld`: values
that were read and have no one meaning here: a list of several, rows of a join that disagree, a tile's value in the row
of one of its feeders. Both are NULL, and so among `nulls`."""

UNPACKED: Final = "unpacked"
"""The `column` of QUALITY rows that tell of packed cells themselves."""
JOINED: Final = "joined"
"""The `column` of QUALITY rows that tell how many keys (`rows`) another layer does not have (`nulls`)."""
_NOT_SHARED: Final = (
    "hosting_capacity_mw",
    "installed_dg_mw",
    "queued_dg_mw",
    "remaining_capacity_mw",
    "constraining_metric",
)
_PARSERS: Final[Mapping[str, Callable[[pl.Expr], pl.Expr]]] = {
    "phase_config": values.parse_phase,
    "is_overhead": values.parse_overhead,
    "is_network": values.parse_network,
}
_STATUS_RANK: Final = {"redacted": 0, "pending": 1, "not_published": 2, "published": 3}


@dataclass(frozen=True)
class Read:
    """A field as one canonical column. `column`: the parser's struct, or plain values; `withheld`: a mask."""

    column: pl.Series
    withheld: pl.Series

    @cached_property
    def bad(self) -> pl.Series:
        """Which texts could not be read."""
        if self.column.dtype == pl.Struct:
            return self.column.struct.field("bad")
        return no_rows(len(self.column))

    @cached_property
    def empty(self) -> pl.Series:
        """Which rows say nothing: no value, and no bound."""
        if self.column.dtype != pl.Struct:
            return self.column.is_null()
        parts = [
            self.column.struct.field(f) for f in ("value", "low", "high") if f in self.column.struct.fields
        ]
        return reduce(and_, (part.is_null() for part in parts))

    def without(self, rows: pl.Series) -> "Read":
        """The same with these rows withheld: their points are NULL, and so is what is said of them."""
        told = rows & ~self.empty
        if self.column.dtype != pl.Struct:
            column = pl.select(pl.when(~rows).then(self.column)).to_series()
            return Read(column.alias(self.column.name), self.withheld | told)
        fields = self.column.struct.unnest()
        blank: dict[str, pl.Expr] = {"value": pl.when(~rows).then("value")}
        if "low" in fields.columns:
            bare = rows & fields["low"].is_null() & fields["high"].is_null()
            blank["censored"] = pl.when(bare).then(pl.lit("none")).otherwise("censored")
        column = fields.with_columns(**blank).to_struct(self.column.name)
        return Read(column, self.withheld | (rows & fields["value"].is_not_null()))


def no_rows(height: int) -> pl.Series:
    """A mask that holds for no row."""
    return pl.Series([False]).new_from_index(0, height)


def read_field(texts: pl.DataFrame, field: str, target: FieldTarget, unit: str | None) -> Read:
    """One field read for one of its columns. `unit`: that of a capacity which names none of its own."""
    text, withheld = texts[field], no_rows(texts.height)
    if target.when:
        fits = pl.all_horizontal([is_one_of(pl.col(f), words) for f, words in target.when.items()])
        text = texts.select(pl.when(fits).then(pl.col(field))).to_series()
    if target.single:
        listed = values.parse_column(text, partial(values.parse_single, separator=target.single)).struct
        text, withheld = listed.field("value"), listed.field("several")
    column = values.parse_column(text, _reader(target, unit)).alias(target.to)
    if column.dtype == pl.Struct and "status" in column.struct.fields and withheld.any():
        status = (
            pl.when(withheld).then(pl.lit("published")).otherwise("status")
        )  # the utility did say something
        column = column.struct.unnest().with_columns(status=status).to_struct(target.to)
    if target.to in CAPACITY_COLUMNS and target.to not in HOSTING_COLUMNS:
        told = pl.all_horizontal(
            pl.col("value").is_null(), pl.any_horizontal(pl.col("low", "high").is_not_null())
        )
        withheld = (
            withheld | column.struct.unnest().select(told).to_series()
        )  # a range where only a point can stand
    return Read(column, withheld)


def of_own_row(read: Read, texts: pl.DataFrame, layer: LayerConfig, field: str, target: FieldTarget) -> Read:
    """The same as far as it speaks of the row itself (`texts`: packed.open_rows).

    Where a feature holds several feeders, a field that stands there only once speaks of all of them together: its
    bounds bound each, but its points, totals and constraints are nobody's and are withheld.
    """
    return read.without(texts[SHARED]) if layer.is_shared(field) and target.to in _NOT_SHARED else read


def combine(reads: Sequence[Read], how: Literal["least", "greatest"]) -> Read:
    """The least or the greatest of several fields that give one column; NULL in a row where any says nothing.

    Of ranges and bounds it is what is known: the least of "2 - 6" and 4 lies between 2 and 4, the least of 1 and
    ">7.5" is 1. A floor lies under the least whichever field it is; a ceiling stands over it only if the fields that
    are least all stand at theirs.
    """
    first = reads[0].column
    silent = pl.select(pl.any_horizontal([r.empty for r in reads])).to_series()
    withheld = pl.select(pl.any_horizontal([r.withheld for r in reads])).to_series()
    of = pl.min_horizontal if how == "least" else pl.max_horizontal
    fields = [f"__{i}" for i in range(len(reads))]
    frame = pl.DataFrame([r.column.alias(f) for r, f in zip(reads, fields, strict=True)])
    if "low" not in first.struct.fields:
        value = pl.when(~silent).then(of(*[pl.col(f).struct.field("value") for f in fields]))
        bad = pl.any_horizontal([r.bad for r in reads])
        return Read(frame.select(pl.struct(value=value, bad=bad).alias(first.name)).to_series(), withheld)

    def part(field: str, name: str) -> pl.Expr:
        return pl.col(field).struct.field(name)

    lows = [pl.coalesce(part(f, "value"), part(f, "low")) for f in fields]
    highs = [pl.coalesce(part(f, "value"), part(f, "high")) for f in fields]
    near, far = (
        (lows, highs) if how == "least" else (highs, lows)
    )  # near: the end that an open bound leaves open
    open_near = pl.any_horizontal([end.is_null() for end in near])
    near_end, far_end = pl.when(~open_near).then(of(*near)), of(*far)
    beyond, held = ("at_floor", "at_ceiling") if how == "least" else ("at_ceiling", "at_floor")
    attains = [end == far_end for end in far]
    all_held = pl.all_horizontal(
        [~a.fill_null(False) | (part(f, "censored") == held) for a, f in zip(attains, fields, strict=True)]
    )
    mark = (
        pl.when(pl.any_horizontal([part(f, "censored") == beyond for f in fields]))
        .then(pl.lit(beyond))
        .when(all_held)
        .then(pl.lit(held))
        .otherwise(pl.lit("none"))
    )
    ranks = [part(f, "status").replace_strict(_STATUS_RANK, return_dtype=pl.Int8) for f in fields]
    status = pl.min_horizontal(*ranks).replace_strict({v: k for k, v in _STATUS_RANK.items()})
    is_point = (near_end == far_end).fill_null(False)
    low, high = (near_end, far_end) if how == "least" else (far_end, near_end)
    known = pl.lit(~silent)
    struct = pl.struct(
        value=pl.when(known & is_point).then(far_end),
        low=pl.when(known & ~is_point).then(low),
        high=pl.when(known & ~is_point).then(high),
        censored=pl.when(known).then(mark).otherwise(pl.lit("none")),
        status=status,
        bad=pl.any_horizontal([part(f, "bad") for f in fields]),
    )
    return Read(frame.select(struct.alias(first.name)).to_series(), withheld)


def quality_row(resource: str, field: str, column: str, text: pl.Series, read: Read) -> dict[str, object]:
    """What became of one field's texts in one column: a row of QUALITY."""
    return {
        "resource": resource,
        "field": field,
        "column": column,
        "rows": len(text),
        "nulls": int(read.empty.sum()),
        "unreadable": int(read.bad.sum()),
        "withheld": int(read.withheld.sum()),
        "sample": text.filter(read.bad).first() if read.bad.any() else None,
    }


def _reader(target: FieldTarget, default_unit: str | None) -> Callable[[pl.Expr], pl.Expr]:
    """How the text of a field that goes to this column is read."""
    parser = _parser(target, default_unit)
    if not target.classes:
        return parser
    return lambda text: parser(translate(text, target.classes))


def _parser(target: FieldTarget, default_unit: str | None) -> Callable[[pl.Expr], pl.Expr]:
    if target.to in CAPACITY_COLUMNS:
        unit = target.unit or default_unit
        assert unit is not None  # noqa: S101 - UtilityConfig refuses a capacity field without a unit
        return partial(
            values.parse_capacity, unit=unit, nulls=target.nulls, ceiling=target.ceiling, floor=target.floor
        )
    if target.to == "voltage_kv":
        return partial(values.parse_voltage_kv, unit=target.unit, nulls=target.nulls)
    if target.to == "record_date":
        return partial(values.parse_date, nulls=target.nulls)
    if target.to == "feeder_id_external":
        return partial(values.parse_identifier, nulls=target.nulls)
    if target.to == "constraining_metric":
        return partial(_without, nulls=target.nulls)  # "None" is a constraint's name here: nothing binds
    if parser := _PARSERS.get(target.to):
        return lambda text: parser(_without(text, nulls=target.nulls))
    return partial(values.parse_text, nulls=target.nulls)


def _without(text: pl.Expr, *, nulls: Mapping[str, values.ValueStatus]) -> pl.Expr:
    """The trimmed text, NULL where it is empty or one of the config's own null words."""
    trimmed = text.str.strip_chars()
    return pl.when(trimmed.is_in(["", *nulls]).not_()).then(trimmed).name.keep()
