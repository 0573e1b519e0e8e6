"""One message from a device or its network, read: what a file's line or a queue's message says.

What belongs here: the three JSON forms that come in, strictly. What does not: where they come from (`local`, `sqs`).
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from reprlib import repr as shown
from typing import Annotated, Any, Final, get_args

from pydantic import TypeAdapter, ValidationError

from hc_platform.charging.downlinks.base import Delivery, DownlinkError, Uplink
from hc_platform.charging.downlinks.writing import append_line
from hc_platform.charging.models import Device, State

SEQUENCES: Final = 16_384
"""Sidewalk counts a device's messages modulo this."""

_MOST_CHARACTERS: Final = 65_536
_MOST_ID_CHARACTERS: Final = 256
"""AWS's own limit for the ids that a message id is made of."""
_DEVICE_ID: Final[TypeAdapter[str]] = TypeAdapter(Annotated[str, Device.model_fields["device_id"]])
_OF_UPLINKS: Final = ("CUSTOM_COMMAND_ID_NOTIFY", "CUSTOM_COMMAND_ID_GET")


def message_id(wireless_device_id: str, ver: int) -> str:
    """The name under which a Sidewalk delivery event can be matched: device and sequence number.

    AWS's own MessageId will not do: the documented event does not carry it. Attempts of one version share the name, and
    are the same message; it comes again after 16,384 versions of a device, long after the first is closed.
    """
    return f"{wireless_device_id}/{ver % SEQUENCES}"


def parse_event(text: str) -> Delivery | Uplink | None:
    """Read one message; None for a well-formed one that is about nothing we sent (an uplink's own delivery).

    {"device_id", "state", "at"} is an uplink; {"message_id", "delivered", "at"} a delivery; {"eventType",
    "WirelessDeviceId", "timestamp", "Sidewalk": {"Seq", ...}} is AWS's delivery event. `at` is ISO 8601 with an offset
    or Unix seconds (or milliseconds). A device id is one that could be registered; a message id, printable text.
    Raises ValueError saying what is wrong, and nothing else, whatever the text.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"{len(text)} characters; a message has at most {_MOST_CHARACTERS}")
    try:
        said = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(said, dict):
        raise ValueError("not a JSON object")
    if "WirelessDeviceId" in said:
        return _from_aws(said)
    if "message_id" in said:
        if not isinstance(said.get("delivered"), bool):
            raise ValueError(f"delivered is {shown(said.get('delivered'))}, not true or false")
        return Delivery(_text(said, "message_id"), said["delivered"], _instant(said.get("at"), "at"))
    if "device_id" in said:
        if said.get("state") not in get_args(State):
            raise ValueError(f"state is {shown(said.get('state'))}, not one of {', '.join(get_args(State))}")
        return Uplink(_device_id(said["device_id"]), said["state"], _instant(said.get("at"), "at"))
    raise ValueError(
        "neither a delivery (message_id), nor an uplink (device_id), nor an AWS event (WirelessDeviceId)"
    )


def _from_aws(said: Mapping[str, Any]) -> Delivery | None:
    """Source: AWS IoT Wireless developer guide, message delivery status events."""
    kind, sidewalk = said.get("eventType"), said.get("Sidewalk")
    if kind not in ("success", "error"):
        raise ValueError(f"eventType is {shown(kind)}, not success or error")
    if not isinstance(sidewalk, dict):
        raise ValueError("Sidewalk is missing")
    # Uplinks have delivery events too. Ours go out as SET, so these types are the device's own messages; their
    # sequence numbers must not be taken for ours.
    if sidewalk.get("MsgType") in _OF_UPLINKS:
        return None
    seq = sidewalk.get("Seq")
    if isinstance(seq, bool) or not isinstance(seq, int | str) or not str(seq).isdecimal():
        raise ValueError(f"Sidewalk.Seq is {shown(seq)}, not a number")
    at = _instant(said.get("timestamp"), "timestamp")
    return Delivery(message_id(_text(said, "WirelessDeviceId"), int(str(seq))), kind == "success", at)


def _device_id(value: object) -> str:
    try:
        return _DEVICE_ID.validate_python(value)
    except ValidationError as error:
        raise ValueError(f"device_id is {shown(value)}: {error.errors()[0]['msg']}") from None


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"{name} is {shown(value)}, not a printable text")
    if len(value) > _MOST_ID_CHARACTERS:
        raise ValueError(f"{name} has {len(value)} characters, at most {_MOST_ID_CHARACTERS}")
    return value


def _instant(value: object, name: str) -> datetime:
    try:
        if isinstance(value, str) and not value.replace(".", "", 1).isdecimal():
            at = datetime.fromisoformat(value)
            if at.tzinfo is None:
                raise ValueError("no offset")
            return at.astimezone(UTC)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError("no time")
        seconds = float(value)
        return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{name} is {shown(value)}: give ISO 8601 with an offset, or Unix seconds") from None


def reject(folder: Path, source: str, text: str, reason: str) -> None:
    """Keep a message that could not be read, durably, in that UTC day's file, before its source lets go of it.

    Raises DownlinkError if it cannot be written.
    """
    at = datetime.now(UTC)
    line = {"source": source, "reason": reason, "text": text, "at": at.isoformat()}
    try:
        append_line(folder / f"rejected-{at:%Y-%m-%d}.jsonl", line, durable=True)
    except OSError as error:
        raise DownlinkError(f"cannot keep a rejected message in {folder}: {error}") from error
