"""One layer's staging folder: a Parquet file per piece, and a manifest that says whose files they are.

Belongs here: names, atomic writes, reading back, clearing. Does not belong here: what is still missing
(pull). The files are the truth about what is done; the manifest only says for which question they were
written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from hc_platform.arcgis.decode import SCHEMA

_MANIFEST = "manifest.json"
_NULLS = "null_tokens"


class Store:
    """The folder of one pull. Files of another question, or begun longer than `max_age` ago, are cleared
    when it is opened.

    `started_at`: when the first of the files on disk was asked for, over all runs that wrote them.
    """

    def __init__(
        self, directory: Path, fingerprint: Mapping[str, Any], *, max_age: timedelta | None = None
    ) -> None:
        self.directory = directory
        self.plan: str | None = None
        self.started_at: datetime | None = None
        self._fingerprint = dict(fingerprint)
        self._rows: dict[str, int] = {}
        self._nulls: dict[str, int] = {}
        directory.mkdir(parents=True, exist_ok=True)
        for leftover in directory.glob("*.tmp"):
            leftover.unlink()
        manifest: Any = {}
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            manifest = msgspec.json.decode((directory / _MANIFEST).read_bytes())
        same = isinstance(manifest, dict) and manifest.get("fingerprint") == self._fingerprint
        if same and _young(manifest.get("started_at"), max_age):
            self.plan = manifest.get("plan")
            self.started_at = _instant(manifest.get("started_at"))
            for path in sorted(directory.glob("*.parquet")):
                self._adopt(path)
        else:
            self.clear()

    def _adopt(self, path: Path) -> None:
        try:
            told = pl.read_parquet_metadata(path)
            self._rows[path.stem], self._nulls[path.stem] = int(told["rows"]), int(told[_NULLS])
        except (pl.exceptions.PolarsError, OSError, KeyError, ValueError):
            path.unlink()  # not a whole file of ours: fetch its rows again

    def begin(self, plan: str) -> None:
        """Say by which plan the files are written, and since when."""
        self.plan = plan
        self.started_at = self.started_at or datetime.now(UTC)
        manifest = {
            "fingerprint": self._fingerprint,
            "plan": plan,
            "started_at": self.started_at.isoformat(),
        }
        self._write(_MANIFEST, msgspec.json.encode(manifest))

    def clear(self) -> None:
        """Remove every file of this folder that is ours."""
        for path in self.directory.glob("*.parquet"):
            path.unlink()
        (self.directory / _MANIFEST).unlink(missing_ok=True)
        self._rows.clear()
        self._nulls.clear()
        self.plan = self.started_at = None

    def save(self, name: str, frame: pl.DataFrame, null_tokens: int) -> None:
        """Write a piece's rows, replacing what the piece had."""
        path = self.directory / f"{name}.parquet"
        temporary = path.with_suffix(".tmp")
        frame.write_parquet(
            temporary, compression="zstd", metadata={"rows": str(frame.height), _NULLS: str(null_tokens)}
        )
        temporary.replace(path)
        self._rows[name], self._nulls[name] = frame.height, null_tokens

    def read(self, name: str) -> tuple[pl.DataFrame, int]:
        """A piece's rows and its count of null tokens."""
        return pl.read_parquet(self.directory / f"{name}.parquet"), self._nulls[name]

    def drop(self, name: str) -> None:
        """Forget a piece."""
        (self.directory / f"{name}.parquet").unlink(missing_ok=True)
        self._rows.pop(name, None)
        self._nulls.pop(name, None)

    def ids(self, name: str | None = None) -> pl.Series:
        """The object ids on disk, of one piece or of all in the order of the files."""
        parts = [
            pl.read_parquet(self.directory / f"{stem}.parquet", columns=["object_id"])["object_id"]
            for stem in ([name] if name else self.names)
        ]
        return pl.concat(parts) if parts else pl.Series("object_id", [], dtype=SCHEMA["object_id"])

    @property
    def names(self) -> list[str]:
        """The pieces on disk, in order."""
        return sorted(self._rows)

    @property
    def files(self) -> list[Path]:
        """The files that hold rows, in order."""
        return [self.directory / f"{name}.parquet" for name in self.names if self._rows[name]]

    @property
    def rows(self) -> int:
        """Rows on disk."""
        return sum(self._rows.values())

    @property
    def null_tokens(self) -> int:
        """NaN and Infinity that became null in the rows on disk."""
        return sum(self._nulls.values())

    def _write(self, name: str, content: bytes) -> None:
        temporary = self.directory / f"{name}.tmp"
        temporary.write_bytes(content)
        temporary.replace(self.directory / name)


def _instant(text: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return instant if instant.tzinfo else None


def _young(started_at: Any, max_age: timedelta | None) -> bool:
    """Whether it is at most so old; what has no date, or one in the future, is not."""
    if max_age is None:
        return True
    instant = _instant(started_at)
    return instant is not None and timedelta(0) <= datetime.now(UTC) - instant <= max_age
