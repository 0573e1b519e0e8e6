"""All six utilities from the demo server into a lake: every number is the one that was drawn."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import httpx
import polars as pl
import pytest

from hc_platform.catalog.loading import Catalog, load_catalog
from hc_platform.demo import SyntheticLayer, synthetic_layers, truth
from hc_platform.demo.server import local_catalog, serve
from hc_platform.demo.synthetic import SHAPES
from hc_platform.hosting_capacity.tables import (
    INGESTION_RUNS,
    RAW_FEATURES,
    RECORDS,
    REJECTED_FEATURES,
    SECTIONS,
    SUMMARIES,
)
from hc_platform.lake.store import Lake, open_lake
from hc_platform.lake.warehouse import connect, publish
from hc_platform.pipeline.feeders import prepare_records
from hc_platform.pipeline.fetch import Fetched, fetch
from hc_platform.pipeline.national import check_records, refresh_runs, refresh_summaries, refresh_utilities
from hc_platform.pipeline.normalize import prepared_sections, previous_sections
from hc_platform.settings import PROJECT_DIR
from hc_platform.sources import SourceOptions, source_for
from hc_platform_tests.pipeline.stub import month

SNAPSHOT = "2026-05"
CODES = sorted(SHAPES)


@dataclass
class Stage:
    """A server, the configs that lead to it, and a lake that holds its first snapshot."""

    url: str
    shipped: Catalog
    local: Catalog
    layers: Mapping[str, list[SyntheticLayer]]
    lake: Lake
    folder: Path
    first: dict[str, Fetched]

    def fetch(self, code: str, at: datetime, force: bool = False) -> Fetched:
        config = self.local[code]
        source = partial(source_for, config, options=SourceOptions(min_interval_s=0))
        staging = self.folder / "staging"
        return fetch(
            config, f"{at:%Y-%m}", source=source, lake=self.lake, staging=staging, now=at, force=force
        )

    def features_served(self) -> int:
        return int(httpx.get(f"{self.url}/_demo/stats").json().get("features", 0))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("truth")
    shipped = load_catalog(PROJECT_DIR / "utility_configs")
    layers = {code: synthetic_layers(shipped[code], 0.1) for code in CODES}
    with serve(layers) as url:  # a few pages of each layer fail, once
        made = Stage(
            url, shipped, local_catalog(shipped, url), layers, open_lake(str(folder / "lake")), folder, {}
        )
        for code in CODES:
            made.first[code] = made.fetch(code, month(5))
            with prepared_sections(made.local[code], SNAPSHOT, made.lake) as prepared:
                failed = [
                    c
                    for c in prepared.report.checks(previous_sections(made.lake, code, SNAPSHOT))
                    if not c.passed
                ]
                assert not [c for c in failed if c.blocking], failed
                prepared.commit(made.lake)
            prepare_records(made.local[code], SNAPSHOT, made.lake).commit(made.lake)
        refresh_summaries(made.lake, month(5))
        refresh_runs(made.lake)
        refresh_utilities(made.lake, made.local)
        publish(made.lake, folder / "warehouse.duckdb")
        yield made


@pytest.mark.parametrize("code", CODES)
def test_rows_repetitions_ids_and_sums_are_the_drawn_ones(stage: Stage, code: str) -> None:
    sections = stage.lake.scan(SECTIONS, utility_code=code).collect()
    rejected = stage.lake.scan(REJECTED_FEATURES, utility_code=code).collect()
    raw = stage.lake.scan(RAW_FEATURES, utility_code=code).select("layer").collect()
    drawn = truth(stage.shipped[code], stage.layers[code])
    assert drawn.height > 0
    for row in drawn.rows(named=True):
        layer = stage.local[code].layer(row["layer"])
        # a copy stands under an object id of its own: only a key of the utility's own tells it from the original
        known = bool(layer.record_key)
        copies = row["repeated_rows"] if known else 0
        prefix = "unique_" if known else ""
        found = sections.filter(layer=row["layer"], resource=row["resource"])
        values = found[row["canonical"]]
        assert (raw["layer"] == row["layer"]).sum() == row["rows"]
        assert found.height == row["rows"] - copies
        assert rejected.filter(layer=row["layer"])["reason"].to_list() == ["duplicate_feature"] * copies
        assert found["feeder_id_external"].drop_nulls().n_unique() == row["feeder_ids"]
        assert values.count() == row[f"{prefix}numeric_rows"]
        assert values.sum() == pytest.approx(row[f"{prefix}sum_mw"], abs=1e-6)
    assert stage.first[code].fetched == stage.first[code].expected == raw.height


@pytest.mark.parametrize("code", CODES)
def test_rolled_up_in_shares_the_records_are_the_same(
    stage: Stage, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows a share may hold: no feeder is in two of them, and none in no share."""
    by = ["resource", "feeder_id_external"]
    whole = prepare_records(stage.local[code], SNAPSHOT, stage.lake).records.sort(by)
    rows = stage.lake.scan(SECTIONS, utility_code=code).group_by("resource").len().max().collect()["len"][0]
    monkeypatch.setattr("hc_platform.pipeline.feeders._SHARE_ROWS", rows // 3)
    shared = prepare_records(stage.local[code], SNAPSHOT, stage.lake).records
    assert not shared.equals(whole)  # they come in another order: it was rolled up in shares
    assert shared.sort(by).equals(whole)


def test_some_utility_has_repeated_rows(stage: Stage) -> None:
    assert any(truth(stage.shipped[c], stage.layers[c])["repeated_rows"].sum() for c in CODES)


@pytest.mark.parametrize("code", CODES)
def test_records_are_the_feeders_and_their_sums(stage: Stage, code: str) -> None:
    """Worked out once more from the drawn numbers, feeder by feeder, by a plain loop."""
    records = stage.lake.scan(RECORDS, utility_code=code).collect()
    for resource in stage.local[code].resources:
        best: dict[str, float] = {}
        feeders: set[str] = set()
        own: dict[str, float] = {}
        for made in stage.layers[code]:
            layer = stage.local[code].layer(made.label)
            if resource not in layer.resources:
                continue
            name = f"{resource}:hosting_capacity_mw"
            for row in made.truth.filter("served").rows(named=True):
                feeder, value = row["feeder_id"], row.get(name)
                if feeder is None:
                    continue
                feeders.add(feeder)
                if value is not None:
                    kept = own if layer.grain == "feeder" else best
                    kept[feeder] = max(value, kept.get(feeder, value))
        best |= own
        found = records.filter(pl.col("resource") == resource, grain="feeder")
        assert set(found["feeder_id_external"]) == feeders
        capacities = {
            f: v for f, v in found.select("feeder_id_external", "hosting_capacity_mw").rows() if v is not None
        }
        assert capacities == pytest.approx(best, abs=1e-9)


def test_leading_zeros_survive_to_the_warehouse(stage: Stage) -> None:
    drawn = {
        f for made in stage.layers["pge"] for f in made.truth["feeder_id"].drop_nulls() if f.startswith("0")
    }
    with connect(str(stage.folder)) as connection:
        asked = """SELECT DISTINCT feeder_id_external FROM hosting_capacity_records_latest
                   WHERE utility_code = 'pge' AND feeder_id_external[1] = '0'"""
        assert {f for (f,) in connection.sql(asked).fetchall()} == drawn
    assert drawn


def test_the_nation_adds_up(stage: Stage) -> None:
    assert all(check.passed for check in check_records(stage.lake))
    sums = stage.lake.scan(SUMMARIES).collect()
    records = stage.lake.scan(RECORDS).collect()
    assert sums["total_records"].sum() == records.height
    whole = records.filter(pl.col("grain").is_in(["feeder", "tile"]))
    assert sums["unassigned_sections"].sum() == (records["grain"] == "section").sum() > 0
    assert sums["total_hosting_capacity_mw"].sum() == pytest.approx(whole["hosting_capacity_mw"].sum())
    runs = stage.lake.scan(INGESTION_RUNS).collect()
    assert runs["status"].to_list() == ["complete"] * len(CODES)
    assert (runs["records_written"] + runs["rejected"]).to_list() == runs["records_fetched"].to_list()
    assert runs["records_fetched"].to_list() == runs["expected_count"].to_list()


@pytest.mark.parametrize("code", CODES)
def test_the_next_month_is_unchanged_and_costs_no_copy(stage: Stage, code: str) -> None:
    versions = [stage.lake.version(t) for t in (RAW_FEATURES, SECTIONS)]
    served = stage.features_served()
    again = stage.fetch(code, month(6))
    assert (again.status, again.same_as) == ("unchanged", SNAPSHOT)
    assert [stage.lake.version(t) for t in (RAW_FEATURES, SECTIONS)] == versions
    dated = stage.first[code].layers["source_edited_at"].null_count() == 0
    assert (stage.features_served() == served) is dated  # with an edit date, not a feature is downloaded


def test_both_ways_of_being_unchanged_were_met(stage: Stage) -> None:
    dated = {c: stage.first[c].layers["source_edited_at"].null_count() == 0 for c in CODES}
    assert not dated["ngrid_ny"]  # a map service tells no edit date
    assert dated["pge"]


def test_force_downloads_the_same_again(stage: Stage) -> None:
    version, served = stage.lake.version(RAW_FEATURES), stage.features_served()
    again = stage.fetch("rie", month(7), force=True)
    assert again.status == "complete"
    assert again.source_hash == stage.first["rie"].source_hash
    assert stage.lake.version(RAW_FEATURES) == version + 1
    assert stage.features_served() - served >= again.fetched
