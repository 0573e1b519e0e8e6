"""Simulated chargers: what a device does with the bytes it gets, as docs/downlink.md says and the firmware does.

What belongs here: the device's state machine, a fleet of them. What does not: the network between (`iot_wireless`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hc_platform.charging.models import State
from hc_platform.charging.payloads import EPOCH, Decoded, PayloadError, decode

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class _Memory:
    """What a device holds in RAM."""

    allowed: bool = True
    window: Decoded | None = None
    resume_at: datetime | None = None


class Charger:
    """One device. Times given to it never go back; its clock is the time it is given, in whole seconds."""

    def __init__(
        self, device_id: str, wireless_device_id: str | None = None, *, key: bytes | None = None
    ) -> None:
        self.device_id = device_id
        self.wireless_device_id = wireless_device_id or device_id
        self.key = key
        self.reachable = True
        self.synced = True
        """Whether it knows the time; without it, windows are ignored."""
        self.stuck: State | None = None
        """A relay that is welded: what it does, whatever the device was told; it says so truly."""
        self.charge_now_until: datetime | None = None
        """The driver's own override: until then it charges and ignores charge commands."""
        self.received = 0
        self.refused = 0
        """Payloads that it got and did not obey: no meaning, wrong tag, or Charge Now."""
        self._memory = _Memory()

    def receive(self, payload: bytes, at: datetime) -> bool:
        """A message arrives; False where the device cannot be reached. True says nothing about whether it obeys."""
        if not self.reachable:
            return False
        self.received += 1
        try:
            decoded = decode(payload, self.key)
        except PayloadError:
            self.refused += 1
            return True
        if self._overridden(at):
            self.refused += 1
            return True
        now = self._settled(at)
        if decoded.kind == "window":
            # Only the window is replaced: a device that is paused stays so, if need be until the new window ends.
            self._memory = replace(now, window=decoded)
        else:
            resume = at + decoded.resume_after if decoded.resume_after else None
            self._memory = _Memory(allowed=decoded.kind == "allow", resume_at=resume)
        return True

    def state(self, at: datetime) -> State:
        """What its relay does at an instant, at or after the last thing that happened to it."""
        if self.stuck:
            return self.stuck
        return "allow" if self._overridden(at) or self._settled(at).allowed else "pause"

    def charge_now(self, at: datetime, until: datetime) -> None:
        """The driver presses Charge Now: whatever it holds is discarded, and commands are ignored until then."""
        self._memory = _Memory()
        self.charge_now_until = until

    def power_cut(self) -> None:
        """Everything in RAM is gone, the time too: it charges, and ignores windows until `sync`."""
        self._memory = _Memory()
        self.charge_now_until = None
        self.synced = False

    def sync(self) -> None:
        """Its time is set again."""
        self.synced = True

    def uplink(self, at: datetime) -> dict[str, str]:
        """What it says of itself, as an event of docs/downlink.md."""
        return {"device_id": self.device_id, "state": self.state(at), "at": at.isoformat()}

    def _overridden(self, at: datetime) -> bool:
        return self.charge_now_until is not None and at < self.charge_now_until

    def _settled(self, at: datetime) -> _Memory:
        """Its memory once its clock has come to `at`."""
        held = self._memory
        window = held.window if self.synced else None
        if window and window.start and window.end:
            now = EPOCH + (at - EPOCH) // _SECOND * _SECOND
            if now >= window.end:
                return _Memory()
            return replace(held, allowed=False) if now >= window.start else held
        if not held.allowed and held.resume_at and at >= held.resume_at:
            return replace(held, allowed=True, resume_at=None)
        return held


class Fleet:
    """Chargers by the id that the network knows; what a stand-in network delivers to."""

    def __init__(self, chargers: Iterable[Charger]) -> None:
        self.chargers: Mapping[str, Charger] = {c.wireless_device_id: c for c in chargers}

    def deliver(self, wireless_device_id: str, payload: bytes, at: datetime) -> bool:
        """Hand a message to its charger; False where there is none, or it cannot be reached."""
        charger = self.chargers.get(wireless_device_id)
        return charger is not None and charger.receive(payload, at)

    def states(self, at: datetime) -> dict[str, State]:
        """device_id -> state."""
        return {charger.device_id: charger.state(at) for charger in self.chargers.values()}

    def uplinks(self, at: datetime) -> list[dict[str, str]]:
        """What all reachable chargers say of themselves."""
        return [charger.uplink(at) for charger in self.chargers.values() if charger.reachable]
