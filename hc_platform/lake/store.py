"""The lake: one Delta table per `Table`, replaced partition by partition in single commits.

What belongs here: reading and writing Delta tables by partition, on a local path or s3://.
What does not: what the rows mean (`hosting_capacity`), or the DuckDB file published from them (`warehouse`).

Why Delta: under eight writers, two readers and `kill -9`, it alone had no failed write, no inconsistent read and no
bad state; replacing files in place under fixed names did not (docs/storage.md).
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import polars as pl
from deltalake import CommitProperties, DeltaTable, Schema, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from hc_platform.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa  # 0.1 s to import, in every process of the UI

_ROW_GROUP = 50_000
_FILE_BYTES = 128 << 20
# Commits; Delta's default is 100. Every tick appends to tables that it opens first: over a day of ticks an opening took
# 11 ms with the default, 5 ms with this.
_CHECKPOINT_EVERY = "25"
_commit_retry = retry(
    retry=retry_if_exception_type(CommitFailedError),
    wait=wait_random_exponential(multiplier=0.1, max=5),
    stop=stop_after_attempt(8),
    reraise=True,
)


@dataclass(frozen=True)
class Lake:
    """All Delta tables below one root, a local folder or s3://bucket/prefix."""

    root: str
    storage_options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return "://" not in self.root

    def uri(self, table: Table) -> str:
        """Where the table is."""
        return f"{self.root.rstrip('/')}/{table.name}"

    def open(self, table: Table) -> DeltaTable | None:
        """The table at its newest version, or None before its first commit."""
        try:
            return DeltaTable(self.uri(table), storage_options=dict(self.storage_options))
        except TableNotFoundError:
            return None

    def version(self, table: Table) -> int:
        """The newest version, -1 before the first commit."""
        delta = self.open(table)
        return -1 if delta is None else delta.version()

    def partitions(self, table: Table) -> list[dict[str, str]]:
        """The partition values that hold rows."""
        delta = self.open(table)
        return [] if delta is None else [dict(p) for p in delta.partitions()]

    def has(self, table: Table, **partition: str) -> bool:
        """Whether that partition holds rows."""
        return any(partition.items() <= p.items() for p in self.partitions(table))

    def files(self, table: Table, **partition: str) -> list[str]:
        """The current data files, of one partition if given; paths or s3:// URIs."""
        delta = self.open(table)
        if delta is None:
            return []
        filters = [(k, "=", v) for k, v in partition.items()]
        uris = delta.file_uris(file_pruning_predicate=filters or None)
        # delta-rs percent-encodes what stands in the log; a local path must be the file's real name
        return [unquote(u.removeprefix("file://")) for u in uris] if self.is_local else list(uris)

    def scan(self, table: Table, **partition: str) -> pl.LazyFrame:
        """The rows, of one partition if given; no rows before the first commit."""
        delta = self.open(table)
        if delta is None:
            return table.empty().lazy()
        frame = _rows(delta, table)
        for column, value in partition.items():
            frame = frame.filter(pl.col(column) == value)
        return frame

    def batches(self, table: Table, rows: int, **partition: str) -> Iterator[pl.DataFrame]:
        """One partition's rows in frames of at most `rows` rows, so that a large one is never held whole."""
        import pyarrow.parquet as pq

        for uri in self.files(table, **partition):
            source = uri if self.is_local else self._open_remote(uri)
            with pq.ParquetFile(source) as file:
                for batch in file.iter_batches(batch_size=rows):
                    frame = pl.from_arrow(batch)
                    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a batch of columns is a frame
                    whole = frame.with_columns(pl.lit(v).alias(k) for k, v in partition.items())
                    yield whole.select(_column(table, name, whole.schema) for name in table.names)

    def replace(
        self,
        table: Table,
        partition: Mapping[str, str],
        rows: pl.DataFrame | Iterable[pl.DataFrame],
        *,
        run_id: str | None = None,
    ) -> int:
        """Replace exactly one partition (all of an unpartitioned table) in one commit; returns the rows written.

        `rows` may be an iterator: it is streamed, and if it raises, nothing is committed.
        """
        if set(partition) != set(table.partition_by):
            raise ValueError(
                f"{table.name} is partitioned by {table.partition_by}, not by {tuple(partition)}"
            )
        predicate = " AND ".join(f"{k} = '{_literal(v)}'" for k, v in partition.items()) or None
        return self._commit(table, rows, {"mode": "overwrite", "predicate": predicate}, run_id)

    def append(self, table: Table, rows: pl.DataFrame, *, run_id: str | None = None) -> int:
        """Add rows in one commit."""
        return self._commit(table, rows, {"mode": "append"}, run_id)

    def append_missing(
        self, table: Table, missing: Callable[[pl.LazyFrame], pl.DataFrame], *, run_id: str | None = None
    ) -> pl.DataFrame:
        """Add in one commit what `missing` says that the table's rows lack; returns these rows.

        Of two processes that do so at once the later one asks again, so none adds what the other did: both name one
        Delta transaction identifier, of which no two may be committed from the same state.
        """
        delta = self._ensure(table)

        @_commit_retry
        def add() -> pl.DataFrame:
            delta.update_incremental()
            rows = missing(_rows(delta, table))
            if rows.height:
                once = Transaction("append_missing", delta.version())
                self._write(delta, table, _slices(rows), {"mode": "append"}, run_id, [once])
            return rows

        return add()

    def vacuum(self, table: Table, days: int) -> int:
        """Compact small files, then delete those no version of the last `days` days needs; returns how many."""
        delta = self.open(table)
        if delta is None:
            return 0
        delta.optimize.compact()
        delta.create_checkpoint()
        return len(delta.vacuum(retention_hours=days * 24, dry_run=False, enforce_retention_duration=False))

    def _commit(
        self,
        table: Table,
        rows: pl.DataFrame | Iterable[pl.DataFrame],
        how: dict[str, Any],
        run_id: str | None,
    ) -> int:
        delta = self._ensure(table)
        if not isinstance(rows, pl.DataFrame):
            # a stream cannot be read twice; its partition has one writer, so nothing conflicts
            return self._write(delta, table, rows, how, run_id)
        whole = rows

        @_commit_retry
        def write() -> int:
            delta.update_incremental()
            return self._write(delta, table, _slices(whole), how, run_id)

        return write()

    def _write(
        self,
        delta: DeltaTable,
        table: Table,
        frames: Iterable[pl.DataFrame],
        how: dict[str, Any],
        run_id: str | None,
        transactions: list[Transaction] | None = None,
    ) -> int:
        """One commit on top of the state that `delta` is in; returns the rows."""
        from pyarrow import RecordBatchReader

        counted = 0

        def batches() -> "Iterator[pa.RecordBatch]":
            nonlocal counted
            for frame in frames:
                counted += frame.height
                yield from (
                    table.conform(frame)
                    .to_arrow(compat_level=pl.CompatLevel.oldest())
                    .cast(schema)
                    .to_batches()
                )

        schema = _arrow_schema(table)
        write_deltalake(
            delta,
            RecordBatchReader.from_batches(schema, batches()),
            **how,
            target_file_size=_FILE_BYTES,
            writer_properties=WriterProperties(compression="ZSTD", max_row_group_size=_ROW_GROUP),
            commit_properties=CommitProperties(
                custom_metadata={"run_id": run_id} if run_id else None, app_transactions=transactions
            ),
        )
        return counted

    def _ensure(self, table: Table) -> DeltaTable:
        """The table, made if it is not there, with the columns that it lacks; several processes may do so at once."""
        delta = self.open(table)
        if delta is not None:
            there = {f.name for f in delta.schema().fields}
            missing = [f for f in Schema.from_arrow(_arrow_schema(table)).fields if f.name not in there]
            if missing:
                _commit_retry(delta.alter.add_columns)(missing)
            return delta
        if self.is_local:
            Path(self.uri(table)).mkdir(parents=True, exist_ok=True)
        try:
            return DeltaTable.create(
                self.uri(table),
                _arrow_schema(table),
                mode="ignore",
                partition_by=list(table.partition_by),
                name=table.name,
                description=table.meaning,
                configuration={"delta.checkpointInterval": _CHECKPOINT_EVERY},
                storage_options=dict(self.storage_options),
            )
        except DeltaError:
            if delta := self.open(table):  # another process was first
                return delta
            raise

    def _open_remote(self, uri: str) -> "pa.NativeFile":
        import pyarrow.fs

        filesystem, path = pyarrow.fs.FileSystem.from_uri(uri)
        return filesystem.open_input_file(path)


def open_lake(root: str) -> Lake:
    """The lake at a folder or s3:// URI; S3 credentials and endpoint come from the usual AWS_* environment."""
    if "://" not in root:
        return Lake(str(Path(root).resolve()))
    options = {k.lower(): v for k, v in os.environ.items() if k.startswith("AWS_")}
    if options.get("aws_endpoint_url", "").startswith("http://"):
        options["aws_allow_http"] = "true"
    return Lake(root, options)


def _rows(delta: DeltaTable, table: Table) -> pl.LazyFrame:
    frame = pl.scan_delta(delta)
    return frame.select(_column(table, name, frame.collect_schema()) for name in table.names)


def _slices(frame: pl.DataFrame) -> Iterable[pl.DataFrame]:
    """The frame bit by bit, for Arrow takes a copy; an empty one as it is."""
    return frame.iter_slices(_ROW_GROUP) if frame.height else [frame]


def _column(table: Table, name: str, there: Mapping[str, object]) -> pl.Expr:
    """A column of the table; NULL in files that are older than the column."""
    return pl.col(name) if name in there else pl.lit(None, table.schema[name]).alias(name)


def _literal(value: str) -> str:
    """A partition value inside a predicate; they are codes and months, so anything else is a mistake."""
    if not value or not all(c.isalnum() or c in "-_." for c in value):
        raise ValueError(f"{value!r} cannot be a partition value")
    return value


def _arrow_schema(table: Table) -> "pa.Schema":
    return table.empty().to_arrow(compat_level=pl.CompatLevel.oldest()).schema
