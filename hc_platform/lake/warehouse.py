"""warehouse.duckdb: what notebooks, the API and any DuckDB client open, read-only.

What belongs here: building the file from the lake, replacing it atomically, opening it, exporting it.
What does not: Delta tables themselves (`store`).

The feeder-level and smaller tables are real DuckDB tables; sections, raw features, decisions and commands are views over
the current files of their Delta tables. A new file is built beside the old one and replaces it in one rename, so that
readers never block a writer; who holds the old file open goes on reading the old state until it reconnects.
"""

import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import duckdb
from filelock import FileLock

from hc_platform.charging.tables import (
    CHARGE_COMMANDS,
    CHARGE_DECISIONS,
    CHARGE_REPLAYS,
    CHARGE_RUNS,
    DEVICES,
    MOER_READINGS,
    TOU_SCHEDULES,
)
from hc_platform.geo.tables import DEVICE_FEEDERS, FEEDER_LOCATIONS, FEEDER_SUBSTATIONS
from hc_platform.hosting_capacity.derived_tables import FEEDER_CHANGES, MONTHLY_CHANGES, SUMMARIES
from hc_platform.hosting_capacity.source_tables import SOURCE_CANDIDATES
from hc_platform.hosting_capacity.tables import (
    INGESTION_RUNS,
    RAW_FEATURES,
    RECORDS,
    REJECTED_FEATURES,
    SECTIONS,
    SOURCE_LAYERS,
    UTILITIES,
)
from hc_platform.lake.store import Lake, open_lake
from hc_platform.reference.tables import LAKE_TABLES as REFERENCE_TABLES
from hc_platform.settings import Settings
from hc_platform.tables import SQL_TYPES, Table, sql_text

AS_TABLES: Final = (
    *(UTILITIES, RECORDS, SUMMARIES, FEEDER_CHANGES, MONTHLY_CHANGES),
    *(INGESTION_RUNS, SOURCE_LAYERS, SOURCE_CANDIDATES),
    *(FEEDER_LOCATIONS, FEEDER_SUBSTATIONS, DEVICE_FEEDERS, *REFERENCE_TABLES),
    *(DEVICES, TOU_SCHEDULES, CHARGE_RUNS),
)
# what is large, and what only ever grows
AS_VIEWS: Final = (
    *(SECTIONS, RAW_FEATURES, REJECTED_FEATURES),
    *(MOER_READINGS, CHARGE_DECISIONS, CHARGE_REPLAYS, CHARGE_COMMANDS),
)
_SMALL_SNAPSHOT_TABLES: Final = (
    *(RECORDS, SUMMARIES, FEEDER_CHANGES, MONTHLY_CHANGES),
    *(FEEDER_LOCATIONS, FEEDER_SUBSTATIONS),
)
_SNAPSHOT_TABLES: Final = (*_SMALL_SNAPSHOT_TABLES, SECTIONS, RAW_FEATURES, REJECTED_FEATURES)

_COMMANDS_LATEST: Final = """
    CREATE VIEW charge_commands_latest AS FROM charge_commands
    QUALIFY row_number() OVER (PARTITION BY command_id ORDER BY updated_at DESC) = 1
"""


def publish(lake: Lake, path: Path, *, memory: str = "1GB") -> bool:
    """Rebuild the warehouse file from the newest versions in the lake; False if it stood at these already.

    Publishers queue at a file lock and look at the versions only inside it, so that of many at once the first
    does the work of all, and the newest version always wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(path.name + ".lock")):
        versions = {t.name: lake.version(t) for t in (*AS_TABLES, *AS_VIEWS)}
        if _published_versions(path) == versions:
            return False
        fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
        try:
            with duckdb.connect(str(fresh)) as connection:
                connection.execute(f"SET memory_limit = '{memory}'")
                _reach(connection, lake)
                _build(connection, lake, tables_as_views=False)
                _remember(connection, lake, versions)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
            fresh.with_name(fresh.name + ".wal").unlink(missing_ok=True)
    return True


def connect(root: str | None = None, *, fresh: bool = False) -> duckdb.DuckDBPyConnection:
    """Open the published warehouse read-only, or build its views over the lake as it is now (`fresh`).

    `root` is a data folder, or with `fresh` also an s3:// lake; the default is what HC_DATA_DIR and HC_LAKE_ROOT say.
    Raises FileNotFoundError, with the mend, when nothing has been published yet.
    """
    settings = Settings() if root is None or "://" in root else Settings(data_dir=Path(root), lake_root=None)
    lake_root = root if root is not None and "://" in root else settings.root
    if fresh:
        connection = duckdb.connect()
        lake = open_lake(lake_root)
        _reach(connection, lake)
        _build(connection, lake, tables_as_views=True)
        return connection
    path = settings.warehouse_path
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path} yet; run `hc ingest --utility CODE` or `hc warehouse` first"
        )
    connection = duckdb.connect(str(path), read_only=True)
    [(published_from,)] = connection.execute("SELECT lake_root FROM _published").fetchall()
    if "://" in published_from:
        _reach(connection, open_lake(published_from))
    return connection


def export(lake: Lake, target: Path, tables: Iterable[Table] = (*AS_TABLES, *AS_VIEWS)) -> dict[str, int]:
    """Write one portable .duckdb with every row of every table in it; returns rows per table.

    Raises FileExistsError rather than overwrite.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists; remove it or name another file")
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    try:
        with duckdb.connect(str(part)) as connection:
            _reach(connection, lake)
            for table in tables:
                _create(connection, lake, table, "TABLE")
            _latest_views(connection, None)
            counts = {}
            for table in tables:
                [(rows,)] = connection.execute(f'SELECT count(*) FROM "{table.name}"').fetchall()  # noqa: S608
                counts[table.name] = rows
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return counts


def _build(connection: duckdb.DuckDBPyConnection, lake: Lake, *, tables_as_views: bool) -> None:
    for table in AS_TABLES:
        _create(connection, lake, table, "VIEW" if tables_as_views else "TABLE")
    for table in AS_VIEWS:
        _create(connection, lake, table, "VIEW")
    _latest_views(connection, lake)


def _create(connection: duckdb.DuckDBPyConnection, lake: Lake, table: Table, kind: str) -> None:
    connection.execute(f'CREATE {kind} "{table.name}" AS {_select(table, lake.files(table))}')
    _comment(connection, table, table.name, kind)


def _select(table: Table, files: list[str]) -> str:
    """SQL that reads the table's current files, or no rows of the right types."""
    none = ", ".join(f'CAST(NULL AS {SQL_TYPES[c.type]}) AS "{c.name}"' for c in table.columns)
    if not files:
        return f"SELECT {none} WHERE false"
    listed = ", ".join(sql_text(f) for f in files)
    columns = ", ".join(f'CAST("{c.name}" AS {SQL_TYPES[c.type]}) AS "{c.name}"' for c in table.columns)
    # without autocast off, the folder names "0022" and "2026-11" would become a number and a date
    options = "hive_partitioning = true, hive_types_autocast = false, union_by_name = true"
    rows = f"SELECT * FROM read_parquet([{listed}], {options})"  # noqa: S608 - paths quoted above
    # the empty half gives columns that are newer than every file
    return f"SELECT {columns} FROM ({rows} UNION ALL BY NAME SELECT {none} WHERE false)"  # noqa: S608


def _latest_views(connection: duckdb.DuckDBPyConnection, lake: Lake | None) -> None:
    """`<table>_latest`: the newest snapshot of each utility and resource (of each utility where there is none).

    With a lake, those over views read the newest snapshots' files and no others; else all read the table beside them.
    """
    latest = 'SELECT utility_code, resource, max(snapshot) AS snapshot FROM "hosting_capacity_records" GROUP BY ALL'
    held = connection.execute(latest).fetchall()
    newest = {(code, snapshot) for code, _, snapshot in held}
    for table in _SNAPSHOT_TABLES:
        name = f"{table.name}_latest"
        if lake is None or table in _SMALL_SNAPSHOT_TABLES:
            source = f'"{table.name}"'
        else:
            partitions = [lake.files(table, utility_code=c, snapshot=s) for c, s in sorted(newest)]
            source = f"({_select(table, [f for files in partitions for f in files])})"
        pairs = " OR ".join(
            f"({_condition(table, code, resource, snapshot)})" for code, resource, snapshot in sorted(held)
        )
        connection.execute(f'CREATE VIEW "{name}" AS SELECT * FROM {source} WHERE {pairs or "false"}')  # noqa: S608
        _comment(connection, table, name, "VIEW", "Newest snapshot of each utility and resource. ")
    connection.execute(_COMMANDS_LATEST)
    _comment(connection, CHARGE_COMMANDS, "charge_commands_latest", "VIEW", "Where each command stands. ")


def _condition(table: Table, code: str, resource: str, snapshot: str) -> str:
    condition = f"utility_code = {sql_text(code)} AND snapshot = {sql_text(snapshot)}"
    has_resource = any(c.name == "resource" for c in table.columns)
    return f"{condition} AND resource = {sql_text(resource)}" if has_resource else condition


def _comment(
    connection: duckdb.DuckDBPyConnection, table: Table, name: str, kind: str, prefix: str = ""
) -> None:
    connection.execute(f'COMMENT ON {kind} "{name}" IS {sql_text(prefix + table.meaning)}')
    for column in table.columns:
        connection.execute(f'COMMENT ON COLUMN "{name}"."{column.name}" IS {sql_text(column.comment)}')


def _remember(connection: duckdb.DuckDBPyConnection, lake: Lake, versions: dict[str, int]) -> None:
    connection.execute(
        "CREATE TABLE _published (lake_root VARCHAR, versions VARCHAR, published_at TIMESTAMPTZ)"
    )
    connection.execute("INSERT INTO _published VALUES (?, ?, now())", [lake.root, json.dumps(versions)])


def _published_versions(path: Path) -> dict[str, int] | None:
    """The lake versions behind the file, None if there is no readable one."""
    if not path.is_file():
        return None
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            [(versions,)] = connection.execute("SELECT versions FROM _published").fetchall()
    except duckdb.Error:
        return None  # not ours, or of an older DuckDB: rebuild it
    return dict(json.loads(versions))


def _reach(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Let DuckDB read s3:// through Arrow's filesystem: its own httpfs extension would have to be downloaded."""
    if lake.is_local:
        return
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow.fs import S3FileSystem

    class S3(ArrowFSWrapper):  # type: ignore[misc]
        protocol = "s3"  # the wrapper's own is the type name of the filesystem inside

    options = lake.storage_options
    wrapped = S3(
        S3FileSystem(
            endpoint_override=options.get("aws_endpoint_url"),
            region=options.get("aws_region") or options.get("aws_default_region"),
            force_virtual_addressing=False,
        )
    )
    connection.register_filesystem(wrapped)
