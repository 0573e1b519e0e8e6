"""Saying a version again in DynamoDB: to a device that says otherwise, and as heartbeats.

What belongs here: sent and acked commands that go back to pending. What does not: all else of the outbox
(`dynamo_outbox`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from hc_platform.charging.models import Command
from hc_platform.charging.registry.dynamo_client import Row, update
from hc_platform.charging.registry.dynamo_outbox import NEWEST, Store, is_newest, newest_ver, rewrite
from hc_platform.charging.registry.rows import sift, to_model

_AT_ONCE: Final = 1_000


def resend(
    store: Store, device_id: str, ver: int, priority: int, reasons: int, count: bool, now: datetime
) -> bool:
    """Put the newest version's sent or acked command back to pending."""
    was = store.command(device_id, ver)
    if was is None or was["status"] not in ("sent", "acked"):
        return False
    again = _pending(to_model(Command, was), priority, reasons, now)
    counted = update(
        store.devices, {"device_id": device_id}, {}, NEWEST, plus={"control.resends": 1}, ver=ver
    )
    newest = ("Update", counted) if count else is_newest(store, device_id, ver)
    failed = store.client.transact([("Update", rewrite(store, again, was)), newest])
    if failed and failed[0]:  # acknowledged, or superseded, meanwhile
        return resend(store, device_id, ver, priority, reasons, count, now)
    return not failed


def _pending(command: Command, priority: int, reasons: int, now: datetime) -> Command:
    fields = {"status": "pending", "priority": priority, "reasons": reasons, "attempts": 0}
    times = {"next_try_at": now, "acked_at": None, "updated_at": now}
    return command.model_copy(update=fields | times)


def say_again(store: Store, due: Mapping[str, datetime], reasons: int, now: datetime) -> int:
    """Heartbeats. What changes at this very moment is left to the next call, and what cannot be read to `claim`."""
    said, ids = 0, sorted(due)

    def say(item: tuple[Row, Command]) -> bool:
        was, command = item
        again = _pending(command, 2, command.reasons | reasons, now)
        newest = is_newest(store, command.device_id, command.ver)
        return not store.client.transact([("Update", rewrite(store, again, was)), newest])

    def is_standing(command: Command) -> bool:
        quiet = command.sent_at is not None and command.sent_at <= due[command.device_id]
        return quiet and command.desired == "pause" and command.status in ("sent", "acked")

    for start in range(0, len(ids), _AT_ONCE):
        rows = _newest(store, ids[start : start + _AT_ONCE])
        commands: list[tuple[Row, Command]] = sift(rows, lambda row: (row, to_model(Command, row)), {})
        said += sum(store.pool.map(say, (item for item in commands if is_standing(item[1]))))
    return said


def _newest(store: Store, device_ids: list[str]) -> list[Row]:
    """The newest commands of devices, as they are now."""
    devices = store.client.get_many(store.devices, [{"device_id": d} for d in device_ids])
    keys: list[dict[str, Any]] = [
        {"device_id": row["device_id"], "ver": ver} for row in devices if (ver := newest_ver(row))
    ]
    return store.client.get_many(store.commands, keys)
