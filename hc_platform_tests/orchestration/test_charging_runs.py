"""Runs of charge control on a real instance, SQLite registry, folder lake and loopback WattTime."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from hc_platform.charging.delivery import MAX_RESENDS
from hc_platform.charging.tables import (
    CHARGE_COMMANDS,
    CHARGE_DECISIONS,
    CHARGE_RUNS,
    DEVICES,
    MOER_READINGS,
    TOU_SCHEDULES,
)
from hc_platform.demo.watttime import DemoWattTime, serve_watttime
from hc_platform.orchestration.charging_assets import CHECKED
from hc_platform_tests.charging.endtoend.world import (
    PEAK_END,
    PEAK_START,
    ROOT,
    Clock,
    World,
    device,
    minutes,
    world_in,
)
from hc_platform_tests.orchestration.charging_site import JOB, definitions_of, run_at


@pytest.fixture
def clock() -> Clock:
    return Clock(PEAK_START + minutes(5))


@pytest.fixture
def watttime(clock: Clock) -> Iterator[DemoWattTime]:
    with serve_watttime(now=clock, index=lambda _region, _at: 40.0) as server:
        yield server


@pytest.fixture
def world(tmp_path: Path, clock: Clock, watttime: DemoWattTime) -> World:
    """One device in its peak, one on a flat plan with high MOER to come."""
    devices = [device(watttime_region="PSCO"), device("ch-2", rate_plan="r", watttime_region="PSCO")]
    return world_in(tmp_path, clock, devices, watttime=watttime.url)


def test_a_run_writes_all_tables_and_shows_what_it_decided_and_why(
    world: World, instance: dg.DagsterInstance, watttime: DemoWattTime
) -> None:
    outcome = run_at(world, instance)
    assert (outcome.error, outcome.warnings) == (None, [])
    lake = world.site.lake
    decisions = lake.scan(CHARGE_DECISIONS).collect().sort("device_id")
    assert decisions.select("device_id", "desired", "mode", "run_id").rows() == [
        ("ch-1", "pause", "live", outcome.run_id),
        ("ch-2", "allow", "live", outcome.run_id),
    ]
    assert decisions["reasons"].to_list() == [["tou_peak", "first_sight"], ["flat_plan", "first_sight"]]
    assert lake.scan(CHARGE_COMMANDS).collect()["status"].to_list() == ["sent", "sent"]
    assert lake.scan(MOER_READINGS).collect().select("region", "percentile").rows() == [("PSCO", 40.0)]
    assert lake.scan(DEVICES).collect().height == 2
    assert "xcel_co/re_tou" in lake.scan(TOU_SCHEDULES).collect()["schedule"]
    run = lake.scan(CHARGE_RUNS).collect().row(0, named=True)
    assert (run["run_id"], run["cause"], run["as_of"]) == (outcome.run_id, "hc charge tick", world.clock())
    assert (run["devices"], run["paused"], run["commanded"], run["sent"]) == (2, 1, 2, 2)
    assert world.state("ch-1") == "pause"
    assert watttime.requests["/v3/signal-index", "PSCO"] == 1

    shown = outcome.materialized
    assert set(shown) == set(CHECKED.values()) | {"charge_decisions", "charge_runs"}
    header, _, first, *_ = str(shown["charge_decisions"]["decisions"]).splitlines()
    assert header.startswith("| device_id | desired | window_start")
    assert "| ch-1 | pause |" in first
    assert "tou_peak, first_sight" in first
    assert "| PSCO |" in str(shown["moer_readings"]["readings"])
    assert "first_sight 2" in str(shown["charge_decisions"]["devices by reason"])

    told = instance.get_run_by_id(outcome.run_id)
    assert told is not None
    assert told.tags["cause"] == "hc charge tick"
    assert told.tags["as_of"] == world.clock().isoformat()


def test_the_seven_steps_run_in_order_and_every_check_is_evaluated(
    world: World, instance: dg.DagsterInstance
) -> None:
    result = definitions_of(world).resolve_job_def(JOB).execute_in_process(instance=instance)
    steps = [e.step_key for e in result.all_events if e.is_step_start]
    names = ["load_devices", "load_schedules", "read_moer", "decide", "enqueue", "deliver", "record"]
    assert steps == [f"charge_control.{name}" for name in names]
    evaluated = {c.check_name: c.asset_key.to_user_string() for c in result.get_asset_check_evaluations()}
    assert evaluated == CHECKED
    assert all(c.passed for c in result.get_asset_check_evaluations())


def test_a_run_after_which_nothing_changed_sends_and_records_nothing_new(
    world: World, instance: dg.DagsterInstance
) -> None:
    run_at(world, instance)
    before = world.lines()
    world.clock.forward(minutes(10))
    outcome = run_at(world, instance)
    assert outcome.success
    assert world.lines() == before
    assert world.site.lake.scan(CHARGE_DECISIONS).collect().height == 2
    assert outcome.materialized["devices"]["written"] == "unchanged"
    assert outcome.materialized["tou_schedules"]["written"] == "unchanged"
    assert outcome.materialized["charge_decisions"]["decisions"] == "none"


def test_case_45_a_run_for_the_past_decides_and_neither_commands_nor_sends(
    world: World, instance: dg.DagsterInstance
) -> None:
    run_at(world, instance)
    held = [world.registry.control("ch-1"), world.registry.control("ch-2")]
    lines, commands = world.lines(), world.site.lake.version(CHARGE_COMMANDS)
    past = PEAK_START - timedelta(days=7) + minutes(10)  # Wednesday, July 1
    outcome = run_at(world, instance, past)
    assert outcome.success
    rows = world.site.lake.scan(CHARGE_DECISIONS).filter(pl.col("as_of") == past).collect()
    assert rows.sort("device_id").select("device_id", "desired", "mode").rows() == [
        ("ch-1", "pause", "backfill"),
        ("ch-2", "allow", "backfill"),
    ]
    assert world.lines() == lines
    assert world.site.lake.version(CHARGE_COMMANDS) == commands
    assert [world.registry.control("ch-1"), world.registry.control("ch-2")] == held
    assert len(world.commands("ch-1")) == 1
    run = world.site.lake.scan(CHARGE_RUNS).filter(pl.col("mode") == "backfill").collect().row(0, named=True)
    assert (run["commanded"], run["sent"]) == (0, 0)


def test_an_instant_without_offset_fails_with_one_line(world: World, instance: dg.DagsterInstance) -> None:
    config = {"ops": {"charge_control": {"ops": {"load_devices": {"config": {"as_of": "2026-07-08T23:00"}}}}}}
    job = definitions_of(world).resolve_job_def(JOB)
    result = job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)
    (failed,) = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    assert failed.user_failure_data.description == (
        "as_of '2026-07-08T23:00' has no offset: write it like 2026-07-03T23:00:00Z"
    )


def _warned(world: World, instance: dg.DagsterInstance, check: str) -> str:
    """The one check that fails, in a run that succeeds all the same."""
    outcome = run_at(world, instance)
    assert outcome.success, outcome.error
    (told,) = outcome.warnings
    assert told.startswith(f"{CHECKED[check]}: {check}: ")
    return told


def test_a_device_whose_schedule_is_not_known_is_told(world: World, instance: dg.DagsterInstance) -> None:
    world.register(
        device("ch-3", utility_id="nobody"),
        device("ch-4", rate_plan="no_such_plan"),
        device("ch-5", policy_id="no_such_policy"),
    )
    told = _warned(world, instance, "devices_have_schedules")
    assert "3 active devices without a schedule" in told
    assert "ch-3 (unknown_utility); ch-4 (no_plan); ch-5 (unknown_policy)" in told


def test_a_region_that_the_account_may_not_read_is_told(
    world: World, instance: dg.DagsterInstance, watttime: DemoWattTime
) -> None:
    watttime.denied = {"PSCO"}
    told = _warned(world, instance, "regions_are_fresh")
    assert "403" in told
    assert "PSCO" in told


def test_a_clock_that_is_off_is_told(
    world: World, instance: dg.DagsterInstance, watttime: DemoWattTime
) -> None:
    watttime.date_offset_s = -300
    assert "this host's clock is +300 s off" in _warned(world, instance, "regions_are_fresh")


def test_a_dead_letter_is_told_for_a_day(world: World, instance: dg.DagsterInstance) -> None:
    world.site = replace(world.site, payload_key=b"too short")
    told = _warned(world, instance, "no_dead_letters")
    assert "2 commands given up" in told
    assert "ch-1 v1: cannot be encoded: the command key has 9 bytes" in told
    world.site = replace(world.site, payload_key=None)
    world.clock.forward(timedelta(hours=23))
    _warned(world, instance, "no_dead_letters")
    world.clock.forward(timedelta(hours=2))
    assert run_at(world, instance).warnings == []


def test_a_device_that_goes_on_saying_otherwise_is_told(world: World, instance: dg.DagsterInstance) -> None:
    world.tick()
    charger = world.fleet.chargers["w-ch-1"]
    for _ in range(MAX_RESENDS):
        charger.power_cut()
        world.clock.forward(minutes(10))
        world.uplink(charger.uplink(world.clock()))
        world.tick()
    charger.power_cut()
    world.clock.forward(minutes(10))
    world.uplink(charger.uplink(world.clock()))
    assert world.clock() < PEAK_END
    told = _warned(world, instance, "devices_agree")
    assert "1 devices do not do as told: ch-1 says allow" in told


def test_a_broken_tariff_file_moves_no_peak_and_is_told_with_its_line(
    world: World, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    tariffs = tmp_path / "tou_schedules"
    shutil.copytree(ROOT / "tou_schedules", tariffs)
    world.site = replace(world.site, tariff_dir=tariffs)
    world.clock.at = PEAK_START - minutes(30)
    run_at(world, instance)
    broken = tariffs / "xcel_co.yaml"
    text = broken.read_text()
    broken.write_text(text.replace("days: weekdays", "days: weekday", 1))
    line = next(n for n, row in enumerate(text.splitlines(), 1) if "days: weekdays" in row)
    world.clock.at = PEAK_START
    told = _warned(world, instance, "schedules_load")
    assert f"xcel_co.yaml:{line}: " in told
    assert "did you mean weekdays?" in told
    assert world.state("ch-1") == "pause"
    broken.write_text(text)
    world.clock.forward(minutes(1))
    assert run_at(world, instance).warnings == []
