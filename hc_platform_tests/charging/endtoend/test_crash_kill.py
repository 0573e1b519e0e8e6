"""Real processes, really killed (SIGKILL: no cleanup, no flush), between two calls and in the midst of one."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from hc_platform.charging.delivery import expected_state
from hc_platform_tests.charging.endtoend.conftest import Air, Rest
from hc_platform_tests.charging.endtoend.crashing import telling_points
from hc_platform_tests.charging.endtoend.evening import EVENING, RECOVERY
from hc_platform_tests.charging.endtoend.holding import broken, duplicates, newest
from hc_platform_tests.charging.endtoend.processes import killed, start
from hc_platform_tests.charging.endtoend.world import PEAK_START, Clock, mixed_fleet

MakeAir = Callable[..., Air]

KILLS = 2
"""For each stage and way: a few of the points that the sweep in one process visits, other ones at each stage."""


@pytest.mark.parametrize("stage", [stage.name for stage in EVENING])
def test_killed_anywhere_no_device_is_wrong_after_the_next_run(
    evening: dict[str, Rest], clock: Clock, tmp_path: Path, stage: str
) -> None:
    rest, chance = evening[stage], random.Random(stage)
    ways: list[dict[str, float]] = [
        *({"dies_at": n} for n in chance.sample(telling_points(rest.calls), KILLS)),
        *({"dies_after_s": chance.uniform(0.05, 0.8)} for _ in range(KILLS)),
    ]
    kills = again = 0
    for number, way in enumerate(ways):
        world = rest.saved.wake(tmp_path / str(number), clock)
        before = duplicates(world)[0]
        world.registry.close()
        died = killed(start(world.folder, clock(), watttime=rest.saved.watttime, **way))
        assert died or "dies_after_s" in way  # a quick one may have been done by then
        world.reopen()
        world.carry()
        world.tick(clock() + RECOVERY)
        assert broken(world) == [], f"{stage}: {way}"
        assert world.fleet.states(clock()) == rest.states, f"{stage}: {way}"
        kills += died
        again += duplicates(world)[0] - before
        world.registry.close()
    assert kills >= KILLS
    assert again <= 8 * kills
    print(f"{stage}: {kills} kills, {again} sends said again")


def test_killed_while_it_sends_over_sidewalk_repeats_are_the_same_messages(
    air: MakeAir, tmp_path: Path
) -> None:
    devices = mixed_fleet(60)
    on = air(PEAK_START, devices)
    world, deaths = on.world, 0
    for call in (30, 60, 90):
        world.registry.close()
        deaths += killed(start(world.folder, world.clock(), sidewalk=on.aws.url, dies_at=call))
        world.reopen()
        world.clock.forward(RECOVERY)
    assert deaths == 3
    world.tick()
    on.bring_back()
    world.tick(world.clock() + RECOVERY)
    assert {c.status for c in newest(world).values()} == {"acked"}
    by_message: dict[tuple[str, int], set[bytes]] = {}
    for m in on.aws.accepted:  # what a legacy one says besides is how many minutes are left
        said = m.payload[:2] if len(m.payload) == 4 else m.payload
        by_message.setdefault((m.wireless_device_id, m.seq), set()).add(said)
    assert len(by_message) == len(devices)
    assert all(len(payloads) == 1 for payloads in by_message.values())
    assert len(on.aws.accepted) - len(devices) <= 8 * deaths
    now = world.clock()
    for d in devices:
        control = world.registry.control(d.device_id)
        assert control
        assert world.state(d.device_id) == expected_state(control, d.protocol, now)
