"""Which snapshots are compared, and that the tables follow when one of them is made anew."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hc_platform.hosting_capacity.derived_tables import FEEDER_CHANGES, MONTHLY_CHANGES
from hc_platform.hosting_capacity.tables import INGESTION_EVENTS, RECORDS
from hc_platform.lake.store import Lake
from hc_platform.pipeline.changes import refresh_changes, refresh_monthly, snapshot_pairs


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


def put(lake: Lake, snapshot: str, config: str = "one", **mw: dict[str, float]) -> pl.DataFrame:
    """Records of a snapshot as feeders/<code> leaves them: resource -> feeder -> MW; and their changes."""
    rows: list[dict[str, Any]] = [
        {
            "utility_code": "pge",
            "resource": resource,
            "snapshot": snapshot,
            "feeder_id_external": feeder,
            "grain": "feeder",
            "hosting_capacity_mw": value,
            "censored": "none",
            "value_status": "published",
        }
        for resource, feeders in mw.items()
        for feeder, value in feeders.items()
    ]
    lake.replace(
        RECORDS,
        {"utility_code": "pge", "snapshot": snapshot},
        pl.DataFrame(rows, schema=RECORDS.schema),
    )
    event = {
        "ingestion_id": f"{snapshot}-{config}",
        "utility_code": "pge",
        "snapshot": snapshot,
        "at": datetime.now(UTC),
        "status": "normalized",
        "config_hash": config,
    }
    lake.append(INGESTION_EVENTS, pl.DataFrame([event], schema=INGESTION_EVENTS.schema))
    return refresh_changes(lake, "pge", snapshot)


def words(lake: Lake) -> dict[tuple[str, str, str], str]:
    rows = lake.scan(FEEDER_CHANGES).collect()
    return {
        (r["previous_snapshot"], r["snapshot"], r["feeder_id_external"]): r["change"]
        for r in rows.iter_rows(named=True)
    }


def test_each_snapshot_is_compared_with_the_one_before_and_the_past_stays(lake: Lake) -> None:
    assert put(lake, "2026-08", generation={"a": 1.0, "b": 2.0}).is_empty()
    put(lake, "2026-09", generation={"a": 1.5, "b": 2.0})
    newest = put(lake, "2026-11", generation={"a": 1.5, "c": 3.0})  # October had no change, and no rows
    assert newest["change"].to_list() == ["gone", "new"]
    assert words(lake) == {
        ("2026-08", "2026-09", "a"): "raised",
        ("2026-09", "2026-11", "b"): "gone",
        ("2026-09", "2026-11", "c"): "new",
    }


def test_a_snapshot_made_anew_mends_the_comparison_after_it_too(lake: Lake) -> None:
    put(lake, "2026-08", generation={"a": 1.0})
    put(lake, "2026-09", generation={"a": 2.0})
    put(lake, "2026-10", generation={"a": 2.0})
    put(lake, "2026-09", generation={"a": 1.0})  # rebuilt after a fix
    assert words(lake) == {("2026-09", "2026-10", "a"): "raised"}


def test_a_resource_that_a_month_lacks_is_compared_with_the_last_that_had_it(lake: Lake) -> None:
    put(lake, "2026-08", generation={"a": 1.0}, load={"a": 5.0})
    put(lake, "2026-09", generation={"a": 1.0})
    put(lake, "2026-10", generation={"a": 1.0}, load={"a": 4.0})
    assert words(lake) == {("2026-08", "2026-10", "a"): "lowered"}
    pairs = snapshot_pairs(lake).select("resource", "previous_snapshot", "snapshot").rows()
    assert pairs == [
        ("generation", "2026-08", "2026-09"),
        ("generation", "2026-09", "2026-10"),
        ("load", "2026-08", "2026-10"),
    ]


def test_another_config_is_flagged_and_a_month_without_change_has_its_row(lake: Lake) -> None:
    put(lake, "2026-08", generation={"a": 1.0})
    put(lake, "2026-09", generation={"a": 1.0})
    put(lake, "2026-10", config="two", generation={"a": 1000.0})
    assert lake.scan(FEEDER_CHANGES).collect()["config_changed"].to_list() == [True]
    frame = refresh_monthly(lake)
    assert frame.equals(lake.scan(MONTHLY_CHANGES).collect())
    assert frame.select("snapshot", "config_changed", "raised", "raised_mw").rows() == [
        ("2026-09", False, 0, None),
        ("2026-10", True, 1, 999.0),
    ]


def test_the_first_snapshot_of_an_empty_lake_is_compared_with_nothing(lake: Lake) -> None:
    assert refresh_changes(lake, "pge", "2026-08").is_empty()
    assert refresh_monthly(lake).is_empty()
