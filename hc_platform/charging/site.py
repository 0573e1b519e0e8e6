"""What charge control reaches: registry, lake, schedules, WattTime, downlink, events, clock.

What belongs here: opening them as the settings say. What does not: anything they are used for.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hc_platform.charging.delivery import Quota
from hc_platform.charging.downlinks.base import Downlink, DownlinkError, Events
from hc_platform.charging.downlinks.opening import open_downlink, open_events
from hc_platform.charging.models import Command
from hc_platform.charging.moer.watttime import WattTime
from hc_platform.charging.payloads import key_from_environment
from hc_platform.charging.registry.base import Registry
from hc_platform.charging.registry.opening import open_registry
from hc_platform.lake.store import Lake, open_lake
from hc_platform.settings import Settings

_USUAL_RATE: Final = 10.0
WATTTIME_SECRETS: Final = ("WATTTIME_USERNAME", "WATTTIME_PASSWORD")


@dataclass(frozen=True)
class Site:
    """Everything that a tick needs. `watttime` None: no credentials, tariffs alone decide."""

    registry: Registry
    lake: Lake
    tariff_dir: Path
    policy_file: Path
    downlink: Downlink
    events: Events
    watttime: WattTime | None = None
    payload_key: bytes | None = field(default=None, repr=False)
    quota: Quota = field(default_factory=Quota)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    """Waits so many seconds of the clock that `now` reads."""


def open_site(
    settings: Settings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC), sends: bool = True
) -> Site:
    """Open all of it; without `sends` a site that has no downlink and hears no news, for looking and registering.

    Raises ValueError or LookupError, naming the setting, where one says something that cannot be.
    """
    registry = open_registry(settings.registry_at)
    rate = settings.downlink_rate or (sends and _account_rate(settings, registry, now())) or _USUAL_RATE
    return Site(
        registry=registry,
        lake=open_lake(settings.root),
        tariff_dir=settings.tariffs,
        policy_file=settings.policies,
        downlink=open_downlink(settings.downlink_to) if sends else _NoDownlink(),
        events=open_events(
            settings.events_from if sends else None,
            rejected=settings.data_dir.resolve() / "uplink" / "rejected",
        ),
        watttime=_watttime(settings),
        payload_key=key_from_environment(settings.payload_secret) if sends else None,
        quota=Quota(rate=rate, burst=max(rate, 1.0) * 2),
        now=now,
    )


class _NoDownlink:
    """For who looks and registers: nothing can be sent."""

    name, confirms = "none", False

    def send(self, command: Command, payload: bytes) -> str:
        """Never."""
        raise DownlinkError(f"{command.device_id}: this process was opened to look, not to send")


def _account_rate(settings: Settings, registry: Registry, now: datetime) -> float | None:
    """The account's own quota of Sidewalk sends a second; None where there is none to ask.

    Asked for when a process opens its site, at most once a day over all of them.
    """
    if settings.downlink_to != "sidewalk":
        return None
    import boto3  # 0.2 s that nobody else need wait for

    from hc_platform.charging.downlinks.sidewalk import SIDEWALK_REGION, quota_from_service_quotas

    day, _, held = (registry.recall("quota") or "").partition(" ")
    if day != now.date().isoformat():
        found = quota_from_service_quotas(boto3.client("service-quotas", region_name=SIDEWALK_REGION))
        held = "" if found is None else str(found)
        registry.remember("quota", f"{now.date().isoformat()} {held}")
    return float(held) if held else None


def _watttime(settings: Settings) -> WattTime | None:
    if not all(os.environ.get(name) for name in WATTTIME_SECRETS):
        return None
    return WattTime.from_environment(base_url=settings.watttime_url)
