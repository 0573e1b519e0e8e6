"""A source in memory that can be edited, renamed, cut short and counted."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.lake.store import Lake
from hc_platform.pipeline.fetch import Fetched, fetch
from hc_platform.sources import LayerPull, PartialPullError
from hc_platform.sources.base import LayerDescription, Progress

WINDOW = 2


def month(number: int, day: int = 15) -> datetime:
    return datetime(2026, number, day, 12, tzinfo=UTC)


@dataclass
class StubSource:
    """Layers by label, each a list of attribute rows. `cut`: windows after which a pull stops short."""

    layers: dict[str, Sequence[dict[str, Any]]]
    edited_at: datetime | None = None
    cut: int | None = None
    misses: int = 0
    described: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def describe(self, config: UtilityConfig, layer: LayerConfig) -> LayerDescription:
        self.described.append(layer.label)
        rows = self.layers[layer.label]
        names = dict.fromkeys((name for row in rows for name in row), "esriFieldTypeString")
        return LayerDescription(
            "http://127.0.0.1:9/0", layer.label, 0, names, "OBJECTID", len(rows), self.edited_at
        )

    def pull(
        self, config: UtilityConfig, layer: LayerConfig, found: LayerDescription, directory: Path,
        progress: Progress,
    ) -> LayerPull:  # fmt: skip
        """Windows of two rows; those on disk are not written again."""
        directory.mkdir(parents=True, exist_ok=True)
        rows = self.layers[layer.label]
        files = []
        for number, start in enumerate(range(0, len(rows), WINDOW)):
            if number == self.cut:
                raise PartialPullError(f"{layer.label}: {start} of {len(rows)} came")
            file = directory / f"{number:03d}.parquet"
            files.append(file)
            if not file.exists():
                self.written.append(f"{layer.label}/{number}")
                part = rows[start : start + WINDOW]
                pl.DataFrame(
                    {
                        "object_id": range(start + 1, start + 1 + len(part)),
                        "attributes": [json.dumps(row) for row in part],
                        "geometry": pl.Series([None] * len(part), dtype=pl.Binary),
                    },
                    schema_overrides={"object_id": pl.Int64},
                ).write_parquet(file)
        count = len(rows) + self.misses
        return LayerPull("complete", files, len(rows), count, "stub", len(files), 100, [])


@dataclass
class Bench:
    """A lake and a staging folder, with short ways to fetch into them."""

    folder: Path
    lake: Lake

    def fetch(self, made: UtilityConfig, source: Any, at: datetime, **more: Any) -> Fetched:
        """The snapshot of that day, unless another is named. `source` is that of all layers, unless `source_for`."""
        which = more.pop("source_for", lambda *_, **__: source)
        snapshot = more.pop("snapshot", f"{at:%Y-%m}")
        staging = self.folder / "staging"
        return fetch(made, snapshot, source=which, lake=self.lake, staging=staging, now=at, **more)
