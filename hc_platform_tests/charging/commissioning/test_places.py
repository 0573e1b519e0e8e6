"""ZIP tables, territories, counties and balancing authorities, each alone."""

from pathlib import Path

import polars as pl
import pytest
import shapely

from hc_platform.charging.commissioning.authorities import authorities_of
from hc_platform.charging.commissioning.territories import utilities_at, utilities_of_county
from hc_platform.charging.commissioning.zips import UNNAMED, load_zip_table, utilities_of_zip
from hc_platform_tests.charging.commissioning.conftest import WGS84, write_shapes


def ids(found: list) -> list[int | None]:
    return [one.eia_id for one in found]


def test_a_zip_gives_all_its_utilities_once_with_their_source(public_power: Path) -> None:
    table = load_zip_table([public_power])
    both = utilities_of_zip(table, "80002")
    assert ids(both) == [1, 2]
    assert both[0].sources == ("ZIP 80002 (non_iou.csv)",)
    assert utilities_of_zip(table, "99999") == []


def test_a_zip_that_lost_its_zero_is_found(public_power: Path) -> None:
    assert ids(utilities_of_zip(load_zip_table([public_power]), "01001")) == [5]


def test_a_power_marketer_is_told_as_one(public_power: Path) -> None:
    found = utilities_of_zip(load_zip_table([public_power]), "80001")
    assert [(one.eia_id, one.marketer) for one in found] == [(1, False), (9, True)]


def test_a_file_without_names_gives_one_unnamed_candidate(public_power: Path, cut_iou: Path) -> None:
    table = load_zip_table([public_power, cut_iou])
    [only] = utilities_of_zip(table, "80003")
    assert (only.eia_id, only.name, only.investor_owned) == (None, UNNAMED, True)
    assert ids(utilities_of_zip(table, "80002")) == [1, 2, None]


def test_the_unnamed_one_goes_where_a_named_investor_owned_one_is(cut_iou: Path, named_iou: Path) -> None:
    assert ids(utilities_of_zip(load_zip_table([cut_iou, named_iou]), "80003")) == [3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zip,name\n1,a\n", "lacks the columns eiaid, ownership, utility_name"),
        ("zip,eiaid,utility_name,ownership\nABC,1,a,Municipal\n", "rows without a ZIP"),
        ("zip,eiaid,utility_name,ownership\n80001,x,a,Municipal\n", "or EIA id"),
        ("", "no CSV"),
    ],
)
def test_another_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        load_zip_table([path])
    assert "other.csv" in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"gone\.csv"):
        load_zip_table([tmp_path / "gone.csv"])


def test_the_city_is_not_the_land_around_it(territories: Path) -> None:
    assert ids(utilities_at(40.0, -105.0, territories)) == [1]
    assert ids(utilities_at(40.5, -105.0, territories)) == [2]
    assert ids(utilities_at(0, 0, territories)) == []


def test_near_a_border_both_sides_are_told(territories: Path) -> None:
    inside = -105.1 + 0.005  # 427 m, for a degree is 85 km here, east of the city's western border
    assert ids(utilities_at(40.0, inside, territories)) == [1, 2]
    assert ids(utilities_at(40.0, inside, territories, margin_m=300)) == [1]
    assert ids(utilities_at(40.0, -105.1, territories, margin_m=0)) == [1, 2], "on the border itself"
    north = 40.1 - 0.004  # 445 m south of the northern border
    assert ids(utilities_at(north, -105.0, territories)) == [1, 2]
    assert ids(utilities_at(north, -105.0, territories, margin_m=400)) == [1]


def test_a_federal_wholesaler_drawn_over_everything_is_no_candidate(tmp_path: Path) -> None:
    west = [shapely.box(-120, 30, -100, 45)] * 2
    path = write_shapes(tmp_path / "west.parquet", {"eia_id": ["27000", "8"], "name": ["WAPA", "Town"]}, west)
    assert ids(utilities_at(40.0, -105.0, path)) == [8]


def test_a_file_that_changed_is_read_anew(territories: Path) -> None:
    assert ids(utilities_at(40.0, -105.0, territories)) == [1]
    write_shapes(territories, {"eia_id": ["7"], "name": ["New"]}, [shapely.box(-106, 39, -104, 41)])
    assert ids(utilities_at(40.0, -105.0, territories)) == [7]


def test_files_that_are_no_territories_are_refused(tmp_path: Path) -> None:
    place = [shapely.box(-106, 39, -104, 41)]
    plain = tmp_path / "plain.parquet"
    pl.DataFrame({"eia_id": ["1"]}).write_parquet(plain)
    text = tmp_path / "text.parquet"
    text.write_text("not parquet")
    projected = {**WGS84, "id": {"authority": "EPSG", "code": 3857}}
    mercator = write_shapes(
        tmp_path / "mercator.parquet", {"eia_id": ["1"], "name": ["a"]}, place, crs=projected
    )
    nameless = write_shapes(tmp_path / "nameless.parquet", {"eia_id": ["1"]}, place)
    for path, message in (
        (plain, "GeoParquet"),
        (text, "GeoParquet"),
        (mercator, "WGS 84"),
        (nameless, "name"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            utilities_at(40, -105, path)
        assert path.name in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"gone\.parquet"):
        utilities_at(40, -105, tmp_path / "gone.parquet")


def test_a_county_gives_all_its_utilities(tmp_path: Path) -> None:
    counties = write_shapes(
        tmp_path / "counties.parquet", {"fips": ["08041"]}, [shapely.box(-106, 39, -104, 41)]
    )
    table = tmp_path / "territory.csv"
    table.write_text(
        "Utility_Number,Utility_Name,County_FIPS,County_Name,State_FIPS,State_Name\n"
        "1,City of Exampleton,8041,Example County,8000,Colorado\n"
        "2,Example Electric Coop,8041,Example County,8000,Colorado\n"
        "3,Example Power Co,8042,Other County,8000,Colorado\n"
    )
    found = utilities_of_county(40, -105, counties, table)
    assert ids(found) == [1, 2]
    assert "Example County, Colorado" in found[0].sources[0]
    assert utilities_of_county(0, 0, counties, table) == []


def test_authorities_that_differ_by_state_are_all_told(sales: Path) -> None:
    assert [one.code for one in authorities_of(1, sales)] == ["WACM"]
    both = authorities_of(3, sales)
    assert [(one.code, one.states) for one in both] == [
        ("PACE", ("Utah",)),
        ("PACW", ("California", "Colorado")),
    ]
    assert authorities_of(77, sales) == []


@pytest.mark.real_data
def test_case_24_real_zips_have_several_utilities_more_often_than_not_is_thought(shared_data: Path) -> None:
    folder = shared_data / "charge" / "zip_utility"
    named, cut = folder / "non_iou_zipcodes_2020.csv", folder / "iou_zipcodes_2020_zip_rate_only.csv"
    table = load_zip_table([named, cut])
    assert ids(utilities_of_zip(table, "80903")) == [3989]
    wires = table.filter(~pl.col("ownership").str.contains("Marketer"))
    # An unnamed investor-owned utility counts as one, so the true share is at least this.
    by_zip = wires.group_by("zip").agg(pl.col("eia_id").n_unique().alias("utilities"))
    several = (by_zip["utilities"] > 1).sum()
    assert (several, by_zip.height) == (14_309, 38_890)
    assert round(several / by_zip.height, 3) == 0.368


@pytest.mark.real_data
def test_real_authority_of_colorado_springs(shared_data: Path) -> None:
    [only] = authorities_of(3989, shared_data / "charge" / "eia861" / "sales_ult_cust_2018.csv")
    assert only.code == "WACM"


@pytest.mark.real_data
def test_real_territories(shared_data: Path) -> None:
    territories = shared_data / "geo" / "utility_territories.parquet"
    assert ids(utilities_at(38.8339, -104.8214, territories)) == [3989]
    counties, table = shared_data / "geo" / "us_counties.parquet", "service_territory_2018.csv"
    county = utilities_of_county(38.8339, -104.8214, counties, shared_data / "charge" / "eia861" / table)
    assert 3989 in ids(county)
    assert len(county) > 1
