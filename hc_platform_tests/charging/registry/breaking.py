"""What other programs do to a registry's rows.

Belongs here: writes past the registry. Does not belong here: assertions.
"""

import sqlite3
from contextlib import closing
from typing import Any

from hc_platform.charging.registry.base import Registry
from hc_platform.charging.registry.dynamo import DynamoRegistry
from hc_platform.charging.registry.dynamo_client import update
from hc_platform.charging.registry.sqlite import SqliteRegistry


def spoil_device(registry: Registry, device_id: str, **fields: Any) -> None:
    """Overwrite fields of a device, None: empty."""
    _write(registry, "devices", {"device_id": device_id}, fields)


def spoil_control(registry: Registry, device_id: str, **fields: Any) -> None:
    """Overwrite fields of its control."""
    nested = isinstance(registry, DynamoRegistry)
    values = {f"control.{n}" if nested else n: v for n, v in fields.items()}
    _write(registry, "devices" if nested else "controls", {"device_id": device_id}, values)


def spoil_command(registry: Registry, device_id: str, ver: int, **fields: Any) -> None:
    """Overwrite fields of a command."""
    _write(registry, "commands", {"device_id": device_id, "ver": ver}, fields)


def remove_control(registry: Registry, device_id: str) -> None:
    """As one does who replaces the item instead of updating it."""
    if isinstance(registry, DynamoRegistry):
        _write(registry, "devices", {"device_id": device_id}, {"control": None, "check_at": None})
    else:
        _delete(registry, "controls", device_id)


def remove_device(registry: Registry, device_id: str) -> None:
    """With all that its row holds; its commands stay."""
    if isinstance(registry, DynamoRegistry):
        key = {"device_id": {"S": device_id}}
        registry.client.write("delete_item", {"TableName": f"{registry.prefix}devices", "Key": key})
    else:
        _delete(registry, "controls", device_id)
        _delete(registry, "devices", device_id)


def _write(registry: Registry, table: str, key: dict[str, Any], fields: dict[str, Any]) -> None:
    if isinstance(registry, DynamoRegistry):
        assert registry.client.write("update_item", update(f"{registry.prefix}{table}", key, fields))
        return
    where = " AND ".join(f"{n} = ?" for n in key)
    sets = ", ".join(f"{n} = ?" for n in fields)
    _run(registry, f"UPDATE {table} SET {sets} WHERE {where}", *fields.values(), *key.values())


def _delete(registry: Registry, table: str, device_id: str) -> None:
    _run(registry, f"DELETE FROM {table} WHERE device_id = ?", device_id)


def _run(registry: Registry, sql: str, *values: Any) -> None:
    assert isinstance(registry, SqliteRegistry)
    with closing(sqlite3.connect(registry.path)) as db, db:
        assert db.execute(sql, values).rowcount == 1
