"""The shipped schedules against hours that somebody else computed, and against what USURDB says of the same utilities."""

import csv
import datetime as dt
import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hc_platform.charging.tariffs.compiled import compile_tariffs
from hc_platform.charging.tariffs.loading import Tariffs
from hc_platform_tests.charging.schedules.days import tier

pytestmark = pytest.mark.real_data

PACIFIC = ZoneInfo("America/Los_Angeles")


@pytest.fixture(scope="module")
def charge_data(shared_data: Path) -> Path:
    folder = shared_data / "charge"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent")
    return folder


@pytest.fixture(scope="module")
def oracle(charge_data: Path) -> list[tuple[dt.datetime, dict[str, str]]]:
    """The oracle's rows with the UTC instant at which each of its hours begins.

    Its hours follow one another in time (R's seq.POSIXt in Pacific time) and carry the wall clock: on 2025-03-09 it goes
    from 01:00 to 03:00, on 2025-11-02 it has 01:00 twice. So row n begins n hours after local midnight of January 1, and
    its wall clock has to agree: a shifted index fails here and not in a thousand tiers.
    """
    path = charge_data / "tariff_oracle" / "2025_PGE_E_ELEC_Cost_Dataframe.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    start = dt.datetime(2025, 1, 1, tzinfo=PACIFIC).astimezone(dt.UTC)
    instants = [start + dt.timedelta(hours=n) for n in range(len(rows))]
    for instant, row in zip(instants, rows, strict=True):
        assert f"{instant.astimezone(PACIFIC):%Y-%m-%d %H:%M:%S}" == row["Date_Time"]
    return list(zip(instants, rows, strict=True))


def _oracle_tier(row: dict[str, str]) -> str:
    [column] = [name for name, flag in row.items() if name.endswith("_Binary") and flag == "1"]
    return column.removesuffix("_Binary").split("_", 1)[1].lower()


def test_pge_e_elec_against_the_hour_oracle(
    shipped: Tariffs, oracle: list[tuple[dt.datetime, dict[str, str]]]
) -> None:
    e_elec = shipped["pge/e_elec"]
    assert len(oracle) == 8760
    wrong = [row["Date_Time"] for instant, row in oracle if tier(e_elec, instant) != _oracle_tier(row)]
    assert not wrong, f"{len(wrong)} of 8,760 hours, first {wrong[:5]}"


def test_pge_e_elec_compiled_against_the_hour_oracle(
    shipped: Tariffs, oracle: list[tuple[dt.datetime, dict[str, str]]]
) -> None:
    e_elec = shipped["pge/e_elec"]
    year = compile_tariffs({e_elec.schedule: e_elec}, oracle[0][0], oracle[-1][0] + dt.timedelta(hours=1))
    hours = [
        name
        for name, start, end in year.select("tier", "starts_at", "ends_at").iter_rows()
        for _ in range((end - start) // dt.timedelta(hours=1))
    ]
    assert hours == [_oracle_tier(row) for _, row in oracle]


def test_e_elecs_ranks_follow_the_oracles_prices(
    shipped: Tariffs, oracle: list[tuple[dt.datetime, dict[str, str]]]
) -> None:
    """In each season a greater rank is a greater price."""
    version = shipped["pge/e_elec"].version_on(dt.date(2025, 7, 1))
    assert version is not None
    prices = {
        (row["Season"], version.tiers[_oracle_tier(row)]): float(row["Retail_Rate"]) for _, row in oracle
    }
    for season in ("Summer", "Winter"):
        by_rank = [price for (of, _), price in sorted(prices.items()) if of == season]
        assert len(by_rank) == 3
        assert by_rank == sorted(by_rank)


def _usurdb(charge_data: Path, file: str) -> dict[str, Any]:
    answer = json.loads((charge_data / "usurdb" / "python-openei" / file).read_text())
    rate: dict[str, Any] = answer["items"][0]
    return rate


def test_pge_e1_is_flat_in_usurdb_too(shipped: Tariffs, charge_data: Path) -> None:
    """Each month has one period for all its hours; what differs is the price by monthly use."""
    rate = _usurdb(charge_data, "plan_tier_data.json")
    assert rate["name"].startswith("E-1 ")
    for month, weekend in zip(rate["energyweekdayschedule"], rate["energyweekendschedule"], strict=True):
        assert len({*month, *weekend}) == 1
    assert all(version.is_flat for version in shipped["pge/e_1"].plan.versions)


def test_aps_winter_has_the_months_of_its_sister_plan_in_usurdb(shipped: Tariffs, charge_data: Path) -> None:
    """Saver Choice Plus charges its on-peak hours by the same two seasons and leaves weekends alone."""
    rate = _usurdb(charge_data, "plan_demand_data.json")
    assert "Saver Choice Plus" in rate["name"]
    weekdays = rate["energyweekdayschedule"]
    winter = [month for month in range(1, 13) if weekdays[month - 1][16] == weekdays[0][16]]
    r_tou_e = shipped["aps/r_tou_e"]
    middays = [tier(r_tou_e, dt.datetime(2025, month, 15, 18, tzinfo=dt.UTC)) for month in range(1, 13)]
    weekday_months = [m for m in range(1, 13) if dt.date(2025, m, 15).weekday() < 5]
    assert [m for m in weekday_months if middays[m - 1] == "super_off_peak"] == [
        m for m in winter if m in weekday_months
    ]
    assert {period for month in rate["energyweekendschedule"] for period in month} == {0}


def test_eia_ids_are_those_of_eia_861(shipped: Tariffs, charge_data: Path) -> None:
    with (charge_data / "eia861" / "sales_ult_cust_2018.csv").open(newline="") as file:
        named = {row[0]: row[1] for row in csv.reader(file)}
    assert {utility: named[str(file.eia_id)] for utility, file in shipped.files.items()} == {
        "aps": "Arizona Public Service Co",
        "coned": "Consolidated Edison Co-NY Inc",
        "csu": "City of Colorado Springs - (CO)",
        "pge": "Pacific Gas & Electric Co.",
        "sce": "Southern California Edison Co",
        "sdge": "San Diego Gas & Electric Co",
        "xcel_co": "Public Service Co of Colorado",
    }
