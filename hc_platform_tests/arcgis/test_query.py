"""The functions for people at a prompt."""

from __future__ import annotations

import pytest

from hc_platform.arcgis import (
    ArcGISError,
    HttpOptions,
    compute_centroid,
    query_features,
    query_features_geojson,
    web_mercator_to_wgs84,
)
from hc_platform_tests.integration.fake_arcgis import FakeLayer, serve_layer
from hc_platform_tests.integration.fault_proxy import fault_proxy

HTTP = HttpOptions(min_interval_s=0, max_backoff_s=0.001)


def test_features_and_geojson_are_the_same_rows() -> None:
    layer = FakeLayer(700, max_record_count=100)
    with serve_layer(layer) as url:
        esri = query_features(f"{url}/0", http=HTTP)
        geojson = query_features_geojson(f"{url}/0", http=HTTP)["features"]
        mercator = query_features(f"{url}/0", out_sr=3857, max_records=1, http=HTTP)[0]["geometry"]
    assert (
        [row["attributes"] for row in esri]
        == list(layer.rows.values())
        == [row["properties"] for row in geojson]
    )
    assert [row["id"] for row in geojson] == list(layer.rows)
    assert esri[0]["geometry"]["paths"] == [layer.path(1)]
    assert geojson[0]["geometry"] == {"type": "LineString", "coordinates": layer.path(1)}
    assert web_mercator_to_wgs84(*mercator["paths"][0][0]) == pytest.approx(layer.path(1)[0])


def test_parameters() -> None:
    with serve_layer(FakeLayer(700, max_record_count=100)) as url:
        rows = query_features(f"{url}/0", "MW > 11", ["FEEDER"], False, 4326, 50, 30, None, http=HTTP)
    assert len(rows) == 30
    assert all(list(row) == ["attributes"] and list(row["attributes"]) == ["FEEDER"] for row in rows)


def test_token_is_sent() -> None:
    with serve_layer(FakeLayer(10)) as url, fault_proxy(url, "token_expires") as (proxied, _):
        assert len(query_features(f"{proxied}/0", auth_token="fresh", http=HTTP)) == 10
        with pytest.raises(ArcGISError, match="Invalid token"):
            query_features(f"{proxied}/0", auth_token="old", http=HTTP)


def test_missing_rows_are_an_error_here() -> None:
    with (
        serve_layer(FakeLayer(50)) as url,
        fault_proxy(url, "poisoned_row") as (proxied, _),
        pytest.raises(ArcGISError, match="1 rows could not be fetched"),
    ):
        query_features(f"{proxied}/0", http=HTTP)


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        (None, None),
        ({}, None),
        ({"type": "Point", "coordinates": []}, None),
        ({"type": "Polygon", "coordinates": []}, None),
        ({"type": "GeometryCollection", "geometries": []}, None),
        ({"type": "Point", "coordinates": [1, 2]}, (1, 2)),
        ({"type": "MultiPoint", "coordinates": [[0, 0], [2, 4]]}, (1, 2)),
        ({"type": "LineString", "coordinates": [[0, 0], [2, 0]]}, (1, 0)),
        ({"type": "MultiLineString", "coordinates": [[[0, 0], [2, 0]], [[0, 2], [2, 2]]]}, (1, 1)),
        ({"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}, (1, 1)),
        ({"type": "MultiPolygon", "coordinates": [[[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]]}, (1, 1)),
        ({"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [3, 4]}]}, (3, 4)),
        ({"type": "Feature"}, None),
    ],
)
def test_centroid(geometry: dict[str, object] | None, expected: tuple[float, float] | None) -> None:
    assert compute_centroid(geometry) == (pytest.approx(expected) if expected else None)
