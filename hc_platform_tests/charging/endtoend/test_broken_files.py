"""A broken tariff or policy file moves no peak: the last good state stands in, and a check says what is wrong."""

import shutil
from pathlib import Path

import pytest

from hc_platform.charging.checks import schedules_load
from hc_platform.charging.schedules import load_schedules
from hc_platform.charging.tables import TOU_SCHEDULES
from hc_platform.documents import ConfigError
from hc_platform_tests.charging.endtoend.world import (
    PEAK_END,
    PEAK_START,
    ROOT,
    World,
    device,
    minutes,
    world_in,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Files of its own; nothing has run yet."""
    shutil.copytree(ROOT / "tou_schedules", tmp_path / "schedules")
    shutil.copy(ROOT / "charge_policies.yaml", tmp_path / "policies.yaml")
    devices = [device(), device("ch-2", utility_id="pge", rate_plan="e_elec"), device("ch-3", rate_plan="r")]
    return world_in(
        tmp_path / "world",
        PEAK_START - minutes(60),
        devices,
        tariffs=tmp_path / "schedules",
        policies=tmp_path / "policies.yaml",
    )


def break_line(file: Path, text: str, by: str) -> int:
    """Put something wrong in place of the first line that has the text; its number."""
    lines = file.read_text().splitlines()
    number = next(n for n, line in enumerate(lines) if text in line)
    lines[number] = lines[number].replace(text, by)
    file.write_text("\n".join(lines) + "\n")
    return number + 1


def test_a_broken_tariff_leaves_every_tariff_in_force_and_names_file_and_line(world: World) -> None:
    world.tick()
    compiled = world.site.lake.scan(TOU_SCHEDULES).collect()
    file = world.site.tariff_dir / "xcel_co.yaml"
    line = break_line(file, "default_tier: off_peak", "defaultt_tier: off_peak")
    assert world.look().causes == ["schedule"]
    world.tick(PEAK_START + minutes(1))
    assert [world.state(d) for d in ("ch-1", "ch-2", "ch-3")] == ["pause", "pause", "allow"]
    schedules = load_schedules(world.site, world.clock())
    check = schedules_load(schedules)
    assert not check.passed
    assert f"xcel_co.yaml:{line}" in check.message
    assert "defaultt_tier" in check.message
    assert world.site.lake.scan(TOU_SCHEDULES).collect().equals(compiled)
    assert world.look().causes == []  # it is not run again and again for it
    world.tick(PEAK_END + minutes(1))
    assert [world.state(d) for d in ("ch-1", "ch-2")] == ["allow", "pause"]  # California's goes on
    break_line(file, "defaultt_tier", "default_tier")
    assert world.look().causes == ["schedule"]
    world.tick(PEAK_END + minutes(2))
    assert schedules_load(load_schedules(world.site, world.clock())).passed


def test_it_survives_a_restart_with_the_file_still_broken(world: World) -> None:
    world.tick()
    (world.site.tariff_dir / "pge.yaml").write_text("utility_id: [pge\n")
    world.reopen()
    world.tick(PEAK_START + minutes(90))
    assert [world.state(d) for d in ("ch-1", "ch-2", "ch-3")] == ["pause", "pause", "allow"]


def test_a_broken_policy_file_leaves_the_last_good_policies_in_force(world: World) -> None:
    world.tick()
    line = break_line(world.site.policy_file, "lead_s: 0", "lead_s: soon")
    world.tick(PEAK_START)
    assert world.state("ch-1") == "pause"  # on the minute, as `prompt` has it
    check = schedules_load(load_schedules(world.site, world.clock()))
    assert not check.passed
    assert f"policies.yaml:{line}" in check.message


@pytest.mark.parametrize("file", ["schedules/xcel_co.yaml", "policies.yaml"])
def test_with_no_last_good_state_the_error_names_the_file_and_nothing_is_sent(
    world: World, file: str
) -> None:
    broken = world.folder.parent / file
    broken.write_text("utility_id: [\n")
    with pytest.raises(ConfigError, match=broken.name):
        world.tick()
    assert world.lines() == []
    assert world.look().causes == ["registry", "schedule"]


def test_a_tariff_file_that_vanishes_moves_no_peak_either(world: World) -> None:
    world.tick()
    file = world.site.tariff_dir / "xcel_co.yaml"
    file.rename(file.with_suffix(".bak"))
    world.tick(PEAK_START + minutes(1))
    assert [world.state(d) for d in ("ch-1", "ch-2", "ch-3")] == ["pause", "pause", "allow"]
    problem = load_schedules(world.site, world.clock(), needed=["xcel_co"]).problem
    assert problem is not None
    assert "xcel_co: is gone" in problem


def test_one_that_no_device_needs_may_go(world: World) -> None:
    world.tick()
    (world.site.tariff_dir / "coned.yaml").unlink()
    ticked = world.tick(PEAK_START + minutes(1))
    assert schedules_load(load_schedules(world.site, world.clock(), needed=["pge", "xcel_co"])).passed
    assert ticked.decided.frame.height == 3


def test_a_policy_file_that_vanishes_leaves_the_last_policies_in_force(world: World) -> None:
    world.tick()
    world.site.policy_file.unlink()
    schedules = load_schedules(world.site, world.clock())
    assert "tariff_only" in schedules.policies
    assert schedules.problem is not None
    assert "is gone" in schedules.problem
