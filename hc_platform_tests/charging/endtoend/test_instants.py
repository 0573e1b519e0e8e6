"""Which instant a run decides for, and whose clock it believes."""

from datetime import timedelta
from pathlib import Path

import pytest

from hc_platform.charging.steps import read_moer
from hc_platform.charging.tables import CHARGE_DECISIONS, CHARGE_RUNS
from hc_platform.demo.watttime import serve_watttime
from hc_platform_tests.charging.endtoend.world import (
    PEAK_START,
    Clock,
    device,
    minutes,
    site_in,
    world_in,
)


def test_an_instant_to_come_is_refused_and_nothing_is_sent_or_recorded(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START - minutes(300), [device(protocol="legacy")])
    world.tick()
    sent = len(world.lines())
    control = world.registry.control("ch-1")
    with pytest.raises(ValueError, match="is to come"):
        world.tick_at(PEAK_START + timedelta(days=30))
    assert len(world.lines()) == sent
    assert world.registry.control("ch-1") == control
    assert world.site.lake.scan(CHARGE_RUNS).collect().height == 1


@pytest.mark.parametrize("protocol", ["window", "legacy"])
def test_case_33_a_run_asked_for_before_another_undoes_nothing(tmp_path: Path, protocol: str) -> None:
    world = world_in(tmp_path, PEAK_START, [device(protocol=protocol)])
    world.tick()
    assert world.state("ch-1") == "pause"
    sent = len(world.lines())
    world.clock.forward(minutes(1))
    ticked = world.tick_at(PEAK_START - minutes(5))  # queued since before the peak
    world.carry()
    assert ticked.decided.as_of == world.clock()
    assert len(world.lines()) == sent
    assert world.state("ch-1") == "pause"


def test_case_45_more_than_ten_minutes_ago_is_the_past(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START + minutes(60), [device()])
    world.tick_at(PEAK_START + minutes(49))
    rows = world.site.lake.scan(CHARGE_DECISIONS).collect()
    assert rows["mode"].to_list() == ["backfill"]
    assert world.lines() == []
    world.tick_at(PEAK_START + minutes(51))
    assert world.site.lake.scan(CHARGE_DECISIONS).collect()["mode"].to_list().count("live") == 1


def test_case_41_a_run_believes_the_clock_that_the_sensor_measured_in_another_process(tmp_path: Path) -> None:
    clock = Clock(PEAK_START)
    with serve_watttime(now=clock) as server:
        server.date_offset_s = -3_600.0
        world = world_in(tmp_path, clock, [device(watttime_region="PSCO")], watttime=server.url)
        sensor = world.site
        assert not read_moer(sensor, ["PSCO"], clock()).clock_trusted
        # another process: the readings are fresh, so it asks nothing and measures nothing itself
        world.site = site_in(tmp_path, clock, watttime=server.url)
        asked = len(server.requests)
        ticked = world.tick()
        assert len(server.requests) == asked
        assert not ticked.moer.clock_trusted
        assert any("clock is" in alert for alert in ticked.alerts)
        assert world.state("ch-1") == "allow"
