"""When a run is launched: the sensor, and the schedule behind it."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hc_platform.demo.watttime import EMPTY, DemoWattTime, serve_watttime
from hc_platform_tests.charging.endtoend.world import (
    PEAK_END,
    PEAK_START,
    Clock,
    World,
    device,
    minutes,
    world_in,
)
from hc_platform_tests.orchestration.charging_site import SCHEDULE, SENSOR, definitions_of


@pytest.fixture
def clock() -> Clock:
    return Clock(PEAK_START - minutes(60))


@pytest.fixture
def watttime(clock: Clock) -> Iterator[DemoWattTime]:
    with serve_watttime(now=clock, index=lambda _region, _at: 40.0) as server:
        yield server


@pytest.fixture
def world(tmp_path: Path, clock: Clock, watttime: DemoWattTime) -> World:
    """A device that follows its tariff, with a run behind it."""
    made = world_in(tmp_path, clock, [device(watttime_region="PSCO")], watttime=watttime.url)
    made.tick()
    return made


def sense(world: World, instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    definitions = definitions_of(world)
    sensor = definitions.get_repository_def().get_sensor_def(SENSOR)
    return sensor.evaluate_tick(dg.build_sensor_context(instance, cursor=cursor, definitions=definitions))


def test_with_nothing_to_do_it_skips_and_says_what_is_next(
    world: World, instance: dg.DagsterInstance
) -> None:
    data = sense(world, instance)
    assert data.run_requests == []
    assert "nothing can change before 2026-07-08 23:00:00Z" in data.skip_message
    assert "next command none" in data.skip_message
    assert "1 MOER regions asked 2026-07-08 22:00:00Z, none in another class" in data.skip_message


def test_the_instant_at_which_a_device_changes_makes_one_run(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.clock.at = PEAK_START
    data = sense(world, instance)
    (request,) = data.run_requests
    assert request.tags["cause"] == "instant"
    assert request.tags["as_of"] == PEAK_START.isoformat()
    assert request.run_key.startswith(f"instant|{PEAK_START.isoformat()}|")
    given = request.run_config["ops"]["charge_control"]["ops"]["load_devices"]["config"]
    assert given == {"as_of": PEAK_START.isoformat()}
    job = definitions_of(world).resolve_job_def("charge_control_job")
    assert job.execute_in_process(run_config=request.run_config, instance=instance).success
    assert world.registry.control("ch-1").desired == "pause"  # type: ignore[union-attr]


def test_the_same_situation_has_the_same_key_until_its_run_has_failed(
    world: World, instance: dg.DagsterInstance
) -> None:
    """Dagster launches a key once; where that run died, the situation must get another before long."""
    world.clock.at = PEAK_START
    (first,) = sense(world, instance).run_requests
    world.clock.forward(timedelta(seconds=30))
    (second,) = sense(world, instance).run_requests
    assert second.run_key == first.run_key
    world.clock.forward(minutes(2))
    (third,) = sense(world, instance).run_requests
    assert third.run_key != first.run_key
    world.tick()
    assert sense(world, instance).run_requests == []


def test_a_change_in_the_registry_is_another_situation_each_time(
    world: World, instance: dg.DagsterInstance
) -> None:
    keys = set()
    for plan in ("r", "re_tou", "r"):
        world.change("ch-1", rate_plan=plan)
        (request,) = sense(world, instance).run_requests
        assert request.tags["cause"] == "registry"
        keys.add(request.run_key)
        world.tick()
        world.clock.forward(minutes(1))
    assert len(keys) == 3


def test_moer_in_another_class_wakes_and_the_same_class_does_not(
    world: World, instance: dg.DagsterInstance, watttime: DemoWattTime
) -> None:
    world.clock.forward(minutes(5))
    watttime.index = lambda _region, _at: 59.9
    data = sense(world, instance)
    assert data.run_requests == []
    world.clock.forward(minutes(5))
    watttime.index = lambda _region, _at: 88.0
    (request,) = sense(world, instance, data.cursor).run_requests
    assert request.tags["cause"] == "moer PSCO"
    world.tick()
    assert world.state("ch-1") == "pause"


def test_the_cursor_keeps_watttime_from_being_asked_more_than_every_five_minutes(
    world: World, instance: dg.DagsterInstance, watttime: DemoWattTime
) -> None:
    asked = ("/v3/signal-index", "PSCO")
    world.clock.forward(minutes(5))
    before = watttime.requests[asked]
    cursor = sense(world, instance).cursor
    assert datetime.fromisoformat(cursor) == world.clock()
    for _ in range(9):
        world.clock.forward(timedelta(seconds=30))
        data = sense(world, instance, cursor)
        cursor = data.cursor
    assert watttime.requests[asked] == before + 1
    assert data.run_requests == []
    world.clock.forward(timedelta(seconds=30))
    assert datetime.fromisoformat(sense(world, instance, cursor).cursor) == world.clock()
    assert watttime.requests[asked] == before + 2


def test_a_due_instant_keeps_the_cursor_of_the_last_poll(world: World, instance: dg.DagsterInstance) -> None:
    cursor = sense(world, instance).cursor
    world.clock.at = PEAK_START
    assert sense(world, instance, cursor).cursor == cursor


def test_a_watttime_that_fails_launches_nothing_while_its_last_reading_lives(
    world: World, instance: dg.DagsterInstance, watttime: DemoWattTime
) -> None:
    watttime.order("/v3/signal-index", EMPTY, times=10)
    world.clock.forward(minutes(15))
    data = sense(world, instance)
    assert data.run_requests == []
    assert watttime.requests["/v3/signal-index", "PSCO"] == 2
    world.clock.forward(minutes(5))
    (request,) = sense(world, instance, data.cursor).run_requests
    assert request.tags["cause"] == "moer PSCO", "too old by now: another class"


def test_an_error_inside_is_an_error_and_the_next_look_goes_on_from_the_same_cursor(
    world: World, instance: dg.DagsterInstance
) -> None:
    cursor = sense(world, instance).cursor
    world.registry.close()
    with pytest.raises(Exception, match="closed database"):
        sense(world, instance, cursor)
    world.reopen()
    world.clock.at = PEAK_START
    data = sense(world, instance, cursor)
    assert data.cursor == cursor
    assert [r.tags["cause"] for r in data.run_requests] == ["instant"]


def test_a_changed_tariff_file_and_news_of_a_device_wake(
    world: World, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    policies = tmp_path / "policies.yaml"
    policies.write_text(world.site.policy_file.read_text())
    world.site = replace(world.site, policy_file=policies)
    world.uplink({"device_id": "ch-1", "state": "allow", "at": world.clock().isoformat()})
    (request,) = sense(world, instance).run_requests
    assert request.tags["cause"] == "schedule+event"
    world.tick()
    assert sense(world, instance).run_requests == []
    later = policies.stat().st_mtime_ns + 10**9
    os.utime(policies, ns=(later, later))
    (request,) = sense(world, instance).run_requests
    assert request.tags["cause"] == "schedule"


def test_an_evening_of_looking_launches_runs_at_the_peaks_ends_and_at_no_other_time(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = world_in(tmp_path, PEAK_START - minutes(30), [device()])
    causes = []
    while world.clock() < PEAK_END + minutes(30):
        for request in sense(world, instance).run_requests:
            causes.append((world.clock(), request.tags["cause"]))
            world.tick()
        world.clock.forward(timedelta(minutes=5))
    assert causes == [
        (PEAK_START - minutes(30), "registry+schedule"),
        (PEAK_START, "instant"),
        (PEAK_END, "instant"),
    ]


def _evaluate_schedule(world: World, instance: dg.DagsterInstance, at: datetime) -> Any:
    definitions = definitions_of(world)
    schedule = definitions.get_repository_def().get_schedule_def(SCHEDULE)
    return schedule.evaluate_tick(
        dg.build_schedule_context(
            instance, scheduled_execution_time=at, repository_def=definitions.get_repository_def()
        )
    )


def test_the_schedule_asks_for_one_run_a_quarter_of_an_hour(
    world: World, instance: dg.DagsterInstance
) -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    (request,) = _evaluate_schedule(world, instance, at).run_requests
    assert request.run_key == f"schedule|{at.isoformat()}"
    assert (request.tags["cause"], request.tags["as_of"]) == ("schedule", at.isoformat())
    assert request.tags["dagster/priority"] == "10"


def test_a_tick_that_was_missed_while_the_daemon_was_down_is_skipped_with_the_reason(
    world: World, instance: dg.DagsterInstance
) -> None:
    data = _evaluate_schedule(world, instance, datetime.now(UTC) - timedelta(hours=3))
    assert data.run_requests == []
    assert "is past: the sensor sees to now" in data.skip_message
