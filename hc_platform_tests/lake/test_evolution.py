"""A lake that is older than a column: read with NULLs, written with the column added."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from hc_platform import connect
from hc_platform.hosting_capacity.tables import RECORDS
from hc_platform.lake.store import open_lake
from hc_platform.lake.warehouse import publish

ROW = pl.DataFrame(
    {
        "utility_code": ["a"],
        "resource": ["load"],
        "snapshot": ["2026-01"],
        "feeder_id_external": ["0022"],
        "grain": ["feeder"],
        "censored": ["none"],
        "value_status": ["published"],
    }
)


def test_a_table_from_before_a_column_is_read_and_grows(tmp_path: Path) -> None:
    lake = open_lake(str(tmp_path / "lake"))
    older = replace(RECORDS, columns=tuple(c for c in RECORDS.columns if c.name != "section_count"))
    a = {"utility_code": "a", "snapshot": "2026-01"}
    lake.replace(older, a, older.conform(ROW))

    assert lake.scan(RECORDS).select("feeder_id_external", "section_count").collect().rows() == [
        ("0022", None)
    ]
    [batch] = lake.batches(RECORDS, 10, **a)
    assert batch.columns == RECORDS.names
    publish(lake, tmp_path / "warehouse.duckdb")
    with connect(str(tmp_path)) as con:
        assert con.sql(
            "SELECT feeder_id_external, section_count FROM hosting_capacity_records"
        ).fetchall() == [("0022", None)]

    newer = RECORDS.conform(ROW.with_columns(utility_code=pl.lit("b"), section_count=pl.lit(3)))
    lake.replace(RECORDS, {**a, "utility_code": "b"}, newer)
    both = lake.scan(RECORDS).select("utility_code", "section_count").sort("utility_code").collect()
    assert both.rows() == [("a", None), ("b", 3)]
    publish(lake, tmp_path / "warehouse.duckdb")
    with connect(str(tmp_path)) as con:
        assert con.sql(
            "SELECT utility_code, section_count FROM hosting_capacity_records_latest ORDER BY 1"
        ).fetchall() == [
            ("a", None),
            ("b", 3),
        ]
