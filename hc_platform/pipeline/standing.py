"""Whether a derived partition still stands for what it was made from, so that an unchanged month costs no work.

What belongs here: the hash over inputs, and the log of it. What does not: making anything.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import polars as pl

from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.derived_tables import DERIVATIONS
from hc_platform.lake.store import Lake
from hc_platform.tables import Table

_RULES = ("hosting_capacity", "geo", "pipeline")
"""Rooms whose code decides what a row says."""


@cache
def rules() -> str:
    """A hash over the code that makes rows: a mended rule makes the rows of unchanged months anew, too."""
    package = Path(__file__).parents[1]
    code = (path.read_bytes() for room in _RULES for path in sorted((package / room).glob("*.py")))
    return hashlib.blake2b(b"".join(code), digest_size=16).hexdigest()


def made_with(config: UtilityConfig) -> str:
    """One hash over a config and the rules: rows made with another are not those that it gives now."""
    return hashlib.blake2b(f"{config.fingerprint} {rules()}".encode(), digest_size=16).hexdigest()


def inputs_of(
    config: UtilityConfig,
    snapshot: str,
    lake: Lake,
    own: Iterable[Table],
    shared: Iterable[Table] = (),
    files: Iterable[Path | None] = (),
) -> str:
    """One hash over config, rules, a partition's files of `own` tables, versions of `shared` ones, content of `files`.

    A lake file's name is never used again, so that names stand for content.
    """
    partition = {"utility_code": config.utility_code, "snapshot": snapshot}
    told = [
        made_with(config),
        *(str(sorted(lake.files(table, **partition))) for table in own),
        *(f"{table.name} {lake.version(table)}" for table in shared),
        *(path.read_text(errors="replace") for path in files if path and path.is_file()),
    ]
    return hashlib.blake2b("\n".join(told).encode(), digest_size=16).hexdigest()


def stands(lake: Lake, table: Table, config: UtilityConfig, snapshot: str, inputs: str) -> bool:
    """Whether the partition was last made from these inputs."""
    made = (
        lake.scan(DERIVATIONS, utility_code=config.utility_code)
        .filter((pl.col("table_name") == table.name) & (pl.col("snapshot") == snapshot))
        .sort("at")
        .select(pl.last("inputs"))
        .collect()
    )
    return made.height > 0 and made.item() == inputs


def remember(
    lake: Lake, table: Table, config: UtilityConfig, snapshot: str, inputs: str, run_id: str | None = None
) -> None:
    """Log what the partition was made from."""
    row = {
        "table_name": table.name,
        "utility_code": config.utility_code,
        "snapshot": snapshot,
        "inputs": inputs,
        "at": datetime.now(UTC),
        "run_id": run_id,
    }
    lake.append(DERIVATIONS, pl.DataFrame([row], schema=DERIVATIONS.schema), run_id=run_id)
