"""`hc utilities`: every configured utility and how it stands.

What belongs here: the table printed, 120 characters wide. What does not: the configs (`catalog`), how runs are folded
(`pipeline.national`).
"""

from datetime import UTC, datetime
from textwrap import shorten
from typing import Annotated, Final

import polars as pl
import typer

from hc_platform.catalog import UtilityConfig, load_catalog
from hc_platform.commands.shared import DataDir, settings_of
from hc_platform.hosting_capacity.tables import INGESTION_EVENTS
from hc_platform.ingesting import MistakeError
from hc_platform.lake.store import open_lake
from hc_platform.pipeline.national import fold_runs, ingested
from hc_platform.terminal import print_table, say

_NAME_WIDTH: Final = 24
_COLUMNS: Final = (
    "code",
    "name",
    "states",
    "wave",
    "resources",
    "access",
    "last run",
    "ingested",
    "freshness",
)


def utilities(
    wave: Annotated[int | None, typer.Option(help="Only those of this wave of the rollout.")] = None,
    state: Annotated[str | None, typer.Option(help="Only those that serve this state, e.g. NY.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Every configured utility: access, when it was last ingested, whether that is fresh; then who cannot be fetched."""
    settings = settings_of(data_dir)
    chosen = [
        c
        for c in load_catalog(settings.configs).values()
        if wave in (None, c.wave) and (state is None or state.upper() in c.states)
    ]
    if not chosen:
        raise MistakeError("no utility is of that wave and state")
    runs = fold_runs(open_lake(settings.root).scan(INGESTION_EVENTS).collect())
    print_table("Utilities", _COLUMNS, (_row(c, runs) for c in chosen if c.fetchable))
    closed = [c for c in chosen if not c.fetchable]
    if closed:
        say(f"\nNot fetched, {len(closed)}:")
    for config in closed:
        reason = " ".join((config.access_reason or "").split())
        say(f"{config.utility_code} ({','.join(config.states)}, {config.access_status}): {reason}")


def _row(config: UtilityConfig, runs: pl.DataFrame) -> tuple[object, ...]:
    from hc_platform.orchestration.partitions import STALE_AFTER

    own = runs.filter(utility_code=config.utility_code)
    good = ingested(own).sort("completed_at")
    last: datetime | None = good["completed_at"].to_list()[-1] if good.height else None
    age = datetime.now(UTC) - last if last else None
    return (
        config.utility_code,
        shorten(config.utility_name, _NAME_WIDTH, placeholder="..."),
        ",".join(config.states),
        config.wave or "-",
        ",".join(r[:3] for r in config.resources),
        config.access_status,
        own["status"].to_list()[-1] if own.height else "-",
        f"{last:%Y-%m-%d}" if last else "-",
        "never" if age is None else "fresh" if age < STALE_AFTER[config.cadence] else "stale",
    )
