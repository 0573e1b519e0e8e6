"""Raw attributes (JSON text) -> one text column per published field.

What belongs here: pulling the named fields out of JSON, and rows that hold several feeders as parallel lists.
What does not: reading a value out of its text (`values`), or what the fields mean (`sections`).
"""

import json
from functools import cache

import duckdb
import polars as pl

from hc_platform.catalog.layers import Explode
from hc_platform.hosting_capacity.values import split_list


def extract_fields(raw_attributes: pl.Series, fields: list[str]) -> pl.DataFrame:
    """The named fields as String columns, in the order of the rows.

    Numbers become their JSON text ("1011.0", "1714521600000"), so that ids and numbers-in-text take one path.
    DuckDB's JSON reader is used because it takes any value as text and is fifteen times as fast as
    `str.json_decode` (200,000 rows of 21 attributes: 0.14 s against 2.4 s).
    """
    if not fields:
        return pl.DataFrame({"__rows": raw_attributes}).select([])
    shape = json.dumps(dict.fromkeys(fields, "VARCHAR"))
    source = raw_attributes.rename("attributes").to_frame()
    with _database().cursor() as connection:
        connection.register("source", source)
        query = "SELECT unnest(from_json(attributes, ?)) FROM source"
        return pl.DataFrame(connection.sql(query, params=[shape]).to_arrow_table())


def explode(frame: pl.DataFrame, spec: Explode) -> tuple[pl.DataFrame, pl.Series]:
    """One row for each element of the parallel lists, and the rows (a mask over `frame`) whose lists disagree.

    Rows with ragged lists are left out of the result: which value belongs to which feeder is not known.
    """
    lists = frame.with_columns(split_list(pl.col(c), separator=spec.separator) for c in spec.columns)
    lengths = [pl.col(c).list.len().fill_null(0) for c in spec.columns]
    ragged = lists.select(
        pl.any_horizontal([n != lengths[0] for n in lengths] or [pl.lit(False)])
    ).to_series()
    return lists.filter(~ragged).explode(spec.columns), ragged


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """One empty in-memory database per process: opening one costs as much as reading 5,000 rows."""
    return duckdb.connect()
