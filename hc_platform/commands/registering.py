"""A charger as somebody gives it, on the command line or in a CSV file: checked before it is registered.

What belongs here: what is refused, and in which words. What does not: the commands (`devices`), keeping a device
(`charging.registry`).
"""

import csv
import io
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from hc_platform.charging.models import Device
from hc_platform.charging.tariffs.loading import Tariffs
from hc_platform.commands.shared import in_words
from hc_platform.documents import nearest
from hc_platform.ingesting import MistakeError

_IMPORTED: Final = set(Device.model_fields) - {"registry_version", "created_at", "updated_at", "flag"}
_TOO_MANY: Final = "more fields than the header"


def checked(tariffs: Tariffs, policies: Collection[str], **fields: Any) -> Device:
    """A device with a plan and a policy that are known. Raises MistakeError, naming the field and the nearest."""
    try:
        device = Device.model_validate(fields)
    except ValidationError as error:
        raise MistakeError(in_words(error)) from error
    if device.schedule is None:
        raise MistakeError("utility_id and rate_plan are needed")
    try:
        tariffs[device.schedule]
    except KeyError as error:
        raise MistakeError(str(error.args[0])) from None
    # it would be taken for the default policy
    if device.policy_id not in policies:
        near = nearest(device.policy_id, policies)
        hint = f"did you mean {near}?" if near else f"known: {', '.join(policies)}"
        raise MistakeError(f"no policy is called {device.policy_id!r}; {hint}")
    return device


def refuse_shared_address(registered: Iterable[Device], new: Iterable[Device]) -> None:
    """Two devices under one downlink address would obey each other's commands. Raises MistakeError."""
    taken = {d.wireless_device_id: d.device_id for d in registered}
    for device in new:
        wireless = device.wireless_device_id
        if wireless and wireless in taken:
            raise MistakeError(
                f"{device.device_id}: {taken[wireless]} has the wireless id {wireless} already"
            )
        taken[wireless] = device.device_id


def read_csv(source: Path, tariffs: Tariffs, policies: Collection[str]) -> tuple[list[Device], list[str]]:
    """The devices of a file whose header names their fields, and what is wrong with which line.

    Raises MistakeError for a file that is no such CSV, OSError for one that cannot be read.
    """
    try:
        reader = csv.DictReader(io.StringIO(source.read_text(encoding="utf-8-sig")), restkey=_TOO_MANY)
        lines = [(reader.line_num, line) for line in reader]
    except UnicodeDecodeError as error:
        raise MistakeError(f"{source} is not UTF-8: {error.reason} at byte {error.start}") from None
    except csv.Error as error:
        raise MistakeError(f"{source}:{reader.line_num}: {error}") from None
    header = reader.fieldnames or ()
    unknown = sorted(set(header) - _IMPORTED)
    if unknown or "device_id" not in header:
        wrong = f"no device has {', '.join(unknown)}" if unknown else "there is no column device_id"
        raise MistakeError(f"{source}: {wrong}; the columns may be {', '.join(sorted(_IMPORTED))}")
    devices: dict[str, Device] = {}
    problems = []
    for number, line in lines:
        try:
            if _TOO_MANY in line:
                raise MistakeError(f"has {_TOO_MANY}")
            device = checked(tariffs, policies, **{k: v.strip() for k, v in line.items() if v and v.strip()})
            if device.device_id in devices:
                raise MistakeError(f"{device.device_id} stands there twice")
            devices[device.device_id] = device
        except MistakeError as error:
            problems.append(f"{source}:{number}: {error}")
    return list(devices.values()), problems
