"""What wakes the sensor, what its run's key is, and that a run puts it to sleep again."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from hc_platform.charging.overrides import charge_now
from hc_platform.charging.tick import tick
from hc_platform.demo.watttime import DemoWattTime
from hc_platform_tests.charging.endtoend.crashing import Fuse, fused
from hc_platform_tests.charging.endtoend.evening import MOER_HIGH_FROM, MOER_HIGH_UNTIL
from hc_platform_tests.charging.endtoend.test_crash_sweep import run_and_die
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

HALF_MINUTE = timedelta(seconds=30)


@pytest.fixture
def asleep(tmp_path: Path) -> World:
    """A device that was told of its first state an hour before the peak."""
    folder = tmp_path / "schedules"
    shutil.copytree(ROOT / "tou_schedules", folder)
    shutil.copy(ROOT / "charge_policies.yaml", tmp_path)
    world = world_in(
        tmp_path / "world",
        PEAK_START - minutes(60),
        [device()],
        tariffs=folder,
        policies=tmp_path / "charge_policies.yaml",
    )
    assert world.look().causes == ["registry", "schedule"]
    world.tick()
    assert world.look().causes == []
    return world


def wakes(world: World, causes: list[str]) -> None:
    """These causes now; none half a minute after a run."""
    assert world.look().causes == causes
    world.tick()
    world.clock.forward(HALF_MINUTE)
    assert world.look().causes == []


def test_an_instant_wakes_when_it_comes_and_not_before(asleep: World) -> None:
    asleep.clock.at = PEAK_START - timedelta(seconds=1)
    found = asleep.look()
    assert (found.causes, "2026-07-08 23:00:00Z" in found.told) == ([], True)
    asleep.clock.at = PEAK_START
    wakes(asleep, ["instant"])
    assert asleep.state("ch-1") == "pause"
    asleep.clock.at = PEAK_END
    wakes(asleep, ["instant"])


def test_a_new_device_and_a_changed_one_wake(asleep: World) -> None:
    asleep.register(device("ch-2"))
    wakes(asleep, ["registry"])
    asleep.change("ch-2", rate_plan="r")
    wakes(asleep, ["registry"])


def test_a_changed_tariff_and_a_changed_policy_wake(asleep: World) -> None:
    for file in (asleep.site.tariff_dir / "xcel_co.yaml", asleep.site.policy_file):
        file.write_text(file.read_text() + "\n# looked at\n")
        wakes(asleep, ["schedule"])


def test_news_of_devices_wake_each_time_with_a_key_of_its_own(asleep: World) -> None:
    keys = []
    for n in range(3):
        asleep.uplink({"device_id": "ch-1", "state": "allow", "at": asleep.clock().isoformat()}, name=f"n{n}")
        keys.append(asleep.look().run_key)
        wakes(asleep, ["event"])
    assert len(set(keys)) == 3  # the orchestrator runs a key once for ever


def test_a_command_that_waits_wakes(asleep: World) -> None:
    asleep.clock.at = PEAK_START
    assert run_and_die(asleep, calls_before(asleep, "registry.claim"))
    wakes(asleep, ["command"])
    assert asleep.state("ch-1") == "pause"


def test_moer_wakes_when_its_class_changes_asked_every_five_minutes_at_most(
    tmp_path: Path, clock: Clock, watttime: DemoWattTime
) -> None:
    clock.at = MOER_HIGH_FROM - minutes(30)
    flat = device(rate_plan="r", watttime_region="PSCO", policy_id="default")
    world = world_in(tmp_path, clock, [flat], watttime=watttime.url)
    world.tick()
    asked = watttime.requests["/v3/signal-index", "PSCO"]
    polled, woke, keys = clock(), [], []
    while clock() < MOER_HIGH_UNTIL + minutes(20):
        clock.forward(HALF_MINUTE)
        found = world.look(polled)
        polled = found.polled_at or polled
        if found.causes:
            woke.append((clock(), found.causes))
            keys.append(found.run_key)
            world.tick()
    moer = [at for at, causes in woke if causes == ["moer PSCO"]]
    assert len(moer) == 2
    assert MOER_HIGH_FROM <= moer[0] <= MOER_HIGH_FROM + minutes(5)
    assert MOER_HIGH_UNTIL <= moer[1] <= MOER_HIGH_UNTIL + minutes(5)
    assert len(set(keys)) == len(keys)
    passed = (clock() - (MOER_HIGH_FROM - minutes(30))) / minutes(5)
    assert watttime.requests["/v3/signal-index", "PSCO"] - asked <= passed + len(woke)
    assert [c.desired for c in world.commands("ch-1")] == ["allow", "pause", "allow"]


def test_a_key_stands_while_the_situation_does_and_is_another_after_two_minutes(asleep: World) -> None:
    for happens in ("instant", "registry"):
        asleep.clock.at = PEAK_START + (minutes(0) if happens == "instant" else minutes(30))
        if happens == "registry":
            asleep.register(device("ch-2"))
        keys = []
        for _ in range(6):
            keys.append(asleep.look().run_key)
            asleep.clock.forward(HALF_MINUTE)
        assert len(set(keys[:4])) == 1, happens
        assert keys[4] != keys[0], happens
        assert keys[4] == keys[5], happens
        asleep.tick()


def test_the_first_look_after_a_long_outage_has_one_key(asleep: World) -> None:
    asleep.clock.at = PEAK_START + minutes(45)
    first = asleep.look()
    asleep.clock.forward(HALF_MINUTE)
    assert asleep.look().run_key == first.run_key
    assert first.as_of == PEAK_START + minutes(45)  # decided for now: what is past needs no command


def calls_before(world: World, call: str) -> int:
    """How many calls a run makes up to its first such one: counted on a copy of the world's files."""
    folder = world.folder.parent / "counted"
    world.reopen()
    shutil.copytree(world.folder, folder)
    twin = world_in(
        folder, Clock(world.clock()), tariffs=world.site.tariff_dir, policies=world.site.policy_file
    )
    fuse = Fuse()
    tick(fused(twin.site, fuse), twin.clock(), cause="count")
    twin.registry.close()
    shutil.rmtree(folder)
    return fuse.calls.index(call) + 1


@pytest.mark.parametrize("call", ["lake.append", "registry.commit", "registry.claim", "downlink.send"])
def test_a_run_that_died_is_followed_by_another(asleep: World, call: str) -> None:
    asleep.clock.at = PEAK_START
    asleep.register(device("ch-2"))
    first = asleep.look()
    assert first.causes == ["instant", "registry"]
    assert run_and_die(asleep, calls_before(asleep, call))
    asleep.clock.forward(minutes(2.5))
    second = asleep.look()
    assert "registry" in second.causes
    assert second.run_key != first.run_key
    asleep.tick()
    asleep.clock.forward(HALF_MINUTE)
    assert asleep.look().causes == []
    assert [asleep.state(d) for d in ("ch-1", "ch-2")] == ["pause", "pause"]


def test_charge_now_wakes_at_once_and_at_its_end(asleep: World) -> None:
    asleep.tick(PEAK_START)
    asleep.clock.forward(minutes(30))
    charge_now(asleep.registry, "ch-1", now=asleep.clock())
    wakes(asleep, ["registry"])
    assert asleep.state("ch-1") == "allow"
    asleep.clock.at = PEAK_END - HALF_MINUTE
    assert asleep.look().causes == []
    asleep.clock.at = PEAK_END
    wakes(asleep, ["instant"])
