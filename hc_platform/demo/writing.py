"""How numbers are written into published columns: text voltages, sentinels, ids with zeros, odd dates.

What belongs here: makers of one column, general over utilities. What does not: which utility writes which
column so (`shapes`), or drawing the numbers (`numbers`).
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import polars as pl

from hc_platform.demo.numbers import MISSING, REDACTED, Rows

Maker = Callable[[Rows], pl.Series]

MAY_2026_MS: Final = 1_777_593_600_000
_DAY_MS: Final = 86_400_000
BEFORE_1970_MS: Final = -2_209_161_600_000
"""30 December 1899: what an empty spreadsheet date becomes on a map server."""

LIMITS: Final = (
    "Steady State Voltage",
    "Thermal",
    "Voltage Variation",
    "Protection",
    "Operational Flexibility",
    "Telemetry Requirement",  # no vocabulary knows it
    "The most limiting criteria cannot be provide...",
    None,
)
_LIMIT_SHARES: Final = (0.4, 0.25, 0.1, 0.12, 0.06, 0.01, 0.01, 0.05)


def kilowatts(name: str) -> Maker:
    """Whole kW."""
    return lambda rows: (rows.number(name) * 1000).round(0).cast(pl.Int64)


def kilowatts_float(name: str) -> Maker:
    """KW with decimals."""
    return lambda rows: (rows.number(name) * 1000).round(3)


def megawatts(name: str, *, redacted: float | None = None, missing: float | None = None) -> Maker:
    """MW, with sentinels where the value is withheld or absent."""

    def make(rows: Rows) -> pl.Series:
        status = rows.status.get(name, np.zeros(rows.count, dtype=np.int64))
        value = rows.number(name).to_numpy().copy()
        if redacted is not None:
            value[status == REDACTED] = redacted
        if missing is not None:
            value[status == MISSING] = missing
        return pl.Series(value).fill_nan(None)

    return make


def megawatts_text(name: str) -> Maker:
    """MW as text, "Redacted" and "NA" among it."""

    def make(rows: Rows) -> pl.Series:
        status = pl.Series(rows.status[name])
        text = pl.select(
            pl.when(status == REDACTED)
            .then(pl.lit("Redacted"))
            .when(status == MISSING)
            .then(pl.lit("NA"))
            .otherwise(rows.number(name).cast(pl.String))
        )
        return text.to_series()

    return make


def of_feeder(column: str) -> Maker:
    """A column of the feeders' table."""
    return lambda rows: rows.of(column)


def feeder_text(template: str, *columns: str) -> Maker:
    """Columns of the feeders' table in a text: '{}kV'."""
    return lambda rows: _format(template, [rows.of(column).cast(pl.String) for column in columns])


def constant(value: str | int | float) -> Maker:
    """The same value in every row."""
    return lambda rows: pl.repeat(value, rows.count, eager=True)


def words(*choices: str | None, shares: tuple[float, ...] | None = None) -> Maker:
    """One of a few words."""
    return lambda rows: rows.take(choices, shares)


def limits() -> Maker:
    """The name of what binds, now and then one that nobody knows."""
    return words(*LIMITS, shares=_LIMIT_SHARES)


def month_text(month: str) -> Maker:
    """A month in words, 'May 2026', rarely empty."""
    return words(month, None, shares=(0.99, 0.01))


def us_date(never: float = 0.02) -> Maker:
    """MM/DD/YYYY, and 01/01/9999 for never."""

    def make(rows: Rows) -> pl.Series:
        days = pl.Series(rows.rng.integers(19_500, 20_600, rows.count)).cast(pl.Int32).cast(pl.Date)
        text = days.dt.strftime("%m/%d/%Y")
        return text.set(pl.Series(rows.rng.random(rows.count) < never), "01/01/9999")

    return make


def epoch_ms(before_1970: float = 0.0) -> Maker:
    """Milliseconds since 1970, negative where a date was empty once."""

    def make(rows: Rows) -> pl.Series:
        days = rows.rng.integers(0, 90, rows.count)
        return pl.Series(
            np.where(rows.rng.random(rows.count) < before_1970, BEFORE_1970_MS, MAY_2026_MS - days * _DAY_MS)
        )

    return make


def section_number(start: int = 1, step: int = 1) -> Maker:
    """The section's number inside its feeder."""
    return lambda rows: pl.Series(start + step * rows.section)


def row_number(start: int, step: int = 1) -> Maker:
    """A number unique in the layer."""
    return lambda rows: pl.Series(start + step * np.arange(rows.count))


def row_text(template: str, start: int) -> Maker:
    """A text unique in the layer."""
    return lambda rows: _format(template, [pl.Series(start + np.arange(rows.count)).cast(pl.String)])


def when_served(served: str | int, other: str | int) -> Maker:
    """The value that the config's filter asks for, and another in the rows it must leave out."""

    def make(rows: Rows) -> pl.Series:
        here = pl.when(pl.Series(rows.served))
        return pl.select(here.then(pl.lit(served)).otherwise(pl.lit(other))).to_series()

    return make


def _format(template: str, parts: list[pl.Series]) -> pl.Series:
    return pl.select(pl.format(template, *parts)).to_series()
