"""The published DuckDB file: its tables, views and comments, and what its readers see while it is replaced."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pytest

from hc_platform.hosting_capacity.tables import RAW_FEATURES, RECORDS, SECTIONS, SUMMARIES
from hc_platform.lake import warehouse
from hc_platform.lake.store import Lake, open_lake
from hc_platform.lake.warehouse import AS_TABLES, AS_VIEWS, connect, export, publish
from hc_platform_tests.hosting_capacity.making import sections

Records = Callable[..., pl.DataFrame]


def key(code: str = "a", snapshot: str = "2026-05") -> dict[str, str]:
    return {"utility_code": code, "snapshot": snapshot}


def fill(lake: Lake, records: Records) -> None:
    """Utility a: generation in two snapshots, load only in the older. Utility 0022: one snapshot."""
    old = records("a", "2026-04", 2, 1.0)
    lake.replace(RECORDS, key("a", "2026-04"), pl.concat([old, old.with_columns(resource=pl.lit("load"))]))
    lake.replace(RECORDS, key("a", "2026-05"), records("a", "2026-05", 3, 2.0))
    lake.replace(RECORDS, key("0022", "2026-04"), records("0022", "2026-04", 1, 5.0))
    rows = [{"resource": r} for r in ("generation", "generation", "load")]
    for snapshot in ("2026-04", "2026-05"):
        lake.replace(
            SECTIONS, key("a", snapshot), sections(*rows, utility_code="a", snapshot=snapshot).collect()
        )
    raw = pl.DataFrame({"utility_code": ["0022"], "snapshot": ["2026-04"], "feature_key": ["7"]})
    lake.replace(RAW_FEATURES, key("0022", "2026-04"), RAW_FEATURES.conform(raw))


@pytest.fixture
def data(tmp_path: Path, records: Records) -> Path:
    """A data folder with a filled lake and a published warehouse."""
    lake = open_lake(str(tmp_path / "lake"))
    fill(lake, records)
    assert publish(lake, tmp_path / "warehouse.duckdb")
    return tmp_path


def counts(connection: duckdb.DuckDBPyConnection, table: str) -> list[tuple[object, ...]]:
    return connection.sql(
        f"SELECT utility_code, snapshot, count(*) FROM {table} GROUP BY ALL ORDER BY ALL"
    ).fetchall()


LATEST = """SELECT utility_code, resource, snapshot, count(*) FROM hosting_capacity_records_latest
            GROUP BY ALL ORDER BY ALL"""


def test_what_was_published_is_what_the_lake_holds(data: Path) -> None:
    with connect(str(data)) as connection:
        assert counts(connection, "hosting_capacity_records") == [
            ("0022", "2026-04", 1),
            ("a", "2026-04", 4),
            ("a", "2026-05", 3),
        ]
        assert counts(connection, "sections") == [("a", "2026-04", 3), ("a", "2026-05", 3)]
        assert counts(connection, "raw_features") == [("0022", "2026-04", 1)]


def test_latest_is_the_newest_snapshot_of_each_utility_and_resource(data: Path) -> None:
    with connect(str(data)) as connection:
        assert connection.sql(LATEST).fetchall() == [
            ("0022", "generation", "2026-04", 1), ("a", "generation", "2026-05", 3), ("a", "load", "2026-04", 2),
        ]  # fmt: skip
        # sections of a resource follow its records: load has none since April
        kinds = "SELECT resource, snapshot, count(*) FROM sections_latest GROUP BY ALL ORDER BY ALL"
        assert connection.sql(kinds).fetchall() == [("generation", "2026-05", 2), ("load", "2026-04", 1)]
        assert counts(connection, "raw_features_latest") == [("0022", "2026-04", 1)]


def test_the_file_is_read_only_and_holds_small_tables_itself(data: Path) -> None:
    with connect(str(data)) as connection:
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("DELETE FROM hosting_capacity_records")
        kinds = dict(
            connection.sql("SELECT table_name, table_type FROM information_schema.tables").fetchall()
        )
    assert {kinds[t.name] for t in AS_TABLES} == {"BASE TABLE"}
    assert {kinds[t.name] for t in AS_VIEWS} == {"VIEW"}


def test_every_column_is_commented_and_typed(data: Path) -> None:
    from hc_platform.tables import SQL_TYPES

    found = {}
    with connect(str(data)) as connection:
        for name, column, kind, comment in connection.sql(
            "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE schema_name = 'main'"
        ).fetchall():
            found[name, column] = (kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"), comment)
        said = dict(connection.sql("SELECT table_name, comment FROM duckdb_tables()").fetchall())
    for table in (*AS_TABLES, *AS_VIEWS):
        for column in table.columns:
            assert found[table.name, column.name] == (SQL_TYPES[column.type], column.comment)
    assert found["hosting_capacity_records_latest", "hosting_capacity_mw"][1].endswith("Unit: MW.")
    assert said[SUMMARIES.name] == SUMMARIES.meaning


def test_publishing_the_same_versions_again_does_nothing(data: Path, records: Records) -> None:
    lake, path = open_lake(str(data / "lake")), data / "warehouse.duckdb"
    before = path.stat().st_ino
    assert publish(lake, path) is False
    assert path.stat().st_ino == before
    lake.replace(RECORDS, key(), records(n=9))
    assert publish(lake, path) is True
    assert [p.name for p in data.iterdir() if p.name.startswith(".") or "wal" in p.name] == []


def test_of_many_publishers_one_does_the_work(
    data: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    built: list[int] = []
    build = warehouse._build

    def counted(*given: object, **named: object) -> None:
        built.append(1)
        build(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(warehouse, "_build", counted)
    lake = open_lake(str(data / "lake"))
    lake.replace(RECORDS, key(), records(n=9))
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: publish(lake, data / "warehouse.duckdb"), range(6)))
    assert (sum(done), len(built)) == (1, 1)


def test_a_build_that_fails_leaves_the_old_file(
    data: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = open_lake(str(data / "lake"))
    lake.replace(RECORDS, key(), records(n=9))

    def broken(*given: object) -> None:
        raise RuntimeError("no room on the disk")

    monkeypatch.setattr(warehouse, "_latest_views", broken)
    with pytest.raises(RuntimeError, match="no room"):
        publish(lake, data / "warehouse.duckdb")
    with connect(str(data)) as connection:
        assert counts(connection, "hosting_capacity_records")[-1] == ("a", "2026-05", 3)
    assert not [p for p in data.iterdir() if p.name.startswith(".")]


def test_a_file_that_is_no_warehouse_is_rebuilt(data: Path) -> None:
    path = data / "warehouse.duckdb"
    path.write_bytes(b"not a database")
    assert publish(open_lake(str(data / "lake")), path)
    with connect(str(data)) as connection:
        assert len(counts(connection, "hosting_capacity_records")) == 3


_HOLDING = """
import sys
from hc_platform.lake.warehouse import connect
ask = "SELECT count(*) FROM hosting_capacity_records WHERE snapshot = '2026-05'"
held = connect(sys.argv[1])
print(held.sql(ask).fetchall()[0][0], flush=True)
sys.stdin.readline()
print(held.sql(ask).fetchall()[0][0], flush=True)
held.close()
print(connect(sys.argv[1]).sql(ask).fetchall()[0][0], flush=True)
"""


def test_a_reader_in_another_process_while_the_file_is_replaced(data: Path, records: Records) -> None:
    """It goes on reading the old state, blocks nobody, and sees the new one when it connects again."""
    lake = open_lake(str(data / "lake"))
    command = [sys.executable, "-c", _HOLDING, str(data)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "3\n"
        lake.replace(RECORDS, key(), records(n=9))
        assert publish(lake, data / "warehouse.duckdb")
        assert reader.communicate("go\n", timeout=60)[0] == "3\n9\n"


def test_connect_before_anything_is_published_names_the_mend(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="hc ingest"):
        connect(str(tmp_path))


def test_a_fresh_connection_shows_the_lake_as_it_is_now(root: str, records: Records, tmp_path: Path) -> None:
    lake = open_lake(root)
    fill(lake, records)
    where = root if "://" in root else str(Path(root).parent)
    with connect(where, fresh=True) as connection:
        assert len(counts(connection, "hosting_capacity_records")) == 3
        assert len(connection.sql(LATEST).fetchall()) == 3
    lake.replace(RECORDS, key(), records(n=9))
    with connect(where, fresh=True) as connection:
        assert counts(connection, "hosting_capacity_records")[-1] == ("a", "2026-05", 9)


def test_an_empty_lake_has_every_table(root: str) -> None:
    where = root if "://" in root else str(Path(root).parent)
    with connect(where, fresh=True) as connection:
        for table in (*AS_TABLES, *AS_VIEWS):
            assert connection.sql(f"SELECT count(*) FROM {table.name}").fetchall() == [(0,)]
        assert connection.sql(LATEST).fetchall() == []


def test_publish_and_connect_with_the_lake_on_either_storage(
    root: str, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HC_LAKE_ROOT", root)
    monkeypatch.setenv("HC_DATA_DIR", str(tmp_path / "here"))
    lake = open_lake(root)
    fill(lake, records)
    assert publish(lake, tmp_path / "here" / "warehouse.duckdb")
    with connect() as connection:
        assert len(counts(connection, "hosting_capacity_records")) == 3
        assert len(counts(connection, "sections")) == 2
        assert len(counts(connection, "raw_features_latest")) == 1


def test_an_export_holds_everything_and_needs_no_lake(root: str, records: Records, tmp_path: Path) -> None:
    lake, target = open_lake(root), tmp_path / "portable.duckdb"
    fill(lake, records)
    rows = export(lake, target)
    assert (rows["hosting_capacity_records"], rows["sections"], rows["raw_features"]) == (8, 6, 1)
    for table in (RECORDS, SECTIONS, RAW_FEATURES):
        lake.replace(table, key("a", "2026-05"), table.empty())
    if lake.is_local:
        Path(root).rename(tmp_path / "away")
    with duckdb.connect(str(target), read_only=True) as connection:
        assert counts(connection, "sections") == [("a", "2026-04", 3), ("a", "2026-05", 3)]
        assert len(connection.sql(LATEST).fetchall()) == 3
        assert counts(connection, "sections_latest") == [("a", "2026-04", 1), ("a", "2026-05", 2)]
    with pytest.raises(FileExistsError, match="portable"):
        export(lake, target)


def test_a_root_with_a_quote(tmp_path: Path, records: Records) -> None:
    folder = tmp_path / "O'Brien's data"
    lake = open_lake(str(folder / "lake"))
    fill(lake, records)
    publish(lake, folder / "warehouse.duckdb")
    with connect(str(folder)) as connection:
        assert len(counts(connection, "sections")) == 2
