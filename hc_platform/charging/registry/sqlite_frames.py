"""The SQLite registry's devices as whole frames: a million rows in seconds, straight from the columns.

What belongs here: `fleet` and `registered`, and the check in SQL that a row is what the models allow. What does not:
single rows (`sqlite`). Only rows that fail the check pass through the models, which say what is wrong with them.
"""
# ruff: noqa: S608 - names come from the models, values are bound

import sqlite3
from collections.abc import Mapping
from typing import Any, Final, get_args

import polars as pl

from hc_platform.charging.models import Control, Device, DeviceStatus, MoerState, Protocol, State
from hc_platform.charging.registry.rows import (
    FIELDS,
    TIMES,
    Row,
    device_row,
    fleet_row,
    frame_of,
    frame_of_rows,
    sift,
)
from hc_platform.charging.registry.sqlite_schema import INTEGERS, REALS
from hc_platform.charging.tables import DEVICES, FLEET

_CHUNK = 100_000
_VALUES: Final = {
    "status": get_args(DeviceStatus),
    "protocol": get_args(Protocol),
    "desired": get_args(State),
    "reported": get_args(State),
    "moer": get_args(MoerState),
}


def _sound(model: type[Device] | type[Control], table: str) -> str:
    """A condition that holds for no row that the model refuses; it may fail for an odd one that the model takes."""
    held = [_holds(n, f"{table}.{n}", n in TIMES[model]) for n in FIELDS[model]]
    held += [
        f"{table}.{n} IS NOT NULL"
        for n, f in model.model_fields.items()
        if not f.is_required() and f.default is not None
    ]
    return " AND ".join(held)


def _holds(name: str, column: str, is_time: bool) -> str:
    if name == "device_id":  # as the models' pattern and length have it
        return f"({column} NOT GLOB '*[^A-Za-z0-9._:-]*' AND {column} GLOB '[A-Za-z0-9]*' AND length({column}) <= 128)"
    if name in _VALUES:
        return f"({column} IS NULL OR {column} IN ({', '.join(repr(v) for v in _VALUES[name])}))"
    if name in REALS:
        most = {"lat": 90, "lon": 180}[name]
        return f"({column} IS NULL OR typeof({column}) = 'real' AND abs({column}) <= {most})"
    if is_time:  # within the years 1 to 9999
        return f"({column} IS NULL OR typeof({column}) = 'integer' AND {column} BETWEEN -6e16 AND 2.5e17)"
    if name in INTEGERS:
        least = {"rev": 1}.get(name, 0)
        return f"({column} IS NULL OR typeof({column}) = 'integer' AND {column} >= {least})"
    return f"typeof({column}) IN ('text', 'null')"


SOUND_DEVICE: Final = f"({_sound(Device, 'd')} AND (d.deadline IS NULL) = (d.need_s IS NULL))"
_SOUND_CONTROL: Final = f"(k.device_id IS NULL OR {_sound(Control, 'k')})"

_FLEET_COLUMNS: Final = ", ".join(("d." if n in {*FIELDS[Device], "spread"} else "k.") + n for n in FLEET)
OTHER_STATUS: Final = f"(status IS NULL OR status NOT IN {_VALUES['status']})"
_SELECT: Final = f"SELECT {_FLEET_COLUMNS}, {SOUND_DEVICE} AND {_SOUND_CONTROL}"
_FLEET: Final = f"""{_SELECT} FROM devices AS d LEFT JOIN controls AS k USING (device_id) WHERE d.status = 'active'
    UNION ALL
    {_SELECT} FROM controls AS k JOIN devices AS d USING (device_id) WHERE k.active = 0 AND k.desired = 'pause'
    UNION ALL
    {_SELECT} FROM devices AS d LEFT JOIN controls AS k USING (device_id) WHERE {OTHER_STATUS}
    AND NOT (k.active IS 0 AND k.desired IS 'pause')"""
_REGISTERED: Final = f"SELECT {', '.join(DEVICES.names)}, {SOUND_DEVICE} FROM devices AS d"

NEXT_CHECK: Final = f"""SELECT k.next_check_at
    FROM controls AS k INDEXED BY controls_by_check CROSS JOIN devices AS d USING (device_id)
    WHERE k.active = 1 AND k.next_check_at IS NOT NULL AND {SOUND_DEVICE} AND {_SOUND_CONTROL}
    ORDER BY k.next_check_at LIMIT 1"""
"""The first check of a device that the fleet has: one that is left out of it would be due for ever."""


def fleet(db: sqlite3.Connection, unreadable: dict[str, str]) -> pl.DataFrame:
    """The columns of FLEET; rows that cannot be read are noted."""

    def row(device_id: str) -> Row:
        device, control = _one(db, "devices", device_id), _one(db, "controls", device_id)
        return fleet_row(device or {"device_id": device_id}, control)

    return _frame(db, _FLEET, FLEET, row, unreadable)


def registered(db: sqlite3.Connection, unreadable: dict[str, str]) -> pl.DataFrame:
    """The columns of table DEVICES; rows that cannot be read are noted."""

    def row(device_id: str) -> Row:
        return device_row(_one(db, "devices", device_id) or {"device_id": device_id})

    return _frame(db, _REGISTERED, DEVICES.schema, row, unreadable)


def _one(db: sqlite3.Connection, table: str, device_id: str) -> Row | None:
    cursor = db.execute(f"SELECT * FROM {table} WHERE device_id = ?", (device_id,))
    found = cursor.fetchone()
    return found and dict(zip((c[0] for c in cursor.description), found, strict=True))


def _frame(
    db: sqlite3.Connection,
    sql: str,
    schema: Mapping[str, pl.DataType],
    make: Any,
    unreadable: dict[str, str],
) -> pl.DataFrame:
    frames = [pl.DataFrame(schema=schema)]
    cursor = db.execute(sql)
    while rows := cursor.fetchmany(_CHUNK):
        *columns, sound = zip(*rows, strict=True)
        if not all(sound):
            ids = [{"device_id": row[0]} for row in rows if not row[-1]]
            frames.append(frame_of_rows(sift(ids, lambda r: make(r["device_id"]), unreadable), schema))
            columns = list(zip(*(row[:-1] for row in rows if row[-1]), strict=True)) or [()] * len(schema)
        frames.append(frame_of(columns, schema))
    return pl.concat(frames)
