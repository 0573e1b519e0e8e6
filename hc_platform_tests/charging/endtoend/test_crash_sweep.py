"""The process is gone at a chosen call of the run; only its files are left. The next run puts everything right."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hc_platform.charging.tick import tick
from hc_platform_tests.charging.endtoend.conftest import Rest
from hc_platform_tests.charging.endtoend.crashing import Died, Fuse, fused, telling_points
from hc_platform_tests.charging.endtoend.evening import EVENING, RECOVERY
from hc_platform_tests.charging.endtoend.holding import broken, duplicates
from hc_platform_tests.charging.endtoend.world import Clock, World

SENDS_AT_ONCE = 8


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
    points = telling_points(rest.calls)
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
