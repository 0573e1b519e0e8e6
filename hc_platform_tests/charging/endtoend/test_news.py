"""What devices and networks say, believed no further than it deserves: no message stops the fleet."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hc_platform.charging.delivery import take_news
from hc_platform.charging.payloads import decode
from hc_platform_tests.charging.endtoend.world import PEAK_END, PEAK_START, World, device, minutes, world_in

SECOND = timedelta(seconds=1)
BAD = [
    "[" * 200_000,
    "[" * 60_000,
    '{"device_id": "\\ud800", "state": "pause", "at": 1}',
    '{"message_id": "\\udfff", "delivered": true, "at": 1}',
    json.dumps({"device_id": "a" * 3_000, "state": "pause", "at": 1}),
    json.dumps({"device_id": "ch-1", "state": "off", "at": 1}),
]


def says(world: World, state: str, at: datetime, device_id: str = "ch-1") -> None:
    world.uplink({"device_id": device_id, "state": state, "at": at.isoformat()})


def inbox(world: World, *lines: str) -> None:
    (world.folder / "inbox").mkdir(exist_ok=True)
    (world.folder / "inbox" / "news.jsonl").write_text("\n".join(lines))


def waiting(world: World) -> int:
    return len(list((world.folder / "inbox").glob("*.jsonl")))


def break_device(world: World, device_id: str) -> None:
    """Its control takes no write any more."""
    with sqlite3.connect(world.folder / "registry.sqlite") as db:
        db.execute(
            f"""CREATE TRIGGER broken BEFORE UPDATE OF reported ON controls WHEN old.device_id = '{device_id}'
            BEGIN SELECT RAISE(ABORT, 'a page of this device is torn'); END"""
        )


def test_messages_that_cannot_be_read_stop_no_pause_and_are_kept_with_the_reason(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device(f"ch-{n}") for n in range(3)])
    good = json.dumps({"device_id": "ch-1", "state": "allow", "at": (PEAK_START - SECOND).isoformat()})
    inbox(world, *BAD, good)
    world.tick()
    assert [world.state(f"ch-{n}") for n in range(3)] == ["pause"] * 3
    control = world.registry.control("ch-1")
    assert control
    assert control.reported == "allow"
    (day,) = (tmp_path / "inbox" / "rejected").glob("rejected-*.jsonl")
    kept = [json.loads(line) for line in day.read_text().splitlines()]
    assert [line["text"] for line in kept] == BAD
    assert all(line["reason"] for line in kept)
    assert waiting(world) == 0


def test_an_event_that_the_registry_will_not_take_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device("ch-1"), device("ch-2")])
    world.tick()
    break_device(world, "ch-1")
    for name in ("ch-1", "ch-2"):
        says(world, "pause", PEAK_START + SECOND, name)
    ticked = world.tick(PEAK_START + minutes(1))
    assert (ticked.news.counts["unreadable"], ticked.news.counts["agreed"]) == (1, 1)
    (alert,) = ticked.alerts
    assert "ch-1" in alert
    assert "torn" in alert
    assert waiting(world) == 0
    assert world.tick(PEAK_START + minutes(2)).alerts == []


def test_news_wait_while_the_registry_is_out_of_reach(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device()])
    world.tick()
    says(world, "pause", PEAK_START + SECOND)
    world.registry.close()
    told = take_news(world.registry, world.site.events, now=PEAK_START + minutes(1))
    assert "the registry takes no write" in told.alerts[0]
    assert waiting(world) == 1
    world.reopen()
    assert world.tick(PEAK_START + minutes(1)).news.counts["agreed"] == 1
    assert waiting(world) == 0


def test_a_clock_far_ahead_hides_nothing_that_the_device_says_later(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device()])
    world.tick()
    says(world, "pause", datetime(9999, 12, 31, tzinfo=UTC))
    world.tick(PEAK_START + minutes(1))
    control = world.registry.control("ch-1")
    assert control
    assert (control.reported, control.reported_at) == ("pause", PEAK_START + minutes(1))
    says(world, "allow", PEAK_START + minutes(20))
    told = world.tick(PEAK_START + minutes(20)).news
    assert told.counts == {"diverged": 1, "resent": 1}


def test_an_uplink_older_than_what_the_device_said_since_is_not_judged(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device()])
    world.tick()
    says(world, "pause", PEAK_START + minutes(30))
    world.tick(PEAK_START + minutes(31))
    says(world, "allow", PEAK_START + minutes(20))
    assert world.tick(PEAK_START + minutes(40)).news.counts == {"late": 1}
    assert len(world.lines()) == 1


def test_a_device_that_will_not_listen_is_told_of_once_for_each_version(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device()])
    world.tick()
    alerts = []
    for n in range(1, 10):
        world.clock.at = PEAK_START + minutes(10 * n)
        says(world, "allow", world.clock())
        alerts += world.tick().alerts
    assert len(alerts) == 1
    world.tick(PEAK_START + timedelta(days=1))  # the next day's window is another version
    for n in range(1, 10):
        world.clock.at = PEAK_START + timedelta(days=1) + minutes(10 * n)
        says(world, "allow", world.clock())
        alerts += world.tick().alerts
    assert len(alerts) == 2


def test_a_legacy_pause_sent_again_late_says_only_the_minutes_that_are_left(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device(protocol="legacy")])
    world.tick()
    says(world, "allow", PEAK_END - minutes(10))
    world.tick(PEAK_END - minutes(10))
    left = [decode(bytes.fromhex(line["payload"])).resume_after for line in world.lines()]
    assert left == [PEAK_END - PEAK_START, minutes(10)]
