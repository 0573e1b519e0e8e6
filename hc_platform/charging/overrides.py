"""Charge Now and departure: what a driver says, written into the registry.

What belongs here: setting and taking back an override or a deadline. What does not: what they do (`decision`).
"""

from datetime import datetime, timedelta
from typing import Final

from hc_platform.charging.models import Device
from hc_platform.charging.registry.base import Registry

_MOST: Final = timedelta(days=7)


def charge_now(registry: Registry, device_id: str, *, now: datetime) -> Device:
    """Allow until the end of the pause that goes on, or that the device was sent ahead; never longer (case 38).

    Raises LookupError for an unknown device, ValueError where there is no pause to end.
    """
    device = _known(registry, device_id)
    control = registry.control(device_id)
    if (
        control is None
        or control.desired != "pause"
        or control.window_end is None
        or control.window_end <= now
    ):
        raise ValueError(
            f"{device_id} is allowed to charge and has no pause before it: there is nothing to override"
        )
    return registry.put_device(device.model_copy(update={"override_until": control.window_end}), now=now)


def end_charge_now(registry: Registry, device_id: str, *, now: datetime) -> Device:
    """Take the override back: tariff and MOER decide again. Raises LookupError for an unknown device."""
    device = _known(registry, device_id)
    return registry.put_device(device.model_copy(update={"override_until": None}), now=now)


def depart(
    registry: Registry, device_id: str, *, at: datetime | None, need: timedelta | None, now: datetime
) -> Device:
    """The car leaves at an instant and needs so much charging before; both None: it does not matter any more.

    Raises LookupError for an unknown device, ValueError for one without the other, a departure that is past, or a need
    that none is.
    """
    device = _known(registry, device_id)
    if (at is None) != (need is None):
        raise ValueError("a departure and the charging it needs go together: give both or neither")
    if at is not None and at <= now:
        raise ValueError(f"the departure {at.isoformat()} is past")
    if need is not None and not timedelta(0) <= need <= _MOST:
        raise ValueError(
            f"the need of {need / timedelta(hours=1):g} hours: give from 0 to {_MOST / timedelta(hours=1):g}"
        )
    need_s = None if need is None else int(need.total_seconds())
    return registry.put_device(device.model_copy(update={"deadline": at, "need_s": need_s}), now=now)


def _known(registry: Registry, device_id: str) -> Device:
    device = registry.device(device_id)
    if device is None:
        raise LookupError(f"no device is called {device_id!r}; `hc devices list` shows all")
    return device
