"""The vocabulary to describe a table: columns with type, unit and meaning.

What belongs here: `Column`, `Table` and their translations into other type systems (Polars, Arrow, SQL).
What does not: any particular table; those stand in the room that owns their content.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import polars as pl

ColumnType = Literal["text", "float", "int", "bool", "date", "timestamp", "binary", "json", "text_list"]

POLARS_TYPES: dict[ColumnType, pl.DataType] = {
    "text": pl.String(),
    "float": pl.Float64(),
    "int": pl.Int64(),
    "bool": pl.Boolean(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
    "binary": pl.Binary(),
    "json": pl.String(),
    "text_list": pl.List(pl.String()),
}

SQL_TYPES: dict[ColumnType, str] = {
    "text": "VARCHAR",
    "float": "DOUBLE",
    "int": "BIGINT",
    "bool": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
    "binary": "BLOB",
    "json": "VARCHAR",
    "text_list": "VARCHAR[]",
}


@dataclass(frozen=True)
class Column:
    """One column: its name, type, meaning, unit (None where a unit makes no sense) and closed value set."""

    name: str
    type: ColumnType
    meaning: str
    unit: str | None = None
    values: tuple[str, ...] = ()
    required: bool = False

    @property
    def comment(self) -> str:
        """The sentence shown in the warehouse, the Dagster UI and the docs."""
        parts = [self.meaning]
        if self.values:
            parts.append(f"One of: {', '.join(self.values)}.")
        if self.unit:
            parts.append(f"Unit: {self.unit}.")
        return " ".join(parts)


@dataclass(frozen=True)
class Table:
    """A table: its columns in order, the columns it is partitioned by and its unique key."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()
    key: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Column name -> Polars type, in order."""
        return {c.name: POLARS_TYPES[c.type] for c in self.columns}

    @property
    def names(self) -> list[str]:
        """Column names, in order."""
        return [c.name for c in self.columns]

    def __getitem__(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    @property
    def markdown(self) -> str:
        """The table as a section of docs/tables.md."""
        lines = [f"## {self.name}", "", self.meaning, ""]
        lines += [f"Key: {', '.join(self.key)}.", ""] if self.key else []
        lines += ["| column | type | unit | meaning |", "|---|---|---|---|"]
        for c in self.columns:
            values = f" One of: {', '.join(c.values)}." if c.values else ""
            lines.append(f"| {c.name} | {c.type} | {c.unit or ''} | {c.meaning}{values} |")
        return "\n".join([*lines, ""])

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with exactly this table's columns, order and types; absent ones become NULL.

        Raises ValueError for a column the table does not know: nothing is dropped silently.
        """
        unknown = [c for c in frame.columns if c not in self.schema]
        if unknown:
            raise ValueError(f"table {self.name} has no column {', '.join(unknown)}")
        return frame.select(
            (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in self.schema.items()
        )

    def empty(self) -> pl.DataFrame:
        """A frame of this table without rows."""
        return pl.DataFrame(schema=self.schema)


def sql_text(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def columns(*groups: Column | Iterable[Column]) -> tuple[Column, ...]:
    """Flatten columns and groups of columns that several tables share."""
    flat: list[Column] = []
    for group in groups:
        flat.extend([group] if isinstance(group, Column) else group)
    return tuple(flat)
