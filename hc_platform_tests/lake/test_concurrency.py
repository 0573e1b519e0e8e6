"""Many writers, readers and killed writers on one lake: no lock errors, no torn reads, no lost partitions."""

import json
import multiprocessing
import random
import subprocess
import sys
import time
from pathlib import Path

from hc_platform.hosting_capacity.tables import RECORDS, SECTIONS
from hc_platform.lake.store import open_lake
from hc_platform.lake.warehouse import connect, publish
from hc_platform_tests.lake import worker

WRITERS, VERSIONS, KILLS = 8, 4, 50
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([worker.__name__])


def start(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "hc_platform_tests.lake.worker", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def answer(process: "subprocess.Popen[str]") -> dict[str, object]:
    said = process.communicate(timeout=120)[0].strip().splitlines()
    assert process.returncode == 0
    return dict(json.loads(said[-1]))


def test_eight_writers_and_two_readers(tmp_path: Path) -> None:
    """Each replaces its own partition again and again and publishes now and then; two query meanwhile."""
    lake = open_lake(str(tmp_path / "lake"))
    codes = [f"u{i}" for i in range(WRITERS)]
    for code in codes:
        assert worker.write(tmp_path, code, range(1), 10)["errors"] == []
    publish(lake, tmp_path / "warehouse.duckdb")
    before = lake.version(SECTIONS)
    stop = tmp_path / "stop"
    readers = [start("read", tmp_path, how, stop) for how in ("held", "anew")]
    writers = [start("write", tmp_path, code, 1, VERSIONS + 1, 3) for code in codes]
    wrote = [answer(writer) for writer in writers]
    stop.touch()
    seen = [answer(reader) for reader in readers]

    assert wrote == [{"written": VERSIONS, "errors": []}] * WRITERS
    for one in seen:
        assert (one["errors"], one["torn"]) == ([], [])
        assert int(str(one["reads"])) >= 2
    assert lake.version(SECTIONS) - before == WRITERS * VERSIONS  # a commit for each replacement, none lost
    publish(lake, tmp_path / "warehouse.duckdb")
    with connect(str(tmp_path)) as connection:
        newest = connection.sql(
            "SELECT utility_code, min(hosting_capacity_mw), max(hosting_capacity_mw) FROM sections GROUP BY 1"
        )
        assert sorted(newest.fetchall()) == [(code, VERSIONS, VERSIONS) for code in codes]


def state(tmp_path: Path) -> tuple[tuple[int, int, float], tuple[int, int, float]]:
    """Rows, distinct versions and the version of both tables' partitions."""
    lake = open_lake(str(tmp_path / "lake"))
    found = []
    for table in (SECTIONS, RECORDS):
        values = lake.scan(table, utility_code="u0").select("hosting_capacity_mw").collect().to_series()
        found.append((len(values), values.n_unique(), float(values[0])))
    return found[0], found[1]


def test_a_writer_killed_at_any_moment_leaves_the_old_partition_or_the_new_one(tmp_path: Path) -> None:
    chance = random.Random(20260515)
    assert worker.write(tmp_path, "u0", range(1), 1)["errors"] == []
    began = time.monotonic()
    assert worker.write(tmp_path, "u0", range(1), 1)["errors"] == []
    took = time.monotonic() - began
    version, records = 0, 0.0
    for _ in range(KILLS):
        # it writes version after version from the moment it says so, and is killed while it does
        first, last = version + 1, version + 100
        told = PROCESSES.Event()
        writer = PROCESSES.Process(
            target=worker.say_and_write, args=(told, tmp_path, "u0", range(first, last), 2)
        )
        writer.start()
        assert told.wait(60)
        time.sleep(chance.uniform(0.0, 3 * took))
        writer.kill()
        writer.join()
        (rows, kinds, now), (record_rows, record_kinds, record_now) = state(tmp_path)
        assert (rows, kinds, record_rows, record_kinds) == (worker.ROWS, 1, 500, 1)
        assert version <= now < last
        # sections are written first; the records are those of before, or of this run
        assert record_now == records or version < record_now <= now
        version, records = int(now), record_now
    assert version > 0  # it did get somewhere
    # a rerun completes, whatever was left behind
    assert worker.write(tmp_path, "u0", range(1000, 1001), 1) == {"written": 1, "errors": []}
    assert state(tmp_path) == ((worker.ROWS, 1, 1000.0), (500, 1, 1000.0))
    with connect(str(tmp_path)) as connection:
        asked = "SELECT count(*), min(hosting_capacity_mw), max(hosting_capacity_mw) FROM sections"
        assert connection.sql(asked).fetchall() == [(worker.ROWS, 1000.0, 1000.0)]
