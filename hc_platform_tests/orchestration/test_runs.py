"""Runs of the assets: what they commit, what they refuse, what the log and the UI get to see."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from hc_platform.catalog import Catalog
from hc_platform.definitions import build_definitions
from hc_platform.geo.tables import FEEDER_LOCATIONS, FEEDER_SUBSTATIONS
from hc_platform.hosting_capacity.tables import (
    INGESTION_RUNS,
    RAW_FEATURES,
    RECORDS,
    REJECTED_FEATURES,
    SECTIONS,
    SOURCE_LAYERS,
    SUMMARIES,
    UTILITIES,
)
from hc_platform.lake.warehouse import connect
from hc_platform.orchestration import utility_assets
from hc_platform.orchestration.automation import upkeep_job
from hc_platform.orchestration.hosts import host_pool
from hc_platform.orchestration.local_runs import holders, run_national, run_utility
from hc_platform.orchestration.platform import Platform
from hc_platform.pipeline.snapshots import snapshot_at
from hc_platform.reference.tables import COUNTIES
from hc_platform.settings import Settings
from hc_platform.sources import PartialPullError
from hc_platform.sources.arcgis_source import ArcGISSource

LAYERS = ("raw_features", "sections", "feeders")
NOW = snapshot_at(datetime.now(UTC), "monthly")


def test_a_run_goes_from_the_server_to_the_warehouse(
    platform: Platform, definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    outcome = run_utility(definitions, instance, "pge", NOW)
    national = run_national(definitions, instance)
    assert (outcome.error, national.error) == (None, None)

    raw = platform.lake.scan(RAW_FEATURES).collect()
    sections = platform.lake.scan(SECTIONS).collect()
    rejected = platform.lake.scan(REJECTED_FEATURES).collect()
    accepted = sections.select("layer", "feature_key").n_unique()
    assert raw.height > 900
    assert accepted + rejected.height == raw.height
    assert outcome.materialized["sections/pge"]["dagster/row_count"] == sections.height
    [commit] = [h for h in platform.lake.open(SECTIONS).history() if h.get("run_id")]  # type: ignore[union-attr]
    assert commit["run_id"] == outcome.run_id

    with connect(str(tmp_path)) as con:
        [(runs,)] = con.sql("SELECT list((utility_code, status, run_id)) FROM hc_ingestion_runs").fetchall()
        assert runs == [("pge", "complete", outcome.run_id)]
        [(latest,)] = con.sql("SELECT count(*) FROM hosting_capacity_records_latest").fetchall()
        assert latest == platform.lake.scan(RECORDS).collect().height > 0
        [(last,)] = con.sql("SELECT last_snapshot FROM utilities WHERE utility_code = 'pge'").fetchall()
        assert last == NOW
    assert platform.lake.scan(SUMMARIES).collect()["total_feeders"].sum() == latest


def test_the_second_run_is_unchanged_and_writes_no_rows(
    platform: Platform, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    run_utility(definitions, instance, "pepco", NOW)
    before = platform.lake.version(RAW_FEATURES)
    again = run_utility(definitions, instance, "pepco", NOW)
    assert again.success
    assert again.materialized["raw_features/pepco"]["status"] == f"unchanged since {NOW}"
    assert platform.lake.version(RAW_FEATURES) == before
    forced = run_utility(definitions, instance, "pepco", NOW, force=True)
    assert forced.materialized["raw_features/pepco"]["status"] == "complete"
    assert platform.lake.version(RAW_FEATURES) == before + 1


def test_a_past_snapshot_is_refused_with_the_reason(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    outcome = run_utility(definitions, instance, "pepco", "2025-03")
    assert not outcome.success
    assert "holds only today's data" in (outcome.error or "")
    assert "Traceback" not in (outcome.error or "")


def _with_unit(catalog: Catalog, code: str, unit: str) -> Catalog:
    """The catalog with every capacity field of one utility read in another unit."""
    config = catalog[code]
    layers = []
    for layer in config.layers:
        resources = {}
        for resource, spec in layer.resources.items():
            mapped = {
                f: [t.model_copy(update={"unit": unit}) if t.to.endswith("_mw") else t for t in ts]
                for f, ts in spec.field_map.items()
            }
            resources[resource] = spec.model_copy(update={"field_map": mapped})
        common = {
            f: [t.model_copy(update={"unit": unit}) if t.to.endswith("_mw") else t for t in ts]
            for f, ts in layer.field_map.items()
        }
        layers.append(layer.model_copy(update={"resources": resources, "field_map": common}))
    return Catalog({**catalog, code: config.model_copy(update={"layers": layers})})


def test_a_wrong_unit_is_blocked_and_the_old_rows_stay(
    platform: Platform, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """kW read as MW: the plausibility check fails before anything is committed, and feeders do not run."""
    assert run_utility(definitions, instance, "pepco", NOW).success
    before = platform.lake.scan(SECTIONS).sort("record_key", "resource").collect()
    wrong = build_definitions(replace(platform, catalog=_with_unit(platform.catalog, "pepco", "mw")))
    outcome = run_utility(wrong, instance, "pepco", NOW, fetch=False)
    assert not outcome.success
    assert "units_are_plausible" in (outcome.error or "")
    assert "is its unit right?" in (outcome.error or "")
    assert "feeders/pepco" not in outcome.materialized
    assert platform.lake.scan(SECTIONS).sort("record_key", "resource").collect().equals(before)
    key = dg.AssetCheckKey(dg.AssetKey(["sections", "pepco"]), "units_are_plausible")
    [record] = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.status.value == "FAILED"


def test_a_dead_server_is_a_failed_run_in_the_log(
    upstream: Catalog, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    config = upstream["pepco"].model_copy(
        update={"service_url": "http://127.0.0.1:9/arcgis/rest/services/X/FeatureServer"}
    )
    settings = Settings(data_dir=tmp_path, min_interval_s=0, attempts=1)
    dead = Platform(settings, Catalog({"pepco": config}))
    definitions = build_definitions(dead)
    outcome = run_utility(definitions, instance, "pepco", NOW)
    assert not outcome.success
    assert "pepco, layer" in (outcome.error or "")
    assert run_national(definitions, instance).success
    runs = dead.lake.scan(INGESTION_RUNS).collect()
    assert set(runs["status"]) == {"failed"}
    assert "127.0.0.1:9" in runs["error_message"][0]


def test_raw_rows_that_were_never_normalized_are_not_passed_over_when_the_source_rests(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    """A blocked month leaves newer raw rows than sections; the next, unchanged month must not be green over it."""

    def at(month: int, catalog: Catalog) -> dg.Definitions:
        return build_definitions(
            replace(platform, catalog=catalog, now=lambda: datetime(2026, month, 15, tzinfo=UTC))
        )

    assert run_utility(at(8, platform.catalog), instance, "pepco", "2026-08").success
    held = platform.lake.scan(SOURCE_LAYERS, utility_code="pepco").collect()
    edited = held.with_columns(source_hash=pl.lit("an older study"))
    platform.lake.replace(SOURCE_LAYERS, {"utility_code": "pepco", "snapshot": "2026-08"}, edited)
    version = platform.lake.version(SECTIONS)
    assert run_utility(at(9, platform.catalog), instance, "pepco", "2026-09").success
    assert platform.lake.version(SECTIONS) == version + 1, (
        "the sections were made anew from the rows that stand"
    )


def test_a_row_change_is_blocked_until_somebody_accepts_it(
    platform: Platform, instance: dg.DagsterInstance
) -> None:
    def at(month: int, where: str) -> dg.Definitions:
        config = platform.catalog["pge"]
        layers = [
            layer.model_copy(update={"where": where}) if layer.grain == "section" else layer
            for layer in config.layers
        ]
        catalog = Catalog({"pge": config.model_copy(update={"layers": layers})})
        return build_definitions(
            replace(platform, catalog=catalog, now=lambda: datetime(2026, month, 15, tzinfo=UTC))
        )

    assert run_utility(at(8, "OBJECTID > 0"), instance, "pge", "2026-08").success
    few = at(9, "CSV_LineSection < 10")
    blocked = run_utility(few, instance, "pge", "2026-09")
    assert "row_count_is_stable" in (blocked.error or "")
    assert run_national(few, instance).success
    runs = platform.lake.scan(INGESTION_RUNS).sort("started_at").collect()
    [(last,)] = platform.lake.scan(UTILITIES).select("last_ingested_at").collect().rows()
    assert runs["records_written"].is_null().to_list() == [False, True]
    assert last == runs["completed_at"][0], "a fetch whose sections are blocked has brought nothing"
    assert "--accept-row-change" in (blocked.error or "")
    assert run_utility(few, instance, "pge", "2026-09", accept_row_change=True).success


def test_upkeep_deletes_runs_past_their_retention_and_keeps_the_others(
    platform: Platform, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    outcome = run_utility(definitions, instance, "pepco", NOW)
    rows = platform.lake.scan(SECTIONS).collect().height
    assert upkeep_job(platform).execute_in_process(instance=instance).success
    assert instance.get_run_by_id(outcome.run_id) is not None
    with connect(str(platform.settings.data_dir)) as con:  # the published views name files that are there
        assert con.sql("SELECT count(*) FROM sections").fetchall() == [(rows,)]
    later = replace(platform, now=lambda: datetime.now(UTC) + timedelta(days=91))
    assert upkeep_job(later).execute_in_process(instance=instance).success
    assert instance.get_run_by_id(outcome.run_id) is None
    assert platform.lake.scan(SECTIONS).collect().height == rows


def test_national_tables_stand_empty_before_the_first_run(
    platform: Platform, definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    assert run_national(definitions, instance).success
    with connect(str(tmp_path)) as con:
        assert con.sql("SELECT count(*) FROM sections_latest").fetchall() == [(0,)]
        codes = con.sql("SELECT utility_code, last_snapshot FROM utilities ORDER BY 1").fetchall()
    assert codes == [("pepco", None), ("pge", None)]


@pytest.mark.parametrize(
    ("at", "cadence", "snapshot"),
    [
        (datetime(2026, 11, 30, tzinfo=UTC), "monthly", "2026-11"),
        (datetime(2026, 11, 30, tzinfo=UTC), "quarterly", "2026-10"),
        (datetime(2026, 1, 1, tzinfo=UTC), "quarterly", "2026-01"),
        (datetime(2026, 12, 31, tzinfo=UTC), "annual", "2026-01"),
    ],
)
def test_every_snapshot_is_a_partition_of_its_cadence(at: datetime, cadence: str, snapshot: str) -> None:
    from hc_platform.orchestration.partitions import PARTITIONS

    assert snapshot_at(at, cadence) == snapshot  # type: ignore[arg-type]
    keys = PARTITIONS[cadence].get_partition_keys(current_time=at)  # type: ignore[index]
    assert keys[-1] == snapshot
    assert len(keys) == len(set(keys))
    assert pl.Series(keys).is_sorted()


def test_an_unchanged_month_makes_rows_anew_only_when_the_config_changed(
    platform: Platform, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """The rows of an unchanged month stand under the month they were fetched in; a config fix must reach them."""

    def month(number: int, catalog: Catalog) -> tuple[dg.Definitions, Platform]:
        made = replace(platform, catalog=catalog, now=lambda: datetime(2026, number, 15, tzinfo=UTC))
        return build_definitions(made), made

    first, made = month(9, platform.catalog)
    assert run_utility(first, instance, "pepco", "2026-09").success
    version = made.lake.version(SECTIONS)
    derived = (SECTIONS, RECORDS, FEEDER_LOCATIONS, FEEDER_SUBSTATIONS)
    versions = [made.lake.version(table) for table in derived]

    second, made = month(10, platform.catalog)
    outcome = run_utility(second, instance, "pepco", "2026-10")
    for layer in (*LAYERS[1:], "feeder_locations", "feeder_substations"):
        assert outcome.materialized[f"{layer}/pepco"] == {"unchanged since": "2026-09"}
    assert [made.lake.version(table) for table in derived] == versions

    # a reference table that is another now is read by the next run, though the source rests
    counties = made.lake.scan(COUNTIES).collect()
    made.lake.replace(COUNTIES, {}, counties)
    again = run_utility(second, instance, "pepco", "2026-10")
    assert again.materialized["feeders/pepco"] == {"unchanged since": "2026-09"}
    assert made.lake.version(FEEDER_LOCATIONS) == versions[2] + 1
    assert made.lake.version(FEEDER_SUBSTATIONS) == versions[3]

    config = platform.catalog["pepco"]
    basis = (
        "gross" if made.lake.scan(RECORDS).collect()["capacity_basis"][0] != "gross" else "net_of_existing"
    )
    layers = [
        layer.model_copy(
            update={
                "resources": {
                    r: spec.model_copy(update={"capacity_basis": basis})
                    for r, spec in layer.resources.items()
                }
            }
        )
        for layer in config.layers
    ]
    third, made = month(11, Catalog({"pepco": config.model_copy(update={"layers": layers})}))
    assert run_utility(third, instance, "pepco", "2026-11").success
    assert made.lake.version(SECTIONS) == version + 1
    assert {p["snapshot"] for p in made.lake.partitions(RECORDS)} == {"2026-09"}
    assert set(made.lake.scan(RECORDS).collect()["capacity_basis"]) == {basis}
    assert run_national(third, instance).success
    with connect(str(tmp_path)) as con:
        latest = con.sql("SELECT DISTINCT capacity_basis FROM hosting_capacity_records_latest").fetchall()
    assert latest == [(basis,)]


def test_a_pull_that_came_short_is_tried_again_within_the_run(
    platform: Platform, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    class ShortOnce(ArcGISSource):
        def pull(self, *arguments: Any) -> Any:
            tries.append("pull")
            if len(tries) == 1:
                raise PartialPullError("pepco: 3 features are missing")
            return super().pull(*arguments)

    monkeypatch.setattr(
        utility_assets, "source_for", lambda config, layer, **more: ShortOnce(more["options"])
    )
    monkeypatch.setattr(utility_assets, "_RETRIES", dg.RetryPolicy(max_retries=1, delay=0))
    outcome = run_utility(build_definitions(platform), instance, "pepco", NOW)
    assert outcome.success, outcome.error
    assert len(tries) > 1
    key = dg.AssetCheckKey(dg.AssetKey(["raw_features", "pepco"]), "count_equals_server")
    history = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
    assert next(record.status.value for record in history) == "SUCCEEDED"


def test_who_holds_a_hosts_slot_is_told(platform: Platform, tmp_path: Path) -> None:
    pool = host_pool(platform.catalog["pepco"])
    with dg.instance_for_test(overrides={"concurrency": {"pools": {"default_limit": 1}}}) as instance:
        assert holders(instance, pool) == []
        instance.event_log_storage.initialize_concurrency_limit_to_default(pool)
        run = instance.create_run_for_job(dg.GraphDefinition("x", node_defs=[]).to_job())
        instance.event_log_storage.claim_concurrency_slot(pool, run.run_id, "step")
        assert holders(instance, pool) == [run.run_id]
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        assert holders(instance, pool) == []
