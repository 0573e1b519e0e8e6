"""One evening of 200 devices in five tariffs: first sight, peaks, high MOER, Charge Now, a deactivation, a move.

What belongs here: what happens when. What does not: crashes, assertions.
"""

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from hc_platform.charging.overrides import charge_now
from hc_platform.demo.chargers import Fleet
from hc_platform_tests.charging.endtoend.world import PEAK_START, Clock, World, minutes, site_in

RECOVERY = timedelta(seconds=75)
"""When the next run comes: later than a lease, which a dead sender leaves behind."""
MOER_HIGH_FROM, MOER_HIGH_UNTIL = PEAK_START - minutes(35), PEAK_START + minutes(100)


def moer(_region: str, at: datetime) -> float:
    return 88.5 if MOER_HIGH_FROM <= at < MOER_HIGH_UNTIL else 30.0


def _nothing(_world: World) -> None:
    """Time alone passes."""


def _drivers_and_owners(world: World) -> None:
    now = world.clock()
    for name in ("ch-000", "ch-003", "ch-005", "ch-040"):
        control = world.registry.control(name)
        if control and control.desired == "pause":
            charge_now(world.registry, name, now=now)
    for name in ("ch-010", "ch-026", "ch-050"):
        world.change(name, status="inactive")
    world.change("ch-015", utility_id="pge", rate_plan="e_elec")
    for name in ("ch-020", "ch-030"):  # mid-pause, to a flat plan
        world.change(name, rate_plan="r")
    world.uplink({"device_id": "ch-055", "state": "pause", "at": now.isoformat()})


@dataclass(frozen=True)
class Stage:
    name: str
    at: datetime
    happens: Callable[[World], None] = _nothing


EVENING = (
    Stage("first sight", PEAK_START - minutes(120)),
    Stage("windows ahead, high MOER", PEAK_START - minutes(20)),
    Stage("peak", PEAK_START + minutes(12)),
    Stage("drivers and owners", PEAK_START + minutes(60), _drivers_and_owners),
    Stage("MOER falls", PEAK_START + minutes(105)),
    Stage("after the peaks", PEAK_START + minutes(320)),
)


@dataclass(frozen=True)
class Saved:
    """A world at rest, to be woken up again any number of times."""

    folder: Path
    at: datetime
    fleet: Fleet
    heard: int
    watttime: str

    def wake(self, folder: Path, clock: Clock) -> World:
        shutil.copytree(self.folder, folder)
        clock.at = self.at
        site = site_in(folder, clock, watttime=self.watttime)
        return World(folder, clock, site, copy.deepcopy(self.fleet), self.heard)


def save(world: World, folder: Path, watttime: str) -> Saved:
    world.registry.close()
    shutil.copytree(world.folder, folder)
    saved = Saved(folder, world.clock(), copy.deepcopy(world.fleet), world.heard, watttime)
    world.reopen()
    return saved
