"""The bytes that a charger understands: a command to bytes, and bytes back to what they mean.

What belongs here: the layout (docs/downlink.md shows it byte by byte, with vectors), its limits, the tag.
What does not: which command when (`decision`, `delivery`), how the bytes travel (`downlinks`).
"""

import hashlib
import hmac
import os
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from hc_platform.charging.models import Command

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""The device's zero: it counts whole seconds from here, in 32 bits without sign."""

KEY_BYTES: Final = 32
TAG_BYTES: Final = 8
MTU: Final = 19
"""Bytes that one Sidewalk downlink carries; the longest payload, a tagged window, has 18."""

_CHARGE_CONTROL: Final = 0x10
_PAUSE, _ALLOW, _WINDOW = 0x00, 0x01, 0x02
_SWITCH = struct.Struct("<BBH")
_WINDOW_LAYOUT = struct.Struct("<BBII")
_SECOND: Final = timedelta(seconds=1)
_LAST: Final = 2**32 - 1
_MOST_MINUTES: Final = 2**16 - 1


class PayloadError(ValueError):
    """The command has no bytes, or the bytes no meaning; the message names what is wrong."""


@dataclass(frozen=True)
class Decoded:
    """What a payload asks of the device."""

    kind: Literal["allow", "pause", "window"]
    start: datetime | None = None
    """Start of the pause, UTC; of a window only."""
    end: datetime | None = None
    """End of the pause, UTC, exclusive (the payload's own end is the last second that is paused)."""
    resume_after: timedelta | None = None
    """So long after it arrives a legacy pause ends by itself."""
    tagged: bool = False
    """Whether it carries a tag. It was checked if and only if a key was given."""

    def __str__(self) -> str:
        """Allow, pause, or the window's two instants, for people."""
        if self.start and self.end:
            return f"window {self.start.isoformat()} to {self.end.isoformat()}"
        return f"{self.kind} for {self.resume_after}" if self.resume_after else self.kind


def encode(command: Command, *, key: bytes | None = None, at: datetime | None = None) -> bytes:
    """The payload of a command: 4 bytes (allow, pause) or 10 (window), and 8 more with a key.

    The device compares whole seconds, so a window is widened to whole seconds: the start goes down, the end up. It is
    then never shorter than asked (no charging on-peak), and at most a second longer at each side. The device's end is
    inclusive and ours is not: its last paused second is the one before our end (case 1).

    Allow is the legacy allow for both protocols: it cancels whatever window the device holds. A legacy device is told
    that it pauses, and after how many minutes it resumes should the allow never come. It counts them from when it hears
    of it, so they are those left `at` the send, of the whole window where no instant is given; at least 1.

    Raises PayloadError: a window device cannot pause without a window; a window that is empty, or not between 2026 and
    2162; a key that has not 32 bytes.
    """
    if command.desired == "allow":
        body = _SWITCH.pack(_CHARGE_CONTROL, _ALLOW, 0)
    elif command.protocol == "legacy":
        body = _SWITCH.pack(_CHARGE_CONTROL, _PAUSE, _resume_minutes(command, at))
    else:
        body = _window(command)
    return body if key is None else body + _tag(body, key)


def _resume_minutes(command: Command, at: datetime | None) -> int:
    """What is left of the pause, rounded up: should the allow be lost for good, the car still gets its charge.

    0, which the device takes for no end, only where there is none.
    """
    start, end = command.window_start, command.window_end
    if start is None or end is None:
        return 0
    minutes = -((max(start, at or start) - end) // timedelta(minutes=1))
    return min(max(minutes, 1), _MOST_MINUTES)


def _window(command: Command) -> bytes:
    start, end = command.window_start, command.window_end
    named = f"{command.device_id} ver {command.ver}"
    if start is None or end is None:
        raise PayloadError(f"{named}: a window device pauses only within a window; give its start and end")
    if end <= start:
        raise PayloadError(f"{named}: the window is empty: end {end} is not after start {start}")
    first, last = (start - EPOCH) // _SECOND, -((EPOCH - end) // _SECOND) - 1
    if first < 0 or last > _LAST:
        raise PayloadError(
            f"{named}: {start} to {end} is beyond the device's clock, which counts 2^32 seconds from {EPOCH}"
        )
    return _WINDOW_LAYOUT.pack(_CHARGE_CONTROL, _WINDOW, first, last)


def decode(payload: bytes, key: bytes | None = None) -> Decoded:
    """What a payload means to a device; with a key, only if its tag is right.

    Without a key a tag is neither asked for nor checked, as in a device that has none.
    Raises PayloadError: unknown command, wrong length, missing or wrong tag, window that ends before it starts.
    """
    if len(payload) < 2 or payload[0] != _CHARGE_CONTROL or payload[1] not in (_PAUSE, _ALLOW, _WINDOW):
        raise PayloadError(f"not a charge command: {payload[:2].hex() or 'nothing'}")
    size = _WINDOW_LAYOUT.size if payload[1] == _WINDOW else _SWITCH.size
    body, tag = payload[:size], payload[size:]
    if len(body) < size or len(tag) not in (0, TAG_BYTES):
        raise PayloadError(f"{len(payload)} bytes; it has {size}, or {size + TAG_BYTES} with a tag")
    if key is not None and not hmac.compare_digest(tag, _tag(body, key)):
        raise PayloadError("the tag is wrong" if tag else "the tag is missing")
    if payload[1] == _WINDOW:
        _, _, first, last = _WINDOW_LAYOUT.unpack(body)
        if last < first:
            raise PayloadError(f"the window ends at {last}, before it starts at {first}")
        return Decoded("window", EPOCH + first * _SECOND, EPOCH + (last + 1) * _SECOND, tagged=bool(tag))
    _, allow, minutes = _SWITCH.unpack(body)
    if allow:
        return Decoded("allow", tagged=bool(tag))
    return Decoded("pause", resume_after=timedelta(minutes=minutes) if minutes else None, tagged=bool(tag))


def _tag(body: bytes, key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise PayloadError(f"the command key has {len(key)} bytes; it must have {KEY_BYTES}")
    return hmac.new(key, body, hashlib.sha256).digest()[:TAG_BYTES]


def key_from_environment(name: str | None) -> bytes | None:
    """The command key in the named environment variable, as 64 hexadecimal digits; None where no name is given.

    Raises PayloadError where the variable is absent, empty or no such key: a fleet that checks tags would ignore every
    command without one, so a forgotten key must stop the run. The value is never told.
    """
    if name is None:
        return None
    try:
        key = bytes.fromhex(os.environ.get(name, ""))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise PayloadError(
            f"environment variable {name} must hold {KEY_BYTES} bytes as {2 * KEY_BYTES} hex digits"
        )
    return key
