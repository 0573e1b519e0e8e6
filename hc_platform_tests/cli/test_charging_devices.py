"""`hc devices`: what is registered, what is refused and why, what an installer is shown."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hc_platform.charging.models import Change, Device
from hc_platform.charging.registry.sqlite import SqliteRegistry
from hc_platform.demo.watttime import PASSWORD, USERNAME, DemoWattTime, serve_watttime
from hc_platform_tests.charging.commissioning.conftest import (
    cut_iou,
    public_power,
    sales,
    territories,
)
from hc_platform_tests.charging.endtoend.world import device
from hc_platform_tests.orchestration.charging_site import Hc

__all__ = ["cut_iou", "public_power", "sales", "territories"]
XCEL = ("--utility", "xcel_co", "--plan", "re_tou")


@pytest.fixture
def watttime() -> Iterator[DemoWattTime]:
    with serve_watttime() as server:
        yield server


@pytest.fixture
def hc(tmp_path: Path, watttime: DemoWattTime) -> Hc:
    """With a WattTime account."""
    account = {"WATTTIME_USERNAME": USERNAME, "WATTTIME_PASSWORD": PASSWORD, "HC_WATTTIME_URL": watttime.url}
    return Hc(tmp_path / "data", account)


@pytest.fixture
def places(public_power: Path, cut_iou: Path, territories: Path, sales: Path) -> dict[str, str]:
    """Settings that name the small files of places."""
    return {
        "HC_ZIP_TABLES": f"{public_power}, {cut_iou}",
        "HC_TERRITORIES": str(territories),
        "HC_UTILITY_SALES": str(sales),
    }


def stored(hc: Hc, device_id: str) -> Device | None:
    registry = SqliteRegistry(hc.data / "registry.sqlite")
    try:
        return registry.device(device_id)
    finally:
        registry.close()


def put(hc: Hc, one: Device, now: datetime | None = None) -> None:
    registry = SqliteRegistry(hc.data / "registry.sqlite")
    registry.put_device(one, now=now or datetime.now(UTC))
    registry.close()


def test_a_device_is_registered_with_the_region_of_its_place(hc: Hc, watttime: DemoWattTime) -> None:
    said = hc(
        *("devices", "add", "garage-1", *XCEL, "--lat", "39.74", "--lon", "-104.99", "--wireless-id", "w-1"),
        *("--confirmed-by", "bill", "--meter", "M 17", "--address", "1 Example St", "--policy", "prompt"),
    )
    assert "garage-1: xcel_co/re_tou, region PSCO, policy prompt" in said.out
    found = stored(hc, "garage-1")
    assert found is not None
    assert (found.watttime_region, found.schedule, found.wireless_device_id) == (
        "PSCO",
        "xcel_co/re_tou",
        "w-1",
    )
    assert (found.protocol, found.plan_confirmed_by, found.meter_number) == ("window", "bill", "M 17")
    assert found.region_checked_at is not None
    assert watttime.requests["/v3/region-from-loc", ""] == 1
    assert PASSWORD not in said.text


def test_a_region_that_is_given_is_not_asked_for(hc: Hc, watttime: DemoWattTime) -> None:
    hc("devices", "add", "ch-1", *XCEL, "--lat", "39.7", "--lon", "-105", "--region", "WACM", "--legacy")
    found = stored(hc, "ch-1")
    assert found is not None
    assert (found.watttime_region, found.region_checked_at, found.protocol) == ("WACM", None, "legacy")
    assert not watttime.requests


def test_without_a_place_or_an_account_the_device_has_no_region_and_it_is_said(hc: Hc) -> None:
    assert "region none: MOER will not pause it" in hc("devices", "add", "ch-1", *XCEL).out
    said = hc("devices", "add", "ch-2", *XCEL, "--lat", "39.7", "--lon", "-105", WATTTIME_PASSWORD="")
    assert "WattTime region not looked up: no WattTime account is configured" in said.err


def test_case_24_without_a_utility_the_candidates_are_listed_and_none_is_chosen(
    hc: Hc, places: dict[str, str]
) -> None:
    said = hc.refuses(
        "say which with --utility and --plan", "devices", "add", "x", "--zip", "80002", **places
    )
    assert "City of Exampleton" in said.out
    assert "Example Electric Coop" in said.out
    assert "the installer must confirm" in said.out
    assert stored(hc, "x") is None


def test_a_utility_that_the_place_does_not_name_is_registered_with_a_warning(
    hc: Hc, places: dict[str, str]
) -> None:
    said = hc("devices", "add", "ch-1", *XCEL, "--zip", "80001", **places)
    assert "look at the utility: xcel_co is none of those that may serve this place" in said.err
    assert stored(hc, "ch-1") is not None


def test_an_unknown_plan_is_refused_with_the_nearest(hc: Hc) -> None:
    hc.refuses(
        "did you mean xcel_co/re_tou?", "devices", "add", "x", "--utility", "xcel_co", "--plan", "re-tou"
    )
    hc.refuses("xcel_cp/re_tou", "devices", "add", "x", "--utility", "xcel_cp", "--plan", "re_tou")
    assert stored(hc, "x") is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("a b",), "device_id"),
        (("ch-1", "--lat", "95", "--lon", "-105"), "lat"),
        (("ch-1", "--zip", "ABC"), "zip: "),
        (("ch-1", "--geocode"), "--geocode needs --address"),
    ],
)
def test_a_field_that_cannot_be_is_one_message(hc: Hc, given: tuple[str, ...], said: str) -> None:
    hc.refuses(said, "devices", "add", *given, *XCEL)


def test_an_id_or_a_downlink_address_is_given_once(hc: Hc) -> None:
    hc("devices", "add", "ch-1", *XCEL, "--wireless-id", "w-1")
    hc.refuses("ch-1 is registered already", "devices", "add", "ch-1", *XCEL)
    hc.refuses("ch-1 has the wireless id w-1", "devices", "add", "ch-2", *XCEL, "--wireless-id", "w-1")
    assert stored(hc, "ch-2") is None


def test_a_policy_that_the_file_lacks_is_refused(hc: Hc) -> None:
    """It would be controlled by the default policy until somebody looks at a check."""
    hc.refuses("did you mean prompt?", "devices", "add", "ch-1", *XCEL, "--policy", "promt")
    assert stored(hc, "ch-1") is None


def test_list_and_show_tell_what_stands(hc: Hc) -> None:
    put(hc, device("ch-1", watttime_region="PSCO", flag="AWS knows no such device"))
    put(hc, device("ch-2", status="inactive"))
    listed = hc("devices", "list").out
    assert "AWS knows no such device" in listed
    assert "ch-2" in listed
    assert "ch-2" not in hc("devices", "list", "--status", "active").out
    hc.refuses("give active or inactive", "devices", "list", "--status", "broken")
    assert "nothing has been decided for it yet" in hc("devices", "show", "ch-1").out
    hc.refuses("no device is called 'ch-9'", "devices", "show", "ch-9")
    hc("charge", "tick")
    shown = hc("devices", "show", "ch-1").out
    assert "next_check_at" in shown
    assert "Newest commands" in shown


def test_deactivate_and_activate(hc: Hc) -> None:
    put(hc, device("ch-1"))
    assert "ch-1: inactive" in hc("devices", "deactivate", "ch-1").out
    assert stored(hc, "ch-1").status == "inactive"  # type: ignore[union-attr]
    assert "ch-1: active" in hc("devices", "activate", "ch-1").out
    assert stored(hc, "ch-1").status == "active"  # type: ignore[union-attr]
    hc.refuses("no device is called 'ch-9'", "devices", "deactivate", "ch-9")


CSV = """device_id,wireless_device_id,utility_id,rate_plan,watttime_region,lat,lon,policy_id
ch-1,w-1,xcel_co,re_tou,PSCO,39.7,-105,prompt
ch-2,w-2,csu,energy_wise,WACM,,,
"""


def test_many_devices_come_from_a_csv(hc: Hc, tmp_path: Path) -> None:
    source = tmp_path / "fleet.csv"
    source.write_text("\ufeff" + CSV)
    hc.refuses("gone.csv", "devices", "import", str(tmp_path / "gone.csv"), exit_code=1)
    assert "2 devices registered" in hc("devices", "import", str(source)).out
    found = stored(hc, "ch-1")
    assert found is not None
    assert (found.lat, found.policy_id) == (39.7, "prompt")
    assert stored(hc, "ch-2").policy_id == "default"  # type: ignore[union-attr]
    said = hc.refuses("2 problems; nothing was imported", "devices", "import", str(source))
    assert "ch-2 is registered already" in said.err


def test_of_a_csv_with_a_wrong_line_nothing_is_imported_and_every_line_is_told(
    hc: Hc, tmp_path: Path
) -> None:
    source = tmp_path / "fleet.csv"
    source.write_text(
        CSV
        + "ch-3,w-3,xcel_co,re_tu,,,,\n"
        + "ch 4,w-4,xcel_co,re_tou,,,,\n"
        + "ch-5,w-5,,,,,,\n"
        + "ch-1,w-6,xcel_co,re_tou,,,,\n"
        + "ch-7,w-7,xcel_co,re_tou,,95,0,\n"
        + "ch-8,w-8,xcel_co,re_tou,,,,promt\n"
        + "ch-9,w-9,xcel_co,re_tou,,,,,one field too many\n"
    )
    said = hc.refuses("7 problems; nothing was imported", "devices", "import", str(source))
    for line, words in (
        (4, "did you mean xcel_co/re_tou?"),
        (5, "device_id"),
        (6, "utility_id and rate_plan are needed"),
        (7, "ch-1 stands there twice"),
        (8, "lat"),
        (9, "did you mean prompt?"),
        (10, "more fields than"),
    ):
        (told,) = [row for row in said.err.splitlines() if f"fleet.csv:{line}: " in row]
        assert words in told
    assert stored(hc, "ch-1") is None


def test_two_devices_of_a_csv_under_one_downlink_address_are_refused(hc: Hc, tmp_path: Path) -> None:
    source = tmp_path / "fleet.csv"
    source.write_text(CSV.replace("w-2", "w-1"))
    hc.refuses("ch-2: ch-1 has the wireless id w-1", "devices", "import", str(source))
    assert stored(hc, "ch-1") is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"device_id,colour\nch-1,red\n", "no device has colour"),
        (b"utility_id\nxcel_co\n", "there is no column device_id"),
        (b"", "there is no column device_id"),
        (b"device_id,utility_id\nM\xfcnchen,x\n", "is not UTF-8"),
    ],
)
def test_a_file_that_is_no_list_of_devices_is_one_message(
    hc: Hc, tmp_path: Path, content: bytes, said: str
) -> None:
    source = tmp_path / "fleet.csv"
    source.write_bytes(content)
    hc.refuses(said, "devices", "import", str(source))


def test_charge_now_ends_the_pause_that_stands_and_can_be_taken_back(hc: Hc) -> None:
    put(hc, device("ch-1", rate_plan="r"))
    hc("charge", "tick")
    hc.refuses("there is nothing to override", "devices", "charge-now", "ch-1")
    hc.refuses("no device is called 'ch-9'", "devices", "charge-now", "ch-9")
    now = datetime.now(UTC)
    registry = SqliteRegistry(hc.data / "registry.sqlite")
    control = registry.control("ch-1")
    assert control is not None
    end = (now + timedelta(hours=1)).replace(microsecond=0)
    paused = {"rev": control.rev + 1, "desired": "pause", "window_start": now, "window_end": end}
    assert registry.commit([Change(control=control.model_copy(update=paused))], now=now) == []
    registry.close()
    assert f"allowed until {end:%Y-%m-%d %H:%M:%S}Z" in hc("devices", "charge-now", "ch-1").out
    assert stored(hc, "ch-1").override_until == end  # type: ignore[union-attr]
    assert "Charge Now is over" in hc("devices", "charge-now", "ch-1", "--end").out
    assert stored(hc, "ch-1").override_until is None  # type: ignore[union-attr]


def test_a_departure_and_its_need_go_together(hc: Hc) -> None:
    put(hc, device("ch-1"))
    at = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    depart = ("devices", "depart", "ch-1")
    assert "needs 2.5 h" in hc(*depart, "--at", at.isoformat(), "--need-hours", "2.5").out
    found = stored(hc, "ch-1")
    assert found is not None
    assert (found.deadline, found.need_s) == (at, 9_000)
    hc.refuses("give both or neither", *depart, "--at", at.isoformat())
    hc.refuses("has no offset", *depart, "--at", "2099-01-01T08:00:00", "--need-hours", "2")
    hc.refuses("is past", *depart, "--at", "2026-01-01T08:00:00Z", "--need-hours", "2")
    hc.refuses("is no instant", *depart, "--at", "tomorrow", "--need-hours", "2")
    for hours in ("-2", "nan", "inf", "1e9"):
        hc.refuses("hours", *depart, "--at", at.isoformat(), "--need-hours", hours)
    assert stored(hc, "ch-1") == found
    assert "no departure" in hc(*depart).out
    assert stored(hc, "ch-1").deadline is None  # type: ignore[union-attr]


def test_a_place_shows_every_candidate_with_its_sources(hc: Hc, places: dict[str, str]) -> None:
    said = hc("devices", "place", "--lat", "40", "--lon", "-105", "--zip", "80001", **places).out
    assert "City of Exampleton" in said
    assert "WACM" in said
    assert "WattTime region: PSCO" in said
    assert "Example Energy Sales" in said, "a seller is told, and is no candidate"
    both = hc("devices", "place", "--zip", "80002", **places).out
    assert "the installer must confirm" in both
    hc.refuses("give --zip, --lat and --lon, or --address", "devices", "place")
    hc.refuses("give --zip, --lat and --lon, or --address", "devices", "place", "--lat", "40")
    hc.refuses("zip: ", "devices", "place", "--zip", "8000", **places)


@pytest.mark.real_data
def test_case_23_colorado_springs_is_its_own_utility(hc: Hc, shared_data: Path) -> None:
    charge = shared_data / "charge"
    files = {
        "HC_ZIP_TABLES": ",".join(str(p) for p in sorted((charge / "zip_utility").glob("*.csv"))),
        "HC_UTILITY_SALES": str(charge / "eia861" / "sales_ult_cust_2018.csv"),
    }
    said = hc("devices", "place", "--zip", "80903", **files).out
    (row,) = [line for line in said.splitlines() if "3,989" in line or "3989" in line]
    assert "csu" in row
    assert "WACM" in row
    assert "may serve this place: the installer" not in said
