"""Devices, changes and times for the registry's tests, in few words.

Belongs here: building them. Does not belong here: assertions, servers.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from hc_platform.charging.models import Change, Command, Control, Device, command_id
from hc_platform.charging.registry.base import Registry

NOON = datetime(2026, 7, 1, 12, 0, 0, 123_457, tzinfo=UTC)


def at(seconds: float = 0) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def register(registry: Registry, *ids: str, **fields: Any) -> None:
    """New devices."""
    for device_id in ids:
        registry.put_device(Device(device_id=device_id, **fields), now=NOON)


def command(device_id: str, ver: int, **fields: Any) -> Command:
    """A new pause, pending, due at once."""
    given = {
        "wireless_device_id": f"w-{device_id}",
        "protocol": "window",
        "desired": "pause",
        "created_at": NOON,
        "updated_at": NOON,
        "next_try_at": NOON,
    }
    return Command(device_id=device_id, ver=ver, command_id=command_id(device_id, ver), **{**given, **fields})


def ask(device_id: str, ver: int, *, rev: int | None = None, **fields: Any) -> Change:
    """The change to a version, with its command."""
    asked = command(device_id, ver, **fields)
    return Change(
        control=Control(device_id=device_id, rev=rev or ver, ver=ver, desired=asked.desired), command=asked
    )


def asked(registry: Registry, device_id: str, ver: int = 1, **fields: Any) -> None:
    """A registered device with its versions up to `ver` committed."""
    register(registry, device_id)
    for v in range(1, ver + 1):
        assert registry.commit([ask(device_id, v, **fields)], now=NOON) == []


def claim(
    registry: Registry, seconds: float = 0, *, limit: int = 100, lease_s: float = 60, owner: str = "me"
) -> list[Command]:
    """What is claimed so many seconds after noon."""
    return registry.claim(now=at(seconds), limit=limit, lease_until=at(seconds + lease_s), owner=owner)


def sent(registry: Registry, claimed: Command, message_id: str, **fields: Any) -> bool:
    """Settle it as sent."""
    outcome = {"status": "sent", "message_id": message_id, "sent_at": NOON, "next_try_at": None}
    return registry.settle(claimed.model_copy(update=outcome | fields), owner=claimed.lease_owner or "nobody")


def outbox(registry: Registry, device_id: str) -> dict[int, str]:
    """A device's versions and where they stand."""
    return {c.ver: c.status for page in registry.commands(device_id=device_id) for c in page}


def one(registry: Registry, device_id: str, ver: int = 1) -> Command:
    """One command as it is stored."""
    return next(c for page in registry.commands(device_id=device_id) for c in page if c.ver == ver)


def ids(pages: Iterable[list[Any]]) -> list[str]:
    """The device ids of all pages."""
    return [thing.device_id for page in pages for thing in page]
