"""A site by hand, with a clock of its own: real SQLite, real lake, real downlink, simulated chargers.

What belongs here: building it, letting time pass, carrying messages to chargers. What does not: crashes (`crashing`),
what must hold (`holding`), assertions.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hc_platform.charging.delivery import Quota
from hc_platform.charging.downlinks.base import Downlink
from hc_platform.charging.downlinks.local import FileEvents, LocalDownlink, sent
from hc_platform.charging.models import Device
from hc_platform.charging.moer.watttime import WattTime
from hc_platform.charging.registry.base import Registry
from hc_platform.charging.registry.sqlite import SqliteRegistry
from hc_platform.charging.site import Site
from hc_platform.charging.tick import Ticked, tick
from hc_platform.charging.wake import Wake, look
from hc_platform.demo.chargers import Charger, Fleet
from hc_platform.demo.watttime import PASSWORD, USERNAME
from hc_platform.lake.store import Lake

ROOT = Path(__file__).resolve().parents[3]
PLENTY = Quota(rate=1_000.0, burst=100_000.0, budget_s=20.0, ack_timeout_s=600.0)
"""So that a clock that stands still during a run never waits for tokens."""
PEAK_START, PEAK_END = (datetime(2026, 7, day, hour, tzinfo=UTC) for day, hour in ((8, 23), (9, 3)))
"""Xcel's peak of Wednesday, July 8, 2026: 17:00 to 21:00 in Denver."""


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


class Clock:
    """The site's clock: stands still until it is set."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def forward(self, by: timedelta) -> datetime:
        self.at += by
        return self.at


@dataclass
class World:
    """A site in a folder, its clock, its chargers."""

    folder: Path
    clock: Clock
    site: Site
    fleet: Fleet = field(default_factory=lambda: Fleet([]))
    heard: int = 0
    """Lines of the local downlink's file that have reached the chargers."""

    @property
    def registry(self) -> Registry:
        return self.site.registry

    def register(self, *devices: Device) -> None:
        for device in devices:
            self.registry.put_device(device, now=self.clock())
        chargers = [Charger(d.device_id, d.wireless_device_id) for d in devices]
        self.fleet = Fleet([*self.fleet.chargers.values(), *chargers])

    def change(self, device_id: str, **fields: Any) -> Device:
        device = self.registry.device(device_id)
        assert device
        return self.registry.put_device(device.model_copy(update=fields), now=self.clock())

    def tick(self, at: datetime | None = None, cause: str = "test") -> Ticked:
        if at is not None:
            self.clock.at = at
        ticked = tick(self.site, self.clock(), cause=cause)
        self.carry()
        return ticked

    def tick_at(self, as_of: datetime) -> Ticked:
        """A run for another instant than now."""
        return tick(self.site, as_of, cause="test")

    def look(self, polled_at: datetime | None = None) -> Wake:
        return look(self.site, self.clock(), polled_at)

    def lines(self) -> list[dict[str, Any]]:
        """What the local downlink sent."""
        return list(sent(self.folder / "downlink"))

    def carry(self) -> None:
        """What the local downlink wrote reaches the chargers."""
        lines = self.lines()
        for line in lines[self.heard :]:
            at = datetime.fromisoformat(line["at"])
            self.fleet.deliver(line["wireless_device_id"], bytes.fromhex(line["payload"]), at)
        self.heard = len(lines)

    def uplink(self, *events: dict[str, Any], name: str | None = None) -> None:
        """Put events in the inbox, as docs/downlink.md asks."""
        inbox = self.folder / "inbox"
        inbox.mkdir(parents=True, exist_ok=True)
        name = name or f"{self.clock().timestamp():.0f}-{len(list(inbox.glob('**/*.jsonl')))}"
        (inbox / f"{name}.part").write_text("".join(json.dumps(e) + "\n" for e in events))
        (inbox / f"{name}.part").rename(inbox / f"{name}.jsonl")

    def state(self, device_id: str, at: datetime | None = None) -> str:
        return self.fleet.states(at or self.clock())[device_id]

    def sends(self, device_id: str) -> list[str]:
        """Meanings of what was sent to one device by the local downlink."""
        return [line["meaning"] for line in self.lines() if line["device_id"] == device_id]

    def commands(self, device_id: str) -> list[Any]:
        return [c for page in self.registry.commands(device_id=device_id) for c in page]

    def reopen(self) -> None:
        """As after a crash: nothing of the process is left but its files."""
        self.site.registry.close()
        self.site = replace(
            self.site,
            registry=SqliteRegistry(self.folder / "registry.sqlite"),
            lake=Lake(str(self.folder / "lake")),
            events=FileEvents(self.folder / "inbox"),
        )


def site_in(
    folder: Path,
    now: Callable[[], datetime],
    *,
    tariffs: Path = ROOT / "tou_schedules",
    policies: Path = ROOT / "charge_policies.yaml",
    downlink: Downlink | None = None,
    watttime: str | None = None,
    quota: Quota = PLENTY,
) -> Site:
    session = watttime and WattTime(
        USERNAME, PASSWORD, base_url=watttime, clock=now, monotonic=lambda: now().timestamp()
    )
    return Site(
        registry=SqliteRegistry(folder / "registry.sqlite"),
        lake=Lake(str(folder / "lake")),
        tariff_dir=tariffs,
        policy_file=policies,
        downlink=downlink or LocalDownlink(folder / "downlink", clock=now),
        events=FileEvents(folder / "inbox"),
        watttime=session,
        quota=quota,
        now=now,
    )


def world_in(folder: Path, at: datetime | Clock, devices: Iterable[Device] = (), **site: Any) -> World:
    """A new world at an instant, or with a clock that others go by too."""
    clock = at if isinstance(at, Clock) else Clock(at)
    world = World(folder, clock, site_in(folder, clock, **site))
    world.register(*devices)
    return world


def device(device_id: str = "ch-1", **fields: Any) -> Device:
    """On Xcel's RE-TOU, exactly on the tariff's minute, unless told otherwise."""
    given = {
        "wireless_device_id": f"w-{device_id}",
        "utility_id": "xcel_co",
        "rate_plan": "re_tou",
        "policy_id": "prompt",
        **fields,
    }
    return Device(device_id=device_id, **given)


PLANS = (
    ("xcel_co", "re_tou"),
    ("csu", "energy_wise"),
    ("pge", "e_elec"),
    ("sce", "tou_d_prime"),
    ("xcel_co", "r"),
)


def mixed_fleet(count: int) -> list[Device]:
    """Devices in five tariffs; every fifth a legacy one, two policies, every seventh in a MOER region."""
    made = []
    for i in range(count):
        utility, plan = PLANS[i % len(PLANS)]
        made.append(
            device(
                f"ch-{i:03d}",
                utility_id=utility,
                rate_plan=plan,
                protocol="legacy" if i // 5 % 5 == 0 else "window",
                policy_id="default" if i % 3 else "prompt",
                watttime_region="PSCO" if i % 7 == 0 or plan == "r" else None,
            )
        )
    return made
