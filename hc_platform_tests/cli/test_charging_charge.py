"""`hc charge`: a tick on the UI's instance, a dry run that touches nothing, the past, and what goes wrong in words."""

import shutil
import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from hc_platform.charging.downlinks.local import sent
from hc_platform.charging.registry import sqlite_schema
from hc_platform.charging.registry.sqlite import SqliteRegistry
from hc_platform.charging.site import open_site
from hc_platform.charging.tables import CHARGE_COMMANDS, CHARGE_DECISIONS, CHARGE_REPLAYS
from hc_platform.charging.tick import tick
from hc_platform.demo.watttime import PASSWORD, USERNAME, serve_watttime
from hc_platform.lake.store import Lake
from hc_platform.settings import PROJECT_DIR, Settings
from hc_platform_tests.charging.endtoend.world import device
from hc_platform_tests.orchestration.charging_site import Hc, kept

PEAK = "2026-07-08T17:30:00-06:00"
_JULY = [date(date.today().year - 1, 7, day) for day in range(8, 15)]  # noqa: DTZ011 - any day of the year will do
LAST_PEAK = next(f"{day}T17:30:00-06:00" for day in _JULY if day.weekday() == 2)
"""On-peak by every version of the tariff, and in what a run of today compiles."""
FAR = "2060-07-07T17:30:00-06:00"
"""A peak that is still to come: decided for as for now, so with its commands."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One Dagster instance for all: to make its databases takes longer than to run."""
    folder = tmp_path_factory.mktemp("dagster")
    shutil.copyfile(PROJECT_DIR / "dagster.yaml", folder / "dagster.yaml")
    return folder


@pytest.fixture
def hc(tmp_path: Path, home: Path) -> Hc:
    """Three devices: a peak to come, a flat plan, a utility that nobody knows."""
    registry = SqliteRegistry(tmp_path / "registry.sqlite")
    for one in (device(), device("ch-2", rate_plan="r"), device("ch-3", utility_id="nobody")):
        registry.put_device(one, now=datetime.now(UTC))
    registry.close()
    return Hc(tmp_path, {"DAGSTER_HOME": str(home)})


def quick_tick(hc: Hc, at: datetime | None = None) -> None:
    """A tick without Dagster around it."""
    site = open_site(Settings(data_dir=hc.data))
    tick(site, at or site.now(), cause="test")
    site.registry.close()


def test_a_tick_is_a_run_on_the_instance_that_the_ui_shows(
    hc: Hc, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = hc("charge", "tick")
    assert "(live): 3 devices" in said.out
    assert "3 commanded, 0 lost races, 3 sent" in said.out
    assert "look at devices: devices_have_schedules: 1 active devices" in said.err
    assert "ch-3 (unknown_utility)" in said.err
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs(limit=1)
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert (run.job_name, run.tags["cause"]) == ("charge_control_job", "hc charge tick")
        assert instance.get_latest_materialization_event(dg.AssetKey("charge_runs"))
    assert [line["meaning"] for line in sent(hc.data / "downlink")].count("allow") >= 1
    again = hc("charge", "tick")
    assert "0 commanded" in again.out
    assert len(list(sent(hc.data / "downlink"))) == 3


def test_case_45_a_tick_of_the_past_makes_no_command(hc: Hc) -> None:
    said = hc("charge", "tick", "--as-of", PEAK)
    assert "2026-07-08T23:30:00+00:00 (backfill): 3 devices, 1 paused, 3 changed, 0 commanded" in said.out
    lake = Lake(str(hc.data / "lake"))
    assert set(lake.scan(CHARGE_DECISIONS).collect()["mode"]) == {"backfill"}
    assert lake.version(CHARGE_COMMANDS) == -1
    assert not (hc.data / "downlink").exists()


@pytest.mark.parametrize("at", [None, PEAK, FAR])
def test_a_dry_run_writes_nothing_and_sends_nothing(hc: Hc, at: str | None) -> None:
    with serve_watttime() as watttime:
        account = {
            "WATTTIME_USERNAME": USERNAME,
            "WATTTIME_PASSWORD": PASSWORD,
            "HC_WATTTIME_URL": watttime.url,
        }
        registry = SqliteRegistry(hc.data / "registry.sqlite")
        registry.put_device(device("ch-4", watttime_region="PSCO"), now=datetime.now(UTC))
        registry.close()
        before = kept(hc.data)
        said = hc("charge", "tick", "--dry-run", *(["--as-of", at] if at else []), **account)
        hc("charge", "explain", "ch-4", **account)
    assert "4 devices; nothing was written or sent" in said.out
    assert "unknown_utility" in said.out
    assert "ch-3" in said.out
    if at:
        assert "2026-07-09 03:00:00" in said.out or "2060-07-08 03:00:00" in said.out
    assert kept(hc.data) == before
    assert {p.name for p in hc.data.iterdir()} <= {
        "registry.sqlite",
        "registry.sqlite-wal",
        "registry.sqlite-shm",
    }


def test_a_dry_run_shows_what_a_tick_would_do(hc: Hc) -> None:
    quick_tick(hc)
    dry = hc("charge", "tick", "--dry-run", "--as-of", FAR).out
    rows = [line for line in dry.splitlines() if "ch-" in line]
    assert len(rows) == 1, "only what would change"
    assert "ch-1" in rows[0]
    assert "pause" in rows[0]


def test_an_instant_to_come_is_asked_for_with_dry_run_only(hc: Hc) -> None:
    hc.refuses("is to come: nothing is sent ahead of its time", "charge", "tick", "--as-of", FAR, exit_code=1)
    assert not (hc.data / "downlink").exists()


def test_a_replay_sends_nothing_and_says_what_it_lacks(hc: Hc) -> None:
    before = kept(hc.data)
    said = hc("charge", "replay", "--from", "2026-07-06T00:00:00-06:00", "--to", "2026-07-11T00:00:00-06:00")
    assert "3 devices, 5 days" in said.out
    assert "4:00:00" in said.out
    assert "tou_peak" in said.out
    after = kept(hc.data)
    assert after[CHARGE_REPLAYS.name] == before[CHARGE_REPLAYS.name] == -1
    assert not (hc.data / "downlink").exists()
    replay = ("charge", "replay", "--from", "2026-07-06T00:00:00Z", "--to")
    hc.refuses("is not after --from", *replay, "2026-07-06T00:00:00Z")
    hc.refuses("has no offset: write 2026-07-08Z for UTC", *replay, "2026-07-08")


def test_a_replay_without_a_device_is_one_line(tmp_path: Path) -> None:
    Hc(tmp_path / "none", {}).refuses(
        "no active device is registered",
        *("charge", "replay", "--from", "2026-07-06T00:00:00Z", "--to", "2026-07-07T00:00:00Z"),
    )


def test_explain_tells_the_past_now_and_what_it_cannot(hc: Hc) -> None:
    said = hc("charge", "explain", "ch-1", "--as-of", PEAK).out
    assert "At 2026-07-08 17:30:00 (America/Denver) ch-1 should wait, from 2026-07-08 17:00:00" in said
    assert "This is the past: no command follows." in said
    quick_tick(hc)
    assert (
        "The device has been told: command version 1 (allow) is sent at"
        in hc("charge", "explain", "ch-2").out
    )
    assert "Its utility 'nobody' has no tariffs here" in hc("charge", "explain", "ch-3").out
    hc.refuses("no device is called 'ch-9'; `hc devices list` shows all", "charge", "explain", "ch-9")
    hc("devices", "deactivate", "ch-2")
    hc.refuses("ch-2 is inactive: nothing is decided for it", "charge", "explain", "ch-2", exit_code=1)


@pytest.mark.parametrize("command", [("tick",), ("tick", "--dry-run"), ("explain", "ch-1")])
@pytest.mark.parametrize(
    ("at", "words"),
    [("yesterday", "'yesterday' is no instant"), ("2026-07-08T17:30:00", "has no offset")],
)
def test_an_instant_that_is_none_is_one_line(hc: Hc, command: tuple[str, ...], at: str, words: str) -> None:
    hc.refuses(words, "charge", *command, "--as-of", at)


def test_a_broken_tariff_file_is_told_and_the_last_good_tariffs_are_used(hc: Hc) -> None:
    tariffs = hc.data / "broken"
    tariffs.mkdir()
    (tariffs / "xcel_co.yaml").write_text("utility_id: xcel_co\nutility_nam: Xcel\n")
    broken = {"HC_TARIFF_DIR": str(tariffs)}
    told = hc("charge", "tick", code=1, **broken)
    assert "FAILED: " in told.err
    assert "xcel_co.yaml:2: utility_nam" in told.err
    hc.refuses("xcel_co.yaml:2: utility_nam", "charge", "tick", "--dry-run", **broken)
    hc.refuses("xcel_co.yaml:2: utility_nam", "charge", "explain", "ch-1", **broken)
    quick_tick(hc)
    hc.refuses("xcel_co.yaml:2: utility_nam", "charge", "explain", "ch-1", "--as-of", FAR, **broken)
    said = hc("charge", "explain", "ch-1", "--as-of", LAST_PEAK, **broken)
    assert "the last good schedules are used: " in said.err
    assert "should wait" in said.out


COMMANDS = [
    ("charge", "tick"),
    ("charge", "tick", "--dry-run"),
    ("devices", "list"),
    ("charge", "explain", "ch-1"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("HC_REGISTRY", "postgres://x", "the registry 'postgres://x' is not understood"),
        ("HC_DOWNLINK_RATE", "fast", "HC_DOWNLINK_RATE='fast'"),
        ("HC_WATTTIME_URL", "http://example.org", "give an https address"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(
    hc: Hc, command: tuple[str, ...], setting: str, value: str, words: str
) -> None:
    hc.refuses(words, *command, **{"WATTTIME_USERNAME": "u", "WATTTIME_PASSWORD": "p", setting: value})


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("HC_DOWNLINK", "pigeon", "downlink 'pigeon': give file:FOLDER, sidewalk, or mqtt:PREFIX"),
        ("HC_EVENTS", "here", "events 'here': give file:FOLDER"),
        ("HC_PAYLOAD_SECRET", "NOT_SET", "environment variable NOT_SET must hold 32 bytes"),
    ],
)
def test_only_who_sends_needs_what_is_for_sending(hc: Hc, setting: str, value: str, words: str) -> None:
    hc.refuses(words, "charge", "tick", **{setting: value})
    hc("devices", "list", **{setting: value})
    hc("charge", "tick", "--dry-run", **{setting: value})


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_registry_that_is_none_is_one_line(hc: Hc, tmp_path: Path, command: tuple[str, ...]) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_text("no database at all, but long enough to be read as one " * 100)
    hc.refuses("garbage is no device registry", *command, HC_REGISTRY=str(garbage))
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE x (y)")
    hc.refuses("is another program's SQLite file", *command, HC_REGISTRY=str(other))
    hc.refuses("cannot be used: ", *command, exit_code=1, HC_REGISTRY=str(tmp_path))
    assert garbage.read_text().startswith("no database")


@pytest.mark.parametrize("command", [*COMMANDS[:2], ("devices", "deactivate", "ch-1")], ids=" ".join)
def test_a_registry_that_another_holds_is_one_line(
    hc: Hc, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sqlite_schema, "BUSY_S", 0.1)
    with sqlite3.connect(hc.data / "registry.sqlite", isolation_level=None) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        hc.refuses("locked", *command, exit_code=1)
    holder.close()


def test_a_registry_at_amazon_that_does_not_answer_is_one_line(hc: Hc) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "HC_REGISTRY": "dynamodb://"}
    hc.refuses("region", "devices", "list", exit_code=1, AWS_CONFIG_FILE="none", **keys)
