"""How a command leaves: one interface for all downlinks, and what can go wrong.

What belongs here: the interface and its errors. What does not: which command, when (`delivery`), which bytes
(`payloads`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hc_platform.charging.models import Command, State


class DownlinkError(Exception):
    """The attempt failed; the message says how and is kept with the command. Plain: worth another attempt."""


class ThrottledError(DownlinkError):
    """Too many at once (HTTP 429): try again later, and send fewer."""


class RejectedError(DownlinkError):
    """No attempt will ever succeed (device unknown to the network, payload refused): a dead letter."""


class Downlink(Protocol):
    """Sends a payload to a device."""

    name: str
    confirms: bool
    """Whether delivery events come back; without them a command stays `sent`."""

    def send(self, command: Command, payload: bytes) -> str:
        """Hand the payload to the network; returns the message id that its delivery events will bear.

        Accepted is not delivered: that is told later by an event. Delivered is not obeyed: that is told by an uplink.
        Raises ThrottledError, RejectedError, or DownlinkError for what may succeed another time.
        """


@dataclass(frozen=True)
class Delivery:
    """A delivery event: what became of a message. Comes at least once, and in any order."""

    message_id: str
    delivered: bool
    at: datetime


@dataclass(frozen=True)
class Uplink:
    """A device's own word on its state."""

    device_id: str
    state: State
    at: datetime


class Events(Protocol):
    """Where delivery events and uplinks come in. What cannot be read is kept aside and counted, never handed out."""

    rejected: int
    """Messages kept aside so far by this object because they cannot be read."""
    ignored: int
    """Well-formed ones about nothing we sent, such as the delivery of an uplink."""

    def waiting(self) -> bool:
        """Whether something waits that is seen at once and at no cost; a queue says no, and is read at the next run."""

    def receive(self) -> Iterable["Delivery | Uplink"]:
        """Those that wait now; one that was handed out and not `done` comes again.

        Raises DownlinkError where the place cannot be read.
        """

    def done(self) -> None:
        """All that was handed out has been dealt with. Raises DownlinkError where that cannot be told."""
