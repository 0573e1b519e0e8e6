"""Raw attributes (JSON text) -> one text column per published field.

What belongs here: pulling named fields out of JSON. What does not: cells that hold several fields or rows (`packed`),
reading a value out of its text (`values`), or what the fields mean (`sections`).
"""

import json
from functools import cache

import duckdb
import polars as pl


def extract_fields(raw_attributes: pl.Series, fields: list[str]) -> pl.DataFrame:
    """The named fields as String columns, in the order of the rows.

    Numbers become their JSON text ("1011.0", "1714521600000"), so that ids and numbers-in-text take one path.
    DuckDB's JSON reader is used because it takes any value as text and is fifteen times as fast as
    `str.json_decode` (200,000 rows of 21 attributes: 0.14 s against 2.4 s).
    """
    if not fields:
        return pl.DataFrame({"__rows": raw_attributes}).select([])
    shape = json.dumps(dict.fromkeys(fields, "VARCHAR"))
    return ask("SELECT unnest(from_json(text, ?)) FROM cells", raw_attributes, shape)


def ask(query: str, cells: pl.Series, *parameters: str) -> pl.DataFrame:
    """The answer of DuckDB's JSON functions on the texts, which the query finds as column `text` of `cells`."""
    with _database().cursor() as connection:
        connection.register("cells", cells.rename("text").to_frame())
        return pl.DataFrame(connection.sql(query, params=list(parameters)).to_arrow_table())


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """One empty in-memory database per process: opening one costs as much as reading 5,000 rows."""
    return duckdb.connect()
