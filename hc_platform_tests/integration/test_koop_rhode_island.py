"""Rhode Island Energy's 59,535 real line sections, through a real server."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import shapely

from hc_platform.arcgis import HttpOptions, describe_layer, layer_state, pull_layer, query_features_geojson
from hc_platform_tests.integration.koop import PROJECT, serve_folder, write_layer

SOURCE = PROJECT.parent / "shared" / "data" / "rhode_island" / "ri_generation_screen.geojson.gz"
HTTP = HttpOptions(min_interval_s=0)
pytestmark = [
    pytest.mark.koop,
    pytest.mark.real_data,
    pytest.mark.skipif(not SOURCE.exists(), reason=f"{SOURCE} is not there"),
]


@pytest.fixture(scope="module")
def features() -> list[dict[str, Any]]:
    found = json.loads(gzip.decompress(SOURCE.read_bytes()))["features"]
    for number, feature in enumerate(found, start=1):
        feature["properties"]["OBJECTID"] = number
    return list(found)


@pytest.fixture(scope="module")
def service(features: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("koop")
    write_layer(folder / "ri_sections.geojson", features)
    with serve_folder(folder) as root:
        yield f"{root}/ri_sections/FeatureServer"


def test_all_sections_arrive_unchanged(service: str, features: list[dict[str, Any]], tmp_path: Path) -> None:
    info = describe_layer(service, layer_index=0, http=HTTP)
    pulled = pull_layer(info, tmp_path, http=HTTP)
    assert (pulled.status, pulled.plan, pulled.rows) == ("complete", "oid_windows", 59_535)
    frame = pl.concat([pl.read_parquet(path) for path in pulled.files])
    assert frame["object_id"].to_list() == list(range(1, 59_536))
    columns = {"Section_ID": pl.String, "Network_ID": pl.String, "hosting_capacity_mw": pl.Float64}
    rows = frame["attributes"].str.json_decode(pl.Struct(columns)).struct.unnest()
    own = [feature["properties"] for feature in features]
    assert rows["Section_ID"].to_list() == [row["Section_ID"] for row in own]
    assert rows["Network_ID"].to_list() == [row["Network_ID"] for row in own]
    assert "0022" in rows["Network_ID"], "leading zeros are part of an id"
    assert rows["hosting_capacity_mw"].to_list() == [row["hosting_capacity_mw"] for row in own]
    assert rows["hosting_capacity_mw"].sum() == pytest.approx(sum(row["hosting_capacity_mw"] for row in own))
    shapes = shapely.from_wkb(frame["geometry"].to_list())
    expected = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
    assert shapely.equals_exact(shapes, expected, tolerance=1e-9).all()


def test_state_is_cheap(service: str) -> None:
    info = describe_layer(service, layer_index=0, http=HTTP)
    assert layer_state(info, http=HTTP).count == 59_535


def test_geojson_of_one_feeder(service: str, features: list[dict[str, Any]]) -> None:
    answer = query_features_geojson(f"{service}/0", where="Network_ID = '0022'", http=HTTP)
    own = [feature for feature in features if feature["properties"]["Network_ID"] == "0022"]
    assert len(answer["features"]) == len(own) > 0
    for ours, theirs in zip(answer["features"], own, strict=True):
        assert ours["properties"] == theirs["properties"]
        assert shapely.from_geojson(json.dumps(ours["geometry"])).equals_exact(
            shapely.from_geojson(json.dumps(theirs["geometry"])), 1e-9
        )
