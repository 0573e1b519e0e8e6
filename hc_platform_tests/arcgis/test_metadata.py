"""Layers are found by name, and described as their servers describe them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hc_platform.arcgis import HttpOptions, LayerMoved, describe_layer, discover_layers, get_field_schema
from hc_platform.arcgis.metadata import layer_info
from hc_platform_tests.integration.fake_arcgis import FakeLayer, Handler, serve, serve_layer

HTTP = HttpOptions(min_interval_s=0)


def service_of(*layers: dict[str, Any], tables: list[dict[str, Any]] | None = None) -> type[Handler]:
    class ServiceHandler(Handler):
        def respond(self, path: str, params: dict[str, str]) -> None:
            number = path.rpartition("/")[2]
            each = [layer for layer in (*layers, *(tables or [])) if str(layer["id"]) == number]
            answer = each[0] if each else {"layers": list(layers), "tables": tables or []}
            self.send(200, json.dumps(answer).encode())

    return ServiceHandler


def test_name_decides_and_the_index_breaks_ties() -> None:
    layers = [
        {"id": 0, "name": "Feeders", "type": "Group Layer", "subLayerIds": [1]},
        {"id": 1, "name": " feeders "},
        {"id": 2, "name": "Sections"},
        {"id": 3, "name": "Sections"},
    ]
    with serve(service_of(*layers, tables=[{"id": 9, "name": "DG"}])) as root:
        url = f"{root}/FeatureServer"
        assert describe_layer(url, name="FEEDERS", layer_index=2, http=HTTP).layer_id == 1
        assert describe_layer(url, name="Sections", layer_index=3, http=HTTP).layer_id == 3
        assert describe_layer(url, name="DG", http=HTTP).geometry_type is None
        assert describe_layer(url, layer_index=2, http=HTTP).name == "Sections"
        assert describe_layer(f"{url}/2", http=HTTP).layer_id == 2
        with pytest.raises(LayerMoved, match=r"several layers.*'Sections' \(2\), 'Sections' \(3\)"):
            describe_layer(url, name="Sections", http=HTTP)
        with pytest.raises(LayerMoved, match=r"no layer is named 'Lines'.*'DG' \(9\)") as caught:
            describe_layer(url, name="Lines", layer_index=2, http=HTTP)
    assert caught.value.kind == "moved"


def test_where_neither_name_nor_index_is_known_the_fields_tell() -> None:
    def described(number: int, name: str, *fields: str) -> dict[str, Any]:
        listed = [{"name": f, "type": "esriFieldTypeString"} for f in fields]
        return {"id": number, "name": name, "fields": listed}

    layers = [
        described(0, "Towns", "TOWN"),
        described(27, "Lines", "CircuitID", "HC_MW"),
        described(28, "Lines, small scale", "CircuitID", "HC_MW", "TOWN"),
    ]
    with serve(service_of(*layers)) as root:
        url = f"{root}/MapServer"
        assert describe_layer(url, fields=["town", "hc_mw"], http=HTTP).layer_id == 28
        with pytest.raises(LayerMoved, match=r"several layers have the fields .*'Lines' \(27\)"):
            describe_layer(url, fields=["CircuitID"], http=HTTP)
        with pytest.raises(LayerMoved, match=r"no layer has the fields DG: 'Towns' \(0\)"):
            describe_layer(url, fields=["DG"], http=HTTP)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"objectIdField": "FID", "fields": [{"name": "FID", "type": "esriFieldTypeOID"}]}, "FID"),
        ({"fields": [{"name": "OBJECTID_1", "type": "esriFieldTypeOID"}]}, "OBJECTID_1"),
        ({"uniqueIdField": {"name": "GID"}, "fields": []}, "GID"),
        (
            {"objectIdField": "OBJECTID", "fields": [{"name": "Tbl.OBJECTID", "type": "esriFieldTypeOID"}]},
            "Tbl.OBJECTID",
        ),
        ({"fields": [{"name": "A", "type": "esriFieldTypeString"}]}, None),
        ({"fields": None}, None),
    ],
)
def test_object_id_field(raw: dict[str, Any], expected: str | None) -> None:
    assert layer_info("https://x", {"id": 1, "name": "a", **raw}).object_id_field == expected


def test_time_of_last_edit() -> None:
    raw = {"id": 1, "name": "a", "editingInfo": {"lastEditDate": 1700000000000}}
    assert layer_info("https://x", raw).edited_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert layer_info("https://x", {"id": 1, "name": "a"}).edited_at is None


def test_discover_and_schema() -> None:
    with serve_layer(FakeLayer(10)) as url:
        found = discover_layers(url, http=HTTP)
        assert [(layer["id"], layer["name"]) for layer in found] == [(0, "Sections")]
        assert [column["name"] for column in found[0]["fields"]] == ["OBJECTID", "FEEDER", "MW", "NOTE"]
        assert get_field_schema(f"{url}/0", http=HTTP) == found[0]["fields"]


@pytest.mark.real_data
def test_recorded_layers(shared_data: Path) -> None:
    for path in sorted((shared_data / "arcgis_fixtures").rglob("*metadata.json")):
        info = layer_info("https://x/MapServer", json.loads(path.read_text()))
        assert info.fields, path
        assert info.object_id_field, path
    for path in sorted((shared_data / "schemas" / "arcgis_sce").glob("*.json")):
        raw = json.loads(path.read_text())
        if isinstance(raw, dict) and "id" in raw and "fields" in raw:
            assert layer_info("https://x/FeatureServer", raw).object_id_field
