"""Nominal voltages as utilities write them, in kV line to line.

Belongs here: units, volts without a unit, pairs such as "66/12 kV" and "7.62/13.20", lists.
Does not belong here: which column holds the voltage, or which utility publishes volts (the config).
"""

from __future__ import annotations

import math

import polars as pl

from hc_platform.hosting_capacity.texts import (
    NO_NULLS,
    UNSIGNED,
    Nulls,
    fold,
    grouped_number,
    number_status,
    plain_number,
    staged,
    word_status,
)

VOLTAGE_UNITS: dict[str, float] = {"v": 1e-3, "kv": 1.0}
"""Factor from a unit to kV."""

MAX_KV = 765.0
"""The highest AC voltage of any United States grid: a bare number above it can only be volts."""

# Secondary voltages in volts. As bare numbers they are below MAX_KV, and no grid has such a kV class:
# neither reading is safe. (120 is not among them: DTE runs 120 kV lines.)
_SECONDARY_VOLTS = (208.0, 240.0, 277.0, 480.0, 600.0)

# Phase-to-neutral beside line-to-line ("7.62/13.20", LUMA) has the ratio sqrt(3). One percent takes
# every ANSI C84.1 pair (4.16/2.4, 12.47/7.2, 24.94/14.4, 34.5/19.92) and no transformer of 21/12 kV;
# the limit of 46 kV keeps 115/66 kV a transformer.
_RATIO_TOLERANCE = 0.01
_MAX_DISTRIBUTION_KV = 46.0

_UNIT = r"(?:[ -]?(?P<{}>kv|volts?|v))?"
_PATTERN = (
    rf"^(?P<a>{UNSIGNED}){_UNIT.format('unit_a')}(?: ?(?:grd|gnd)?y)?"
    rf"(?: ?/ ?(?P<b>{UNSIGNED}){_UNIT.format('unit_b')})?$"
)
_DIVISORS = {"kv": 1.0, "v": 1000.0, "volt": 1000.0, "volts": 1000.0}


def parse_voltage_kv(text: pl.Expr, *, unit: str | None = None, nulls: Nulls = NO_NULLS) -> pl.Expr:
    """Parse nominal voltages into struct{value: Float64 (kV, line to line), bad: Boolean}.

    The unit in the text wins, then ``unit`` ("v" or "kv"), then a bare number above 765 is volts.

    - "12", "12.0", "12kV", "4.8-KV", "24.9 KV", "13.20 kV", "13200": PG&E, SCE, LADWP, NV, AEP, NYSEG.
    - "66/12 kV" (SCE substations) is a transformer: the low side feeds the feeder, so 12.
    - "7.62/13.20" (LUMA), "13.2/7.62", "12.47Y/7.2": ratio sqrt(3), the line-to-line value.
    - "15, 35" (Duke) names two classes: NULL and bad. A list of one repeated value is that value.
    - "/" (Eversource MA East) and 0 (PG&E substations) mean unknown: NULL, not bad.
    - Bare 208, 240, 277, 480 and 600 are bad: volts in practice, kV by their size. Give a unit.
    """
    if unit is not None and unit.lower() not in VOLTAGE_UNITS:
        raise ValueError(f"voltage unit {unit!r} is not one of {', '.join(VOLTAGE_UNITS)}")
    field = pl.field
    words: Nulls = {"/": "not_published", **nulls}
    kv_a = _kv(field("a"), pl.coalesce(field("divisor_a"), field("divisor_b")), unit)
    kv_b = _kv(field("b"), pl.coalesce(field("divisor_b"), field("divisor_a")), unit)
    bare = pl.lit(unit is None) & field("divisor_a").is_null() & field("divisor_b").is_null()
    ambiguous = bare & (
        field("a").is_in(_SECONDARY_VOLTS) | field("b").is_in(_SECONDARY_VOLTS).fill_null(False)
    )
    high, low = (
        pl.max_horizontal(field("kv_a"), field("kv_b")),
        pl.min_horizontal(field("kv_a"), field("kv_b")),
    )
    star = (high <= _MAX_DISTRIBUTION_KV) & ((high / low / math.sqrt(3) - 1).abs() <= _RATIO_TOLERANCE)
    plausible = (low > 0) & (high <= MAX_KV) & ~field("ambiguous")
    zero = (field("a") == 0) & field("b").is_null()
    return staged(
        text,
        {"number": plain_number(field("text"))},
        {"folded": pl.when(field("number").is_null()).then(fold(field("text")))},
        {
            "status": pl.coalesce(
                word_status(field("folded"), words, numeric=True), number_status(field("number"), nulls)
            )
        },
        {"match": _one_of_a_list(field("folded")).str.extract_groups(_PATTERN)},
        {
            "a": pl.coalesce(field("number"), grouped_number(field("match").struct.field("a"))),
            "b": grouped_number(field("match").struct.field("b")),
            "divisor_a": _divisor(field("match").struct.field("unit_a")),
            "divisor_b": _divisor(field("match").struct.field("unit_b")),
        },
        {"kv_a": kv_a, "kv_b": kv_b, "ambiguous": ambiguous},
        {
            "value": pl.when(plausible & field("status").is_null()).then(
                pl.when(star).then(high).otherwise(low)
            )
        },
        {
            "out": pl.struct(
                value=field("value"),
                bad=field("text").is_not_null()
                & field("status").is_null()
                & field("value").is_null()
                & ~zero.fill_null(False),
            )
        },
    )


def _one_of_a_list(folded: pl.Expr) -> pl.Expr:
    """Reduce "12.47, 12.47" to its only value; leave everything else ("34,500" too) as it is."""
    parts = folded.str.replace_all(r" ?[,;] ?", "|").str.split("|")
    return pl.when(parts.list.n_unique() == 1).then(parts.list.first()).otherwise(folded)


def _divisor(unit: pl.Expr) -> pl.Expr:
    return unit.replace_strict(_DIVISORS, default=None, return_dtype=pl.Float64)


def _kv(number: pl.Expr, divisor: pl.Expr, unit: str | None) -> pl.Expr:
    if unit is not None:
        return number / divisor.fill_null(round(1 / VOLTAGE_UNITS[unit.lower()]))
    return number / pl.coalesce(divisor, pl.when(number > MAX_KV).then(1000.0).otherwise(1.0))
