"""Reference tables: what is shipped, what a setting names, and what is said when it cannot be used."""

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from hc_platform.geo.areas import areas_of_points
from hc_platform.reference.checks import REFERENCE_CHECKS, check_reference
from hc_platform.reference.codes import AUTHORITY_OF_ISO, ISO_NAMES, ISO_OF_AUTHORITY, STATE_OF_FIPS, iso_of
from hc_platform.reference.datasets import DATASETS, listed_substations
from hc_platform.reference.reading import SHIPPED, ReferenceDataError
from hc_platform.settings import Settings


def geoparquet(path: Path, rows: dict[str, list[Any]], shapes: list[shapely.Geometry]) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({**rows, "geometry": pa.array([shapely.to_wkb(s) for s in shapes])})
    geo = b'{"primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB"}}}'
    pq.write_table(table.replace_schema_metadata({b"geo": geo}), path)
    return str(path)


def built(name: str, **settings: Any) -> pl.DataFrame:
    return DATASETS[name].build(Settings(**settings))


@pytest.mark.parametrize("name", ["states", "counties", "zip_centroids"])
def test_what_is_shipped_passes_every_check(name: str) -> None:
    rows = built(name)
    checks = check_reference(DATASETS[name], rows, Settings())
    assert [c.name for c in checks] == list(REFERENCE_CHECKS)
    assert [c.message for c in checks if not c.passed] == []
    assert rows.select("source", "licence", "vintage").unique().height == 1


def test_what_is_shipped_is_small_and_its_notice_names_every_file() -> None:
    files = sorted(SHIPPED.glob("*.parquet"))
    assert sum(f.stat().st_size for f in files) < 2_000_000
    notice = (SHIPPED / "NOTICE.md").read_text()
    assert [f.name for f in files if f.name not in notice] == []


def test_every_county_lies_in_its_state_and_the_lost_one_is_known() -> None:
    counties, states = built("counties"), built("states")
    assert counties.filter(pl.col("geometry").is_null())["county_fips"].to_list() == ["51610"]
    assert counties["county_fips"].str.slice(0, 2).equals(counties["state_fips"].alias("county_fips"))
    assert counties["state"].null_count() == 0
    inside = counties.filter(pl.col("geometry").is_not_null())
    points = shapely.point_on_surface(shapely.from_wkb(inside["geometry"].to_numpy()))
    places = pl.DataFrame({"lon": shapely.get_x(points), "lat": shapely.get_y(points)})
    hits = areas_of_points(places, states.select(area_id="state", geometry="geometry"))
    found = hits.unique("row", keep="first").sort("row")["area_id"]
    assert found.to_list() == inside["state"].to_list()


def test_zip_centres_are_five_digits_and_on_us_ground() -> None:
    zips = built("zip_centroids")
    assert zips["zip"].str.contains(r"^\d{5}$").all()
    assert dict(zips.select("zip", "lat").iter_rows())["02903"] == pytest.approx(41.82, abs=0.02)
    assert zips["lat"].is_between(-15, 72).all()


def test_a_utility_without_an_outline_stays_and_the_table_of_utilities_names_its_authority(
    tmp_path: Path,
) -> None:
    outlines = geoparquet(
        tmp_path / "t.parquet",
        {
            "eia_id": ["1", "2"],
            "name": ["One", "Two"],
            "ba_code": ["PJM", "MISO"],
            "sourceDate": ["2026-02-15"] * 2,
        },
        [shapely.box(0, 0, 1, 1), shapely.box(0, 0, 2, 2)],
    )
    listed = tmp_path / "u.csv"
    listed.write_text("eiaId,name,baCode\n2,Two,SWPP\n3,Three,CISO\n,Parent,\nNA17,Not EIA's,PJM\n")
    rows = built("utility_territories", territories=outlines, utility_table=str(listed)).sort("eia_id")
    assert rows.select("eia_id", "balancing_authority").rows() == [(1, "PJM"), (2, "SWPP"), (3, "CISO")]
    assert rows["geometry"].is_null().to_list() == [False, False, True]
    assert rows["vintage"].to_list() == ["2026-02-15", "2026-02-15", "not stated"]


def test_an_authority_without_an_outline_gets_its_isos_or_its_counties(tmp_path: Path) -> None:
    zones = geoparquet(
        tmp_path / "z.parquet",
        {
            "kind": [
                "iso",
                "iso",
                "ba",
                "ba_county_derived",
                "ba_county_derived",
                "cca",
                "ba_county_derived",
            ],
            "code": [None, None, "NYIS", "FPL", "NYIS", None, "Missing"],
            "key": [
                "iso-caiso",
                "iso-west-non-iso",
                "ba-nyiso",
                "cty-FPL",
                "cty-NYIS",
                "cca-x",
                "cty-Missing",
            ],
            "name": ["California", "West", "New York", "Florida", "NY counties", "X", "Missing"],
        },
        [shapely.box(i, 0, i + 1, 1) for i in range(7)],
    )
    rows = built("balancing_authorities", ba_zones=zones)
    assert set(rows.select("balancing_authority", "outline_from", "iso_id").rows()) == {
        ("NYIS", "authority", "nyiso"),
        ("CISO", "iso", "caiso"),
        ("FPL", "counties", None),
    }
    assert built("iso_regions", ba_zones=zones)["iso_id"].to_list() == ["caiso"]


def test_a_node_that_a_power_plant_stands_in_for_is_told(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("id,name,iso,latitude,longitude,eiaPlantCode\na,A,ISONE,42,-71,\nb,B,PJM,40,-77,3470\n")
    rows = built("pricing_nodes", pricing_nodes=str(path))
    assert rows.select("node_id", "iso_id", "stands_in").rows() == [("a", "isone", False), ("b", "pjm", True)]


def test_a_substation_that_is_listed_twice_stands_once_and_one_with_two_names_twice(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(
        "utility_code,id,name,lat,lon\npge,1,NEWARK,,\npge,1,NEWARK,,\npge,2,SF X,,\npge,2,MISSION X,,\n"
    )
    rows = listed_substations(Settings(substations=str(path)))
    assert rows.select("substation_id", "substation_name").rows() == [
        ("1", "NEWARK"), ("2", "SF X"), ("2", "MISSION X")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("id,name\n1,a\n", "n.csv (HC_PRICING_NODES) lacks the columns iso, latitude, longitude"),
        (
            "id,name,iso,latitude,longitude\n1,a,PJM,north,2\n",
            "n.csv (HC_PRICING_NODES) has values that cannot be",
        ),
        ("id,name,iso,latitude,longitude\n1,a,PJM,1,2\n1,b,PJM,1,2\n", "rows that share a key"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_by_setting_name_and_mend(
    tmp_path: Path, content: str, told: str
) -> None:
    path = tmp_path / "n.csv"
    path.write_text(content)
    with pytest.raises(ReferenceDataError, match=re.escape(told)):
        built("pricing_nodes", pricing_nodes=str(path))


def test_outlines_in_another_coordinate_system_are_refused(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = Path(
        geoparquet(tmp_path / "t.parquet", {"eia_id": ["1"], "name": ["One"]}, [shapely.box(0, 0, 1, 1)])
    )
    table = pq.read_table(path)
    crs = b'"crs": {"id": {"authority": "EPSG", "code": 3857}}'
    meta = b'{"primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB", ' + crs + b"}}}"
    pq.write_table(table.replace_schema_metadata({b"geo": meta}), path)
    with pytest.raises(ReferenceDataError, match=r"must be WKB in WGS 84"):
        built("utility_territories", territories=str(path))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_url_is_fetched_with_what_stands_beside_it(served: tuple[Path, str]) -> None:
    folder, url = served
    (folder / "s.csv").write_text("utility_code,name,lat,lon\npge,ALPINE,38.6,-119.9\n")
    where = f"{url}/s.csv"
    plain = listed_substations(Settings(substations=where))
    assert plain.select("source", "licence").rows() == [("s.csv", "not stated")]
    (folder / "s.csv.about.yaml").write_text("source: PG&E\nlicence: public\nvintage: 2019\n")
    told = listed_substations(Settings(substations=where))
    assert told.select("source", "licence", "vintage").rows() == [("PG&E", "public", "2019")]
    with pytest.raises(ReferenceDataError, match=r"HC_SUBSTATIONS: http://127\.0\.0\.1/gone\.csv .*HTTP 404"):
        listed_substations(Settings(substations=f"{url}/gone.csv?token=not-to-be-shown"))
    with pytest.raises(ReferenceDataError, match=r"path or an https:// URL, not http://"):
        listed_substations(Settings(substations="http://example.org/s.csv"))


def test_an_empty_table_passes_but_for_the_setting_and_unstated_provenance_is_a_warning(
    tmp_path: Path,
) -> None:
    dataset = DATASETS["substations"]
    empty = check_reference(dataset, dataset.table.empty(), Settings())
    assert [(c.name, c.blocking) for c in empty if not c.passed] == [("is_configured", False)]
    path = tmp_path / "s.csv"
    path.write_text("utility_code,name,lat,lon\npge,ALPINE,38.6,-119.9\n")
    settings = Settings(substations=str(path))
    checks = check_reference(dataset, listed_substations(settings), settings)
    assert [(c.name, c.blocking) for c in checks if not c.passed] == [("provenance_is_stated", False)]
    assert "s.csv" not in empty[0].message
    assert "NAME.about.yaml" in checks[-1].message


def test_an_outline_that_crosses_itself_blocks(tmp_path: Path) -> None:
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    path = geoparquet(tmp_path / "t.parquet", {"eia_id": ["1"], "name": ["One"]}, [bow])
    settings = Settings(territories=path)
    dataset = DATASETS["utility_territories"]
    failed = {
        c.name
        for c in check_reference(dataset, dataset.build(settings), settings)
        if c.blocking and not c.passed
    }
    assert failed == {"geometries_are_valid", "rows_are_plausible"}


@given(st.sampled_from(sorted(ISO_NAMES)), st.sampled_from(["{}", "iso-{}", "ISO_{}"]), st.booleans())
def test_an_iso_is_known_however_it_is_written(iso: str, written: str, upper: bool) -> None:
    text = written.format("iso-ne" if iso == "isone" else iso)
    assert iso_of(text.upper() if upper else text) == iso
    assert ISO_OF_AUTHORITY[AUTHORITY_OF_ISO[iso]] == iso


def test_what_is_no_iso_is_none() -> None:
    assert iso_of("iso-southeast-non-iso") is None
    assert iso_of("WECC") is None
    assert len(set(STATE_OF_FIPS.values())) == 56
