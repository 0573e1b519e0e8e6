"""Keys that open nothing, a clock, a loopback WattTime that goes by it, and the evening's stages at rest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hc_platform.charging.downlinks.sidewalk import SidewalkDownlink
from hc_platform.charging.models import Device
from hc_platform.charging.tick import tick
from hc_platform.demo.iot_wireless import IotWireless
from hc_platform.demo.watttime import DemoWattTime, serve_watttime
from hc_platform_tests.charging.endtoend.crashing import Fuse, fused
from hc_platform_tests.charging.endtoend.evening import EVENING, RECOVERY, Saved, moer, save
from hc_platform_tests.charging.endtoend.holding import broken, duplicates
from hc_platform_tests.charging.endtoend.world import Clock, World, mixed_fleet, world_in


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "loopback")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture(scope="session")
def clock() -> Clock:
    return Clock(EVENING[0].at)


@pytest.fixture(scope="session")
def watttime(clock: Clock) -> Iterator[DemoWattTime]:
    with serve_watttime(now=clock, index=moer) as server:
        yield server


@dataclass(frozen=True)
class Rest:
    """A stage about to run; the calls that its run makes, and every charger's state after it and a second run."""

    saved: Saved
    calls: list[str]
    states: dict[str, str]


@pytest.fixture(scope="session")
def evening(
    tmp_path_factory: pytest.TempPathFactory, clock: Clock, watttime: DemoWattTime
) -> dict[str, Rest]:
    """The evening without any crash: what all others are held against."""
    folder = tmp_path_factory.mktemp("evening")
    clock.at = EVENING[0].at
    world = world_in(folder / "world", clock, mixed_fleet(200), watttime=watttime.url)
    rests = {}
    for number, stage in enumerate(EVENING):
        clock.at = stage.at
        stage.happens(world)
        saved = save(world, folder / f"stage-{number}", watttime.url)
        fuse = Fuse()
        tick(fused(world.site, fuse), clock(), cause="calm")
        world.carry()
        world.tick(stage.at + RECOVERY)
        assert broken(world) == [], stage.name
        rests[stage.name] = Rest(saved, fuse.calls, world.fleet.states(clock()))
    assert duplicates(world)[0] == 0
    return rests


@dataclass(frozen=True)
class Air:
    """A world whose commands go over the loopback Sidewalk, by unmodified boto3."""

    world: World
    aws: IotWireless

    def bring_back(self) -> int:
        """AWS's delivery events reach the inbox."""
        events = self.aws.events()
        if events:
            self.world.uplink(*events)
        return len(events)


@pytest.fixture
def air(tmp_path: Path, keys: None) -> Iterator[Callable[..., Air]]:
    """Makes such a world; `known`: the wireless devices that AWS knows, `came` says what becomes of a message."""
    open_servers = []

    def make(at: datetime, devices: list[Device], *, known: list[str] | None = None, **server: Any) -> Air:
        now = Clock(at)
        ids = known if known is not None else [d.wireless_device_id or "" for d in devices]
        holder: list[World] = []
        given = {
            "rate": 10_000.0,
            "burst": 10_000.0,
            "deliver": lambda *m: holder[0].fleet.deliver(*m),
            **server,
        }
        aws = IotWireless(ids, clock=now, **given)
        open_servers.append(aws)
        holder.append(
            world_in(
                tmp_path / "air", now, devices, downlink=SidewalkDownlink(endpoint_url=aws.url, clock=now)
            )
        )
        return Air(holder[0], aws)

    yield make
    for server in open_servers:
        server.close()
