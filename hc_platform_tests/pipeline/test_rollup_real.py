"""Real published rows through the shipped configs to feeder records, against numbers worked out apart from them.

docs/rollup.md tells what these files are and holds the same figures.
"""

import csv
import gzip
import json
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import shapely
from pyproj import Geod

from hc_platform.catalog.loading import load_catalog
from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.tables import RAW_FEATURES, RECORDS, REJECTED_FEATURES, SECTIONS
from hc_platform.lake.store import Lake, open_lake
from hc_platform.pipeline.feeders import prepare_records
from hc_platform.pipeline.fetch import fetch
from hc_platform.pipeline.normalize import prepared_sections
from hc_platform.settings import PROJECT_DIR
from hc_platform.sources import SourceOptions, source_for
from hc_platform_tests.hosting_capacity.making import AT, SNAPSHOT, put

pytestmark = pytest.mark.real_data
H, LO, HI = "hosting_capacity_mw", "hosting_capacity_min_mw", "hosting_capacity_max_mw"
WGS84 = Geod(ellps="WGS84")


def shipped(code: str) -> UtilityConfig:
    return load_catalog(PROJECT_DIR / "utility_configs")[code]


def rolled_up(made: UtilityConfig, lake: Lake) -> pl.DataFrame:
    """Normalize and roll up what stands in the lake; returns the records, sorted."""
    with prepared_sections(made, SNAPSHOT, lake) as prepared:
        assert [c.message for c in prepared.report.checks(None) if c.blocking and not c.passed] == []
        prepared.commit(lake)
    prepare_records(made, SNAPSHOT, lake).commit(lake)
    return lake.scan(RECORDS).collect().sort("feeder_id_external")


# --- Rhode Island -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ri_sections(shared_data: Path) -> list[dict[str, Any]]:
    packed = shared_data / "rhode_island" / "ri_generation_screen.geojson.gz"
    return list(json.loads(gzip.decompress(packed.read_bytes()))["features"])


@pytest.fixture(scope="module")
def ri_feeders(shared_data: Path) -> dict[str, dict[str, Any]]:
    file = shared_data / "rhode_island" / "ri_feeder_generation_449.geojson"
    return {f["properties"]["Network_ID"]: f for f in json.loads(file.read_text())["features"]}


@pytest.fixture(scope="module")
def ri_records(ri_sections: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The sections as the service has them: its field is called HC, and the copy lacks the fields without a number."""
    made, lake = shipped("rie"), open_lake(str(tmp_path_factory.mktemp("rie")))
    [layer] = made.layers
    missing = dict.fromkeys(set(layer.named_fields) - {"Network_ID", "Section_ID", "HC"})
    rows = [
        {k: s["properties"][k] for k in ("Network_ID", "Section_ID")} | {"HC": s["properties"][H], **missing}
        for s in ri_sections
    ]
    shapes = shapely.from_geojson([json.dumps(s["geometry"]) for s in ri_sections])
    ids = range(1, len(rows) + 1)
    raw = pl.DataFrame(
        {
            "utility_code": "rie", "snapshot": SNAPSHOT, "layer": layer.label, "object_id": ids,
            "feature_key": [str(i) for i in ids], "raw_attributes": [json.dumps(row) for row in rows],
            "geometry": list(shapely.to_wkb(shapes)), "fetched_at": AT,
        },
        schema_overrides=RAW_FEATURES.schema,
    )  # fmt: skip
    put(lake, made, [RAW_FEATURES.conform(raw)])
    return rolled_up(made, lake)


def values_of(sections: list[dict[str, Any]]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = defaultdict(list)
    for section in sections:
        values[section["properties"]["Network_ID"]].append(section["properties"][H])
    return values


def test_rhode_islands_records_are_its_feeders_with_the_greatest_least_and_count_of_their_sections(
    ri_records: pl.DataFrame, ri_sections: list[dict[str, Any]], ri_feeders: dict[str, Any]
) -> None:
    values = values_of(ri_sections)
    assert ri_records["feeder_id_external"].to_list() == sorted(values) == sorted(ri_feeders)
    assert ri_records.height == 449
    assert {"0022", "0024"} <= set(ri_records["feeder_id_external"])
    got = ri_records.select("feeder_id_external", H, LO, HI, "section_count").rows()
    assert got == [(f, max(v), min(v), max(v), len(v)) for f, v in sorted(values.items())]
    assert ri_records["section_count"].sum() == 59_535
    assert set(ri_records["grain"]) == {"feeder"}


def test_each_value_of_the_feeder_file_is_that_of_one_of_its_sections(
    ri_records: pl.DataFrame, ri_sections: list[dict[str, Any]], ri_feeders: dict[str, Any]
) -> None:
    """The file is a drawing of the feeders: each carries the value of one section. So it equals the greatest where the
    sections agree, or where that one is the greatest; every other feeder's lies within our bounds."""
    values = values_of(ri_sections)
    told = {feeder: f["properties"][H] for feeder, f in ri_feeders.items()}
    assert all(told[f] in values[f] for f in told)
    kinds = {
        f: "one value" if len(set(v)) == 1 else {max(v): "greatest", min(v): "least"}.get(told[f], "between")
        for f, v in values.items()
    }
    counts = {
        kind: list(kinds.values()).count(kind) for kind in ("one value", "greatest", "between", "least")
    }
    assert counts == {"one value": 158, "greatest": 39, "between": 198, "least": 54}  # docs/rollup.md
    ours = {f: (h, lo, hi) for f, h, lo, hi in ri_records.select("feeder_id_external", H, LO, HI).rows()}
    equal = {f for f in told if ours[f][0] == told[f]}
    assert equal == {f for f, kind in kinds.items() if kind in ("one value", "greatest")}
    assert len(equal) == 197
    assert all(ours[f][1] <= told[f] <= ours[f][2] for f in told)


def test_lengths_are_geodesic_and_those_of_the_drawn_feeders(
    ri_records: pl.DataFrame, ri_sections: list[dict[str, Any]], ri_feeders: dict[str, Any]
) -> None:
    apart: dict[str, float] = defaultdict(float)
    for section in ri_sections:
        shape = shapely.from_geojson(json.dumps(section["geometry"]))
        apart[section["properties"]["Network_ID"]] += WGS84.geometry_length(shape) / 1000
    ours = dict(ri_records.select("feeder_id_external", "length_km").rows())
    assert ours == pytest.approx(apart, rel=1e-4)
    # the drawing rounds to 0.0001 degrees, so that its lines zigzag: they are longer by 3 % in the middle
    drawn = {
        f: WGS84.geometry_length(shapely.from_geojson(json.dumps(x["geometry"]))) / 1000
        for f, x in ri_feeders.items()
    }
    ratios = np.array([drawn[f] / ours[f] for f in ours])
    assert 1.0 < np.median(ratios) < 1.05
    assert 0.9 < ratios.min() < ratios.max() < 1.5


# --- NYSEG and RG&E ---------------------------------------------------------------------------------

FILES = {"installed generators": "utility1_install_der.csv", "planned generators": "utility1_planned_der.csv"}


def test_new_yorks_generators_add_up_to_their_circuits(shared_data: Path, tmp_path: Path) -> None:
    whole = shipped("nyseg").model_dump(exclude_none=True)
    layers = [
        layer | {"path": f"ny_utility1/{FILES[layer['title']]}", "optional": False}
        for layer in whole["layers"]
        if layer["grain"] == "der"
    ]
    made = UtilityConfig.model_validate(whole | {"layers": layers})
    lake = open_lake(str(tmp_path / "lake"))
    source = partial(source_for, made, options=SourceOptions(import_dir=shared_data))
    fetch(made, SNAPSHOT, source=source, lake=lake, staging=tmp_path / "staging", now=AT)
    records = rolled_up(made, lake)

    columns = dict(zip(FILES, ("installed_dg_mw", "queued_dg_mw"), strict=True))
    sums: dict[str, dict[str, float]] = {c: defaultdict(float) for c in columns.values()}
    loose = dict.fromkeys(columns.values(), 0.0)
    circuits, unknown, rows = set(), 0, set()
    for title, name in FILES.items():
        with (shared_data / "ny_utility1" / name).open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                circuit, rating = row["ProjectCircuitID"].strip(), row["NamePlateRating"]
                if circuit.upper().startswith("T"):
                    continue  # on a transmission line: the config's filter
                project = (title, row["ProjectID"], circuit, rating)
                if project in rows:
                    continue  # one project stands there twice
                rows.add(project)
                mw = 0.0 if rating == "NULL" else float(rating) / 1000
                if circuit in ("NULL", "na"):
                    unknown += 1
                    loose[columns[title]] += mw
                    continue
                circuits.add(circuit)
                if rating != "NULL":
                    sums[columns[title]][circuit] += mw
    assert lake.scan(SECTIONS).collect().height == len(rows) == 15_313
    assert lake.scan(REJECTED_FEATURES).collect()["reason"].to_list() == ["duplicate_feature"]
    assert set(records["feeder_id_external"]) == circuits
    for column, expected in sums.items():
        found = dict(records.filter(pl.col(column).is_not_null()).select("feeder_id_external", column).rows())
        assert found == pytest.approx(dict(expected), abs=1e-9)
    assert records[H].null_count() == records.height
    assert set(records["value_status"]) == {"not_published"}
    unplaced = prepare_records(made, SNAPSHOT, lake).unplaced
    assert unplaced == pytest.approx({"generators": unknown, **loose})
    assert (len(circuits), unknown) == (1348, 435)  # docs/rollup.md
