"""The folder: several writers at once, and an inbox that loses nothing and stops for nothing."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hc_platform.charging.downlinks.base import Delivery, DownlinkError, Uplink
from hc_platform.charging.downlinks.local import FileEvents, LocalDownlink, prune, sent
from hc_platform.charging.payloads import encode
from hc_platform_tests.charging.downlinks.making import END, START, command

_SENDER = """
import sys
from pathlib import Path
from hc_platform.charging.downlinks.local import LocalDownlink
from hc_platform.charging.payloads import encode
from hc_platform_tests.charging.downlinks.making import command
downlink = LocalDownlink(Path(sys.argv[1]))
for ver in range(1, 301):
    what = command(device_id=sys.argv[2], ver=ver)
    downlink.send(what, encode(what))
"""
UPLINK = '{"device_id": "ch-1", "state": "pause", "at": "2026-07-01T23:00:04Z"}'
DELIVERY = '{"message_id": "w-1/7", "delivered": true, "at": "2026-07-01T17:00:00-06:00"}'


def rejected(inbox: Path) -> list[dict[str, str]]:
    days = sorted((inbox / "rejected").glob("rejected-????-??-??.jsonl"))
    return [json.loads(line) for day in days for line in day.read_text().splitlines()]


def test_a_send_is_one_line_that_people_can_read(tmp_path: Path) -> None:
    at = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)
    what = command()
    message_id = LocalDownlink(tmp_path / "out", clock=lambda: at, durable=True).send(what, encode(what))
    (line,) = sent(tmp_path / "out")
    assert line == {
        "message_id": message_id,
        "device_id": "ch-1",
        "wireless_device_id": "w-ch-1",
        "command_id": what.command_id,
        "ver": 7,
        "payload": "1002f0e2ef002f1bf000",
        "meaning": f"window {START.isoformat()} to {END.isoformat()}",
        "at": at.isoformat(),
    }


def test_a_new_utc_day_has_its_own_file(tmp_path: Path) -> None:
    times = [datetime(2026, 7, 1, 23, 59, 59, tzinfo=UTC), datetime(2026, 7, 2, tzinfo=UTC)]
    for at in times:
        LocalDownlink(tmp_path, clock=lambda at=at: at).send(command("allow"), encode(command("allow")))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sent-2026-07-01.jsonl", "sent-2026-07-02.jsonl"]
    assert [line["at"] for line in sent(tmp_path)] == [at.isoformat() for at in times]


def test_lines_of_several_processes_never_mix(tmp_path: Path) -> None:
    senders = [subprocess.Popen([sys.executable, "-c", _SENDER, str(tmp_path), f"ch-{n}"]) for n in range(4)]
    assert [sender.wait(timeout=120) for sender in senders] == [0] * 4
    lines = list(sent(tmp_path))
    assert len({line["message_id"] for line in lines}) == len(lines) == 4 * 300
    for n in range(4):
        assert [line["ver"] for line in lines if line["device_id"] == f"ch-{n}"] == list(range(1, 301))


def test_a_place_that_cannot_be_written_is_worth_another_attempt(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(DownlinkError, match="cannot append to"):
        LocalDownlink(tmp_path / "out").send(command(), encode(command()))


def test_events_come_again_until_done(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text(f"{UPLINK}\n\n")
    (tmp_path / "a.jsonl").write_text(DELIVERY)
    (tmp_path / "c.part").write_text("not yet")
    expected = [Delivery("w-1/7", True, START), Uplink("ch-1", "pause", START + timedelta(seconds=4))]
    assert FileEvents(tmp_path).receive() == expected  # and crashes
    events = FileEvents(tmp_path)
    assert events.receive() == expected
    events.done()
    assert events.receive() == []
    assert sorted(p.name for p in (tmp_path / "done").iterdir()) == ["a.jsonl", "b.jsonl"]
    assert (tmp_path / "c.part").exists()


def test_bad_lines_are_kept_with_the_reason_and_hold_up_nothing(tmp_path: Path) -> None:
    bad = [
        "{",
        "[1]",
        '{"device_id": "ch-1", "state": "off", "at": 1}',
        '{"message_id": "m", "delivered": 1}',
    ]
    (tmp_path / "a.jsonl").write_bytes("\n".join([*bad, UPLINK]).encode() + b"\n\xff\xfe\n")
    events = FileEvents(tmp_path)
    assert [event.device_id for event in events.receive()] == ["ch-1"]
    events.done()
    kept = rejected(tmp_path)
    assert events.rejected == len(kept) == 5
    assert [line["text"] for line in kept[:4]] == bad
    assert all(line["reason"] and line["source"] == "a.jsonl" for line in kept)
    events.done()
    assert events.rejected == 5


def test_a_file_that_grew_since_it_was_read_is_read_again(tmp_path: Path) -> None:
    events, inbox = FileEvents(tmp_path), tmp_path / "a.jsonl"
    inbox.write_text(f"{DELIVERY}\n")
    assert len(events.receive()) == 1
    with inbox.open("a") as file:
        file.write(f"{UPLINK}\n")
    events.done()
    assert len(events.receive()) == 2


def test_two_runs_and_two_files_of_one_name_lose_nothing(tmp_path: Path) -> None:
    first, second = FileEvents(tmp_path), FileEvents(tmp_path)
    (tmp_path / "a.jsonl").write_text(DELIVERY)
    (tmp_path / "b.jsonl").write_text(UPLINK)
    assert first.receive() == second.receive()
    first.done()
    second.done()
    (tmp_path / "a.jsonl").write_text(UPLINK)
    assert len(second.receive()) == 1
    second.done()
    texts = [path.read_text() for path in (tmp_path / "done").iterdir()]
    assert sorted(texts) == sorted([DELIVERY, UPLINK, UPLINK])


def test_an_inbox_that_does_not_exist_yet_is_empty(tmp_path: Path) -> None:
    events = FileEvents(tmp_path / "none")
    assert events.receive() == []
    events.done()


def test_a_file_too_large_is_kept_whole_and_holds_up_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        (tmp_path / "a.jsonl").write_text(f"{UPLINK}\n" * 10)
        (tmp_path / "b.jsonl").write_text(DELIVERY)
        events = FileEvents(tmp_path, most_bytes=len(UPLINK) * 5)
        assert [type(event) for event in events.receive()] == [Delivery]
        events.done()
        assert (events.rejected, events.waiting()) == (1, False)
    whole = [path.read_text() for path in (tmp_path / "rejected").glob("*.whole")]
    assert whole == [f"{UPLINK}\n" * 10] * 2
    assert all("kept whole as a" in line["reason"] for line in rejected(tmp_path))


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_done(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").mkdir()
    (tmp_path / "b.jsonl").write_text(DELIVERY)
    events = FileEvents(tmp_path)
    assert len(events.receive()) == 1
    with pytest.raises(DownlinkError, match=r"cannot read .*a\.jsonl"):
        events.done()
    assert [path.name for path in (tmp_path / "done").iterdir()] == ["b.jsonl"]


def test_old_sends_and_old_news_are_removed_and_nothing_else(tmp_path: Path) -> None:
    now = datetime(2026, 7, 31, 12, tzinfo=UTC)
    kept = ["sent-2026-07-01.jsonl", "done/new.jsonl", "rejected/rejected-2025-01-01.jsonl", "waiting.jsonl"]
    gone = ["sent-2025-12-31.jsonl", "sent-2026-06-30.jsonl", "done/old.jsonl"]
    for name in (*kept, *gone):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}\n")
        old = (now - timedelta(days=30, seconds=-1 if name == "done/new.jsonl" else 1)).timestamp()
        os.utime(tmp_path / name, (old, old))
    assert prune(tmp_path, 30, now) == len(gone)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.jsonl")) == sorted(kept)
    assert prune(tmp_path, 30, now) == prune(tmp_path / "none", 30, now) == 0
