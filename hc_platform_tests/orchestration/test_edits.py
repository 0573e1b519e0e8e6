"""The edit sensor: everybody's turn comes, nobody's silence is another's, nothing is asked for twice."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl
import pytest

from hc_platform.catalog import Catalog, UtilityConfig
from hc_platform.catalog.models import Auth
from hc_platform.definitions import build_definitions
from hc_platform.hosting_capacity.tables import SOURCE_LAYERS
from hc_platform.orchestration import edits
from hc_platform.orchestration.edits import Answer, upstream_edits
from hc_platform.orchestration.local_runs import run_utility
from hc_platform.orchestration.platform import Platform
from hc_platform.pipeline.snapshots import snapshot_at
from hc_platform.sources import SourceError

NOW = snapshot_at(datetime.now(UTC), "monthly")
Tick = Callable[..., Any]


@pytest.fixture
def tick(platform: Platform, instance: dg.DagsterInstance) -> Tick:
    """One tick of the sensor, of this platform or another."""

    def evaluate(cursor: str | None = None, of: Platform = platform) -> Any:
        context = dg.build_sensor_context(instance, cursor=cursor, definitions=build_definitions(of))
        return upstream_edits(of).evaluate_tick(context)

    return evaluate


def set_back(platform: Platform, code: str) -> None:
    """The lake has an older edit than the source tells."""
    held = platform.lake.scan(SOURCE_LAYERS, utility_code=code).collect()
    older = held.with_columns(pl.col("source_edited_at") - pl.duration(days=3))
    platform.lake.replace(SOURCE_LAYERS, {"utility_code": code, "snapshot": NOW}, older)


def test_what_is_newer_than_the_lake_is_requested_once(
    platform: Platform,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    tick: Tick,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert tick().run_requests == []  # what was never ingested is the schedule's
    for code in ("pepco", "pge"):
        assert run_utility(definitions, instance, code, NOW).success
    first = tick()
    assert first.run_requests == []
    assert "asked 2 of 2: nothing is newer" in (first.skip_message or "")

    set_back(platform, "pepco")
    second = tick()
    assert [(r.tags["utility"], r.partition_key) for r in second.run_requests] == [("pepco", NOW)]

    # a secret that is not set, or anything else, of one utility is not the others' trouble, and is counted
    broken = platform.catalog["pge"].model_copy(update={"auth": Auth(secret="HC_NOT_SET")})
    monkeypatch.delenv("HC_NOT_SET", raising=False)
    with_broken = replace(platform, catalog=Catalog({**platform.catalog, "pge": broken}))
    third = tick(of=with_broken)
    assert [r.tags["utility"] for r in third.run_requests] == ["pepco"]
    fourth = tick(third.cursor, of=with_broken)
    assert json.loads(fourth.cursor)["pge"][1] == 2
    assert json.loads(fourth.cursor)["pepco"][1] == 0

    # while its run is in the queue, none is requested
    tags = {"utility": "pepco", "dagster/partition": NOW}
    job = dg.GraphDefinition("x", node_defs=[]).to_job()
    run = instance.create_run_for_job(job, tags=tags)  # not started
    waiting = tick(fourth.cursor, of=with_broken)
    assert waiting.run_requests == []
    assert "no answer from pge (3 in a row)" in (waiting.skip_message or "")
    instance.report_run_canceled(run)
    assert [r.tags["utility"] for r in tick(of=platform).run_requests] == ["pepco"]


def sixty(platform: Platform) -> Platform:
    """Sixty utilities of three hosts."""
    base = platform.catalog["pepco"]
    made = {
        f"u{n:02d}": base.model_copy(
            update={
                "utility_code": f"u{n:02d}",
                "service_url": f"https://{'abc'[n % 3]}.example.com/arcgis/rest/services/X/FeatureServer",
            }
        )
        for n in range(60)
    }
    return Platform(platform.settings, Catalog(made))


def test_all_get_their_turn_before_anybody_is_asked_again(
    platform: Platform, tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks that have time for fifteen, of sixty, some of whom never answer."""
    asked: list[str] = []

    def ask(platform: Platform, utilities: list[UtilityConfig]) -> dict[str, Answer]:
        codes = [c.utility_code for c in utilities[:15]]
        asked.extend(codes)
        return {code: Answer(error="down") if code == "u07" else Answer() for code in codes}

    monkeypatch.setattr(edits, "ask", ask)
    many, cursor = sixty(platform), None
    for day in range(8):
        at = datetime(2026, 11, 1 + day, tzinfo=UTC)
        cursor = tick(cursor, of=replace(many, now=lambda at=at: at)).cursor
    assert Counter(asked) == dict.fromkeys(many.catalog, 2)
    assert set(asked[:60]) == set(many.catalog)
    assert json.loads(cursor or "")["u07"][1] == 2


def test_hosts_are_asked_side_by_side_and_one_that_hangs_holds_up_its_own_only(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, together = threading.Event(), threading.Barrier(2, timeout=20)

    def edited_at(platform: Platform, utility: UtilityConfig) -> None:
        if utility.utility_code in ("u00", "u01"):  # the first of two hosts wait for each other
            together.wait()
        if utility.utility_code == "u02":
            let_go.wait(60)
        if utility.utility_code == "u03":
            raise SourceError("it is down")

    monkeypatch.setattr(edits, "_edited_at", edited_at)
    monkeypatch.setattr(edits, "TICK_S", 3.0)
    monkeypatch.setattr(edits, "_ASK_S", 0.1)
    try:
        answers = edits.ask(platform, sixty(platform).catalog.values())
    finally:
        let_go.set()
    at_c = {f"u{n:02d}" for n in range(2, 60, 3)}
    assert set(answers) == {f"u{n:02d}" for n in range(60)} - at_c
    assert {code for code, answer in answers.items() if answer.error} == {"u03"}


def test_a_cursor_of_an_older_version_asks_all_anew(tick: Tick) -> None:
    for cursor in ("7", "not json", '{"pge": 1}'):
        assert set(json.loads(tick(cursor).cursor)) == {"pepco", "pge"}
