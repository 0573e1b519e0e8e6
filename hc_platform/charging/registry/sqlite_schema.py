"""The SQLite registry's tables, and how a file is opened.

What belongs here: the schema with its version, and a connection's settings. What does not: what is read and written
(`sqlite`).
"""
# ruff: noqa: S608 - names come from the models

import sqlite3
from pathlib import Path
from typing import Final

from hc_platform.charging.models import Command, Control, Device
from hc_platform.charging.registry.rows import FIELDS, TIMES

SCHEMA_VERSION: Final = 1
BUSY_S: Final = 60.0

REALS: Final = {"lat", "lon"}
INTEGERS: Final = {
    "need_s",
    "registry_version",
    "rev",
    "ver",
    "reasons",
    "resends",
    "priority",
    "attempts",
}


def _columns(model: type[Device] | type[Control] | type[Command]) -> str:
    def kind(name: str) -> str:
        if name in REALS:
            return "REAL"
        return "INTEGER" if name in INTEGERS | TIMES[model] else "TEXT"

    required = {n for n, f in model.model_fields.items() if f.is_required()} - {"wireless_device_id"}
    return ", ".join(f"{n} {kind(n)}{' NOT NULL' if n in required else ''}" for n in FIELDS[model])


# `active` mirrors the device's status, so that one index answers which active device is due first. `due_at` is
# when a command may be taken, by the same rule as rules.due_at; closed commands have none and are in no index of it.
_SCHEMA: Final = f"""
CREATE TABLE devices ({_columns(Device)}, spread INTEGER NOT NULL, PRIMARY KEY (device_id)) WITHOUT ROWID;
CREATE INDEX devices_by_status ON devices (status, device_id);

CREATE TABLE controls (
    {_columns(Control)}, active INTEGER NOT NULL,
    PRIMARY KEY (device_id), FOREIGN KEY (device_id) REFERENCES devices (device_id)
) WITHOUT ROWID;
CREATE INDEX controls_by_check ON controls (next_check_at) WHERE active = 1 AND next_check_at IS NOT NULL;
CREATE INDEX controls_left_paused ON controls (device_id) WHERE active = 0 AND desired = 'pause';

CREATE TABLE commands (
    {_columns(Command)},
    due_at INTEGER GENERATED ALWAYS AS (CASE status
        WHEN 'pending' THEN COALESCE(next_try_at, created_at)
        WHEN 'sent' THEN next_try_at
        WHEN 'sending' THEN lease_until END) VIRTUAL,
    PRIMARY KEY (device_id, ver), FOREIGN KEY (device_id) REFERENCES devices (device_id)
) WITHOUT ROWID;
CREATE INDEX commands_to_take ON commands (priority, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX commands_by_due ON commands (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX commands_leased ON commands (device_id, lease_until) WHERE status = 'sending';
CREATE INDEX commands_by_message ON commands (message_id) WHERE status = 'sent' AND message_id IS NOT NULL;
CREATE INDEX commands_by_status ON commands (status, updated_at);
CREATE INDEX commands_by_update ON commands (updated_at);

CREATE TABLE schedule_rows (
    utility_id TEXT NOT NULL, rate_plan TEXT NOT NULL, content TEXT NOT NULL, PRIMARY KEY (utility_id, rate_plan)
) WITHOUT ROWID;
CREATE TABLE tokens (id INTEGER PRIMARY KEY CHECK (id = 1), level INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE TABLE memory (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE device_writes (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL);
INSERT INTO device_writes VALUES (1, 0);
PRAGMA user_version = {SCHEMA_VERSION};
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, making it with its tables where it is absent.

    WAL: readers wait for nobody. FULL: a committed version is on the disk, so that after a power cut no version number
    is given out twice. Raises ValueError where a newer release wrote the file, or it is no registry.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA cache_size = -65536")
        db.execute(
            "PRAGMA wal_autocheckpoint = 16384"
        )  # 64 MB: a big commit writes a page back once, not often
        _make_or_check(db, path)
    except sqlite3.DatabaseError as error:
        db.close()
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise ValueError(f"{path} is no device registry: {error}; give another path") from error
    except BaseException:
        db.close()
        raise
    db.row_factory = sqlite3.Row
    return db


def _make_or_check(db: sqlite3.Connection, path: Path) -> None:
    if _version(db) == 0:
        db.execute("BEGIN IMMEDIATE")  # of several openers one makes the tables, the others find them
        try:
            if _version(db) == 0:
                if db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                    raise ValueError(f"{path} is another program's SQLite file; give another path")
                for statement in filter(str.strip, _SCHEMA.split(";\n")):
                    db.execute(statement)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
    if _version(db) != SCHEMA_VERSION:
        raise ValueError(
            f"{path} has registry schema {_version(db)}, this release knows {SCHEMA_VERSION}: "
            "use the release that wrote it, or a newer one"
        )


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
