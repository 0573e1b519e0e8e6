"""What a download brought: the account that a caller must look at before publishing.

Belongs here: the fields of that account. Does not belong here: how it comes about (pull).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from hc_platform.arcgis.metadata import LayerInfo

Status = Literal["complete", "changed", "partial"]
Plan = Literal["oid_windows", "object_ids", "offset", "envelope"]


@dataclass
class LayerPull:
    """What a download brought.

    `status`: `complete` when rows = distinct ids = the server's count before and after; `changed` when
    the rows match the server after the download but the layer was edited during it; `partial` when rows
    are missing, which must not be published. `missing_object_ids` lists at most 1,000 of `missing_count`.
    `quarantined` lists rows or windows that the server failed on, and (with `kept`) rows that are there
    but whose geometry could not be read. `files` are the Parquet files with the rows, in the order of
    object_id; `weak_identity` says that object_id is NULL in them. `null_tokens` counts NaN and Infinity
    turned to null. `notes` is everything else a person should know.
    """

    info: LayerInfo
    where: str
    plan: Plan
    started_at: datetime
    status: Status = "partial"
    count_before: int | None = None
    count_after: int | None = None
    rows: int = 0
    missing_object_ids: list[int] = field(default_factory=list)
    missing_count: int = 0
    quarantined: list[dict[str, Any]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    requests: int = 0
    retries: int = 0
    bytes_received: int = 0
    null_tokens: int = 0
    resumed_rows: int = 0
    completed_at: datetime | None = None
    weak_identity: bool = False
    notes: list[str] = field(default_factory=list)
