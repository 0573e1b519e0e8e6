"""Two evenings in a bad world: messages lost, late or refused, runs that die, power cuts. No car stays behind."""

import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from hc_platform.charging.delivery import expected_state
from hc_platform.charging.payloads import encode
from hc_platform.charging.tick import tick
from hc_platform_tests.charging.endtoend.conftest import Air
from hc_platform_tests.charging.endtoend.crashing import Died, Fuse, fused
from hc_platform_tests.charging.endtoend.test_delivery_cases import MakeAir
from hc_platform_tests.charging.endtoend.world import PEAK_START, PLANS, World, device, minutes

STEP = minutes(10)
BOUND = minutes(120)
"""A message is lost three times in a row at most, so the fourth attempt, 70 minutes after the first, comes through;
the rest is for runs that die and for steps."""
FIRST, LAST = PEAK_START - minutes(100), PEAK_START + minutes(60 * 8)
ON_PEAK = {
    "xcel_co/re_tou": (17, 21, -6),
    "csu/energy_wise": (17, 21, -6),
    "pge/e_elec": (16, 21, -7),
    "sce/tou_d_prime": (16, 21, -7),
}
"""Local hours of a July weekday, and the zone's hours from UTC: read from the tariffs, not from the code."""


@dataclass
class BadAir:
    """What becomes of a message is drawn from its name alone, so that threads change nothing."""

    seed: int
    tries: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    late: list[tuple[str, bytes]] = field(default_factory=list)
    came: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    world: World | None = None

    def deliver(self, to: str, payload: bytes, at: datetime) -> bool | None:
        self.tries[to, payload] += 1
        n = self.tries[to, payload]
        fate = chance(self.seed, to, payload, n) if n % 4 else 1.0
        if fate < 0.12:
            self.outcomes["lost without a word"] += 1
            return None
        if fate < 0.24:
            self.outcomes["lost and told"] += 1
            return False
        if fate < 0.34:
            self.outcomes["late"] += 1
            self.late.append((to, payload))
            return None
        self.outcomes["came"] += 1
        return self.hand_over(to, payload, at)

    def hand_over(self, to: str, payload: bytes, at: datetime) -> bool:
        assert self.world
        self.came[to] = (payload, at)
        return self.world.fleet.deliver(to, payload, at)


def chance(*names: object) -> float:
    """0 to 1, the same for the same names."""
    return zlib.crc32(repr(names).encode()) / 2**32


def on_peak(plan: str, at: datetime) -> bool:
    if plan not in ON_PEAK:
        return False
    start, end, offset = ON_PEAK[plan]
    return start <= (at + timedelta(hours=offset)).hour < end


def run(air: Air, seed: int) -> bool:
    """A run if there is cause for one; every fourth dies somewhere. Whether the world is as a whole run left it."""
    world = air.world
    if not world.look().causes:
        return True
    at = world.clock()
    dies_at = 1 + int(chance(seed, at, "where") * 90) if chance(seed, at, "dies") < 0.25 else 0
    with suppress(Died):
        tick(fused(world.site, Fuse(dies_at)), at, cause="test")
        return True
    world.reopen()
    return False


@pytest.mark.parametrize("seed", [1, 2])
def test_every_car_charges_again_and_on_peak_only_what_did_not_arrive_charges(
    air: MakeAir, tmp_path: Path, seed: int
) -> None:
    bad = BadAir(seed)
    devices = [
        device(
            f"ch-{i:02d}",
            utility_id=PLANS[i % len(PLANS)][0],
            rate_plan=PLANS[i % len(PLANS)][1],
            protocol="legacy" if i % 3 == 0 else "window",
            policy_id=("default", "prompt", "reminding")[i // 5 % 3],
        )
        for i in range(20)
    ]
    on = air(FIRST, devices, deliver=bad.deliver)
    world = bad.world = on.world
    cut_at: dict[str, datetime] = {}
    off_since: dict[str, datetime] = {}
    counts: Counter[str] = Counter()
    for day in range(2):
        at = FIRST + timedelta(days=day)
        while at <= LAST + timedelta(days=day):
            world.clock.at = at
            for to, payload in [bad.late.pop() for _ in range(len(bad.late))]:
                bad.hand_over(to, payload, at)
            for charger in world.fleet.chargers.values():
                if not charger.synced:
                    charger.sync()
                if chance(seed, at, charger.device_id, "cut") < 0.01:
                    charger.power_cut()
                    cut_at[charger.wireless_device_id] = at
                    counts["power cuts"] += 1
            if chance(seed, at, "500") < 0.1:
                on.aws.fail(5)
            on.bring_back()
            if at.minute < 10:
                world.uplink(*world.fleet.uplinks(at))
            whole = run(on, seed)
            counts["runs that died"] += not whole
            for d in devices:
                to = d.wireless_device_id or ""
                state, peak = world.state(d.device_id), on_peak(d.schedule or "", at)
                # cars wait
                if peak and state == "allow":
                    counts["on-peak steps charged"] += 1
                    assert explained(world, bad, d.device_id, to, cut_at.get(to), whole), (
                        f"{d.device_id} at {at}"
                    )
                counts["on-peak steps"] += peak
                # and none stays behind
                waits = state == "pause" and not peak
                since = off_since.setdefault(d.device_id, at) if waits else off_since.pop(d.device_id, at)
                assert at - since <= BOUND, f"{d.device_id} waits since {since}, its peak is over; now {at}"
            at += STEP
        assert set(world.fleet.states(world.clock()).values()) == {"allow"}
    assert bad.outcomes["late"]
    assert bad.outcomes["lost without a word"]
    assert counts["runs that died"]
    print(f"seed {seed}: {dict(counts)}, {dict(bad.outcomes)}, {dict(on.aws.answers)}")


def explained(
    world: World, bad: BadAir, device_id: str, to: str, cut_at: datetime | None, whole: bool
) -> bool:
    """Whether what the device was asked is not there: not sent, not arrived, overtaken by a late one, or cut off."""
    control = world.registry.control(device_id)
    if not whole or control is None:
        return True
    command = world.commands(device_id)[-1]
    if expected_state(control, command.protocol, world.clock()) == "allow":
        return False  # the decision itself would be wrong
    if command.status in ("pending", "sending", "dead", "dropped"):
        return True
    last = bad.came.get(to)
    return (
        last is None
        or last[0] != encode(command, at=command.sent_at)
        or (cut_at is not None and cut_at >= last[1])
    )
