"""Schedules and backfills: each utility once, at a time of its own, through the queue."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

import dagster as dg
import pytest
from dagster._utils.schedules import cron_string_iterator

from hc_platform.catalog import Catalog
from hc_platform.definitions import build_definitions
from hc_platform.orchestration.platform import Platform
from hc_platform.orchestration.schedules import FIRST_HOUR, HOURS, slot

ASSETS = ("raw_features", "sections", "feeders", "feeder_locations", "feeder_substations")


def ticks(cron: str, day: datetime) -> Iterator[datetime]:
    """The day's ticks, as Dagster's daemon reckons them."""
    found = cron_string_iterator(day.timestamp(), cron, "UTC")
    yield from takewhile(lambda at: at < day + timedelta(days=1), found)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """One on disk: a schedule opens the instance by its reference."""
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def many(platform: Platform) -> Platform:
    """Forty utilities, some of them quarterly."""
    base = platform.catalog["pepco"]
    made = {
        f"u{n:02d}": base.model_copy(
            update={
                "utility_code": f"u{n:02d}",
                "cadence": "quarterly" if n % 4 == 0 else "monthly",
                "wave": n % 7 + 1,
            }
        )
        for n in range(40)
    }
    return Platform(platform.settings, Catalog(made))


def tick(definitions: dg.Definitions, instance: dg.DagsterInstance, name: str, at: datetime) -> Any:
    schedule = definitions.resolve_schedule_def(name)
    repository = definitions.get_repository_def()
    context = dg.build_schedule_context(instance, scheduled_execution_time=at, repository_def=repository)
    return schedule.evaluate_tick(context).run_requests or []


def launch(instance: dg.DagsterInstance, request: dg.RunRequest) -> None:
    """What the daemon leaves behind of a request."""
    tags = {**request.tags, "dagster/partition": request.partition_key or ""}
    instance.create_run_for_job(dg.GraphDefinition("x", node_defs=[]).to_job(), tags=tags)


def test_over_its_day_each_utility_is_asked_for_once_at_a_time_of_its_own(
    many: Platform, instance: dg.DagsterInstance
) -> None:
    definitions = build_definitions(many)
    day = datetime(2026, 11, 3, tzinfo=UTC)
    asked: dict[str, list[datetime]] = {}
    for at in ticks(str(definitions.resolve_schedule_def("monthly_ingest").cron_schedule), day):
        for request in tick(definitions, instance, "monthly_ingest", at):
            assert request.partition_key == "2026-11"
            asked.setdefault(request.tags["utility"], []).append(at)
            launch(instance, request)
    monthly = [c for c, config in many.catalog.items() if config.cadence == "monthly"]
    assert asked == {code: [day + slot(code)] for code in monthly}
    assert max(Counter(at for (at,) in asked.values()).values()) <= 4, "30 utilities over 48 slots"


def test_what_a_sleeping_daemon_missed_is_asked_for_at_the_next_tick(
    many: Platform, instance: dg.DagsterInstance
) -> None:
    definitions = build_definitions(many)
    last = datetime(2026, 11, 3, FIRST_HOUR + HOURS - 1, 50, tzinfo=UTC)
    for request in tick(definitions, instance, "monthly_ingest", last):
        launch(instance, request)
    assert len(instance.get_runs()) == sum(c.cadence == "monthly" for c in many.catalog.values())
    assert tick(definitions, instance, "monthly_ingest", last) == []
    next_month = tick(definitions, instance, "monthly_ingest", last.replace(month=12))
    assert {r.partition_key for r in next_month} == {"2026-12"}
    assert len(next_month) == 30


def test_a_request_says_whose_run_it_is(many: Platform, instance: dg.DagsterInstance) -> None:
    at = datetime(2026, 10, 5, FIRST_HOUR + HOURS - 1, 50, tzinfo=UTC)
    requests = tick(build_definitions(many), instance, "quarterly_ingest", at)
    one = next(r for r in requests if r.tags["utility"] == "u08")
    wanted = {
        "utility": "u08",
        "wave": "2",
        "parent": "exelon_pepco_holdings",
        "state": "DC-MD",
        "cadence": "quarterly",
        "cause": "quarterly-schedule",
    }
    assert wanted.items() <= one.tags.items()
    assert [k.to_user_string() for k in one.asset_selection] == [f"{layer}/u08" for layer in ASSETS]
    assert one.run_key == "u08:2026-10:quarterly-schedule"


def test_a_slot_lies_in_the_working_hours_and_is_the_same_in_every_process() -> None:
    codes = [f"utility_{n}" for n in range(500)]
    hours = {slot(code) // timedelta(hours=1) for code in codes}
    assert hours == set(range(FIRST_HOUR, FIRST_HOUR + HOURS))
    told = subprocess.run(
        [sys.executable, "-c", "from hc_platform.orchestration.schedules import slot; print(slot('pge'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == str(slot("pge"))


def test_asking_for_all_of_a_snapshot_gives_a_run_for_each(
    many: Platform, instance: dg.DagsterInstance
) -> None:
    definitions = build_definitions(many)
    done = definitions.resolve_job_def("ingest_all_monthly").execute_in_process(
        instance=instance, partition_key="2026-09"
    )
    sensor = definitions.resolve_sensor_def("ingest_all_monthly_sensor")
    context = dg.build_run_status_sensor_context(
        sensor.name, done.all_node_events[-1], instance, done.dagster_run, context=None
    )
    result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    requests = result.run_requests or []
    monthly = {code for code, config in many.catalog.items() if config.cadence == "monthly"}
    assert Counter(r.tags["utility"] for r in requests) == Counter(monthly)
    assert {r.partition_key for r in requests} == {"2026-09"}
    assert len({r.run_key for r in requests}) == len(monthly)
