"""A device that gets another radio or another protocol is told anew, whatever it was told before."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from hc_platform.charging.changing import change_device
from hc_platform_tests.charging.endtoend.world import PEAK_START, World, device, minutes, world_in


def changed(world: World, **fields: object) -> None:
    held = world.site.registry.device("ch-1")
    assert held is not None
    change_device(world.site.registry, held, dict(fields), now=world.clock())


def test_another_radio_is_told_the_standing_pause_under_its_own_address(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device()])
    world.tick()
    before = world.site.registry.control("ch-1")
    world.clock.forward(minutes(10))
    changed(world, wireless_device_id="new-radio")
    assert world.look().causes
    world.tick()
    told = world.sends("ch-1")
    after = world.site.registry.control("ch-1")
    assert before is not None
    assert after is not None
    assert after.ver == before.ver + 1
    assert after.desired == "pause"
    assert after.window_end == before.window_end
    assert len(told) == 2
    assert told[0] == told[1]
    assert world.lines()[-1]["wireless_device_id"] == "new-radio"
    world.clock.forward(minutes(10))
    world.tick()
    assert len(world.sends("ch-1")) == 2


def test_what_the_charger_does_not_hear_of_sends_nothing(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device()])
    world.tick()
    sends = len(world.sends("ch-1"))
    changed(world, plan_confirmed_by="the bill")
    world.tick()
    assert len(world.sends("ch-1")) == sends


def test_a_protocol_that_there_is_not_is_refused_and_nothing_forgotten(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device()])
    world.tick()
    before = world.site.registry.control("ch-1")
    with pytest.raises(ValidationError):
        changed(world, protocol="telepathy")
    assert world.site.registry.control("ch-1") == before
