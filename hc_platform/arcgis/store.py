"""One layer's staging folder: a Parquet file per piece, and a manifest that says whose files they are.

Belongs here: names, atomic writes, reading back, clearing. Does not belong here: what is still missing
(pull). The files are the truth about what is done; the manifest only says for which question they were
written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from hc_platform.arcgis.decode import SCHEMA

_MANIFEST = "manifest.json"
_NULLS = "null_tokens"


class Store:
    """The folder of one pull. Files of another question are cleared when it is opened."""

    def __init__(self, directory: Path, fingerprint: Mapping[str, Any]) -> None:
        self.directory = directory
        self.plan: str | None = None
        self._fingerprint = dict(fingerprint)
        self._rows: dict[str, int] = {}
        self._nulls: dict[str, int] = {}
        directory.mkdir(parents=True, exist_ok=True)
        for leftover in directory.glob("*.tmp"):
            leftover.unlink()
        manifest: Any = {}
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            manifest = msgspec.json.decode((directory / _MANIFEST).read_bytes())
        if isinstance(manifest, dict) and manifest.get("fingerprint") == self._fingerprint:
            self.plan = manifest.get("plan")
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
        """Say by which plan the files are written."""
        self.plan = plan
        self._write(_MANIFEST, msgspec.json.encode({"fingerprint": self._fingerprint, "plan": plan}))

    def clear(self) -> None:
        """Remove every file of this folder that is ours."""
        for path in self.directory.glob("*.parquet"):
            path.unlink()
        (self.directory / _MANIFEST).unlink(missing_ok=True)
        self._rows.clear()
        self._nulls.clear()
        self.plan = None

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
