"""Every real USURDB file: imported with the ranks that its prices mean, or refused with the right reason."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hc_platform.charging.tariffs.loading import load_tariff_file
from hc_platform.charging.tariffs.urdb import Refused, UrdbError, convert, rates_in, read_urdb
from hc_platform.charging.tariffs.urdb_import import import_urdb
from hc_platform_tests.charging.urdb.making import ON
from hc_platform_tests.charging.urdb.same import assert_hours_as_in

pytestmark = pytest.mark.real_data


class Expected(NamedTuple):
    """`periods`: as the version writes them, empty for a flat one. `refused`: without ids and a first day given."""

    schedule: str | None = None
    days: str = ""
    periods: tuple[str, ...] = ()
    refused: str = ""


NAMELESS = "no utility in it"
FILES: Mapping[str, Expected] = {
    "nrel/pysam_urdb_rate_539f6a23ec4f024411ec8beb.json": Expected(
        "south_central_public_pwr_dist/rate_scheduel_lp1_large_power_service", "2012-05-01.."
    ),
    "nrel/pysam_urdbv7.json": Expected(
        periods=("on_peak 15:00-20:00 weekdays summer",), refused=NAMELESS
    ),  # float period ids
    "nrel/reopt_incentives.json": Expected(
        "southerncaliforniaedisonco/timeofuse_generalservice_demandmetered_optionb_gs_2toub_singleph",
        "2015-06-01..2015-12-31",
        (
            "on_peak 08:00-21:00 weekdays winter",
            "mid_peak 08:00-12:00 weekdays summer",
            "on_peak 12:00-18:00 weekdays summer",
            "mid_peak 18:00-23:00 weekdays summer",
        ),
    ),
    "nrel/reopt_leap_year.json": Expected(periods=("on_peak 07:00-20:00 weekdays",), refused=NAMELESS),
    "nrel/reopt_multi_tier_urdb_response.json": Expected(refused=NAMELESS),
    "nrel/reopt_re_emissions_elec_only.json": Expected(
        "entergy_arkansas_inc_arkansas/large_power_service_time_of_use_pst",
        "2018-01-01..2019-01-31",
        ("on_peak 07:00-18:00 weekdays winter", "on_peak 13:00-20:00 weekdays summer"),
    ),
    "nrel/reopt_subhourly_with_urdb.json": Expected(
        periods=(
            "on_peak 10:00-21:00 weekdays winter",
            "on_peak 10:00-13:00 weekdays summer",
            "mid_peak 13:00-21:00 weekdays summer",
        ),
        refused=NAMELESS,
    ),
    "nrel/reopt_tiered_tou_demand.json": Expected(refused=NAMELESS),
    "python-openei/fixed_charge_rate.json": Expected(
        "jacksonville_electric_authority/rs_residential_electric", "2024-04-01.."
    ),
    "python-openei/plan_adjustments_data.json": Expected(
        "connecticut_light_power_co/rate_1_residential_electric_service", "2022-07-01.."
    ),
    "python-openei/plan_data.json": Expected(
        refused="enddate 2016-05-02 is before startdate 2016-05-03: USURDB took it back"
    ),
    "python-openei/plan_demand_data.json": Expected(
        "arizona_public_service_co/residential_service_saver_choice_plus_r_2",
        "2019-04-01..",
        ("on_peak 15:00-20:00 weekdays",),
    ),
    "python-openei/plan_tier_data.json": Expected(
        "pacific_gas_electric_co/e_1_residential_service_baseline_region_t", "2021-03-01.."
    ),
    "python-openei/sell_rate.json": Expected(
        "consumers_energy_co/residential_summer_on_peak_basic_service_rsp",
        "2025-01-01..",
        ("on_peak 14:00-19:00 weekdays summer",),
    ),
}
ERRORS = {
    "python-openei/api_error.json": "OpenEI refused: API_KEY_MISSING: No api_key was supplied",
    "python-openei/rate_limit.json": "OpenEI refused: RATE_LIMIT: You have exceeded your rate limit",
}
INDEX = "python-openei/lookup.json"


@pytest.fixture
def usurdb(shared_data: Path) -> Path:
    return shared_data / "charge" / "usurdb"


def test_no_file_is_left_out(usurdb: Path) -> None:
    there = {str(path.relative_to(usurdb)) for path in usurdb.rglob("*.json")}
    assert there == {*FILES, *ERRORS, INDEX}


@pytest.mark.parametrize("name", FILES)
def test_each_rate_imports_or_is_refused_with_its_reason(name: str, usurdb: Path, tmp_path: Path) -> None:
    expected = FILES[name]
    [plan] = import_urdb(usurdb / name, folder=tmp_path, on=ON, timezone="America/Phoenix")
    [outcome] = plan.outcomes
    if expected.refused:
        assert (outcome.status, outcome.schedule) == ("refused", None)
        assert outcome.reason is not None
        assert outcome.reason.startswith(expected.refused)
        assert list(tmp_path.iterdir()) == []
        return
    assert (outcome.status, outcome.schedule) == ("imported", expected.schedule)
    [path] = tmp_path.iterdir()
    file = load_tariff_file(path)
    assert file == plan.file
    [rate_plan] = file.rate_plans.values()
    [version] = rate_plan.versions
    assert f"{version.effective_from}..{version.effective_to or ''}" == expected.days
    assert tuple(map(str, version.periods)) == expected.periods
    assert version.is_flat == (not expected.periods)
    assert rate_plan.verification.status == "imported"
    [again] = import_urdb(usurdb / name, folder=tmp_path, on=ON)
    assert (again.changed, again.diff, again.outcomes[0].status) == (False, (), "unchanged")


@pytest.mark.parametrize("name", [n for n in FILES if n != "python-openei/plan_data.json"])
def test_compiled_hours_are_those_of_the_matrices(name: str, usurdb: Path, tmp_path: Path) -> None:
    [rate] = read_urdb(usurdb / name)
    [plan] = import_urdb(
        usurdb / name,
        folder=tmp_path,
        on=ON,
        timezone="America/Chicago",
        utility_id="example",
        rate_plan="plan",
        effective_from=dt.date(2020, 1, 1),
    )
    assert plan.outcomes[0].status == "imported", plan.outcomes
    file = load_tariff_file(tmp_path / "example.yaml")
    expected = FILES[name]
    assert tuple(map(str, file.rate_plans["plan"].versions[0].periods)) == expected.periods
    assert_hours_as_in(rate, file)


def test_a_withdrawn_rate_has_the_right_hours_all_the_same(usurdb: Path, tmp_path: Path) -> None:
    """plan_data.json without its impossible enddate: APS's noon to seven."""
    [given] = read_urdb(usurdb / "python-openei" / "plan_data.json")
    rate: dict[str, Any] = {key: value for key, value in given.items() if key != "enddate"}
    done = convert(rate, timezone="America/Phoenix")
    assert not isinstance(done, Refused)
    assert tuple(map(str, done.version.periods)) == ("on_peak 12:00-19:00 weekdays",)


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_of_the_api_is_told_in_its_own_words(name: str, usurdb: Path, tmp_path: Path) -> None:
    with pytest.raises(UrdbError, match=ERRORS[name]):
        import_urdb(usurdb / name, folder=tmp_path, on=ON, timezone="America/Phoenix")
    assert list(tmp_path.iterdir()) == []


def test_index_rows_are_refused_one_by_one(usurdb: Path, tmp_path: Path) -> None:
    plans = import_urdb(usurdb / INDEX, folder=tmp_path, on=ON, timezone="America/Phoenix")
    outcomes = [outcome for plan in plans for outcome in plan.outcomes]
    assert len(outcomes) == 32
    assert {o.status for o in outcomes} == {"refused"}
    assert all((o.reason or "").startswith("an index row: no schedule in it") for o in outcomes)
    assert list(tmp_path.iterdir()) == []


def test_a_rate_in_a_string_in_a_file_is_found(usurdb: Path) -> None:
    """pysam keeps an answer as JSON text within JSON."""
    name = "pysam_urdb_rate_539f6a23ec4f024411ec8beb.json"
    [rate] = read_urdb(usurdb / "nrel" / name)
    assert rate["label"] == "539f6a23ec4f024411ec8beb"
    assert rates_in([dict(rate)]) == [rate]
