"""Pages, as recorded from real servers and as servers at their worst send them."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import shapely

from hc_platform.arcgis import ArcGISError, payload
from hc_platform.arcgis.decode import page_decoder
from hc_platform.arcgis.metadata import layer_info
from hc_platform_tests.integration.fake_arcgis import mercator

FOLDERS = ["us-ca-carson", "us-esri-test", "us-fl-polk", "us-mi-kent", "us-mo-columbia"]


@pytest.mark.real_data
@pytest.mark.parametrize("folder", FOLDERS)
def test_recorded_pages(folder: str, shared_data: Path) -> None:
    place = shared_data / "arcgis_fixtures" / "pyesridump" / folder
    info = layer_info("https://x/FeatureServer", json.loads((place / f"{folder}-metadata.json").read_text()))
    body = (place / f"{folder}-0.json").read_bytes()
    page = page_decoder(info.object_id_field, info.geometry_type, 4326, info.spatial_wkid)(body)
    features = json.loads(body)["features"]
    assert page.frame.height == len(features)
    ordered = sorted(features, key=lambda feature: feature["attributes"][info.object_id_field])
    assert page.frame["object_id"].to_list() == [each["attributes"][info.object_id_field] for each in ordered]
    assert [json.loads(text) for text in page.frame["attributes"]] == [each["attributes"] for each in ordered]
    for text in page.frame["attributes"]:
        assert text.encode() in body, "attributes are the server's own bytes"
    shapes = shapely.from_wkb(page.frame["geometry"].drop_nulls().to_list())
    assert shapely.is_valid(shapes).all()
    if not len(shapes):
        return
    xmin, ymin, xmax, ymax = shapely.total_bounds(shapes)
    assert -180 <= xmin <= xmax <= 180
    assert -90 <= ymin <= ymax <= 90


@pytest.mark.real_data
def test_recorded_ring_that_is_only_a_line_has_no_shape(shared_data: Path) -> None:
    body = (shared_data / "arcgis_fixtures/pyesridump/us-ms-madison/us-ms-madison-0.json").read_bytes()
    page = page_decoder("OBJECTID", "esriGeometryPolygon", 4326, 4326)(body)
    assert page.frame["geometry"].to_list() == [None]


@pytest.mark.real_data
def test_recorded_layer_whose_id_is_not_in_its_rows(shared_data: Path) -> None:
    place = shared_data / "arcgis_fixtures" / "pyesridump" / "us-ca-tuolumne"
    info = layer_info(
        "https://x/FeatureServer", json.loads((place / "us-ca-tuolumne-metadata.json").read_text())
    )
    assert info.object_id_field == "SHAPE.fid"
    body = (place / "us-ca-tuolumne-0.json").read_bytes()
    with pytest.raises(msgspec.ValidationError, match=r"SHAPE\.fid"):
        page_decoder("SHAPE.fid", info.geometry_type, 4326, None)(body)
    assert page_decoder(None, info.geometry_type, 4326, None)(body).frame["object_id"].null_count() == 15


@pytest.mark.real_data
def test_recorded_error_body(shared_data: Path) -> None:
    body = (shared_data / "arcgis_fixtures/pyesridump/us-mi-kent/us-mi-kent-statistics.json").read_bytes()
    with pytest.raises(ArcGISError, match="Unable to complete operation") as caught:
        payload.parse(body, msgspec.json.decode, "https://x")
    assert caught.value.kind == "shrink"


def page_of(*attributes: str, oid: str | None = "OBJECTID", **extra: Any) -> Any:
    features = ", ".join(f'{{"attributes": {text}}}' for text in attributes)
    body = f'{{"features": [{features}]}}'.encode()
    return page_decoder(oid, None, 4326, None)(body)


def test_ids_in_every_spelling() -> None:
    page = page_of(
        '{"OBJECTID": 5.0}',
        '{"OBJECTID": 6.4579816E7}',
        '{"OBJECTID": "7"}',
        '{"OBJECTID": 9007199254740993}',
    )
    assert page.frame["object_id"].to_list() == [5, 7, 64579816, 9007199254740993]
    assert page_of('{"A": 1, "OBJECTID_1": 8}', oid="OBJECTID_1").frame["object_id"].to_list() == [8]
    assert page_of('{"db.owner.Tbl.OBJECTID": 9}', oid="Tbl.OBJECTID").frame["object_id"].to_list() == [9]
    assert page_of('{"objectid": 10}', oid="OBJECTID").frame["object_id"].to_list() == [10]


@pytest.mark.parametrize("text", ['{"OBJECTID": 5.5}', '{"OBJECTID": null}', '{"A": 1}', '{"OBJECTID": "x"}'])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="OBJECTID"):
        page_of(text)


def test_nan_becomes_null_outside_strings_only() -> None:
    text = (
        '{"OBJECTID": 1, "a": NaN, "b": -Infinity, "c": Infinity, "d": "NaN, Infinity \\" NaN", "e": 1.#QNAN}'
    )
    page = page_of(text)
    assert page.null_tokens == 4
    row = json.loads(page.frame["attributes"][0])
    assert row == {"OBJECTID": 1, "a": None, "b": None, "c": None, "d": 'NaN, Infinity " NaN', "e": None}


def test_control_characters_and_wrong_encodings() -> None:
    page = page_of('{"OBJECTID": 1, "a": "two\nlines\tand a tab"}')
    assert json.loads(page.frame["attributes"][0])["a"] == "two\nlines\tand a tab"
    body = '{"features": [{"attributes": {"OBJECTID": 1, "a": "Peñasco"}}]}'.encode("latin-1")
    page = page_decoder("OBJECTID", None, 4326, None)(body)
    assert json.loads(page.frame["attributes"][0])["a"] == "Pe\ufffdasco"
    assert page.notes


def test_answer_in_metres_that_names_no_reference() -> None:
    x, y = mercator(-71.4128, 41.824)
    body = b'{"features": [{"attributes": {"OBJECTID": 1}, "geometry": {"x": %f, "y": %f}}]}' % (x, y)
    page = page_decoder("OBJECTID", "esriGeometryPoint", 4326, 3857)(body)
    point = shapely.from_wkb(page.frame["geometry"][0])
    assert (point.x, point.y) == pytest.approx((-71.4128, 41.824), abs=1e-6)


def inflate(body: bytes, encoding: str = "gzip") -> bytes:
    return payload.inflate(body, encoding, "https://x")


def test_bytes_decide_about_compression() -> None:
    plain = b'{"count": 3}'
    for body, encoding in [
        (plain, "gzip"), (plain, ""), (gzip.compress(plain), "gzip"), (gzip.compress(plain), ""),
        (zlib.compress(plain), "deflate"), (zlib.compress(plain)[2:-4], "deflate"), (b"\xef\xbb\xbf" + plain, ""),
        (gzip.compress(plain[:5]) + gzip.compress(plain[5:]), "gzip"),
    ]:  # fmt: skip
        assert inflate(body, encoding) == plain


def test_every_cut_of_a_gzip_body_is_noticed() -> None:
    body = gzip.compress(json.dumps({"features": list(range(500))}).encode())
    for length in range(2, len(body)):
        with pytest.raises(ArcGISError) as caught:
            inflate(body[:length])
        assert caught.value.kind == "retry"
    flipped = bytearray(body)
    flipped[-6] ^= 1
    with pytest.raises(ArcGISError, match="damaged"):
        inflate(bytes(flipped))


def test_gzip_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "MAX_BODY", 10_000)
    with pytest.raises(ArcGISError, match="larger") as caught:
        inflate(gzip.compress(b" " * 1_000_000))
    assert caught.value.kind == "shrink"
