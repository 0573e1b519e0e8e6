"""Around the run: replays of past days, the monthly look at imported tariffs, the warehouse."""

import json
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import duckdb
import polars as pl
import pytest

from hc_platform import connect
from hc_platform.charging.tables import CHARGE_COMMANDS, CHARGE_REPLAYS
from hc_platform.charging.tariffs import urdb
from hc_platform.charging.tariffs.urdb_import import import_urdb
from hc_platform.demo.watttime import serve_watttime
from hc_platform.orchestration import charging_history
from hc_platform_tests.charging.endtoend.world import (
    PEAK_END,
    PEAK_START,
    Clock,
    World,
    device,
    minutes,
    world_in,
)
from hc_platform_tests.charging.urdb.making import ON, peak, rate
from hc_platform_tests.orchestration.charging_site import Hc, definitions_of, run_at

KEY = "k3y-of-nobody"
LABEL = "a" * 24


def replay(world: World, instance: dg.DagsterInstance, day: str) -> Any:
    definitions = definitions_of(world)
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance,
        partition_key=day,
        asset_selection=[dg.AssetKey("charge_replays")],
        raise_on_error=False,
    )


def test_case_45_a_backfill_of_days_replaces_their_rows_and_touches_no_outbox(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    clock = Clock(PEAK_START + minutes(5))
    with serve_watttime(now=clock) as watttime:
        devices = [device(), device("ch-2", rate_plan="r", watttime_region="PSCO", policy_id="default")]
        world = world_in(tmp_path, clock, devices, watttime=watttime.url)
        world.tick()
        outbox = [world.commands(d) for d in ("ch-1", "ch-2")]
        controls, lines = world.registry.fleet().sort("device_id"), world.lines()
        shown = {}
        for day in ("2026-07-06", "2026-07-07", "2026-07-06"):
            result = replay(world, instance, day)
            assert result.success
            (event,) = result.get_asset_materialization_events()
            shown = {k: v.value for k, v in event.step_materialization_data.materialization.metadata.items()}
    rows = world.site.lake.scan(CHARGE_REPLAYS).collect()
    assert set(rows["day"]) == {"2026-07-06", "2026-07-07"}
    assert set(rows["mode"]) == {"backfill"}
    assert rows.select("day", "device_id", "as_of").is_unique().all(), "replaced, not doubled"
    first = rows.filter(day="2026-07-06")
    assert shown["dagster/row_count"] == first.height
    assert set(first["run_id"]) == {result.run_id}
    pauses = first.filter((pl.col("device_id") == "ch-1") & (pl.col("desired") == "pause"))
    assert pauses["window_start"].to_list() == [PEAK_START - timedelta(days=2)]
    assert pauses["window_end"].to_list() == [PEAK_END - timedelta(days=2)]
    by_moer = rows.filter((pl.col("device_id") == "ch-2") & (pl.col("moer") == "pausing"))
    assert by_moer.height, "WattTime's history pauses the flat plan"
    assert shown["longest pause"] >= "4:00:00"
    assert [world.commands(d) for d in ("ch-1", "ch-2")] == outbox
    assert world.registry.fleet().sort("device_id").equals(controls)
    assert world.lines() == lines


def test_replays_can_be_backfilled_from_the_ui(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START)
    node = definitions_of(world).resolve_asset_graph().get(dg.AssetKey("charge_replays"))
    assert isinstance(node.partitions_def, dg.DailyPartitionsDefinition)
    keys = node.partitions_def.get_partition_keys(current_time=PEAK_START)
    assert (keys[0], keys[-1]) == ("2025-01-01", "2026-07-07")
    assert node.is_materializable


def test_a_replay_without_a_device_fails_with_one_line(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    result = replay(world_in(tmp_path, PEAK_START), instance, "2026-07-06")
    assert not result.success
    (failed,) = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    assert failed.user_failure_data.description == "no active device is registered; see `hc devices add`"


@pytest.fixture
def openei(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """OpenEI's API on loopback: the rates by label that a test puts there."""
    rates: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            known = query.get("api_key") == [KEY]
            found = rates.get(query["getpage"][0])
            refused = {
                "error": {"code": "API_KEY_INVALID", "message": f"no such api_key: {query['api_key'][0]}"}
            }
            body = json.dumps({"items": [found] if found else []} if known else refused).encode()
            self.send_response(200 if known else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/utility_rates"

    def fetch(label: str, client: Any) -> list[urdb.Rate]:
        return urdb.fetch_rate(label, client, url=url)

    monkeypatch.setattr(charging_history, "fetch_rate", fetch)
    yield rates
    server.shutdown()
    server.server_close()


@pytest.fixture
def imported(tmp_path: Path) -> World:
    """A site whose only tariff came from USURDB."""
    folder = tmp_path / "tou_schedules"
    folder.mkdir()
    source = tmp_path / "rate.json"
    source.write_text(json.dumps(rate(LABEL)))
    import_urdb(source, folder=folder, on=ON, timezone="America/Denver", utility_id="example")
    return world_in(tmp_path, PEAK_START, tariffs=folder)


def look_up(world: World, instance: dg.DagsterInstance) -> Any:
    job = definitions_of(world).resolve_job_def("tariff_reimport_job")
    result = job.execute_in_process(instance=instance)
    (evaluation,) = result.get_asset_check_evaluations()
    assert evaluation.severity is dg.AssetCheckSeverity.WARN
    for log in instance.all_logs(result.run_id):
        assert KEY not in log.to_json()
    return evaluation


def test_imported_tariffs_that_usurdb_still_has_are_current(
    imported: World, openei: dict[str, Any], instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(urdb.KEY_NAME, KEY)
    openei[LABEL] = rate(LABEL)
    before = (imported.site.tariff_dir / "example.yaml").read_bytes()
    evaluation = look_up(imported, instance)
    assert (evaluation.passed, evaluation.description) == (True, "1 imported plans, all equal")

    openei[LABEL] = rate(LABEL, energyweekdayschedule=peak(17, 21))
    evaluation = look_up(imported, instance)
    assert not evaluation.passed
    assert evaluation.description.startswith("example/time_of_use differs: ")
    assert (imported.site.tariff_dir / "example.yaml").read_bytes() == before, "nothing is written"


def test_a_rate_that_is_gone_and_a_key_that_is_refused_are_told_without_the_key(
    imported: World,
    openei: dict[str, Any],
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(urdb.KEY_NAME, KEY)
    evaluation = look_up(imported, instance)
    assert not evaluation.passed
    assert f"example/time_of_use refused: {LABEL}: " in evaluation.description
    monkeypatch.setenv(urdb.KEY_NAME, wrong := "another-k3y")
    evaluation = look_up(imported, instance)
    assert not evaluation.passed
    assert "OpenEI refused" in evaluation.description
    assert wrong not in evaluation.description
    assert KEY not in caplog.text
    assert wrong not in caplog.text


def test_without_a_key_it_says_so_and_asks_nobody(
    imported: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(urdb.KEY_NAME, raising=False)
    evaluation = look_up(imported, instance)
    assert (evaluation.passed, evaluation.description) == (False, "not looked up: OPENEI_API_KEY is not set")


def test_after_a_run_the_warehouse_and_the_export_answer(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = world_in(tmp_path, PEAK_START + minutes(5), [device(), device("ch-2", rate_plan="r")])
    run_at(world, instance)
    world.clock.at = PEAK_START + minutes(30)
    message = next(line["message_id"] for line in world.lines() if line["device_id"] == "ch-1")
    world.uplink({"device_id": "ch-1", "state": "pause", "at": world.clock().isoformat()})
    run_at(world, instance)
    job = definitions_of(world).resolve_job_def("publish_charge_tables")
    assert job.execute_in_process(instance=instance).success

    with connect(str(tmp_path)) as con:
        latest = con.sql(
            "SELECT device_id, status, message_id FROM charge_commands_latest ORDER BY device_id"
        ).fetchall()
        assert latest[0] == ("ch-1", "acked", message)
        assert latest[1][:2] == ("ch-2", "sent")
        [(states,)] = con.sql("SELECT count(*) FROM charge_commands").fetchall()
        assert states == world.site.lake.scan(CHARGE_COMMANDS).collect().height == 3
        [(why,)] = con.sql("SELECT reasons FROM charge_decisions WHERE device_id = 'ch-1'").fetchall()
        assert "tou_peak" in why
        [(until,)] = con.sql("SELECT max(window_end) FROM charge_decisions").fetchall()
        assert until == PEAK_END
        for table in ("devices", "tou_schedules", "charge_runs"):
            assert con.sql(f"SELECT count(*) FROM {table}").fetchall()[0][0] > 0, table
        for table in ("charge_replays", "moer_readings"):
            assert con.sql(f"SELECT count(*) FROM {table}").fetchall() == [(0,)]
        uncommented = con.sql(
            """SELECT table_name, column_name FROM duckdb_columns()
               WHERE comment IS NULL AND (table_name LIKE 'charge%' OR table_name IN ('devices', 'moer_readings'))"""
        ).fetchall()
        assert uncommented == []
        [(comment,)] = con.sql(
            "SELECT comment FROM duckdb_views() WHERE view_name = 'charge_commands_latest'"
        ).fetchall()
        assert comment.startswith("Where each command stands. ")

    hc = Hc(tmp_path, {})
    assert "stood at the newest state" in hc("warehouse").out
    target = tmp_path / "all.duckdb"
    assert "charge_commands" in hc("export", str(target)).out
    with duckdb.connect(str(target), read_only=True) as con:
        assert con.sql("SELECT count(*) FROM charge_commands").fetchall() == [(3,)]
        assert con.sql("SELECT count(*) FROM charge_commands_latest").fetchall() == [(2,)]
        names = {n for (n,) in con.sql("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert {"devices", "charge_replays", "moer_readings", "charge_decisions", "tou_schedules"} <= names


def test_upkeep_removes_what_was_sent_long_ago_and_nothing_else(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = world_in(tmp_path, PEAK_START, [device()])
    world.tick()
    [today] = (tmp_path / "downlink").glob("sent-*.jsonl")
    old = today.with_name("sent-2025-01-01.jsonl")
    old.write_text("{}\n")
    assert (
        definitions_of(world).resolve_job_def("charge_upkeep").execute_in_process(instance=instance).success
    )
    assert (today.exists(), old.exists()) == (True, False)
