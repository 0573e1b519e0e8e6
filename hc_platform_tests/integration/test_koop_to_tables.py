"""Real published files, served by a server that is none of ours, all the way to feeder records.

The expectations are computed here from the files with the standard library, not with the platform's code.
"""

import csv
import gzip
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml

from hc_platform.catalog import load_catalog
from hc_platform.definitions import build_definitions
from hc_platform.hosting_capacity.tables import (
    RAW_FEATURES,
    RECORDS,
    REJECTED_FEATURES,
    SECTIONS,
    SOURCE_LAYERS,
)
from hc_platform.orchestration.local_runs import run_national, run_utility
from hc_platform.orchestration.platform import Platform
from hc_platform.pipeline.snapshots import snapshot_at
from hc_platform.settings import Settings
from hc_platform_tests.integration.koop import koop_modules, serve_folder, write_layer

pytestmark = [pytest.mark.koop, pytest.mark.real_data]
Rows = list[dict[str, Any]]


def _config(code: str, url: str, **layer: Any) -> dict[str, Any]:
    return {
        "utility_code": code,
        "utility_name": code,
        "states": ["RI"],
        "data_source_type": "arcgis_feature",
        "service_url": url,
        "capacity_basis": "gross",
        "layers": [{"layer_index": 0, **layer}],
        "verification": {"status": "guessed", "on": "2026-11-20", "sources": ["the file itself"]},
    }


def _served(folder: Path, name: str, rows: Rows, geometry: Callable[[int], Any] = lambda n: None) -> None:
    features = [
        {"type": "Feature", "properties": {**row, "OBJECTID": n}, "geometry": geometry(n - 1)}
        for n, row in enumerate(rows, 1)
    ]
    write_layer(folder / f"{name}.geojson", features)


def _number(text: str) -> float | None:
    return float(text) if text.strip() else None


@pytest.fixture(scope="module")
def files(shared_data: Path) -> dict[str, Rows]:
    collection = json.loads(
        gzip.decompress((shared_data / "rhode_island" / "ri_generation_screen.geojson.gz").read_bytes())
    )
    with (shared_data / "pge" / "pge_feeder_detail_2019.csv").open(newline="", encoding="utf-8-sig") as file:
        pge = list(csv.DictReader(file))
    coned = []
    for borough in ("bronx", "manhattan", "queens"):
        path = shared_data / "coned" / f"{borough}_coned_network_hc.csv"
        with path.open(newline="", encoding="utf-8-sig") as file:
            coned += list(csv.DictReader(file))
    return {
        "ri": [{**f["properties"], "geometry": f["geometry"]} for f in collection["features"]],
        "pge": pge,
        "coned": coned,
    }


@pytest.fixture(scope="module")
def platform(files: dict[str, Rows], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """All three files served by Koop, ingested through Dagster."""
    koop_modules()
    folder = tmp_path_factory.mktemp("koop-tables")
    shapes = [row["geometry"] for row in files["ri"]]
    _served(
        folder,
        "ri",
        [{k: v for k, v in row.items() if k != "geometry"} for row in files["ri"]],
        shapes.__getitem__,
    )
    # whole numbers as numbers, as the layer publishes them: of a text "1993" Koop makes a date
    whole = ("Existing_D", "Queued_DG", "Total_DG")
    pge = [{k: int(v) if k in whole else v for k, v in row.items() if k != "FID"} for row in files["pge"]]
    _served(folder, "pge", pge)
    _served(
        folder,
        "coned",
        [{**r, "HC_kVA": _number(r["Network Area Hosting Capacity (kVA)"])} for r in files["coned"]],
    )
    with serve_folder(folder) as base:
        configs = [
            _config(
                "real_ri",
                f"{base}/ri/FeatureServer",
                grain="section",
                record_key=["Section_ID"],
                field_map={
                    "Network_ID": "feeder_id_external",
                    "hosting_capacity_mw": {"to": "hosting_capacity_mw", "unit": "mw"},
                },
            ),
            _config(
                "real_pge",
                f"{base}/pge/FeatureServer",
                grain="feeder",
                record_key=["FeederID"],
                field_map={
                    "FeederID": "feeder_id_external",
                    "Feeder_Nam": "feeder_name",
                    "Nominal_Vo": "voltage_kv",
                    "Existing_D": {"to": "installed_dg_mw", "unit": "kw"},
                    "Queued_DG": {"to": "queued_dg_mw", "unit": "kw"},
                },
            ),
            _config(
                "real_coned",
                f"{base}/coned/FeatureServer",
                grain="tile",
                record_key=["Borough", "NAID"],
                field_map={"HC_kVA": {"to": "hosting_capacity_mw", "unit": "kva"}},
            ),
        ]
        (folder / "configs").mkdir()
        for config in configs:
            (folder / "configs" / f"{config['utility_code']}.yaml").write_text(yaml.safe_dump(config))
        made = Platform(
            Settings(data_dir=folder / "data", min_interval_s=0), load_catalog(folder / "configs")
        )
        definitions = build_definitions(made)
        with dg.DagsterInstance.ephemeral() as instance:
            for code in made.catalog:
                outcome = run_utility(definitions, instance, code, snapshot_at(made.now(), "monthly"))
                assert outcome.error is None
            assert run_national(definitions, instance).success
        yield made


@pytest.mark.parametrize(("code", "name"), [("real_ri", "ri"), ("real_pge", "pge"), ("real_coned", "coned")])
def test_fetched_is_served_and_nothing_is_dropped(
    platform: Platform, files: dict[str, Rows], code: str, name: str
) -> None:
    mine = pl.col("utility_code") == code
    [layer] = platform.lake.scan(SOURCE_LAYERS).filter(mine).collect().to_dicts()
    assert layer["expected_count"] == layer["records_fetched"] == len(files[name])
    sections = platform.lake.scan(SECTIONS).filter(mine).collect()
    rejected = platform.lake.scan(REJECTED_FEATURES).filter(mine).collect()
    assert sections["feature_key"].n_unique() + rejected.height == len(files[name])
    raw = platform.lake.scan(RAW_FEATURES).filter(mine).select("raw_attributes").collect().to_series()
    assert len(raw) == len(files[name])


def test_rhode_island_sections_and_feeders(platform: Platform, files: dict[str, Rows]) -> None:
    sections = platform.lake.scan(SECTIONS, utility_code="real_ri").collect()
    assert sections.height == 59_535
    own = math.fsum(row["hosting_capacity_mw"] for row in files["ri"])
    assert math.fsum(sections["hosting_capacity_mw"]) == pytest.approx(own, abs=1e-6)
    assert sections["geometry"].null_count() == sum(row["geometry"] is None for row in files["ri"])
    best: dict[str, float] = {}
    for row in files["ri"]:
        best[row["Network_ID"]] = max(best.get(row["Network_ID"], -math.inf), row["hosting_capacity_mw"])
    records = platform.lake.scan(RECORDS, utility_code="real_ri").collect()
    assert dict(records.select("feeder_id_external", "hosting_capacity_mw").iter_rows()) == pytest.approx(
        best
    )
    assert "0022" in best
    assert records["length_km"].sum() == pytest.approx(sections["length_km"].sum())


def test_pge_feeders_keep_their_zeros_and_their_kilowatts(platform: Platform, files: dict[str, Rows]) -> None:
    records = platform.lake.scan(RECORDS, utility_code="real_pge").collect()
    assert set(records["feeder_id_external"]) == {row["FeederID"] for row in files["pge"]}
    assert records["feeder_id_external"].str.starts_with("0").sum() == 1_586
    # several rows of one feeder: their value stands if they agree
    values: dict[str, set[float]] = {}
    for row in files["pge"]:
        values.setdefault(row["FeederID"], set()).add(float(row["Existing_D"]) / 1000)
    agreed = {feeder: next(iter(v)) for feeder, v in values.items() if len(v) == 1}
    held = dict(
        records.drop_nulls("installed_dg_mw").select("feeder_id_external", "installed_dg_mw").iter_rows()
    )
    assert held == pytest.approx(agreed)
    volts = {float(row["Nominal_Vo"].removesuffix("kV")) for row in files["pge"] if row["Nominal_Vo"].strip()}
    assert set(records["voltage_kv"].drop_nulls()) == volts
    assert records["hosting_capacity_mw"].null_count() == records.height


def test_con_edison_blanks_are_null_and_not_zero(platform: Platform, files: dict[str, Rows]) -> None:
    column = "Network Area Hosting Capacity (kVA)"
    published = [float(row[column]) / 1000 for row in files["coned"] if row[column].strip()]
    sections = platform.lake.scan(SECTIONS, utility_code="real_coned").collect()
    rejected = platform.lake.scan(REJECTED_FEATURES, utility_code="real_coned").collect()
    assert sections.height + rejected.height == len(files["coned"])
    blank = sum(not row[column].strip() for row in files["coned"])
    assert blank > 1000
    duplicates = [json.loads(text)["HC_kVA"] for text in rejected["raw_attributes"]]
    kept = math.fsum(sections["hosting_capacity_mw"].drop_nulls())
    dropped = math.fsum(float(v) / 1000 for v in duplicates if v)
    assert kept + dropped == pytest.approx(math.fsum(published))
    assert sections["hosting_capacity_mw"].null_count() + sum(v is None for v in duplicates) == blank
    assert (sections["value_status"] == "not_published").sum() == sections["hosting_capacity_mw"].null_count()
