"""Files as a source: every format, the folder they must lie in, downloads, and clear errors."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import shapely
from pydantic import ValidationError

from hc_platform.catalog.models import UtilityConfig
from hc_platform.sources import ContractError, SourceError, SourceOptions, source_for
from hc_platform.sources.base import LayerDescription
from hc_platform.sources.file_source import FileSource
from hc_platform_tests.hosting_capacity.making import config


def made(path: str, **layer: Any) -> UtilityConfig:
    return config(
        {"path": path, "grain": "tile", "layer_index": None, "field_map": {}, **layer},
        data_source_type="file",
        service_url=None,
    )


def told(imports: Path, path: str, **layer: Any) -> LayerDescription:
    found = made(path, **layer)
    return FileSource(SourceOptions(import_dir=imports)).describe(found, found.layers[0])


def pulled(imports: Path, path: str, **layer: Any) -> tuple[list[dict[str, Any]], pl.DataFrame]:
    """Attributes by row, and the frame of windows."""
    found = made(path, **layer)
    source = source_for(found, found.layers[0], SourceOptions(import_dir=imports, attempts=3))
    assert isinstance(source, FileSource)
    seen = source.describe(found, found.layers[0])
    pull = source.pull(found, found.layers[0], seen, imports / "staged", lambda *_: None)
    frame = pl.concat(pl.read_parquet(f) for f in pull.files)
    assert (pull.status, pull.rows, pull.expected_count) == ("complete", frame.height, seen.count)
    return [json.loads(text) for text in frame["attributes"]], frame


def notes(imports: Path, path: str, **layer: Any) -> list[str]:
    found = made(path, **layer)
    source = FileSource(SourceOptions(import_dir=imports))
    seen = source.describe(found, found.layers[0])
    return source.pull(found, found.layers[0], seen, imports / "staged", lambda *_: None).notes


def test_csv_is_text_all_over(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes('\ufeffId,kW,Note\n0022,1.50,"a, ""b""\nc"\n00,,\n1e3,NA,Ü\n'.encode())
    rows, frame = pulled(tmp_path, "a.csv")
    assert rows == [
        {"Id": "0022", "kW": "1.50", "Note": 'a, "b"\nc'},
        {"Id": "00", "kW": None, "Note": None},
        {"Id": "1e3", "kW": "NA", "Note": "Ü"},
    ]
    assert frame["object_id"].to_list() == [1, 2, 3]
    assert frame["geometry"].null_count() == 3


def test_a_late_text_among_numbers_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Id\n" + "\n".join(map(str, range(5000))) + "\n0x\n")
    assert pulled(tmp_path, "a.csv")[0][-1] == {"Id": "0x"}


def test_where_keeps_the_rows_a_server_would_send(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "circuit,kW,lon,lat\n0113RO5101,5,-75,42\nT80636,942000,-76,43\n,7,-77,44\nNULL,9,-78,45\n"
    )
    rows, frame = pulled(tmp_path, "a.csv", where="circuit NOT LIKE 'T%'", x_field="lon", y_field="lat")
    assert [row["circuit"] for row in rows] == [
        "0113RO5101",
        "NULL",
    ]  # an empty cell is NULL, and no condition holds
    assert shapely.from_wkb(frame["geometry"].to_list()).tolist() == [
        shapely.Point(-75, 42),
        shapely.Point(-78, 45),
    ]


@pytest.mark.parametrize("where", ["feeder = 'A'", "circuit LIKE", "1=1; DROP TABLE x", "circuit"])
def test_a_condition_that_does_not_fit_the_file_says_which(tmp_path: Path, where: str) -> None:
    (tmp_path / "a.csv").write_text("circuit\nA\n")
    with pytest.raises(SourceError, match=r"where: .* it has the columns circuit, all of them text"):
        told(tmp_path, "a.csv", where=where)


def test_points_from_two_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("lon,lat\n-120.5,38.25\n,38\nx,38\n-120,91\n181,0\n")
    _, frame = pulled(tmp_path, "a.csv", x_field="lon", y_field="lat")
    assert shapely.from_wkb(frame["geometry"][0]).wkt == "POINT (-120.5 38.25)"
    assert frame["geometry"].is_null().to_list() == [False, True, True, True, True]


def test_geojson(tmp_path: Path) -> None:
    line = {"type": "LineString", "coordinates": [[-120, 38], [-120, 39]]}
    features = [
        {"type": "Feature", "properties": {"id": "0022", "mw": 1.5, "n": None}, "geometry": line},
        {"type": "Feature", "properties": {"id": "1", "late": [1]}, "geometry": None},
        {"type": "Feature", "properties": None, "geometry": {"type": "Point", "coordinates": [1, 2]}},
    ]
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    rows, frame = pulled(tmp_path, "a.geojson")
    assert rows[0] == {"id": "0022", "mw": "1.5", "n": None, "late": None}
    assert rows[1]["late"] == "[1]"
    kinds = [None if g is None else shapely.from_wkb(g).geom_type for g in frame["geometry"]]
    assert kinds == ["LineString", None, "Point"]
    assert set(told(tmp_path, "a.geojson").fields) == {"id", "mw", "n", "late"}


def test_parquet_with_wkb_and_an_id_of_its_own(tmp_path: Path) -> None:
    point = shapely.to_wkb(shapely.Point(1, 2))
    frame = pl.DataFrame({"id": [7, 3], "feeder": ["01", "02"], "mw": [0.5, None], "geometry": [point, None]})
    frame.write_parquet(tmp_path / "a.parquet")
    rows, windows = pulled(tmp_path, "a.parquet", object_id_field="id")
    assert windows["object_id"].to_list() == [3, 7]
    assert rows == [{"id": "3", "feeder": "02", "mw": None}, {"id": "7", "feeder": "01", "mw": "0.5"}]
    assert windows["geometry"].to_list() == [None, point]


@pytest.mark.parametrize("ids", ["1\n1", "1\n", "1\nx", "1\n2.5\n2.6"])
def test_an_object_id_that_is_none_is_refused(tmp_path: Path, ids: str) -> None:
    (tmp_path / "a.csv").write_text("id,x\n" + "\n".join(f"{i},0" for i in ids.split("\n")) + "\n")
    with pytest.raises(SourceError, match="object_id_field id is not a unique integer"):
        pulled(tmp_path, "a.csv", object_id_field="id")


def test_large_files_come_in_windows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n\n" + "\n".join(map(str, range(120_000))))
    rows, frame = pulled(tmp_path, "a.csv")
    assert len(list((tmp_path / "staged").iterdir())) == 3
    assert [r["n"] for r in rows] == [str(n) for n in range(120_000)]
    assert frame["object_id"].is_sorted()


def test_an_empty_file_has_columns_and_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n")
    assert pulled(tmp_path, "a.csv")[0] == []
    assert list(told(tmp_path, "a.csv").fields) == ["a", "b"]


@pytest.mark.parametrize("path", ["../secret.csv", "sub/../../secret.csv", "link.csv", "ABSOLUTE"])
def test_paths_that_lead_out_of_the_import_folder_are_refused(tmp_path: Path, path: str) -> None:
    imports = tmp_path / "imports"
    imports.mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (imports / "link.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(SourceError, match="leads out of the import folder"):
        told(imports, str(tmp_path / "secret.csv") if path == "ABSOLUTE" else path)


def test_a_relative_import_folder_serves_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imports" / "sub").mkdir(parents=True)
    (tmp_path / "imports" / "sub" / "a.csv").write_text("a\n1\n")
    assert told(Path("imports"), "sub/a.csv").count == 1


def test_columns_are_found_in_another_case(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Lon,Lat,OBJECTID\n-120.5,38.25,7\n")
    layer = {"x_field": "LON", "y_field": "LAT", "object_id_field": "ObjectId"}
    rows, frame = pulled(tmp_path, "a.csv", **layer)
    assert shapely.from_wkb(frame["geometry"][0]).wkt == "POINT (-120.5 38.25)"
    assert frame["object_id"].to_list() == [7]
    assert rows == [{"Lon": "-120.5", "Lat": "38.25", "OBJECTID": "7"}]
    assert told(tmp_path, "a.csv", **layer).object_id_field == "OBJECTID"


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"x_field": "X", "y_field": "Lat"}, "no column X, which x_field names; it has Lon, Lat, lat"),
        (
            {"x_field": "Lon", "y_field": "LAT"},
            "no column LAT, which y_field names",
        ),  # two fit, none is guessed
        ({"object_id_field": "Id"}, "no column Id, which object_id_field names"),
    ],
)
def test_a_column_that_is_not_there_is_refused(tmp_path: Path, layer: dict[str, str], said: str) -> None:
    (tmp_path / "a.csv").write_text("Lon,Lat,lat\n-120.5,38.25,7\n")
    with pytest.raises(ContractError, match=said):
        told(tmp_path, "a.csv", **layer)


def test_places_that_are_none_are_counted_in_the_notes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("lon,lat\n -120.5 ,38.25\n,\n ,\n,38\nx,38\n-120,91\n181,0\nnan,1\n")
    assert notes(tmp_path, "a.csv", x_field="lon", y_field="lat") == [
        "5 of 8 rows have a place that is none in EPSG:4326: they were kept without geometry"
    ]
    assert pulled(tmp_path, "a.csv", x_field="lon", y_field="lat")[1]["geometry"].null_count() == 7


def test_shapes_that_are_none_are_counted_in_the_notes(tmp_path: Path) -> None:
    shapes = [{"type": "Point", "coordinates": [1, 2]}, {"type": "Point", "coordinates": "x"}, None]
    features = [{"type": "Feature", "properties": {"a": 1}, "geometry": shape} for shape in shapes]
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert notes(tmp_path, "a.geojson") == [
        "1 of 3 rows have a place that is none in EPSG:4326: they were kept without geometry"
    ]


def test_a_local_file_was_edited_when_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    os.utime(tmp_path / "a.csv", (1_777_000_000, 1_777_000_000))
    found = made("a.csv")
    edited = FileSource(SourceOptions(import_dir=tmp_path)).edited_at(found, found.layers[0])
    assert edited == told(tmp_path, "a.csv").edited_at == datetime.fromtimestamp(1_777_000_000, UTC)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a.csv", "FILE:///etc/passwd"])
def test_only_http_is_configured(url: str) -> None:
    with pytest.raises(ValidationError, match="http:// or https://"):
        made(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:s3cr3t@h.example.com/a.csv",
        "https://h.example.com/a.csv?token=s3cr3t",
        "https://h.example.com/a.csv?year=1&API_KEY=s3cr3t",
        "https://h.example.com/a.csv?X-Amz-Signature=s3cr3t",
    ],
)
def test_a_path_with_a_credential_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"carries a .*; a file must be open to all") as error:
        made(url)
    assert "s3cr3t" not in str(error.value)


def test_a_path_keeps_its_spelling() -> None:
    assert (
        made("https://h.example.com/a.csv?year=2026/").layers[0].path
        == "https://h.example.com/a.csv?year=2026/"
    )


def test_auth_for_a_file_is_refused_and_not_forgotten() -> None:
    layer = {"path": "a.csv", "grain": "tile", "layer_index": None}
    with pytest.raises(ValidationError, match="auth is for ArcGIS services"):
        config(layer, data_source_type="file", service_url=None, auth={"secret": "SOME_TOKEN"})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"a,b\n1,2,3,4\n", "a.csv is not readable"),
        ("a.csv", b"a\n\xff\xfe\xfa\n", "a.csv is not readable"),
        ("a.csv", b"", "a.csv is not readable"),
        ("a.geojson", b"{", "a.geojson is not readable"),
        ("a.geojson", b'{"features": [1]}', "a.geojson is not readable"),
        ("a.geojson", b"[1]", "no GeoJSON FeatureCollection"),
        ("a.json", b'{"rows": []}', "no GeoJSON FeatureCollection"),
        ("a.parquet", b"PAR1 not really", "a.parquet is not readable"),
        ("a.xlsx", b"", "a.xlsx is not readable"),
        ("a.shp", b"", r"a.shp is not readable: its ending is not one of \.csv"),
        (None, b"", "there is no file"),
    ],
)
def test_what_cannot_be_read_is_told_clearly(
    tmp_path: Path, name: str | None, content: bytes, message: str
) -> None:
    if name:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message) as error:
        told(tmp_path, name or "gone.csv")
    assert "test" in str(error.value)
