"""A utility's run fills the joined tables; the past can be made anew; nothing needs more than what is shipped."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from hc_platform.charging.tables import DEVICES
from hc_platform.definitions import build_definitions
from hc_platform.geo.tables import DEVICE_FEEDERS, FEEDER_LOCATIONS, FEEDER_SUBSTATIONS
from hc_platform.hosting_capacity.tables import RECORDS, SECTIONS
from hc_platform.lake.warehouse import connect
from hc_platform.orchestration.local_runs import run_national, run_reference, run_utility
from hc_platform.orchestration.platform import Platform
from hc_platform.pipeline.snapshots import snapshot_at
from hc_platform.reference.tables import LAKE_TABLES, STATES, SUBSTATIONS, UTILITY_TERRITORIES

NOW = snapshot_at(datetime.now(UTC), "monthly")


def device(name: str, lat: float | None, lon: float | None) -> dict[str, object]:
    return {
        "device_id": name, "status": "active", "protocol": "window", "lat": lat, "lon": lon,
        "policy_id": "default", "registry_version": 1,
    }  # fmt: skip


def test_a_run_fills_the_joined_tables_with_nothing_but_what_is_shipped(
    platform: Platform, definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    line = pl.struct("centroid_lat", "centroid_lon")
    outcome = run_utility(definitions, instance, "pge", NOW)  # before any run of the reference assets
    assert outcome.error is None
    some = platform.lake.scan(SECTIONS).filter(line.is_not_null()).collect()
    near = some.filter(pl.col("geometry_type") == "LineString").row(0, named=True)
    placed = pl.DataFrame(
        [
            device("by_the_line", near["centroid_lat"], near["centroid_lon"]),
            device("lost", None, None),
            device("at_sea", 30.0, -140.0),
        ],
        schema={c: DEVICES.schema[c] for c in device("", None, None)},
    )
    platform.lake.replace(DEVICES, {}, DEVICES.conform(placed))
    assert run_national(definitions, instance).error is None

    feeders = set(platform.lake.scan(RECORDS).collect()["feeder_id_external"])
    rows = platform.lake.scan(FEEDER_LOCATIONS).collect()
    assert set(rows["feeder_id_external"]) == feeders
    assert rows.height == len(feeders)
    located = rows.filter(pl.col("location_method") == "line_share")
    assert located.height > 0.9 * rows.height
    for shares, outside in located.select("county_shares", "outside_share").iter_rows():
        total = sum(json.loads(shares or "{}").values()) + outside
        assert total == pytest.approx(1.0, abs=0.001)
    inside = located.filter(pl.col("outside_share") == 0.0)
    assert inside["state"].to_list() == ["CA"] * inside.height
    assert inside["state_at_midpoint"].to_list() == ["CA"] * inside.height
    assert set(rows.select("iso_id", "iso_method", "balancing_authority").rows()) == {
        ("caiso", "config", "CISO")
    }
    assert rows["authorities_agree"].null_count() == rows.height, "only the config says anything"

    matched = platform.lake.scan(FEEDER_SUBSTATIONS).collect()
    assert set(matched["feeder_id_external"]) == feeders
    assert set(matched["status"]) == {"unmatched"}
    assert not any("feeder_substations" in warning for warning in outcome.warnings), (
        "not configured is no fault"
    )

    chargers = {
        r["device_id"]: r for r in platform.lake.scan(DEVICE_FEEDERS).collect().filter(rank=1).to_dicts()
    }
    assert chargers["by_the_line"]["utility_code"] == "pge"
    assert chargers["by_the_line"]["method"] == "line"
    assert chargers["by_the_line"]["distance_m"] < 300
    assert chargers["by_the_line"]["snapshot"] == NOW
    assert (chargers["lost"]["status"], chargers["lost"]["method"]) == ("unmatched", "no_place")
    assert (chargers["at_sea"]["status"], chargers["at_sea"]["method"]) == ("unmatched", "none")
    with connect(str(tmp_path)) as con:
        for table, height in ((FEEDER_LOCATIONS, rows.height), (FEEDER_SUBSTATIONS, matched.height)):
            assert con.sql(f"SELECT count(*) FROM {table.name}_latest").fetchall() == [(height,)]
        assert con.sql("SELECT count(DISTINCT device_id) FROM device_feeders").fetchall() == [(3,)]


def test_an_older_snapshot_is_joined_anew_from_what_the_lake_holds(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    def at(month: int) -> dg.Definitions:
        return build_definitions(replace(platform, now=lambda: datetime(2026, month, 15, tzinfo=UTC)))

    assert run_utility(at(8), instance, "pepco", "2026-08").error is None
    partition = {"utility_code": "pepco", "snapshot": "2026-08"}
    before = platform.lake.scan(FEEDER_LOCATIONS, **partition).sort("feeder_id_external").collect()
    assert before.height
    for table in (FEEDER_LOCATIONS, FEEDER_SUBSTATIONS):
        platform.lake.replace(table, partition, table.empty())
    keys = [dg.AssetKey([t.name, "pepco"]) for t in (FEEDER_LOCATIONS, FEEDER_SUBSTATIONS)]
    job = at(10).resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(partition_key="2026-08", asset_selection=keys, instance=instance).success
    again = platform.lake.scan(FEEDER_LOCATIONS, **partition).sort("feeder_id_external").collect()
    assert again.equals(before)
    # a month that has no rows of its own shows those it is unchanged since, and writes no second copy
    assert run_utility(at(9), instance, "pepco", "2026-09").error is None
    assert {p["snapshot"] for p in platform.lake.partitions(FEEDER_LOCATIONS)} == {"2026-08"}


def test_reference_tables_are_shipped_or_empty_and_say_which_setting_fills_them(
    platform: Platform, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    outcome = run_reference(definitions, instance)
    assert outcome.error is None
    rows = {table.name: platform.lake.scan(table).collect().height for table in LAKE_TABLES}
    assert (rows["states"], rows["counties"], rows["zip_centroids"]) == (56, 3231, 33791)
    empty = sorted(name for name, height in rows.items() if not height)
    assert empty == sorted(
        ["utility_territories", "balancing_authorities", "iso_regions", "pricing_nodes", "substations"]
    )
    told = "; ".join(outcome.warnings)
    for setting in ("HC_TERRITORIES", "HC_BA_ZONES", "HC_PRICING_NODES", "HC_SUBSTATIONS"):
        assert f"set {setting} to a path" in told


def test_outlines_are_made_once_and_chargers_alone_do_not_set_the_joins_going(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    def asked(
        cursor: Any = None, at: datetime = datetime(2026, 11, 10, 12, tzinfo=UTC)
    ) -> tuple[set[str], Any]:
        result = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor, evaluation_time=at)
        return {r.key.to_user_string() for r in result.results if r.true_subset.size}, result.cursor

    first, cursor = asked()
    assert {f"reference/{t.name}" for t in LAKE_TABLES} <= first
    assert run_reference(definitions, instance).success
    assert run_national(definitions, instance).success
    again, cursor = asked(cursor, datetime(2026, 11, 10, 12, 1, tzinfo=UTC))
    assert not [name for name in again if name.startswith("reference/")]
    _, cursor = asked(cursor, datetime(2026, 11, 10, 12, 2, tzinfo=UTC))
    instance.report_runless_asset_event(dg.AssetMaterialization("devices"))
    minute, cursor = asked(cursor, datetime(2026, 11, 10, 12, 3, tzinfo=UTC))
    assert "device_feeders" not in minute
    night, cursor = asked(cursor, datetime(2026, 11, 11, 4, 0, 30, tzinfo=UTC))
    assert "device_feeders" in night
    month, _ = asked(cursor, datetime(2026, 12, 2, 5, 0, 30, tzinfo=UTC))
    assert {f"reference/{t.name}" for t in LAKE_TABLES} <= month


def test_a_reference_file_that_cannot_be_used_stops_its_table_alone_and_the_old_rows_stay(
    platform: Platform, definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    good = tmp_path / "substations.csv"
    good.write_text("utility_code,name,lat,lon\npge,ALPINE,38.6,-119.9\n")
    with_file = replace(platform, settings=platform.settings.model_copy(update={"substations": str(good)}))
    assert run_reference(build_definitions(with_file), instance).success
    assert platform.lake.scan(SUBSTATIONS).collect()["substation_name"].to_list() == ["ALPINE"]
    without = run_reference(build_definitions(platform), instance)
    assert "HC_SUBSTATIONS" in next(w for w in without.warnings if "the rows read before stay" in w)
    assert platform.lake.scan(SUBSTATIONS).collect().height == 1
    good.write_text("utility_code,name,lat,lon\npge,ALPINE,thirty,-119.9\n")
    outcome = run_reference(build_definitions(with_file), instance)
    assert not outcome.success
    assert "substations.csv (HC_SUBSTATIONS) has values that cannot be" in (outcome.error or "")
    assert "Traceback" not in (outcome.error or "")
    assert platform.lake.scan(SUBSTATIONS).collect()["substation_name"].to_list() == ["ALPINE"]
    assert platform.lake.scan(STATES).collect().height == 56
    gone = replace(platform, settings=platform.settings.model_copy(update={"territories": "gone.parquet"}))
    outcome = run_reference(build_definitions(gone), instance)
    assert "HC_TERRITORIES names gone.parquet, which is not there" in (outcome.error or "")
    assert platform.lake.version(UTILITY_TERRITORIES) >= 0
