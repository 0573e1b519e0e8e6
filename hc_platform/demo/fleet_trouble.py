"""The simulated day's plans, its clock, and what goes wrong in it.

What belongs here: which tariffs and regions, the signal index over the day, and what befalls whom when. What does not:
the fleet and the platform that it is tried on (`fleet`).

All follows from the seed, the device's name and the time, never from the order of threads: each day is the same.
"""

import random
import zlib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import pi, sin
from typing import Final
from zoneinfo import ZoneInfo

from hc_platform.demo.chargers import Charger, Fleet
from hc_platform.demo.watttime import UNAVAILABLE, DemoWattTime, Fault

SEED: Final = 20260702
START: Final = datetime(2026, 7, 2, 6, tzinfo=UTC)
"""Midnight in Denver of a Thursday without a holiday: every tariff's peak lies within the 24 hours from here."""
END: Final = START + timedelta(days=1)
STEP: Final = timedelta(seconds=60)
_OUTAGE: Final = timedelta(minutes=40)


@dataclass(frozen=True)
class Plan:
    """A tariff of the fleet, the WattTime region of its places, and its clock."""

    schedule: str
    region: str
    timezone: str

    def at(self, hour: int, minute: int = 0) -> datetime:
        """A local time of the simulated day."""
        local = START.astimezone(ZoneInfo("America/Denver"))
        return datetime(
            local.year, local.month, local.day, hour, minute, tzinfo=ZoneInfo(self.timezone)
        ).astimezone(UTC)


PLANS: Final = (
    Plan("xcel_co/re_tou", "PSCO", "America/Denver"),
    Plan("pge/ev2_a", "CAISO_NORTH", "America/Los_Angeles"),
    Plan("sce/tou_d_prime", "CAISO_LONGBEACH", "America/Los_Angeles"),
    Plan("sdge/ev_tou_5", "CAISO_SANDIEGO", "America/Los_Angeles"),
    Plan("coned/sc1_rate_iii", "NYISO_NYC", "America/New_York"),
)
FORBIDDEN: Final = "CAISO_SANDIEGO"


def at_utc(hour: int, minute: int = 0) -> datetime:
    """A time of the simulated day."""
    return START.replace(hour=hour, minute=minute)


_WEATHER: Final[tuple[tuple[str, datetime, datetime, Fault], ...]] = (
    ("PSCO", at_utc(18, 30), at_utc(19), Fault(value=150)),
    ("CAISO_NORTH", at_utc(19), at_utc(20), Fault(shift_s=-1800)),
    ("NYISO_NYC", at_utc(20), at_utc(21), UNAVAILABLE),
    ("CAISO_LONGBEACH", at_utc(21), at_utc(21, 30), Fault(shift_s=900)),
)
"""WattTime's bad hours: no percentile, an old point, no answer, a point of the future."""
_WRONG_CLOCK: Final = (at_utc(20, 30), at_utc(20, 45))
_THROTTLED: Final = (at_utc(22, 30), at_utc(22, 32))


class Clock:
    """Simulated time, UTC; to sleep is to move it."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """The simulated instant."""
        return self.at

    def sleep(self, seconds: float) -> None:
        """Let so much of it pass."""
        self.at += timedelta(seconds=seconds)


class Trouble:
    """What goes wrong, by the names of devices and by time."""

    def __init__(self, clock: Clock, fleet: Fleet, rng: random.Random, ids: list[str]) -> None:
        few = max(len(ids) // 50, 2)
        drawn = iter(rng.sample(ids, 3 * few + 6))
        self.clock, self.fleet = clock, fleet
        self.unknown = {next(drawn) for _ in range(3)}
        """Devices whose wireless id the network does not know."""
        self.stuck = {next(drawn) for _ in range(2)}
        self.dark = {next(drawn): at_utc(23, 30) + timedelta(minutes=7 * n) for n in range(few)}
        """device_id -> when its power fails."""
        self.pressing = [next(drawn) for _ in range(few)]
        """Devices whose drivers press Charge Now, all in the evening."""
        self.leaving = [next(drawn) for _ in range(few)]
        """Devices whose cars must leave soon after the peak."""
        self.deactivated = next(drawn)
        self.tries: Counter[tuple[str, int]] = Counter()
        """Requests for each wireless id and Seq."""
        self.lost = 0
        self._sends: Counter[tuple[str, bytes]] = Counter()

    def refuse(self, wireless_id: str, seq: int) -> str | None:
        """AWS's error to a request that is in order: a burst of 429 for two minutes, and 500 for two in a hundred."""
        self.tries[wireless_id, seq] += 1
        if _THROTTLED[0] <= self.clock.at < _THROTTLED[1]:
            return "ThrottlingException"
        unlucky = _chance(wireless_id, seq, self.tries[wireless_id, seq]) < 0.02
        return "InternalServerException" if unlucky else None

    def deliver(self, wireless_id: str, payload: bytes, at: datetime) -> bool | None:
        """Four messages in a hundred are accepted and lost, and nobody ever tells."""
        self._sends[wireless_id, payload] += 1
        if _chance(wireless_id, payload.hex(), self._sends[wireless_id, payload]) < 0.04:
            self.lost += 1
            return None
        return self.fleet.deliver(wireless_id, payload, at)

    def power(self, charger: Charger, at: datetime) -> None:
        """Cut and restore a charger's power; its clock is set five minutes after it is back."""
        cut = self.dark.get(charger.device_id)
        if cut is None or at < cut:
            return
        if charger.synced and charger.reachable and at < cut + _OUTAGE:
            charger.power_cut()
        charger.reachable = at >= cut + _OUTAGE
        charger.synced = at >= cut + _OUTAGE + timedelta(minutes=5)

    def says_so(self, charger: Charger, at: datetime) -> bool:
        """Whether a charger tells its state now: every four hours; every quarter of one after a fault."""
        nervous = charger.stuck or charger.device_id in self.dark
        every = 15 if nervous else 240
        return (int(at.timestamp()) // 60 + zlib.crc32(charger.device_id.encode())) % every == 0


def _chance(*what: object) -> float:
    """A number in [0, 1) that these things always have."""
    return zlib.crc32(repr(what).encode()) / 2**32


def percentile(region: str, at: datetime) -> float:
    """A signal index over the day: a long swell that is high for hours, and short waves that cross the thresholds."""
    hour = (at - START) / timedelta(hours=1)
    shift = [plan.region for plan in PLANS].index(region) * 1.7
    waves = 12 * sin(2 * pi * hour / 0.7) if region == "PSCO" else 4 * sin(2 * pi * hour / 1.9)
    return round(min(100.0, max(0.0, 48 + 42 * sin(2 * pi * (hour - 9 - shift) / 24) + waves)), 1)


def bad_hour(region: str, at: datetime) -> Fault | None:
    """What befalls a question about a region at that time."""
    return next(
        (fault for where, since, until, fault in _WEATHER if where == region and since <= at < until), None
    )


def set_wrong_clock(server: DemoWattTime, at: datetime) -> None:
    """For a quarter of an hour the answers' Date says that this machine's clock is five minutes off."""
    server.date_offset_s = 300.0 if _WRONG_CLOCK[0] <= at < _WRONG_CLOCK[1] else 0.0
