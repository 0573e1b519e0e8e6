"""The loopback server, asked with a plain HTTP client, answers as ArcGIS servers do."""

import gzip
import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from hc_platform.catalog.loading import Catalog
from hc_platform.demo import SyntheticLayer, synthetic_layers
from hc_platform.demo.server import FAULTS, local_catalog, serve

Layers = Mapping[str, list[SyntheticLayer]]
PGE = "/pge/rest/services/DRPComplianceRelProd/FeatureServer"
SCE = "/sce/rest/services/Hosted/ICA_Layer/FeatureServer"
NGRID = "/ngrid_ny/rest/services/NYSDP/Hosting_Capacity_Data/MapServer"


@pytest.fixture(scope="module")
def client(polite: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=polite, timeout=30) as client:
        yield client


def query(client: httpx.Client, layer: str, **asked: Any) -> dict[str, Any]:
    answer = client.get(f"{layer}/query", params={"f": "json", **asked})
    assert answer.status_code == 200
    return answer.json()


def test_catalogue_service_and_layers_lead_to_every_layer(client: httpx.Client, layers: Layers) -> None:
    listed = client.get("/arcgis/rest/services", params={"f": "json"}).json()["services"]
    found = set()
    for service in listed:
        for brief in client.get(service["url"], params={"f": "json"}).json()["layers"]:
            found.add((service["name"], service["type"], brief["id"], brief["name"]))
        whole = client.get(service["url"] + "/layers", params={"f": "json"}).json()["layers"]
        assert all(layer["fields"] for layer in whole)
    made = {(*x.service.rsplit("/", 1), x.index, x.name) for its in layers.values() for x in its}
    assert found == made
    assert len(client.get("/coned/rest/services", params={"f": "json"}).json()["services"]) == 3


def test_layer_metadata(client: httpx.Client) -> None:
    told = client.get(f"{SCE}/0", params={"f": "json"}).json()
    assert told["objectIdField"] == "objectid"
    assert told["maxRecordCount"] == 2000
    assert told["editingInfo"]["lastEditDate"] > 1.7e12
    assert told["sourceSpatialReference"] == {"wkid": 102100, "latestWkid": 3857}
    assert -13.8e6 < told["extent"]["xmin"] < told["extent"]["xmax"] < -12.5e6
    types = {f["name"]: f["type"] for f in told["fields"]}
    assert types["objectid"] == "esriFieldTypeOID"
    assert types["ica_overall_load"] == "esriFieldTypeString"
    # A map service names its object id by its type only.
    map_layer = client.get(f"{NGRID}/2", params={"f": "json"}).json()
    assert "objectIdField" not in map_layer
    assert "editingInfo" not in map_layer
    domain = {f["name"]: f["domain"] for f in client.get(f"{PGE}/3?f=json").json()["fields"]}["Publish"]
    assert domain["codedValues"] == [{"name": "No", "code": 0}, {"name": "Yes", "code": 1}]


def test_paging_by_offset_has_neither_gaps_nor_repetitions(client: httpx.Client, layers: Layers) -> None:
    layer = layers["pge"][0]
    ids: list[int] = []
    more = True
    while more:
        page = query(
            client, f"{PGE}/3", where="1=1", outFields="*", orderByFields="OBJECTID ASC",
            resultOffset=len(ids), resultRecordCount=700,
        )  # fmt: skip
        ids += [feature["attributes"]["OBJECTID"] for feature in page["features"]]
        more = page.get("exceededTransferLimit", False)
    assert ids == layer.frame["OBJECTID"].to_list()


def test_the_page_limit_is_enforced_and_told(client: httpx.Client) -> None:
    page = query(client, f"{PGE}/3", where="1=1", resultRecordCount=99_999, returnGeometry="false")
    assert len(page["features"]) == 2000
    assert page["exceededTransferLimit"] is True
    small = query(client, f"{PGE}/3", where="OBJECTID < 50")
    assert "exceededTransferLimit" not in small


def test_every_attribute_arrives_as_made(client: httpx.Client, layers: Layers) -> None:
    for path, layer in ((f"{SCE}/0", layers["sce"][0]), (f"{PGE}/2", layers["pge"][1])):
        page = query(client, path, where="1=1", outFields="*", resultRecordCount=2000)
        assert [f["attributes"] for f in page["features"]] == layer.frame.to_dicts()


def test_geometry_in_both_references_and_formats(client: httpx.Client, layers: Layers) -> None:
    layer = layers["pge"][0]
    paths = layer.lines.paths().to_list()
    wanted = {"where": "1=1", "resultRecordCount": 2000, "outFields": "OBJECTID"}
    page = query(client, f"{PGE}/3", **wanted, outSR=4326)
    assert page["spatialReference"]["wkid"] == 4326
    assert [f.get("geometry", {}).get("paths") for f in page["features"]] == paths[:2000]
    assert any("geometry" not in f for f in page["features"])
    native = query(client, f"{PGE}/3", **wanted)
    assert native["spatialReference"] == {"wkid": 102100, "latestWkid": 3857}
    x, y = native["features"][0]["geometry"]["paths"][0][0]
    # EPSG:3857 of the first point, by the formula in EPSG's guidance note 7-2.
    assert x == pytest.approx(paths[0][0][0][0] * 111319.49079327358)
    assert 3.8e6 < y < 5.0e6
    geojson = query(client, f"{PGE}/3", **{**wanted, "f": "geojson"})
    assert geojson["properties"]["exceededTransferLimit"] is True
    kinds = {None if f["geometry"] is None else f["geometry"]["type"] for f in geojson["features"]}
    assert kinds == {None, "LineString", "MultiLineString"}
    first = geojson["features"][0]
    assert (first["id"], first["geometry"]["coordinates"]) == (1, paths[0][0])
    bare = query(client, f"{PGE}/3", **wanted, returnGeometry="false")
    assert all(f.keys() == {"attributes"} for f in bare["features"])


def test_counts_ids_and_statistics_agree(client: httpx.Client, layers: Layers) -> None:
    frame = layers["pge"][0].frame
    published = frame.filter(frame["Publish"] == 1)
    asked = {"where": "Publish = 1"}
    assert query(client, f"{PGE}/3", **asked, returnCountOnly="true") == {"count": published.height}
    ids = query(client, f"{PGE}/3", **asked, returnIdsOnly="true")
    assert ids == {"objectIdFieldName": "OBJECTID", "objectIds": published["OBJECTID"].to_list()}
    kinds = ("min", "max", "count")
    statistics = [
        {"statisticType": k, "onStatisticField": "objectid", "outStatisticFieldName": k.upper()}
        for k in kinds
    ]
    told = query(client, f"{PGE}/3", **asked, outStatistics=json.dumps(statistics))
    assert told["features"][0]["attributes"] == {
        "MIN": published["OBJECTID"].min(),
        "MAX": published["OBJECTID"].max(),
        "COUNT": published.height,
    }


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("FeederName LIKE '%1101'", lambda f: f["FeederName"].str.ends_with("1101")),
        ("Division IN ('Kern','Fresno')", lambda f: f["Division"].is_in(["Kern", "Fresno"])),
        ("Division IS NULL", lambda f: f["Division"].is_null()),
        ("GenCapacity_kW > 500 AND Publish = 1", lambda f: (f["GenCapacity_kW"] > 500) & (f["Publish"] == 1)),
        ("gencapacity_kw between 10 and 20", lambda f: f["GenCapacity_kW"].is_between(10, 20)),
        ("Last_Update_On_Map >= timestamp '2026-04-20 00:00:00'",
         lambda f: f["Last_Update_On_Map"] >= 1_776_643_200_000),
    ],
)  # fmt: skip
def test_where_filters(client: httpx.Client, layers: Layers, where: str, expected: Any) -> None:
    frame = layers["pge"][0].frame
    wanted = frame.filter(expected(frame))["OBJECTID"].to_list()
    assert 0 < len(wanted) < frame.height
    assert query(client, f"{PGE}/3", where=where, returnIdsOnly="true")["objectIds"] == wanted


def test_object_ids_order_and_post(client: httpx.Client, layers: Layers) -> None:
    ids = layers["pge"][0].frame["OBJECTID"].to_list()[5:900:3]
    answer = client.post(
        f"{PGE}/3/query",
        data={"f": "json", "objectIds": ",".join(map(str, ids)), "outFields": "OBJECTID",
              "orderByFields": "objectid DESC"},
    ).json()  # fmt: skip
    assert [f["attributes"]["OBJECTID"] for f in answer["features"]] == ids[::-1]


def test_an_envelope_selects_the_lines_that_cross_it(client: httpx.Client, layers: Layers) -> None:
    layer = layers["rie"][0]
    path = "/rie/rest/services/RI_Hosting_Capacity_2025/FeatureServer/0"
    bounds = layer.lines.bounds()
    row = bounds.row(40, named=True)
    whole = f"{row['xmin']},{row['ymin']},{row['xmax']},{row['ymax']}"
    hit = query(client, path, where="1=1", geometry=whole, inSR=4326, returnIdsOnly="true")["objectIds"]
    assert layer.frame["OBJECTID"][40] in hit
    assert 0 < len(hit) < len(layer)
    overlapping = bounds.with_row_index().filter(
        (bounds["xmin"] <= row["xmax"]) & (bounds["xmax"] >= row["xmin"])
        & (bounds["ymin"] <= row["ymax"]) & (bounds["ymax"] >= row["ymin"])
    )  # fmt: skip
    assert set(hit) <= set(layer.frame["OBJECTID"].gather(overlapping["index"]))
    nowhere = {"xmin": 0, "ymin": 0, "xmax": 1, "ymax": 1, "spatialReference": {"wkid": 4326}}
    told = query(client, path, geometry=json.dumps(nowhere), returnCountOnly="true")
    assert told == {"count": 0}


@pytest.mark.parametrize(
    ("path", "asked", "code"),
    [
        (f"{PGE}/3/query", {"where": "FeederId ="}, 400),
        (f"{PGE}/3/query", {"where": "NoSuchField = 1"}, 400),
        (f"{PGE}/3/query", {"where": "1=1", "outFields": "NoSuchField"}, 400),
        (f"{PGE}/3/query", {"where": "1=1", "orderByFields": "NoSuchField"}, 400),
        (f"{PGE}/3/query", {"where": "1=1); DROP TABLE layer; --"}, 400),
        (f"{PGE}/3/query", {"where": "(SELECT count(*) FROM read_text('/etc/hostname')) > 0"}, 400),
        (f"{PGE}/3/query", {"where": "1=1", "outSR": "2248"}, 400),
        (f"{PGE}/3/query", {}, 400),
        (f"{PGE}/99", {}, 400),
        ("/pge/rest/services/Nothing/FeatureServer", {}, 404),
        ("/nobody/rest/services", {}, 404),
    ],
)
def test_errors_come_inside_a_200(client: httpx.Client, path: str, asked: dict[str, str], code: int) -> None:
    answer = client.get(path, params={"f": "json", **asked})
    assert answer.status_code == 200
    assert answer.json()["error"]["code"] == code


def test_a_where_clause_changes_nothing(client: httpx.Client) -> None:
    before = query(client, f"{PGE}/3", where="1=1", returnCountOnly="true")
    query(client, f"{PGE}/3", where="1=1); DELETE FROM layer; --", returnCountOnly="true")
    assert query(client, f"{PGE}/3", where="2=2", returnCountOnly="true") == before


def test_answers_are_zipped_only_where_asked(client: httpx.Client) -> None:
    plain = client.get(f"{PGE}/3?f=json", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert client.get(f"{PGE}/3?f=json").headers["content-encoding"] == "gzip"


def test_a_gate_asks_for_the_configured_headers(catalog: Catalog) -> None:
    gated = catalog["rie"].model_copy(update={"headers": {"Referer": "https://maps.example.com/"}})
    with serve({"rie": synthetic_layers(gated, 0.02)}) as url, httpx.Client(base_url=url) as client:
        path = "/rie/rest/services/RI_Hosting_Capacity_2025/FeatureServer/0?f=json"
        assert client.get(path).json()["error"]["code"] == 403
        assert client.get(path, headers=gated.headers).json()["name"] == "RI Hosting Capacity"


def test_each_fault_comes_once_and_a_repeated_page_succeeds(layers: Layers) -> None:
    seen: dict[str, int] = {}
    with serve({"pge": layers["pge"]}) as url, httpx.Client(base_url=url) as client:
        for start in range(10):
            asked = {"f": "json", "where": "1=1", "resultOffset": start * 10, "resultRecordCount": 10}
            kind = _fault(client, f"{PGE}/3/query", asked)
            if kind:
                seen[kind] = seen.get(kind, 0) + 1
                assert start % 2 == 0
            assert _fault(client, f"{PGE}/3/query", asked) is None
        stats = client.get("/_demo/stats").json()
    assert seen == dict.fromkeys(FAULTS, 1)
    assert stats["faults"] == {"pge/ICA LineDetail": seen}
    assert stats["features"] == 160


def _fault(client: httpx.Client, path: str, asked: dict[str, Any]) -> str | None:
    with client.stream("GET", path, params=asked) as answer:
        raw = b"".join(answer.iter_raw())
    if answer.status_code == 503:
        assert answer.headers["retry-after"] == "0"
        return "http_503"
    if "html" in answer.headers["content-type"]:
        return "html_page"
    try:
        body = json.loads(gzip.decompress(raw))
    except EOFError:
        return "truncated_gzip"
    return "error_in_200" if "error" in body else None


def test_local_configs_differ_in_their_addresses_only(catalog: Catalog, polite: str) -> None:
    local = local_catalog(catalog, polite)
    assert set(local) == {"coned", "ngrid_ny", "pepco", "pge", "rie", "sce"}
    for code, config in local.items():
        for layer, original in zip(config.layers, catalog[code].layers, strict=True):
            assert config.layer_service_url(layer).startswith(f"{polite}/{code}/rest/services/")
            assert layer.model_dump(exclude={"service_url"}) == original.model_dump(exclude={"service_url"})
        without = {"service_url", "layers"}
        assert config.model_dump(exclude=without) == catalog[code].model_dump(exclude=without)


def test_the_server_listens_on_the_loopback_only_and_ends_with_its_context(layers: Layers) -> None:
    with serve({"rie": layers["rie"]}) as url:
        host, port = url.removeprefix("http://").split(":")
        assert host == "127.0.0.1"
        assert httpx.get(f"{url}/").status_code == 200
    with socket.socket() as probe:
        assert probe.connect_ex((host, int(port))) != 0
