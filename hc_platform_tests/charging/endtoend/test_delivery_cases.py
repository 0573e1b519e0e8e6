"""What becomes of a command on its way: the research table's cases of delivery, from tick to charger and back."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hc_platform.charging.checks import devices_agree, no_dead_letters
from hc_platform.charging.downlinks.local import LocalDownlink
from hc_platform.charging.downlinks.sidewalk import SidewalkDownlink
from hc_platform.charging.models import Command, Device
from hc_platform.charging.tables import CHARGE_COMMANDS
from hc_platform.charging.tick import tick
from hc_platform.demo.iot_wireless import IotWireless
from hc_platform_tests.charging.endtoend.conftest import Air
from hc_platform_tests.charging.endtoend.crashing import Died, Fuse, fused
from hc_platform_tests.charging.endtoend.world import PEAK_END, PEAK_START, World, device, minutes, world_in

SECOND = timedelta(seconds=1)
MakeAir = Callable[..., Air]


def die_at(world: World, call: str) -> None:
    """A run that dies before its first such call."""
    counted = Fuse()
    counted.burn = lambda name: (_ for _ in ()).throw(Died) if name == call else None  # type: ignore[method-assign]
    with suppress(Died):
        tick(fused(world.site, counted), world.clock(), cause="doomed")
        raise AssertionError(f"{call} was never called")
    world.reopen()


def test_case_34_dead_after_the_send_the_same_command_goes_out_again(air: MakeAir) -> None:
    on = air(PEAK_START, [device()])
    die_at(on.world, "registry.settle")
    assert on.world.commands("ch-1")[0].status == "sending"
    on.world.tick(PEAK_START + minutes(2))
    first, second = on.aws.accepted
    assert (first.payload, first.seq) == (second.payload, second.seq)
    (command,) = on.world.commands("ch-1")
    assert (command.ver, command.status, command.attempts) == (1, "sent", 2)
    assert on.world.state("ch-1") == "pause"


@pytest.mark.parametrize("call", ["registry.claim", "downlink.send"])
def test_case_35_dead_before_the_send_it_goes_out_once_its_lease_is_over(air: MakeAir, call: str) -> None:
    on = air(PEAK_START, [device()])
    die_at(on.world, call)
    assert on.aws.accepted == []
    on.world.tick(PEAK_START + minutes(2))
    assert [(m.seq, m.wireless_device_id) for m in on.aws.accepted] == [(1, "w-ch-1")]
    assert on.world.state("ch-1") == "pause"


def test_case_36_taken_but_never_delivered_stays_sent_is_tried_to_the_windows_end_and_is_dead(
    air: MakeAir,
) -> None:
    on = air(PEAK_START, [device()], deliver=lambda *_: None)
    ticked = on.world.tick()
    statuses, alerts = [], list(ticked.alerts)
    while due := on.world.registry.next_due().command:
        statuses.append(on.world.commands("ch-1")[0].status)
        alerts += on.world.tick(max(due, on.world.clock() + SECOND)).alerts
    assert set(statuses) == {"sent"}
    times = [m.at - PEAK_START for m in on.aws.accepted]
    assert times == [minutes(m) for m in (0, 10, 30, 70, 150)]
    assert all(m.at < PEAK_END and m.seq == 1 for m in on.aws.accepted)
    command = on.world.commands("ch-1")[0]
    assert command.status == "dead"
    assert len(alerts) == 1
    assert "never acknowledged" in alerts[0]
    recorded = on.world.site.lake.scan(CHARGE_COMMANDS).collect()
    assert not no_dead_letters(recorded, on.world.clock()).passed


def test_case_36_an_event_that_says_undelivered_is_tried_again_at_once(air: MakeAir) -> None:
    on = air(PEAK_START, [device()])
    (charger,) = on.world.fleet.chargers.values()
    charger.reachable = False
    on.world.tick()
    charger.reachable = True
    assert on.bring_back() == 1
    ticked = on.world.tick(PEAK_START + minutes(1))
    assert ticked.news.counts["undelivered"] == 1
    assert (len(on.aws.accepted), on.world.state("ch-1")) == (2, "pause")
    on.bring_back()
    on.world.tick(PEAK_START + minutes(2))
    assert on.world.commands("ch-1")[0].status == "acked"
    on.world.tick(PEAK_START + minutes(30))
    assert len(on.aws.accepted) == 2


def test_an_event_that_comes_an_hour_late_is_recorded_all_the_same(air: MakeAir) -> None:
    on = air(PEAK_START, [device(), device("ch-2", rate_plan="r")])
    on.world.tick()
    events = on.aws.events()
    on.world.tick(PEAK_START + minutes(10))  # both are tried again, which moves the mark of what is recorded
    on.world.uplink(*events)
    on.world.tick(PEAK_START + minutes(60))
    recorded = on.world.site.lake.scan(CHARGE_COMMANDS).collect().sort("updated_at", maintain_order=True)
    assert set(recorded.filter(status="acked")["device_id"]) == {"ch-1", "ch-2"}


def test_case_37_a_device_that_says_otherwise_is_told_three_times_more_then_a_person(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device()])
    world.tick()
    (charger,) = world.fleet.chargers.values()
    alerts = []
    for n in range(1, 7):
        charger.power_cut()  # forgets its window, and knows no time
        world.clock.at = PEAK_START + minutes(10 * n)
        world.uplink(charger.uplink(world.clock()))
        alerts += world.tick().alerts
    assert len(world.lines()) == 1 + 3
    assert {line["command_id"] for line in world.lines()} == {world.commands("ch-1")[0].command_id}
    assert len(alerts) == 1  # and not at every uplink
    assert "says allow after 3 re-sends" in alerts[0]
    control = world.registry.control("ch-1")
    assert control
    assert (control.ver, control.resends, control.desired) == (1, 3, "pause")
    assert not devices_agree(world.registry.fleet()).passed


def test_case_37_a_device_that_agrees_acknowledges(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device()])
    world.tick()
    (charger,) = world.fleet.chargers.values()
    world.clock.forward(minutes(1))
    world.uplink(charger.uplink(world.clock()))
    assert world.tick().news.counts == {"agreed": 1, "acked": 1}
    assert world.commands("ch-1")[0].status == "acked"
    assert len(world.lines()) == 1


def test_case_42_too_many_at_once_are_put_back_with_jitter_and_cars_are_released_first(air: MakeAir) -> None:
    pausing = [device(f"p-{n}") for n in range(8)]
    released = [device(f"r-{n}", rate_plan="r") for n in range(8)]
    on = air(PEAK_START, [*pausing, *released], rate=0.0, burst=8.0)
    told = on.world.tick().delivered
    assert {m.wireless_device_id for m in on.aws.accepted} == {f"w-r-{n}" for n in range(8)}
    assert told.counts == {"sent": 8, "throttled": 8}  # and the run let it be
    waiting = [c for d in pausing for c in on.world.commands(d.device_id)]
    assert {(c.status, c.attempts) for c in waiting} == {("pending", 0)}  # no fault of theirs
    times = [c.next_try_at - PEAK_START for c in waiting if c.next_try_at]
    assert all(timedelta(seconds=5) <= t <= timedelta(seconds=15) for t in times)
    assert len(set(times)) > 1
    with IotWireless([d.wireless_device_id or "" for d in pausing], clock=on.world.clock) as more:
        downlink = SidewalkDownlink(endpoint_url=more.url, clock=on.world.clock)
        on.world.site = replace(on.world.site, downlink=downlink)
        on.world.tick(PEAK_START + timedelta(seconds=20))
        assert {m.wireless_device_id for m in more.accepted} == {d.wireless_device_id for d in pausing}


def test_case_43_a_device_that_the_network_does_not_know_is_a_dead_letter_flagged_and_left_alone(
    air: MakeAir,
) -> None:
    on = air(PEAK_START, [device(), device("ch-2")], known=["w-ch-2"])
    told = on.world.tick().delivered
    assert told.counts == {"sent": 1, "dead": 1}
    lost = on.world.registry.device("ch-1")
    assert lost
    assert lost.flag
    assert "404" in lost.flag
    assert on.world.look().causes == ["registry"]  # the flag
    for n in (1, 30, 120):
        on.world.tick(PEAK_START + minutes(n))
        assert on.world.look().causes == []
    assert on.aws.answers[404] == 1
    check = no_dead_letters(on.world.site.lake.scan(CHARGE_COMMANDS).collect(), on.world.clock())
    assert not check.passed
    assert "ch-1 v1" in check.message


def test_case_44_a_pause_whose_window_is_over_is_never_sent(air: MakeAir) -> None:
    on = air(PEAK_START, [device()])
    die_at(on.world, "registry.claim")
    told = on.world.tick(PEAK_END + SECOND).delivered
    assert told.counts == {"dropped": 1}
    assert on.aws.accepted == []
    assert [c.status for c in on.world.commands("ch-1")] == ["dropped"]
    assert on.world.look().causes == []


def test_a_release_is_tried_until_it_comes_through_however_long(air: MakeAir) -> None:
    legacy: Device = device(protocol="legacy")
    on = air(PEAK_START, [legacy])
    on.world.tick()
    on.aws.fail(25)
    on.world.tick(PEAK_END)
    tries = 0
    while on.world.commands("ch-1")[-1].status != "sent":
        due = on.world.registry.next_due().command
        assert due
        on.world.tick(max(due, on.world.clock() + SECOND))
        tries += 1
        assert on.world.commands("ch-1")[-1].status in ("pending", "sent")
    assert on.aws.answers[500] == 25
    assert tries == 25
    assert on.world.state("ch-1") == "allow"


def test_a_sender_that_stood_still_longer_than_its_lease_has_not_the_last_word(tmp_path: Path) -> None:
    """Its pause goes out after the release that another sender sent meanwhile; the release is said again."""
    world = world_in(tmp_path, PEAK_START, [device(protocol="legacy")])

    class Stalling(LocalDownlink):
        stalled = False

        def send(self, command: Command, payload: bytes) -> str:
            if not self.stalled:
                self.stalled = True
                world.clock.forward(timedelta(seconds=90))
                world.change("ch-1", override_until=PEAK_END)
                tick(world.site, world.clock(), cause="another sender")
            return super().send(command, payload)

    slow = replace(world.site, downlink=Stalling(tmp_path / "downlink", clock=world.clock))
    told = tick(slow, PEAK_START, cause="slow").delivered
    assert told.counts["lost_lease"] == 1
    world.tick(world.clock() + SECOND)
    assert [line["ver"] for line in world.lines()] == [2, 1, 2]
    assert world.state("ch-1") == "allow"


def test_an_inbox_that_cannot_be_read_holds_up_no_car(tmp_path: Path) -> None:
    world = world_in(tmp_path, PEAK_START, [device(protocol="legacy")])
    world.tick()
    (tmp_path / "inbox" / "unreadable.jsonl").mkdir(parents=True)
    ticked = world.tick(PEAK_END)
    assert world.state("ch-1") == "allow"
    assert any("news of devices cannot be read" in alert for alert in ticked.alerts)
