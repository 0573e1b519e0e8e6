"""Reading texts with the parsers under test: one among others, or many at once."""

from functools import partial
from typing import Any

import polars as pl
import pytest

from hc_platform.hosting_capacity.values import (
    parse_capacity,
    parse_date,
    parse_identifier,
    parse_network,
    parse_overhead,
    parse_phase,
    parse_text,
    parse_voltage_kv,
    split_list,
)

Parser = Any
PARSERS: dict[str, Parser] = {
    "capacity": partial(parse_capacity, unit="kw", ceiling=10_000, floor=0, nulls={"-1": "not_published"}),
    "voltage": parse_voltage_kv,
    "voltage_in_v": partial(parse_voltage_kv, unit="v"),
    "date": parse_date,
    "phase": parse_phase,
    "overhead": parse_overhead,
    "network": parse_network,
    "text": parse_text,
    "identifier": parse_identifier,
    "list": split_list,
}


def one(parser: Parser, text: str | None) -> Any:
    """Parse one text in a column among others, so that no scalar shortcut of Polars takes part."""
    frame = pl.DataFrame({"field": ["12", text, None, "450 - 600", "x"]}, schema={"field": pl.String})
    return frame.select(parser(pl.col("field"))).to_series().to_list()[1]


def many(parser: Parser, texts: list[str]) -> list[Any]:
    frame = pl.DataFrame({"field": texts}, schema={"field": pl.String})
    return frame.select(parser(pl.col("field"))).to_series().to_list()


def cases(*rows: tuple[Any, ...]) -> list[Any]:
    return [pytest.param(*row, id=repr(row[0])) for row in rows]
