"""Totals: nothing published is not zero, and changes are since the snapshot before."""

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl

from hc_platform.hosting_capacity.summaries import summarize
from hc_platform.hosting_capacity.tables import RECORDS, SUMMARIES

NOW = datetime(2026, 5, 20, tzinfo=UTC)


def records(*rows: dict[str, Any]) -> pl.LazyFrame:
    common = {
        "utility_code": "a", "resource": "load", "snapshot": "2026-05", "grain": "feeder", "censored": "none",
        "value_status": "published",
    }  # fmt: skip
    whole = [{**common, "feeder_id_external": str(i), **row} for i, row in enumerate(rows)]
    return pl.DataFrame(whole, schema=RECORDS.schema).lazy()


def test_totals_and_counts() -> None:
    got = summarize(
        records(
            {"hosting_capacity_mw": 2.5, "installed_dg_mw": 1.0, "constraining_metric": "voltage"},
            {"hosting_capacity_mw": 0.0, "censored": "at_floor", "constraining_metric": "thermal"},
            {"hosting_capacity_mw": -0.5, "remaining_capacity_mw": -1.0, "constraining_metric": "thermal"},
            {"hosting_capacity_mw": None, "hosting_capacity_min_mw": 7.5, "censored": "at_ceiling"},
        ),
        NOW,
    )
    assert got.schema == pl.Schema(SUMMARIES.schema)
    row = got.row(0, named=True)
    assert (row["total_feeders"], row["total_hosting_capacity_mw"], row["total_installed_dg_mw"]) == (
        4,
        2.0,
        1.0,
    )
    assert row["total_queued_dg_mw"] is None  # nobody publishes it: not 0 MW
    assert row["total_remaining_capacity_mw"] == -1.0
    assert (row["constrained_feeders_count"], row["null_capacity_count"], row["censored_count"]) == (2, 1, 2)
    assert json.loads(row["constraint_breakdown"]) == {"thermal": 2, "voltage": 1}
    assert (row["previous_snapshot"], row["total_feeders_change"], row["computed_at"]) == (None, None, NOW)


def test_sections_of_no_known_feeder_are_counted_and_not_summed() -> None:
    part = {"grain": "section", "hosting_capacity_mw": 5.0, "installed_dg_mw": 1.0}
    row = summarize(records({"hosting_capacity_mw": 2.0}, part, part), NOW).row(0, named=True)
    assert (row["total_feeders"], row["total_records"], row["unassigned_sections"]) == (1, 3, 2)
    assert (row["total_hosting_capacity_mw"], row["total_installed_dg_mw"]) == (2.0, None)
    tiles = summarize(records({**part, "grain": "tile"}, {**part, "grain": "tile"}), NOW).row(0, named=True)
    assert (tiles["total_feeders"], tiles["total_records"], tiles["total_hosting_capacity_mw"]) == (
        0,
        2,
        None,
    )


def test_points_tiles_and_classes_stand_in_no_sum_either() -> None:
    """95,731 transformers that can each take 1 MW are no 95 GW, and a class is one value of many lines."""
    rows = [
        {"grain": g, "hosting_capacity_mw": -5.0, "queued_dg_mw": 1.0}
        for g in ("point", "class", "tile", "feeder")
    ]
    row = summarize(records(*rows), NOW).row(0, named=True)
    assert (row["total_records"], row["total_feeders"], row["unassigned_sections"]) == (4, 1, 0)
    assert (row["total_hosting_capacity_mw"], row["total_queued_dg_mw"]) == (-5.0, 1.0)
    assert row["constrained_feeders_count"] == 1


def test_a_total_of_nothing_is_nothing() -> None:
    row = summarize(records({}, {}), NOW).row(0, named=True)
    assert [v for k, v in row.items() if k.startswith("total_") and k.endswith("_mw")] == [None] * 5
    assert (row["total_feeders"], row["null_capacity_count"], row["constraint_breakdown"]) == (2, 2, "{}")


def test_a_zero_is_a_total() -> None:
    assert summarize(records({"queued_dg_mw": 0.0}), NOW)["total_queued_dg_mw"].to_list() == [0.0]


def test_changes_since_the_snapshot_before_of_the_same_utility_and_resource() -> None:
    h = "hosting_capacity_mw"
    got = summarize(
        records(
            {"snapshot": "2026-05", h: 5.0}, {"snapshot": "2026-05", h: 1.0}, {"snapshot": "2026-02", h: 4.0},
            {"snapshot": "2026-04", "utility_code": "b", h: 1.0}, {"snapshot": "2026-03", "resource": "storage"},
            {"snapshot": "2026-06", "resource": "storage", h: 1.0},
        ),
        NOW,
    ).select("utility_code", "resource", "snapshot", "previous_snapshot", "total_feeders_change",
             "total_hosting_capacity_change_mw")  # fmt: skip
    assert got.rows() == [
        ("a", "load", "2026-02", None, None, None),
        ("a", "load", "2026-05", "2026-02", 1, 2.0),
        ("a", "storage", "2026-03", None, None, None),
        (
            "a",
            "storage",
            "2026-06",
            "2026-03",
            0,
            None,
        ),  # from nothing published to 1 MW is no change of 1 MW
        ("b", "load", "2026-04", None, None, None),
    ]


def test_no_records_no_summaries() -> None:
    assert summarize(RECORDS.empty().lazy(), NOW).schema == pl.Schema(SUMMARIES.schema)
