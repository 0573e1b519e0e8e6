"""Real published files through the whole path, against sums made with the csv module alone."""

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.tables import RAW_FEATURES, RECORDS, REJECTED_FEATURES, SECTIONS
from hc_platform.lake.store import Lake, open_lake
from hc_platform.pipeline.feeders import prepare_records
from hc_platform.pipeline.fetch import fetch
from hc_platform.pipeline.normalize import prepared_sections
from hc_platform.sources import SourceOptions, source_for
from hc_platform_tests.hosting_capacity.making import AT, SNAPSHOT, config

pytestmark = pytest.mark.real_data
PGE = "pge/pge_feeder_detail_2019.csv"
CONED = ["bronx", "manhattan", "queens"]


def ingest(made: UtilityConfig, folder: Path, imports: Path) -> Lake:
    lake = open_lake(str(folder / "lake"))
    source = partial(source_for, made, options=SourceOptions(import_dir=imports))
    fetch(made, SNAPSHOT, source=source, lake=lake, staging=folder / "staging", now=AT)
    with prepared_sections(made, SNAPSHOT, lake) as prepared:
        assert [c.message for c in prepared.report.checks(None) if not c.passed] == []
        prepared.commit(lake)
    prepare_records(made, SNAPSHOT, lake).commit(lake)
    return lake


def read(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def test_pge_feeder_detail_of_2019(shared_data: Path, tmp_path: Path) -> None:
    layer = {
        "path": PGE, "grain": "feeder", "layer_index": None, "record_key": ["FeederID"],
        "field_map": {
            "FeederID": "feeder_id_external", "Feeder_Nam": "feeder_name", "Substation": "substation_name",
            "Nominal_Vo": "voltage_kv", "Existing_D": "installed_dg_mw", "Queued_DG": "queued_dg_mw",
        },
    }  # fmt: skip
    made = config(layer, data_source_type="file", service_url=None, capacity_unit="kw")
    lake = ingest(made, tmp_path, shared_data)
    rows = list(read(shared_data / PGE))
    sections = lake.scan(SECTIONS).collect()
    assert len(rows) == sections.height == lake.scan(RAW_FEATURES).collect().height == 3028
    assert lake.scan(REJECTED_FEATURES).collect().is_empty()
    assert sorted(sections["feeder_id_external"]) == sorted(row["FeederID"] for row in rows)
    records = lake.scan(RECORDS).collect()
    assert records["feeder_id_external"].str.starts_with("0").sum() == 1586
    for column, field in (("installed_dg_mw", "Existing_D"), ("queued_dg_mw", "Queued_DG")):
        assert records[column].sum() == pytest.approx(sum(float(row[field]) for row in rows) / 1000, abs=1e-6)
    volts = dict(sections.select("feeder_id_external", "voltage_kv").rows())
    assert all(volts[row["FeederID"]] == float(row["Nominal_Vo"].removesuffix("kV")) for row in rows)


def test_con_edison_networks_of_2018(shared_data: Path, tmp_path: Path) -> None:
    hosting = "Network Area Hosting Capacity (kVA)"
    layers = [
        {
            "title": name, "path": f"coned/{name}_coned_network_hc.csv", "grain": "tile", "layer_index": None,
            "field_map": {
                "Borough": "substation_name", "NAID": "feeder_name", "Updated Date": "record_date",
                hosting: {"to": "hosting_capacity_mw", "unit": "kva"},
            },
        }
        for name in CONED
    ]  # fmt: skip
    made = config(*layers, data_source_type="file", service_url=None)
    lake = ingest(made, tmp_path, shared_data)
    sections = lake.scan(SECTIONS).collect()
    for name in CONED:
        rows = list(read(shared_data / f"coned/{name}_coned_network_hc.csv"))
        found = sections.filter(pl.col("layer") == name)
        assert found.height == len(rows)
        numbers = [float(row[hosting]) for row in rows if row[hosting].strip()]
        assert 0 < found["hosting_capacity_mw"].count() == len(numbers) < len(rows)  # a blank is no zero
        assert found["hosting_capacity_mw"].sum() == pytest.approx(sum(numbers) / 1000, abs=1e-6)
        assert sorted(found["substation_name"].drop_nulls()) == sorted(
            row["Borough"] for row in rows if row["Borough"]
        )
        assert found["record_date"].count() == sum(bool(row["Updated Date"].strip()) for row in rows)
    records = lake.scan(RECORDS).collect()
    assert records.height == sections.height  # areas without a feeder stand for themselves
    assert records["feeder_id_external"].n_unique() == records.height
