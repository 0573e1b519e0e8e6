"""The main failures once more, in front of a real server: what the fake server allows, Koop may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from hc_platform.arcgis import ArcGISError, HttpOptions, describe_layer, pull_layer, transport
from hc_platform_tests.integration.fake_arcgis import FakeLayer
from hc_platform_tests.integration.fault_proxy import fault_proxy
from hc_platform_tests.integration.koop import serve_folder, write_layer

pytestmark = pytest.mark.koop
HTTP = HttpOptions(min_interval_s=0, max_backoff_s=0.005)
LAYER = FakeLayer(5_000)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("koop")
    features = [
        {
            "type": "Feature",
            "properties": row,
            "geometry": {"type": "LineString", "coordinates": LAYER.path(oid)},
        }
        for oid, row in LAYER.rows.items()
    ]
    write_layer(folder / "sections.geojson", features)
    with serve_folder(folder) as root:
        yield f"{root}/sections/FeatureServer"


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def skip(seconds: float) -> None:
        pass

    monkeypatch.setattr(transport, "_sleep", skip)


@pytest.mark.parametrize(
    "mode",
    [
        "none", "err200_once", "e503_once", "html200_once", "truncated_once", "false_encoding", "reset_once",
        "cap1000", "cap1000_unflagged", "big504", "offset_ignored", "unstable_order", "flag_always",
        "no_statistics", "out_sr_ignored", "bare_nan",
    ],
)  # fmt: skip
def test_every_row_comes_exactly_once(mode: str, service: str, tmp_path: Path) -> None:
    with fault_proxy(service, mode) as (url, _):
        pulled = pull_layer(describe_layer(url, layer_index=0, http=HTTP), tmp_path, http=HTTP)
    assert pulled.status == "complete", pulled.notes
    frame = pl.concat([pl.read_parquet(path) for path in pulled.files])
    assert frame["object_id"].to_list() == sorted(LAYER.rows)
    feeders = frame["attributes"].str.json_decode(pl.Struct({"FEEDER": pl.String})).struct.field("FEEDER")
    assert feeders.to_list() == [LAYER.rows[oid]["FEEDER"] for oid in sorted(LAYER.rows)]


@pytest.mark.parametrize("mode", ["row_deleted", "row_inserted"])
def test_edits_during_the_download(mode: str, service: str, tmp_path: Path) -> None:
    ids = sorted(LAYER.rows)
    http = HttpOptions(min_interval_s=0, in_flight=1)
    with fault_proxy(service, mode, hidden=ids[10]) as (url, _):
        pulled = pull_layer(describe_layer(url, layer_index=0, http=http), tmp_path, page_size=500, http=http)
    assert pulled.status == "changed"
    frame = pl.concat([pl.read_parquet(path) for path in pulled.files])
    assert frame["object_id"].to_list() == (
        ids if mode == "row_inserted" else [oid for oid in ids if oid != ids[10]]
    )


def test_stop_and_resume(service: str, tmp_path: Path) -> None:
    http = HttpOptions(min_interval_s=0, in_flight=1)
    with fault_proxy(service, "dies") as (url, proxy):
        info = describe_layer(url, layer_index=0, http=http)
        with pytest.raises(ArcGISError, match="not started"):
            pull_layer(info, tmp_path, page_size=500, http=http)
        proxy.mode = "none"
        pulled = pull_layer(info, tmp_path, page_size=500, http=http)
    assert pulled.status == "complete"
    assert pulled.resumed_rows > 0
    assert pulled.rows == 5_000


def test_poisoned_row(service: str, tmp_path: Path) -> None:
    with fault_proxy(service, "poisoned_row") as (url, proxy):
        pulled = pull_layer(describe_layer(url, layer_index=0, http=HTTP), tmp_path, http=HTTP)
    assert pulled.status == "partial"
    assert pulled.missing_object_ids == [proxy.state["poison"]]
