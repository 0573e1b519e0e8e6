"""The registry in one SQLite file: the default, for a million devices on one machine.

What belongs here: reads and writes of the file. What does not: its schema (`sqlite_schema`), the rules (`rules`).

Threads of a process share one connection behind a lock, for SQLite lets only one writer through anyway; processes wait
for one another in BEGIN IMMEDIATE, up to a minute. `fleet`, the one long read, has a connection of its own: in WAL mode
it sees one instant of the file, and nobody waits for it.
"""
# ruff: noqa: D102, S608 - what a method promises stands in `base`; names come from the models, values are bound

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import polars as pl

from hc_platform.charging.models import Change, Command, Control, Device, DeviceStatus, State
from hc_platform.charging.registry import sqlite_frames as frames
from hc_platform.charging.registry.base import ConflictError, Due
from hc_platform.charging.registry.rows import (
    Row,
    micros,
    moment,
    sift,
    spread,
    to_model,
    to_models,
    to_row,
)
from hc_platform.charging.registry.rules import (
    KEEP,
    NO_CONTROL,
    after_loss,
    check,
    draw,
    full,
    pour,
    priority_after_loss,
    settled,
    uncounted,
)
from hc_platform.charging.registry.sqlite_schema import connect
from hc_platform.charging.registry.sqlite_statements import (
    BURY,
    CANDIDATES,
    FORGET,
    INSERT_COMMAND,
    INSERT_CONTROL,
    INSERT_DEVICE,
    LEASE,
    NEXT_COMMAND,
    NEXT_PRIORITY,
    RECOUNT,
    SAY_AGAIN,
    SETTLE,
    SUPERSEDE,
    UPDATE_CONTROL,
    UPDATE_DEVICE,
)

_PAGE = 5_000
_BATCH = 2_000


class SqliteRegistry:
    """`registry.base.Registry` in one file, made where it is absent."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        self._db = connect(self.path)
        self._unreadable: dict[str, str] = {}

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _all(self, sql: str, values: Any = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _one(self, sql: str, values: Any = ()) -> Any:
        with self._lock:
            return self._db.execute(sql, values).fetchone()

    # devices

    def put_device(self, device: Device, *, now: datetime) -> Device:
        with self._transaction() as db:
            stored = db.execute(
                "SELECT registry_version, created_at FROM devices WHERE device_id = ?", (device.device_id,)
            ).fetchone()
            had = stored["registry_version"] if stored else 0
            if had != device.registry_version:
                raise ConflictError(
                    f"device {device.device_id} is at version {had}, this write is of version "
                    f"{device.registry_version}: read it again and repeat the change"
                )
            first = moment(stored["created_at"]) if stored else None
            new = device.model_copy(
                update={"registry_version": had + 1, "created_at": first or now, "updated_at": now}
            )
            row = to_row(new) | {"spread": spread(new.device_id)}
            db.execute(UPDATE_DEVICE if stored else INSERT_DEVICE, row)
            db.execute(
                "UPDATE controls SET active = ? WHERE device_id = ?",
                (new.status == "active", new.device_id),
            )
            db.execute("UPDATE device_writes SET count = count + 1")
        return new

    def device(self, device_id: str) -> Device | None:
        row = self._one("SELECT * FROM devices WHERE device_id = ?", (device_id,))
        return to_model(Device, dict(row)) if row else None

    def devices(self, status: DeviceStatus | None = None) -> Iterator[list[Device]]:
        self._unreadable = {}
        sql = "SELECT * FROM devices WHERE {} AND device_id > ? ORDER BY device_id LIMIT ?"
        wheres = [f"status = '{wanted}'" for wanted in ((status,) if status else get_args(DeviceStatus))]
        for where in wheres if status else [*wheres, frames.OTHER_STATUS]:
            after = ""
            while rows := self._all(sql.format(where), (after, _PAGE)):
                after = rows[-1]["device_id"]
                if found := sift(map(dict, rows), lambda row: to_model(Device, row), self._unreadable):
                    yield found

    def fleet(self) -> pl.DataFrame:
        self._unreadable = {}
        with closing(connect(self.path)) as db:
            db.row_factory = None
            return frames.fleet(db, self._unreadable)

    def registered(self) -> pl.DataFrame:
        self._unreadable = {}
        with closing(connect(self.path)) as db:
            db.row_factory = None
            return frames.registered(db, self._unreadable)

    def unreadable(self) -> list[str]:
        return [f"{device_id}: {what}" for device_id, what in sorted(self._unreadable.items())]

    def version(self) -> int:
        return int(self._one("SELECT count FROM device_writes")[0])

    # tariff rows

    def put_schedule_row(self, row: Mapping[str, Any]) -> None:
        with self._transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO schedule_rows VALUES (?, ?, ?)",
                (row["utility_id"], row["rate_plan"], json.dumps(dict(row), allow_nan=False)),
            )

    def schedule_rows(self) -> list[dict[str, Any]]:
        rows = self._all("SELECT content FROM schedule_rows ORDER BY utility_id, rate_plan")
        return [json.loads(r["content"]) for r in rows]

    # control and outbox

    def control(self, device_id: str) -> Control | None:
        row = self._one("SELECT * FROM controls WHERE device_id = ?", (device_id,))
        return to_model(Control, dict(row)) if row else None

    def commit(self, changes: Sequence[Change], *, now: datetime) -> list[str]:
        check(changes)
        # in the tables' own order, which touches each page once; many to a transaction, and others get a turn between
        ordered = sorted(range(len(changes)), key=lambda n: changes[n].control.device_id)
        lost: list[int] = []
        for start in range(0, len(ordered), _BATCH):
            with self._transaction() as db:
                lost += [n for n in ordered[start : start + _BATCH] if not _commit(db, changes[n], now)]
        return [changes[n].control.device_id for n in sorted(lost)]

    def next_due(self) -> Due:
        control = self._one(frames.NEXT_CHECK)
        command = self._one(NEXT_COMMAND)
        return Due(moment(control[0]) if control else None, moment(command[0]) if command else None)

    def claim(self, *, now: datetime, limit: int, lease_until: datetime, owner: str) -> list[Command]:
        at, until = micros(now), micros(lease_until)
        taken: list[Row] = []
        with self._transaction() as db:
            priority = None
            while len(taken) < limit:
                priority = db.execute(NEXT_PRIORITY, (priority, priority)).fetchone()[0]
                if priority is None:
                    break
                while len(taken) < limit:
                    found = db.execute(CANDIDATES, (priority, at, at, limit - len(taken))).fetchall()
                    for row in found:
                        wrong: dict[str, str] = {}
                        if row["newest"] is None:
                            wrong[row["device_id"]] = NO_CONTROL
                        else:
                            sift([dict(row)], lambda row: to_model(Command, row), wrong)
                        if wrong:
                            db.execute(BURY, (wrong[row["device_id"]], at, row["device_id"], row["ver"]))
                        elif row["ver"] < row["newest"]:
                            _supersede(db, row["device_id"], row["ver"], at)
                        else:
                            db.execute(LEASE, (until, owner, at, row["device_id"], row["ver"]))
                            leased = {"status": "sending", "attempts": row["attempts"] + 1, "updated_at": at}
                            taken.append(dict(row) | leased | {"lease_until": until, "lease_owner": owner})
                    if not found:
                        break
        return to_models(Command, taken)

    def settle(self, command: Command, *, owner: str) -> bool:
        settled(command, newer=False)
        key = (command.device_id, command.ver)
        with self._transaction() as db:
            row = db.execute(
                """SELECT c.ver < k.ver AS newer FROM commands AS c JOIN controls AS k USING (device_id)
                WHERE device_id = ? AND c.ver = ? AND c.status = 'sending' AND c.lease_owner = ?""",
                (*key, owner),
            ).fetchone()
            if row:
                db.execute(SETTLE, to_row(settled(command, newer=bool(row["newer"]))))
        return row is not None

    def acknowledge(self, message_id: str, *, delivered: bool, now: datetime) -> Command | None:
        found = "message_id = :message_id AND status = 'sent'"
        with self._transaction() as db:
            was = db.execute(
                f"SELECT attempts, priority FROM commands WHERE {found}", {"message_id": message_id}
            ).fetchone()
            if was is None:
                return None
            sets = (
                "status = 'acked', acked_at = :now, next_try_at = NULL, error = NULL"
                if delivered
                else "status = 'pending', next_try_at = :again, priority = :priority, "
                "error = 'the network could not deliver it'"
            )
            again = after_loss(was["attempts"], now)
            priority = priority_after_loss(was["priority"], was["attempts"])
            row = db.execute(
                f"UPDATE commands SET {sets}, updated_at = :now WHERE {found} RETURNING *",
                {"now": micros(now), "again": micros(again), "priority": priority, "message_id": message_id},
            ).fetchone()
        return to_model(Command, dict(row))

    def report(self, device_id: str, state: State, *, at: datetime) -> Control | None:
        said = Control(device_id=device_id, reported=state, reported_at=at, next_check_at=at)
        with self._transaction() as db:
            db.execute(INSERT_CONTROL, to_row(said))
            db.execute(
                """UPDATE controls SET reported = :reported, reported_at = :reported_at
                WHERE device_id = :device_id AND (reported_at IS NULL OR reported_at < :reported_at)""",
                to_row(said),
            )
        return self.control(device_id)

    def say_again(self, due: Mapping[str, datetime], *, reasons: int, now: datetime) -> int:
        ordered = sorted(due.items())
        given = {"reasons": reasons, "now": micros(now)}
        said = 0
        for start in range(0, len(ordered), _BATCH):
            rows = [
                {"device_id": d, "last": micros(at), **given} for d, at in ordered[start : start + _BATCH]
            ]
            with self._transaction() as db:
                said += db.executemany(SAY_AGAIN, rows).rowcount
        return said

    def resend(
        self, device_id: str, ver: int, *, priority: int, reasons: int, count: bool, now: datetime
    ) -> bool:
        with self._transaction() as db:
            done = db.execute(
                """UPDATE commands SET status = 'pending', priority = :priority, reasons = :reasons, attempts = 0,
                next_try_at = :now, acked_at = NULL, updated_at = :now
                WHERE device_id = :device_id AND ver = :ver AND status IN ('sent', 'acked')
                AND ver = (SELECT ver FROM controls WHERE device_id = :device_id)""",
                {
                    "device_id": device_id,
                    "ver": ver,
                    "priority": priority,
                    "reasons": reasons,
                    "now": micros(now),
                },
            ).rowcount
            if done and count:
                db.execute("UPDATE controls SET resends = resends + 1 WHERE device_id = ?", (device_id,))
        return bool(done)

    def command(self, device_id: str, ver: int) -> Command | None:
        row = self._one("SELECT * FROM commands WHERE device_id = ? AND ver = ?", (device_id, ver))
        return to_model(Command, dict(row)) if row else None

    def commands(
        self, *, device_id: str | None = None, status: str | None = None, since: datetime | None = None
    ) -> Iterator[list[Command]]:
        by_time = device_id is None and (status is not None or since is not None)
        key = ("updated_at", "device_id", "ver") if by_time else ("device_id", "ver")
        wheres = [f"{n} = :{n}" for n, v in (("device_id", device_id), ("status", status)) if v is not None]
        values: Row = {"device_id": device_id, "status": status, "page": _PAGE}
        if since is not None:
            wheres.append("updated_at >= :since")
            values["since"] = micros(since)
        after = f"({', '.join(key)}) > ({', '.join(f':after_{n}' for n in key)})"
        order = f"ORDER BY {', '.join(key)} LIMIT :page"
        first = True
        while True:
            where = " AND ".join([*wheres, *([] if first else [after])]) or "TRUE"
            rows = self._all(f"SELECT * FROM commands WHERE {where} {order}", values)
            if not rows:
                return
            values |= {f"after_{n}": rows[-1][n] for n in key}
            first = False
            yield to_models(Command, map(dict, rows))

    # what runs share

    def take_tokens(self, wanted: int, *, rate: float, burst: float, now: datetime) -> int:
        at = micros(now)
        with self._transaction() as db:
            row = db.execute("SELECT level, at FROM tokens").fetchone()
            level = pour(row["level"], at - row["at"], rate=rate, burst=burst) if row else full(burst)
            taken, left = draw(level, wanted)
            db.execute(
                "INSERT OR REPLACE INTO tokens VALUES (1, ?, ?)", (left, max(at, row["at"]) if row else at)
            )
        return taken

    def remember(self, key: str, value: str) -> None:
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO memory VALUES (?, ?)", (key, value))

    def recall(self, key: str) -> str | None:
        row = self._one("SELECT value FROM memory WHERE key = ?", (key,))
        return row["value"] if row else None


def _commit(db: sqlite3.Connection, change: Change, now: datetime) -> bool:
    control, command = change.control, change.command
    values = to_row(control) | {"commands": command is not None}
    if not db.execute(UPDATE_CONTROL if control.rev > 1 else INSERT_CONTROL, values).rowcount:
        return False
    if command is not None:
        if command.ver > 1:
            key = {"device_id": command.device_id, "ver": command.ver}
            db.execute(SUPERSEDE, key | {"now": micros(now)})
            db.execute(FORGET, key | {"keep_from": micros(now - KEEP)})
        if not db.execute(INSERT_COMMAND, to_row(command)).rowcount:
            db.execute(RECOUNT, to_row(uncounted(control, now)))
            return False
    return True


def _supersede(db: sqlite3.Connection, device_id: str, ver: int, at: int) -> None:
    db.execute(
        """UPDATE commands SET status = 'superseded', next_try_at = NULL, lease_until = NULL, lease_owner = NULL,
        updated_at = ? WHERE device_id = ? AND ver = ?""",
        (at, device_id, ver),
    )
