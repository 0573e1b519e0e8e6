"""The fleet's evening, smaller: what was made to go wrong went wrong, and was dealt with."""

import random
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from hc_platform.charging.models import Reason
from hc_platform.charging.registry.sqlite import SqliteRegistry
from hc_platform.charging.tables import CHARGE_COMMANDS, CHARGE_DECISIONS, CHARGE_RUNS
from hc_platform.demo.chargers import Fleet
from hc_platform.demo.fleet_report import COLUMNS, UNEXPLAINED, Told, live_fleet, show
from hc_platform.demo.fleet_trouble import END, Clock, Trouble
from hc_platform.lake.store import open_lake

NOON = END.replace(day=2, hour=18)
DEVICES = 60


def decisions(data_dir: Path) -> pl.DataFrame:
    return (
        open_lake(str(data_dir / "lake"))
        .scan(CHARGE_DECISIONS)
        .drop("run_id")
        .collect()
        .sort("as_of", "device_id", "ver")
    )


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fleet")


@pytest.fixture(scope="module")
def told(data_dir: Path) -> Told:
    return live_fleet(data_dir, devices=DEVICES, start=NOON)


@pytest.fixture(scope="module")
def commands(told: Told, data_dir: Path) -> pl.DataFrame:
    """Where each command stands, as the lake has it."""
    states = open_lake(str(data_dir / "lake")).scan(CHARGE_COMMANDS).collect()
    return states.sort("updated_at").unique("command_id", keep="last")


def test_every_reason_bore_on_somebody_and_has_a_sentence(told: Told) -> None:
    assert set(told.reasons) == set(Reason(~0).names)
    assert set(told.examples) == set(told.reasons)
    assert all(told.reasons.values())


def test_nobody_reachable_is_left_in_a_wrong_state(told: Told) -> None:
    trouble = told.day.trouble
    assert told.wrong == []
    assert told.judged == DEVICES - len(trouble.unknown | trouble.stuck)


def test_every_command_is_accounted_for(told: Told) -> None:
    closed = ("acked", "superseded", "dead", "dropped")
    for row in told.tariffs:
        assert sum(row[name] for name in (*closed, "open")) == row["commands"]
    assert sum(row["devices"] for row in told.tariffs) == DEVICES
    assert sum(told.statuses.values()) == sum(row["commands"] for row in told.tariffs)
    assert told.statuses["acked"] > 2 * DEVICES  # a first sight and a window for each at the least


def test_the_lake_has_the_last_state_of_every_command(told: Told, commands: pl.DataFrame) -> None:
    # what the last run's own sends were acknowledged after is in the registry alone
    assert commands.height == sum(told.statuses.values())
    for status in ("dead", "dropped", "superseded"):
        assert commands.filter(pl.col("status") == status).height == told.statuses[status]


def test_dead_letters_are_those_of_devices_that_the_network_does_not_know(
    told: Told, commands: pl.DataFrame
) -> None:
    dead = commands.filter(pl.col("status") == "dead")
    assert set(dead["device_id"]) == told.day.trouble.unknown
    assert dead["error"].str.contains("404").all()
    assert any("dead letter" in alert for alert in told.day.alerts)


def test_an_unknown_device_is_flagged(told: Told, data_dir: Path) -> None:
    registry = SqliteRegistry(data_dir / "registry.sqlite")
    flagged = {d.device_id for page in registry.devices() for d in page if d.flag}
    registry.close()
    assert flagged == told.day.trouble.unknown


def test_what_was_lost_or_refused_was_sent_again_until_it_came(told: Told) -> None:
    trouble, answers = told.day.trouble, told.day.aws.answers
    assert trouble.lost
    assert answers[500]
    assert answers[429]
    messages = Counter((a.wireless_device_id, a.seq, a.payload) for a in told.day.aws.accepted)
    assert len([n for n in messages.values() if n > 1]) >= trouble.lost // 2
    assert told.retried >= trouble.lost // 2
    assert told.statuses["sent"] == told.statuses["pending"] == 0


def test_a_charger_that_says_otherwise_for_ever_is_told_four_times_and_then_named(told: Told) -> None:
    named = {alert.split(":")[0] for alert in told.day.alerts if "says allow after 3 re-sends" in alert}
    assert named == told.day.trouble.stuck


def test_cars_charge_on_peak_only_where_that_is_explained(told: Told) -> None:
    assert told.on_peak
    assert told.on_peak[UNEXPLAINED] == 0
    assert told.day.charge_now
    assert {"Charge Now", "departure", "relay stuck", "unknown to the network"} <= set(told.on_peak)
    assert sum(told.on_peak.values()) < 0.25 * sum(told.peak_minutes.values())


def test_the_sensor_launches_a_run_only_when_one_is_due(told: Told, data_dir: Path) -> None:
    runs = open_lake(str(data_dir / "lake")).scan(CHARGE_RUNS).collect()
    assert runs.height == told.day.runs
    assert told.day.runs < told.day.looks / 2
    assert {"instant", "command", "moer", "registry"} <= set(told.day.causes)


def test_a_second_demo_replaces_the_first_and_decides_the_same(told: Told, data_dir: Path) -> None:
    before = decisions(data_dir)
    again = live_fleet(data_dir, devices=DEVICES, start=NOON)
    assert decisions(data_dir).equals(before)
    assert (again.statuses, again.tariffs, again.on_peak) == (told.statuses, told.tariffs, told.on_peak)


def test_a_registry_that_is_no_demos_is_left_alone(tmp_path: Path) -> None:
    SqliteRegistry(tmp_path / "registry.sqlite").close()
    before = (tmp_path / "registry.sqlite").read_bytes()
    with pytest.raises(FileExistsError, match="no demo's"):
        live_fleet(tmp_path, devices=DEVICES)
    assert (tmp_path / "registry.sqlite").read_bytes() == before


def test_it_is_shown_in_fifty_lines(told: Told) -> None:
    said: list[str] = []
    tables: dict[str, list[list[object]]] = {}
    show(told, lambda title, columns, rows: tables.update({title: [list(columns), *rows]}), said.append)
    [table] = tables.values()
    assert table[0] == list(COLUMNS)
    assert len(said) + len(table) + 4 <= 50
    for name in told.reasons:
        assert any(line.split()[:1] == [name] for line in said)


def test_trouble_befalls_the_same_devices_whatever_the_order() -> None:
    ids = [f"d-{n}" for n in range(60)]
    one, other = (Trouble(Clock(NOON), Fleet([]), random.Random(1), ids) for _ in range(2))
    pairs = [(name, n) for name in ids for n in range(4)]
    first = {pair: one.refuse(*pair) for pair in pairs}
    assert {pair: other.refuse(*pair) for pair in reversed(pairs)} == first
    assert set(first.values()) == {None, "InternalServerException"}
