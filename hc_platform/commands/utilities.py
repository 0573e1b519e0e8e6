"""`hc utilities`: every configured utility and how it stands.

What belongs here: the table printed. What does not: the configs (`catalog`), how runs are folded (`pipeline.national`).
"""

from datetime import UTC, datetime

import polars as pl

from hc_platform.catalog import load_catalog
from hc_platform.commands.shared import DataDir, settings_of
from hc_platform.lake.store import open_lake
from hc_platform.terminal import print_table


def utilities(data_dir: DataDir = None) -> None:
    """Every configured utility: access, verification, when it was last ingested, whether that is fresh."""
    from hc_platform.hosting_capacity.tables import INGESTION_EVENTS
    from hc_platform.orchestration.partitions import STALE_AFTER
    from hc_platform.pipeline.national import fold_runs, ingested

    settings = settings_of(data_dir)
    catalog = load_catalog(settings.configs)
    runs = fold_runs(open_lake(settings.root).scan(INGESTION_EVENTS).collect())
    rows = []
    for config in catalog.values():
        own = runs.filter(pl.col("utility_code") == config.utility_code)
        good = ingested(own)
        last: datetime | None = (
            good.sort("completed_at")["completed_at"].to_list()[-1] if good.height else None
        )
        age = datetime.now(UTC) - last if last else None
        rows.append(
            (
                config.utility_code,
                config.utility_name,
                ",".join(config.states),
                ",".join(config.resources),
                config.access_status,
                f"{config.verification.status} {config.verification.on}",
                own["status"].to_list()[-1] if own.height else "-",
                f"{last:%Y-%m-%d %H:%M}Z" if last else "-",
                "never" if age is None else "fresh" if age < STALE_AFTER[config.cadence] else "stale",
            )
        )
    shown = (
        "code",
        "name",
        "states",
        "resources",
        "access",
        "verification",
        "last run",
        "last ingested",
        "freshness",
    )
    print_table("Utilities", shown, rows)
