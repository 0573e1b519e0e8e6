"""Plumbing that every text parser of this room shares: folding, null words, staged expressions.

Belongs here: what is true of *any* published text (whitespace, dashes, words that mean "no value").
Does not belong here: what a text means as a capacity (``values``), a voltage (``voltage``), a date
(``dates``) or a constraint (``vocabulary``). Nothing here knows a utility.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import polars as pl

from hc_platform.catalog.fields import ValueStatus

Nulls = Mapping[str, ValueStatus]

NO_NULLS: Nulls = MappingProxyType({})

# Words that stand for "no value", folded. Where they were seen:
#   ''          Xcel (every column is text), PG&E notes       NULL      NYSEG/RG&E DER files
#   <Null>      ArcMap exports                                 NONE      Con Edison NOTES, PG&E UNGROUNDED
#   NA          SCE ica_overall_load, sentinel -1 beside it    Unknown   BGE GRID_SIZE
#   NaN / Inf   doubles written to text by export scripts
#   Redacted    SCE *_op_flex, PG&E CSVs                       *REDACTED*  Portland General feeder names
#   Analysis Pending   PSE&G load
NULL_WORDS: Nulls = MappingProxyType(
    {
        "": "not_published",
        "null": "not_published",
        "<null>": "not_published",
        "none": "not_published",
        "na": "not_published",
        "n/a": "not_published",
        "nan": "not_published",
        "unknown": "not_published",
        "redacted": "redacted",
        "*redacted*": "redacted",
        "pending": "pending",
        "analysis pending": "pending",
    }
)

# Only meaningful where a number is expected: a feeder may well be called "INF".
NON_FINITE_WORDS: Nulls = MappingProxyType(
    {sign + word: "not_published" for sign in ("", "+", "-") for word in ("inf", "infinity", "nan")}
)

# A number without sign; "1,234.5" only where every group has three digits.
UNSIGNED = r"(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)"
SIGNED = rf"[+-]?{UNSIGNED}(?:e[+-]?[0-9]+)?"

_DASHES = r"[\x{2010}-\x{2015}\x{2212}\x{FE58}\x{FE63}\x{FF0D}]"
_BLANKS = r"[\s\x{200B}\x{2060}\x{FEFF}]+"


def fold(text: pl.Expr) -> pl.Expr:
    """Lower-cased text with plain hyphens, single blanks and nothing around it."""
    return (
        text.str.replace_all(_DASHES, "-")
        .str.replace_all(_BLANKS, " ")
        .str.strip_chars(" ")
        .str.to_lowercase()
    )


def fold_key(key: str) -> str:
    """Fold one text of a config the way ``fold`` folds a column."""
    return str(pl.select(fold(pl.lit(key))).item())


def trim(text: pl.Expr) -> pl.Expr:
    """Text without the blanks around it, invisible ones included; its inside is untouched."""
    return text.str.replace_all(rf"^{_BLANKS}|{_BLANKS}$", "")


def plain_number(text: pl.Expr) -> pl.Expr:
    """Float64 where the whole text is one finite number as JSON or CSV writes it, otherwise NULL.

    This is the fast path: a strict cast costs about 15 ms per million rows, a regular expression ten
    times that, and regular expressions skip the rows that are already NULL.
    """
    number = text.str.strip_chars().cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def grouped_number(text: pl.Expr) -> pl.Expr:
    """Float64 of a text that matched ``SIGNED`` or ``UNSIGNED``; NULL when it overflows."""
    number = text.str.replace_all(",", "", literal=True).cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def word_status(folded: pl.Expr, nulls: Nulls, *, numeric: bool = False) -> pl.Expr:
    """Status (String) that a null word stands for, NULL for any other text; the config's words win."""
    words = {**NULL_WORDS, **(NON_FINITE_WORDS if numeric else {})}
    words |= {fold_key(key): status for key, status in nulls.items()}
    return folded.replace_strict(words, default=None, return_dtype=pl.String)


def number_status(number: pl.Expr, nulls: Nulls) -> pl.Expr:
    """Status (String) that a sentinel number stands for: "-1" in the config matches 1-, -1.0 and -1e0."""
    status: pl.Expr = pl.lit(None, dtype=pl.String)
    for key, meaning in nulls.items():
        folded = fold_key(key)
        if re.fullmatch(SIGNED, folded) and math.isfinite(value := float(folded.replace(",", ""))):
            status = pl.when(number == value).then(pl.lit(meaning)).otherwise(status)
    return status


def translate(text: pl.Expr, classes: Mapping[str, str]) -> pl.Expr:
    """What a published class says, where the text is one of the classes; else the text.

    Classes are compared folded, and a class of digits also as the float it may have become (2 and "2.0").
    """
    spoken = {_class_key(key): meaning for key, meaning in classes.items()}
    folded = fold(text).str.replace(r"^([+-]?[0-9]+)\.0+$", "$1")
    meant = folded.replace_strict(spoken, default=None, return_dtype=pl.String)
    return pl.coalesce(meant, text).name.keep()


def _class_key(key: str) -> str:
    return re.sub(r"^([+-]?[0-9]+)\.0+$", r"\1", fold_key(key))


def is_one_of(text: pl.Expr, keys: Iterable[str]) -> pl.Expr:
    """Whether the text is one of the keys, compared as `translate` compares classes; never NULL."""
    folded = fold(text).str.replace(r"^([+-]?[0-9]+)\.0+$", "$1")
    return folded.is_in([_class_key(key) for key in keys]).fill_null(False)


def staged(text: pl.Expr, *stages: Mapping[str, pl.Expr]) -> pl.Expr:
    """Run a parser's stages one after the other and return the field ``out`` under the input's name.

    Each stage adds fields to a struct and may read those of the stages before it through
    ``pl.field``; the first stage finds the input as ``pl.field("text")``. So every intermediate result
    is computed once, without leaning on the optimizer to find common subexpressions, and the whole
    stays a plain element-wise expression that also runs lazily and streaming.
    """
    state = pl.struct(text=text.cast(pl.String))
    for stage in stages:
        state = state.struct.with_fields(**stage)
    out = state.struct.field("out")
    name = text.meta.output_name(raise_if_undetermined=False)
    return out if name is None else out.alias(name)


def parse_column(series: pl.Series, parser: Callable[[pl.Expr], pl.Expr]) -> pl.Series:
    """Apply a parser to a whole column, to each distinct text once where texts repeat.

    ``parser`` takes the text expression (bind the rest with ``functools.partial``). The answer equals
    that of the plain expression, only faster: published columns hold few distinct texts (1.3 million
    PG&E sections, some 10,000 capacities). Where texts hardly repeat, the parser runs on all rows.
    """
    column = pl.col("text")
    texts = series.cast(pl.String).alias("text")
    distinct = texts.unique()
    if distinct.len() > texts.len() // 2:
        return pl.DataFrame([texts]).select(parser(column)).to_series().alias(series.name)
    parsed = pl.DataFrame([distinct]).with_columns(parsed=parser(column))
    joined = pl.DataFrame([texts]).join(
        parsed, on="text", how="left", nulls_equal=True, maintain_order="left"
    )
    return joined["parsed"].alias(series.name)
