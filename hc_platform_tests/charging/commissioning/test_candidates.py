"""All sources together: what is certain, what is left to the installer, what was not looked up."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import shapely

from hc_platform.charging.commissioning.candidates import Sources, commission
from hc_platform.charging.moer.watttime import WattTime
from hc_platform.demo.watttime import FORBIDDEN, PASSWORD, USERNAME, DemoWattTime, serve_watttime
from hc_platform_tests.charging.commissioning.conftest import write_shapes

Made = Callable[..., Sources]


@pytest.fixture
def demo() -> Iterator[DemoWattTime]:
    with serve_watttime() as server:
        yield server


@pytest.fixture
def watttime(demo: DemoWattTime) -> Iterator[WattTime]:
    with WattTime(USERNAME, PASSWORD, base_url=demo.url) as client:
        yield client


def test_sources_that_agree_give_one_utility_with_all_that_is_known(
    sources: Made, watttime: WattTime, demo: DemoWattTime
) -> None:
    found = commission(40.0, -105.0, "80001", sources=sources(), watttime=watttime, utility_ids={1: "csu"})
    assert found.utility is not None
    assert (found.utility.eia_id, found.utility_id, found.ambiguous) == (1, "csu", False)
    assert len(found.utility.sources) == 2
    assert [one.code for one in found.utility.authorities] == ["WACM"]
    assert found.watttime_region == "PSCO"
    assert demo.requests["/v3/region-from-loc", ""] == 1
    assert any("Example Energy Sales" in note for note in found.notes), (
        "the marketer is no candidate but is told"
    )


def test_case_24_two_utilities_for_a_zip_are_left_to_the_installer(sources: Made) -> None:
    found = commission(None, None, "80002", sources=sources(zip_tables=sources().zip_tables[:1]))
    assert found.ambiguous
    assert found.utility is None
    assert found.utility_id is None
    assert [one.eia_id for one in found.candidates] == [1, 2]
    assert any("the installer must confirm" in note for note in found.notes)


def test_case_24_a_point_does_not_outvote_the_zip(sources: Made) -> None:
    found = commission(40.0, -105.0, "80002", sources=sources(), utility_ids={1: "csu"})
    assert found.ambiguous
    assert found.utility_id is None
    assert [one.eia_id for one in found.candidates] == [1, 2, None], "the likelier first, none left out"


def test_an_unnamed_utility_alone_is_no_answer(sources: Made) -> None:
    found = commission(None, None, "80003", sources=sources())
    assert not found.ambiguous
    assert found.utility is None
    assert len(found.candidates) == 1


def test_an_unnamed_investor_owned_utility_is_borne_out_by_the_one_at_the_point(sources: Made) -> None:
    found = commission(40.0, -103.5, "80003", sources=sources())
    assert found.utility is not None
    assert found.utility.eia_id == 3
    assert len(found.utility.sources) == 2
    assert [one.code for one in found.utility.authorities] == ["PACE", "PACW"], "not chosen either"
    assert any("Example Choice" in note for note in found.notes), "an aggregator sells over others' wires"


def test_nothing_configured_is_told_item_by_item() -> None:
    found = commission(40.0, -105.0, "80001", sources=Sources())
    assert found.candidates == ()
    assert found.utility is None
    for what in ("ZIP", "territory", "balancing authority", "WattTime region"):
        assert [note for note in found.notes if note.startswith(f"{what} not looked up: no ")], what


def test_files_that_are_missing_or_broken_are_told_and_the_rest_goes_on(
    sources: Made, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text("a,b\n1,2\n")
    gone = tmp_path / "gone.parquet"
    found = commission(40.0, -105.0, "80001", sources=sources(zip_tables=(broken,), territories=gone))
    assert found.candidates == ()
    assert any("broken.csv" in note and "lacks" in note for note in found.notes)
    assert any("gone.parquet is not there" in note for note in found.notes)
    found = commission(40.0, -105.0, "80001", sources=sources(zip_tables=(broken,), sales=broken))
    assert [(one.eia_id, one.authorities) for one in found.candidates] == [(1, ())]


def test_the_county_is_asked_only_where_nothing_else_is_known(sources: Made, tmp_path: Path) -> None:
    counties = write_shapes(
        tmp_path / "counties.parquet", {"fips": ["08041"]}, [shapely.box(-106, 39, -104, 41)]
    )
    table = tmp_path / "territory.csv"
    table.write_text(
        "Utility_Number,Utility_Name,County_FIPS,County_Name,State_FIPS,State_Name\n"
        "1,City of Exampleton,8041,Example County,8000,Colorado\n"
        "2,Example Electric Coop,8041,Example County,8000,Colorado\n"
    )
    by_county = {"counties": counties, "service_territory": table}
    assert not commission(40.0, -105.0, "80001", sources=sources(**by_county)).ambiguous
    found = commission(40.0, -105.0, sources=sources(zip_tables=(), territories=None, **by_county))
    assert [one.eia_id for one in found.candidates] == [1, 2]
    assert found.utility is None
    assert any("only the county is known" in note for note in found.notes)


def test_watttime_that_refuses_is_told(sources: Made, watttime: WattTime, demo: DemoWattTime) -> None:
    demo.order("/v3/region-from-loc", FORBIDDEN)
    found = commission(40.0, -105.0, "80001", sources=sources(), watttime=watttime)
    assert found.watttime_region is None
    assert any(note.startswith("WattTime region not found: http 403") for note in found.notes)
    assert found.utility is not None
    assert any("404" in note for note in commission(0.0, 0.0, sources=sources(), watttime=watttime).notes)


@pytest.mark.parametrize(
    "place", [(91.0, 0.0, None), (0.0, 181.0, None), (float("nan"), 0.0, None), (0.0, 0.0, "8090")]
)
def test_a_place_that_cannot_be_is_refused(place: tuple[float, float, str | None]) -> None:
    with pytest.raises(ValueError, match=r"lat|lon|zip"):
        commission(*place, sources=Sources())


def test_the_ambiguity_stands_in_the_json(sources: Made) -> None:
    assert '"ambiguous":true' in commission(None, None, "80002", sources=sources()).model_dump_json()


@pytest.mark.real_data
def test_real_colorado_springs_is_its_own_utility_and_not_xcel(shared_data: Path) -> None:
    charge = shared_data / "charge"
    everything = Sources(
        zip_tables=sorted((charge / "zip_utility").glob("*.csv")),
        territories=shared_data / "geo" / "utility_territories.parquet",
        sales=charge / "eia861" / "sales_ult_cust_2018.csv",
    )
    found = commission(
        38.8339, -104.8214, "80903", sources=everything, utility_ids={3989: "csu", 15466: "xcel_co"}
    )
    assert found.utility_id == "csu"
    assert found.utility is not None
    assert [one.code for one in found.utility.authorities] == ["WACM"]
    denver = commission(
        39.7392, -104.9903, "80203", sources=everything, utility_ids={3989: "csu", 15466: "xcel_co"}
    )
    assert "xcel_co" in [one.utility_id for one in denver.candidates]
