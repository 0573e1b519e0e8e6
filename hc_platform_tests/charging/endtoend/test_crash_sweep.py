"""The process is gone at a chosen call of the run; only its files are left. The next run puts everything right."""

import math
import os
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hc_platform.charging.tick import tick
from hc_platform.demo.watttime import DemoWattTime
from hc_platform_tests.charging.endtoend.conftest import Rest
from hc_platform_tests.charging.endtoend.crashing import Died, Fuse, fused, telling_points
from hc_platform_tests.charging.endtoend.evening import EVENING, RECOVERY
from hc_platform_tests.charging.endtoend.holding import broken, duplicates
from hc_platform_tests.charging.endtoend.world import PEAK_START, Clock, World, minutes, mixed_fleet, world_in

SENDS_AT_ONCE = 8
POINTS = int(os.environ.get("HC_CRASH_POINTS", "8"))
"""For each stage, drawn from all telling ones (about 33); set it to 100 to visit every one, in about two minutes."""
SEEDS = int(os.environ.get("HC_CRASH_SEEDS", "3"))


def run_and_die(world: World, at: int) -> bool:
    """A run that dies before its `at`-th call; whether it did."""
    fuse = Fuse(at)
    died = True
    with suppress(Died):
        tick(fused(world.site, fuse), world.clock(), cause="doomed")
        died = False
    world.reopen()
    world.carry()
    return died


@pytest.mark.parametrize("stage", [stage.name for stage in EVENING])
def test_dying_at_any_step_leaves_no_device_wrong_after_the_next_run(
    evening: dict[str, Rest],
    clock: Clock,
    tmp_path: Path,
    stage: str,
    record_property: Callable[[str, object], None],
) -> None:
    rest = evening[stage]
    telling = telling_points(rest.calls)
    points = random.Random(stage).sample(telling, min(POINTS, len(telling)))
    again = sends = 0
    for n in points:
        world = rest.saved.wake(tmp_path / str(n), clock)
        before = duplicates(world)
        assert run_and_die(world, n)
        world.tick(clock() + RECOVERY)
        what = f"{stage}, dead before call {n} of {len(rest.calls)} ({rest.calls[n - 1]})"
        assert broken(world) == [], what
        assert world.fleet.states(clock()) == rest.states, what
        twice, total = (after - b for after, b in zip(duplicates(world), before, strict=True))
        assert twice <= SENDS_AT_ONCE, what
        again, sends = again + twice, sends + total
        world.registry.close()
        shutil.rmtree(world.folder)
    record_property("points", len(points))
    record_property("duplicates", f"{again} of {sends}")
    print(f"{stage}: {len(points)} of {len(rest.calls)} calls, {again} sends of {sends} said again")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_an_evening_on_which_every_other_run_dies(
    evening: dict[str, Rest], clock: Clock, tmp_path: Path, seed: int
) -> None:
    """Dead runs one after another, and no quiet one between two stages unless chance gives it."""
    chance, deaths = random.Random(seed), 0
    world = evening[EVENING[0].name].saved.wake(tmp_path / "world", clock)
    for stage in EVENING:
        clock.at = stage.at
        stage.happens(world)
        calls = len(evening[stage.name].calls)
        for _ in range(3):
            # early, anywhere, or not at all
            deaths += run_and_die(world, chance.choice([chance.randint(1, 40), chance.randint(1, calls), 0]))
            clock.forward(RECOVERY)
    world.tick()
    assert broken(world) == []
    assert deaths
    twice, sends = duplicates(world)
    assert twice <= SENDS_AT_ONCE * deaths
    print(f"seed {seed}: {deaths} deaths of {3 * len(EVENING)} runs, {twice} sends of {sends} said again")


def test_four_in_a_hundred_calls_kill(clock: Clock, watttime: DemoWattTime, tmp_path: Path) -> None:
    """Hardly any run of forty devices comes to its end; the fleet gets there all the same."""
    clock.at = PEAK_START + minutes(5)
    chance, deaths = random.Random(4), 0
    world = world_in(tmp_path / "world", clock, mixed_fleet(40), watttime=watttime.url)
    while run_and_die(world, 1 + int(math.log(1 - chance.random()) / math.log(0.96))) or world.look().causes:
        deaths += 1
        clock.forward(RECOVERY)
        assert deaths < 150, world.look()
    world.tick(clock() + RECOVERY)
    assert broken(world) == []
    twice, sends = duplicates(world)
    print(f"4 %: {deaths} deaths, {twice} sends of {sends} said again")
