"""`hc changes`: what the newest snapshots brought, in sum and feeder by feeder.

What belongs here: options and the tables printed. What does not: the comparison (`pipeline.changes`).
"""

from typing import Annotated, Final

import polars as pl
import typer

from hc_platform.commands.shared import DataDir, settings_of
from hc_platform.hosting_capacity.derived_tables import CHANGES, FEEDER_CHANGES, MONTHLY_CHANGES
from hc_platform.lake.store import open_lake
from hc_platform.terminal import print_table, say

_PAIR: Final = ["utility_code", "resource", "snapshot"]


def changes(
    utility: Annotated[
        str | None, typer.Option(help="A utility's code: its feeders too, not only the sums.")
    ] = None,
    snapshot: Annotated[
        str | None, typer.Option(help="YYYY-MM; default each utility's and resource's newest.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Feeders to show, those first that moved most.")] = 20,
    data_dir: DataDir = None,
) -> None:
    """What changed since the snapshot before: feeders new, gone, raised, lowered."""
    lake = open_lake(settings_of(data_dir).root)
    months = lake.scan(MONTHLY_CHANGES).collect()
    if utility:
        months = months.filter(utility_code=utility)
    if snapshot:
        months = months.filter(snapshot=snapshot)
    else:
        months = months.filter(
            pl.col("snapshot") == pl.col("snapshot").max().over("utility_code", "resource")
        )
    if months.is_empty():
        asked = " ".join(x for x in (utility, snapshot) if x) or "any utility"
        say(
            f"nothing to compare of {asked}: two snapshots are needed that hold rows (hc utilities shows them)"
        )
        return
    counts = [c for c in CHANGES if months[c].sum()]
    print_table(
        "Changes, records",
        ("utility", "resource", "since", "snapshot", *counts, "raised, MW", "lowered, MW", "config"),
        months.select(
            "utility_code",
            "resource",
            "previous_snapshot",
            "snapshot",
            *counts,
            "raised_mw",
            "lowered_mw",
            pl.when("config_changed").then(pl.lit("changed")).otherwise(pl.lit("the same")),
        ).iter_rows(),
    )
    if months["config_changed"].any():
        say("where the config or our rules changed, a change may be theirs and not the utility's")
    if utility:
        _feeders(lake.scan(FEEDER_CHANGES, utility_code=utility).collect(), months, limit)


def _feeders(rows: pl.DataFrame, months: pl.DataFrame, limit: int) -> None:
    found = (
        rows.join(months.select(_PAIR), on=_PAIR, how="semi")
        .with_columns(moved=pl.col("hosting_capacity_mw") - pl.col("previous_hosting_capacity_mw"))
        .sort(pl.col("moved").abs(), descending=True, nulls_last=True)
    )
    print_table(
        f"Feeders of {months['utility_code'][0]}",
        ("feeder", "resource", "change", "was, MW", "is, MW", "was", "is"),
        found.head(limit)
        .select(
            pl.coalesce("feeder_name", "feeder_id_external"),
            "resource",
            "change",
            "previous_hosting_capacity_mw",
            "hosting_capacity_mw",
            _state("previous_"),
            _state(""),
        )
        .iter_rows(),
    )
    if found.height > limit:
        say(f"{found.height - limit} more; --limit shows them, feeder_changes holds all")


def _state(of: str) -> pl.Expr:
    """Why there is no value, or that it is a bound."""
    status, bound = pl.col(f"{of}value_status"), pl.col(f"{of}censored")
    known = pl.when(bound != "none").then(bound).otherwise(pl.lit("measured"))
    return pl.when(status == "published").then(known).otherwise(status).fill_null("-").alias(f"{of}state")
