"""What owners and drivers do while cars wait: moved, deactivated, unknown, in a hurry. From registry to charger."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from hc_platform.charging.checks import devices_have_schedules
from hc_platform.charging.overrides import charge_now, depart, end_charge_now
from hc_platform.charging.tables import CHARGE_COMMANDS, CHARGE_DECISIONS, CHARGE_RUNS
from hc_platform_tests.charging.endtoend.holding import broken
from hc_platform_tests.charging.endtoend.world import PEAK_END, PEAK_START, World, device, minutes, world_in

SECOND = timedelta(seconds=1)
PROTOCOLS = pytest.mark.parametrize("protocol", ["window", "legacy"])


def ticks(world: World, *at: object) -> None:
    for instant in at:
        world.tick(instant)  # type: ignore[arg-type]


def every_ten_minutes(world: World, until: object) -> None:
    while world.clock() < until:  # type: ignore[operator]
        world.tick(world.clock() + minutes(10))


def last_reasons(world: World, device_id: str = "ch-1") -> list[str]:
    rows = world.site.lake.scan(CHARGE_DECISIONS).filter(pl.col("device_id") == device_id).collect()
    reasons: list[str] = rows.sort("as_of")["reasons"].to_list()[-1]
    return reasons


def test_case_21_a_device_of_an_unknown_utility_is_allowed_and_a_check_names_it(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device(utility_id="nobody_power"), device("ch-2")])
    ticked = world.tick()
    assert (world.state("ch-1"), world.state("ch-2")) == ("allow", "pause")
    check = devices_have_schedules(ticked.decided)
    assert not check.passed
    assert "ch-1 (unknown_utility)" in check.message
    assert "ch-2" not in check.message
    every_ten_minutes(world, PEAK_END)
    assert len(world.sends("ch-1")) == 1


@PROTOCOLS
def test_case_22_deactivated_while_paused_it_is_allowed_once_and_never_commanded_again(
    tmp_path: Path, protocol: str
) -> None:
    world = world_in(tmp_path, PEAK_START, [device(protocol=protocol)])
    world.tick()
    assert world.state("ch-1") == "pause"
    world.clock.forward(minutes(30))
    world.change("ch-1", status="inactive")
    world.tick()
    assert world.state("ch-1") == "allow"
    assert last_reasons(world) == ["inactive"]
    every_ten_minutes(world, PEAK_END + minutes(30))
    world.tick(PEAK_START + timedelta(days=1))
    assert len(world.sends("ch-1")) == 2
    world.change("ch-1", status="active")
    world.tick()
    assert (len(world.sends("ch-1")), world.state("ch-1")) == (3, "pause")


def test_case_22_deactivated_while_it_charges_it_is_told_nothing(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START - minutes(60), [device(), device("ch-2", status="inactive")])
    world.tick()
    world.change("ch-1", status="inactive")
    ticks(world, PEAK_START, PEAK_START + minutes(30), PEAK_END)
    assert [len(world.sends(d)) for d in ("ch-1", "ch-2")] == [1, 0]


@PROTOCOLS
@pytest.mark.parametrize(
    ("to", "state"),
    [(("xcel_co", "r"), "allow"), (("pge", "e_elec"), "pause"), (("sce", "tou_d_prime"), "pause")],
)
def test_case_23_a_device_that_moves_mid_pause_keeps_no_window_of_the_old_tariff(
    tmp_path: Path, protocol: str, to: tuple[str, str], state: str
) -> None:
    world = world_in(tmp_path, PEAK_START, [device(protocol=protocol)])
    world.tick()
    moved = world.change("ch-1", utility_id=to[0], rate_plan=to[1])
    assert moved.registry_version == 2
    world.tick(PEAK_START + minutes(60))  # 17:00 in California: a peak there, until 04:00Z
    assert world.state("ch-1") == state
    before = world.commands("ch-1")[-1]
    assert before.ver == 2
    assert before.window_end == (PEAK_END + minutes(60) if state == "pause" else None)
    world.clock.at = PEAK_END + minutes(1)
    world.tick()
    assert world.state("ch-1") == state
    world.tick(PEAK_END + minutes(61))
    assert world.state("ch-1") == "allow"
    assert broken(world) == []


def test_case_31_at_first_sight_it_is_told_once_whatever_it_should_do(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START - minutes(60), [device()])
    ticks(world, *(PEAK_START - minutes(m) for m in (60, 45, 30)))
    assert len(world.sends("ch-1")) == 1
    assert "first_sight" in last_reasons(world)
    world.register(device("ch-2"))
    ticks(world, PEAK_START + minutes(1), PEAK_START + minutes(2))
    assert len(world.sends("ch-2")) == 1
    assert world.state("ch-2") == "pause"


def test_case_32_silence_while_nothing_changes_and_a_heartbeat_says_the_same_window(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device(), device("ch-2", policy_id="reminding")])
    every_ten_minutes(world, PEAK_END + minutes(30))
    assert len(world.sends("ch-1")) == 1
    said = [line for line in world.lines() if line["device_id"] == "ch-2"]
    assert len({line["command_id"] for line in said}) == 1
    assert len({line["payload"] for line in said}) == 1
    assert 4 <= len(said) <= 5  # once, and then hourly until the window is over
    (command,) = world.commands("ch-2")
    assert command.ver == 1
    assert command.status == "sent"


def test_case_32_a_heartbeat_gives_the_window_back_to_a_device_that_lost_it(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device(policy_id="reminding")])
    world.tick()
    (charger,) = world.fleet.chargers.values()
    charger.power_cut()
    charger.sync()
    assert world.state("ch-1") == "allow"
    due = world.registry.next_due().control
    assert due == PEAK_START + minutes(60)
    world.tick(due)
    assert world.state("ch-1") == "pause"
    assert {line["ver"] for line in world.lines()} == {1}


@PROTOCOLS
def test_case_38_charge_now_holds_to_the_end_of_that_pause_and_can_be_taken_back(
    tmp_path: Path, protocol: str
) -> None:
    world = world_in(tmp_path, PEAK_START, [device(protocol=protocol), device("ch-2", protocol=protocol)])
    world.tick()
    world.clock.forward(minutes(1))
    for name in ("ch-1", "ch-2"):
        assert charge_now(world.registry, name, now=world.clock()).override_until == PEAK_END
    world.tick()
    assert [world.state(d) for d in ("ch-1", "ch-2")] == ["allow", "allow"]
    with pytest.raises(ValueError, match="nothing to override"):
        charge_now(world.registry, "ch-1", now=world.clock())
    world.clock.forward(minutes(60))
    end_charge_now(world.registry, "ch-2", now=world.clock())
    world.tick()
    assert [world.state(d) for d in ("ch-1", "ch-2")] == ["allow", "pause"]
    assert world.commands("ch-2")[-1].window_end == PEAK_END
    ticks(world, PEAK_END, PEAK_END + SECOND)
    assert [world.state(d) for d in ("ch-1", "ch-2")] == ["allow", "allow"]
    world.tick(PEAK_START + timedelta(days=1))  # the next peak is another window
    assert [world.state(d) for d in ("ch-1", "ch-2")] == ["pause", "pause"]


def test_case_38_charge_now_of_a_window_that_was_sent_ahead(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START - minutes(15), [device(policy_id="default")])
    world.tick()
    control = world.registry.control("ch-1")
    assert control
    assert (control.desired, world.state("ch-1")) == ("pause", "allow")
    assert charge_now(world.registry, "ch-1", now=world.clock()).override_until == control.window_end
    ticks(world, PEAK_START - minutes(14), PEAK_START + minutes(60))
    assert world.state("ch-1") == "allow"


@PROTOCOLS
def test_case_39_a_car_that_must_leave_charges_in_time(tmp_path: Path, protocol: str) -> None:
    world = world_in(tmp_path, PEAK_START, [device(protocol=protocol)])
    world.tick()
    depart(world.registry, "ch-1", at=PEAK_START + minutes(180), need=timedelta(hours=2), now=world.clock())
    world.tick(PEAK_START + minutes(1))
    due = world.registry.next_due().control
    assert due == PEAK_START + minutes(60)
    assert (world.state("ch-1"), world.state("ch-1", due - SECOND)) == ("pause", "pause")
    world.tick(due)
    assert world.state("ch-1") == "allow"
    assert "deadline" in last_reasons(world)


def test_case_45_a_backfill_writes_decisions_and_touches_nothing_else(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_END + minutes(60), [device(), device("ch-2", rate_plan="r")])
    world.tick()
    commands = [c for page in world.registry.commands() for c in page]
    before = (world.registry.version(), world.registry.control("ch-1"), commands, world.lines(), world.look())
    world.uplink({"device_id": "ch-1", "state": "allow", "at": world.clock().isoformat()})
    for _ in range(2):  # and once more: history may be filled again
        world.tick_at(PEAK_START + minutes(30))
    rows = world.site.lake.scan(CHARGE_DECISIONS).filter(pl.col("mode") == "backfill").collect()
    assert set(rows.filter(pl.col("device_id") == "ch-1")["desired"]) == {"pause"}
    runs = world.site.lake.scan(CHARGE_RUNS).filter(pl.col("mode") == "backfill").collect()
    assert runs["commanded"].to_list() == [0, 0]
    assert runs["inputs_hash"].n_unique() == 1
    assert world.site.events.waiting()  # the news wait for a live run
    commands = [c for page in world.registry.commands() for c in page]
    world.site.events.receive()
    world.site.events.done()
    assert before == (
        world.registry.version(),
        world.registry.control("ch-1"),
        commands,
        world.lines(),
        world.look(),
    )
    assert world.site.lake.scan(CHARGE_COMMANDS).collect().height == 2
