"""The SQLite file: what a killed process leaves, several processes at once, other people's files."""

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hc_platform.charging.models import Command
from hc_platform.charging.registry.sqlite import SqliteRegistry
from hc_platform.charging.registry.sqlite_schema import SCHEMA_VERSION
from hc_platform_tests.charging.registry.making import NOON, ask, at, register

PROJECT = Path(__file__).parents[3]
HEAD = """
import sys
from hc_platform.charging.registry.sqlite import SqliteRegistry
from hc_platform_tests.charging.registry.making import ask, at, register
registry = SqliteRegistry(sys.argv[1])
"""
COMMITS = """
devices = [f"d{n:03}" for n in range(300)]
ver = {d: (c.ver if (c := registry.control(d)) else 0) for d in devices}
print("ready", flush=True)
while True:
    registry.commit([ask(d, ver[d] + 1) for d in devices], now=at(0))
    ver = {d: v + 1 for d, v in ver.items()}
"""
TAKES = """
print(sum(registry.take_tokens(3, rate=1.0, burst=500.0, now=at(0)) for _ in range(200)), flush=True)
"""


def start(code: str, path: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HEAD + code, str(path)]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)


def test_a_process_killed_amid_commits_leaves_every_change_whole(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    registry = SqliteRegistry(path)
    register(registry, *(f"d{n:03}" for n in range(300)))
    registry.close()
    reached = 0
    for _ in range(6):
        with start(COMMITS, path) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            watcher = sqlite3.connect(path)
            begun = watcher.execute("SELECT TOTAL(ver) FROM controls").fetchone()[0]
            while watcher.execute("SELECT TOTAL(ver) FROM controls").fetchone()[0] < begun + 600:
                assert process.poll() is None
            watcher.close()
            process.send_signal(signal.SIGKILL)
        registry = SqliteRegistry(path)
        by_device: dict[str, list[Command]] = {}
        for page in registry.commands():
            for command in page:
                by_device.setdefault(command.device_id, []).append(command)
        for n in range(300):
            control = registry.control(f"d{n:03}")
            assert control is not None
            own = by_device[control.device_id]
            assert control.rev == control.ver == len(own)
            assert [c.status for c in own] == ["superseded"] * (control.ver - 1) + ["pending"]
        registry.close()
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()
        assert len(own) > reached
        reached = len(own)


def test_processes_that_open_at_once_share_one_file_and_one_bucket(tmp_path: Path) -> None:
    path = tmp_path / "new" / "registry.db"
    processes = [start(TAKES, path) for _ in range(4)]
    taken = [int(p.communicate(timeout=120)[0]) for p in processes]
    assert [p.returncode for p in processes] == [0] * 4
    assert sum(taken) == 500


def test_a_newer_releases_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    SqliteRegistry(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(ValueError, match=rf"registry\.db has registry schema {SCHEMA_VERSION + 1}"):
        SqliteRegistry(path)


def test_another_programs_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE devices (mine TEXT)")
    db.close()
    with pytest.raises(ValueError, match=r"other\.db is another program's"):
        SqliteRegistry(path)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("devices",)]
    db.close()
    text = tmp_path / "text.db"
    text.write_text("not a database at all, but long enough to be read as one" * 20)
    with pytest.raises(ValueError, match=r"text\.db is no device registry"):
        SqliteRegistry(text)


def test_closed_commands_are_kept_for_fourteen_days(tmp_path: Path) -> None:
    registry = SqliteRegistry(tmp_path / "registry.db")
    register(registry, "d1")
    day = 86_400
    for ver, days in enumerate((0, 1, 14, 15, 16), start=1):
        when = at(days * day)
        assert registry.commit([ask("d1", ver, created_at=when, updated_at=when)], now=when) == []
    # superseded on days 1, 14, 15, 16: on day 16 the one of day 1 has been closed for 15 days
    assert [c.ver for page in registry.commands() for c in page] == [2, 3, 4, 5]
    registry.close()


def test_the_fleet_is_read_in_full_when_it_is_more_than_a_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sqlite_frames._CHUNK", "sqlite._PAGE", "sqlite._BATCH"):
        monkeypatch.setattr(f"hc_platform.charging.registry.{name}", 7)
    registry = SqliteRegistry(tmp_path / "registry.db")
    names = [f"d{n:02}" for n in range(30)]
    register(registry, *names)
    registry.commit([ask(n, 1) for n in names], now=NOON)
    assert registry.fleet()["device_id"].to_list() == names
    assert [d.device_id for page in registry.devices() for d in page] == names
    for by in ({}, {"status": "pending"}, {"since": NOON}):
        assert [c.device_id for page in registry.commands(**by) for c in page] == names  # type: ignore[arg-type]
    registry.close()
