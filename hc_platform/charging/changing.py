"""A registered device is changed: another plan, place, policy, or another radio.

What belongs here: what a change means for what the device was told. What does not: a driver's wishes (`overrides`).
"""

from datetime import datetime
from typing import Any

from hc_platform.charging.models import Change, Device
from hc_platform.charging.registry.base import ConflictError, Registry

_ANEW = ("wireless_device_id", "protocol")


def change_device(registry: Registry, device: Device, updates: dict[str, Any], *, now: datetime) -> Device:
    """Write the device with other fields. Under another address or protocol it is told anew what it should do.

    Raises pydantic.ValidationError for a value that cannot be, ConflictError where somebody else writes it just now.
    """
    changed = Device.model_validate(device.model_dump() | updates)
    if all(getattr(changed, name) == getattr(device, name) for name in _ANEW):
        return registry.put_device(changed, now=now)
    # before: should this process die in between, the old address is told once more, which does no harm;
    # after: a run in between has told it already
    _forget(registry, device.device_id, now)
    written = registry.put_device(changed.model_copy(update={"flag": None}), now=now)
    _forget(registry, device.device_id, now)
    return written


def _forget(registry: Registry, device_id: str, now: datetime) -> None:
    """What the device does is not known any more: the next decision tells it, whatever it is."""
    control = registry.control(device_id)
    if control is None or control.desired is None:
        return
    blank = {
        "rev": control.rev + 1,
        "desired": None,
        "window_start": None,
        "window_end": None,
        "paused_since": None,
        "moer": "idle",
        "reasons": 0,
        "next_check_at": now,
    }
    if registry.commit([Change(control=control.model_copy(update=blank))], now=now):
        raise ConflictError(f"{device_id} is being decided at this moment: try again")
