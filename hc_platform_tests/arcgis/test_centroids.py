"""Where outlines are too heavy: the server's centroids, or no place at all; and where it has none, that is told."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import shapely

from hc_platform.arcgis import ArcGISError, HttpOptions, describe_layer, pull_layer
from hc_platform_tests.integration.fake_arcgis import FakeLayer, mercator, serve_layer

FAST = HttpOptions(min_interval_s=0, attempts=1)


class Squares(FakeLayer):
    """Polygons whose centroid the server gives when asked; every third row has no place."""

    able: bool = True
    answers_mercator: bool = False

    def metadata(self) -> dict[str, Any]:
        told = super().metadata() | {"geometryType": "esriGeometryPolygon", "hasZ": True}
        told["advancedQueryCapabilities"] |= {"supportsReturningGeometryCentroid": self.able}
        return told

    def query(self, params: dict[str, str]) -> dict[str, Any]:
        answer = super().query(params | {"returnGeometry": "false"})
        if "spatialReference" not in answer:
            return answer
        answer |= {"geometryType": "esriGeometryPolygon", "hasZ": True}
        if self.answers_mercator:
            answer["spatialReference"] = {"wkid": 102100}
        for feature in answer["features"]:
            oid = feature["attributes"]["OBJECTID"]
            lon, lat = self.path(oid)[0]
            if params["returnGeometry"] == "true":
                feature["geometry"] = {
                    "rings": [[[lon, lat, 1], [lon, lat + 1, 1], [lon + 1, lat, 1], [lon, lat, 1]]]
                }
            if params.get("returnCentroid") == "true" and oid % 3:
                x, y = mercator(lon, lat) if self.answers_mercator else (lon, lat)
                feature["centroid"] = {"x": x, "y": y}
        return answer


def pulled(layer: FakeLayer, folder: Path, **more: Any) -> pl.DataFrame:
    with serve_layer(layer) as url:
        info = describe_layer(url, layer_index=0, http=FAST)
        pull = pull_layer(info, folder, http=FAST, **more)
    assert pull.status == "complete", pull.notes
    return pl.concat(pl.read_parquet(f) for f in pull.files)


@pytest.mark.parametrize("projected", [False, True])
def test_centroids_are_points_and_what_has_no_place_has_none(tmp_path: Path, projected: bool) -> None:
    layer = Squares(50, max_record_count=20)
    layer.answers_mercator = projected
    rows = pulled(layer, tmp_path, geometry="centroid")
    assert rows.height == 50
    for oid, wkb in rows.select("object_id", "geometry").iter_rows():
        if oid % 3 == 0:
            assert wkb is None
        else:
            point = shapely.from_wkb(wkb)
            assert (point.x, point.y) == pytest.approx(FakeLayer.path(oid)[0], abs=1e-9)


def test_no_geometry_asks_for_none_and_keeps_the_attributes(tmp_path: Path) -> None:
    layer = Squares(50, max_record_count=20)
    bare, full = (pulled(layer, tmp_path / kind, geometry=kind) for kind in ("none", "full"))
    assert bare["geometry"].null_count() == 50
    assert full["geometry"].null_count() == 0
    assert bare["attributes"].equals(full["attributes"])


def test_windows_of_another_geometry_are_not_resumed(tmp_path: Path) -> None:
    layer = Squares(50, max_record_count=20)
    pulled(layer, tmp_path, geometry="none")
    assert pulled(layer, tmp_path, geometry="centroid")["geometry"].null_count() < 50


def test_a_server_without_centroids_says_so_before_anything_is_pulled(tmp_path: Path) -> None:
    unable = Squares(5)
    unable.able = False
    with pytest.raises(ArcGISError, match="gives no centroids: ask for geometry full or none"):
        pulled(unable, tmp_path, geometry="centroid")
    with pytest.raises(ArcGISError, match="esriGeometryPolyline, and only polygons have centroids"):
        pulled(FakeLayer(5), tmp_path, geometry="centroid")
    assert not list(tmp_path.rglob("*.parquet"))
