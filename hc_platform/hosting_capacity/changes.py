"""Two snapshots of a utility's records -> what changed, feeder by feeder and in sum.

What belongs here: the comparison and its threshold. What does not: which snapshots are compared (`pipeline.changes`).

A capacity that is a study's ceiling says "at least so much", one at the floor "at most so much". So each value is an
interval, and it was raised for sure only if the new interval lies above the old one: 10 at the ceiling after 8 is
raised, 10 at the ceiling after 5 at the ceiling is not known to be, for the ceiling moved.
"""

from collections.abc import Iterable
from typing import Final

import polars as pl

from hc_platform.hosting_capacity.derived_tables import CHANGES, FEEDER_CHANGES, MONTHLY_CHANGES

MOVED_MW: Final = 0.001
"""Utilities publish whole kW or hundredths of a MW; what is less is rounding of units."""
HOSTING: Final = ("hosting_capacity_mw", "hosting_capacity_min_mw", "hosting_capacity_max_mw")
GENERATION: Final = ("remaining_capacity_mw", "installed_dg_mw", "queued_dg_mw")
WORDS: Final = ("value_status", "censored", "capacity_basis")
_NAMES: Final = ("feeder_name", "substation_name")
_KEY: Final = ("resource", "feeder_id_external")
_PAIR: Final = ("utility_code", "resource", "snapshot", "previous_snapshot")


def feeder_changes(before: pl.LazyFrame, after: pl.LazyFrame, *, config_changed: bool) -> pl.DataFrame:
    """FEEDER_CHANGES rows between RECORDS rows of one snapshot and of a later one of the same utility.

    Only the resources of `after` are compared. Applied to `before`, the rows give `after`, to within MOVED_MW.
    """
    compared = (*_KEY, "snapshot", "grain", *_NAMES, *HOSTING, *GENERATION, *WORDS)
    old = before.select(compared).rename(lambda c: c if c in _KEY else f"previous_{c}")
    old = old.join(after.select("resource").unique(), on="resource", how="semi")
    both = after.select("utility_code", *compared).join(old, on=_KEY, how="full", coalesce=True)
    rows = (
        both.with_columns(change=_change(), config_changed=pl.lit(config_changed))
        .filter(pl.col("change").is_not_null())
        .with_columns(
            *(pl.coalesce(c, f"previous_{c}").alias(c) for c in ("grain", *_NAMES)),
            change_mw=pl.when(pl.col("change").is_in(["raised", "lowered"]), ~_bound(), ~_bound("previous_"))
            .then(_room() - _room("previous_")),
        )
        .sort(_KEY)
        .collect()
    )  # fmt: skip
    of_all = {
        "utility_code": after.select(pl.first("utility_code")),
        "snapshot": after.select(pl.first("snapshot")),
        "previous_snapshot": before.select(pl.first("snapshot")),
    }
    rows = rows.with_columns(pl.lit(one.collect().item()).alias(c) for c, one in of_all.items())
    return FEEDER_CHANGES.conform(rows.select(FEEDER_CHANGES.names))


def monthly(changes: pl.LazyFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """MONTHLY_CHANGES rows: FEEDER_CHANGES rows counted and summed for each of the pairs, also where nothing changed.

    `pairs`: utility_code, resource, snapshot, previous_snapshot, config_changed. A sum is NULL where no value is known.
    """

    def mw(column: str, change: str) -> pl.Expr:
        known = pl.col(column).filter(pl.col("change") == change)
        return pl.when(known.count() > 0).then(known.sum())

    sums = (
        changes.group_by(_PAIR)
        .agg(
            *((pl.col("change") == c).sum().cast(pl.Int64).alias(c) for c in CHANGES),
            raised_mw=mw("change_mw", "raised"),
            lowered_mw=mw("change_mw", "lowered"),
            new_mw=mw("hosting_capacity_mw", "new"),
            gone_mw=mw("previous_hosting_capacity_mw", "gone"),
        )
        .collect()
    )
    rows = pairs.join(sums, on=_PAIR, how="left").with_columns(pl.col(CHANGES).fill_null(0))
    return MONTHLY_CHANGES.conform(rows.sort(_PAIR))


def _change() -> pl.Expr:
    """The one word of CHANGES that fits, the first of these; NULL where nothing changed."""
    # without a value, or beside one that stood, the range around it tells
    up, down = (_any(_step(c) * sign > MOVED_MW for c in HOSTING[1:]) for sign in (1, -1))
    only_a_range = _room().is_null()
    words = (
        (pl.col("previous_snapshot").is_null(), "new"),
        (pl.col("snapshot").is_null(), "gone"),
        (_any(map(_another, ("grain", "capacity_basis"))), "not_comparable"),
        (_another("value_status") | _any(map(_came_or_went, HOSTING)), "status_changed"),
        (_least() > _greatest("previous_") + MOVED_MW, "raised"),
        (_greatest() < _least("previous_") - MOVED_MW, "lowered"),
        ((_room() - _room("previous_")).abs() > MOVED_MW, "unclear"),
        (_another("censored"), "unclear"),
        (up & down | (up | down) & only_a_range & _bound(), "unclear"),
        (up, "raised"),
        (down, "lowered"),
        (_any(_came_or_went(c) | (_step(c).abs() > MOVED_MW) for c in GENERATION), "dg_changed"),
    )
    return pl.coalesce(pl.when(condition).then(pl.lit(name)) for condition, name in words)


def _room(of: str = "") -> pl.Expr:
    """The one value that is compared: the hosting capacity, or what is left where only that is published."""
    hosting = [pl.col(f"{of}{c}") for c in HOSTING]
    only_left = pl.all_horizontal(c.is_null() for c in hosting[1:])
    return pl.coalesce(hosting[0], pl.when(only_left).then(pl.col(f"{of}remaining_capacity_mw")))


def _least(of: str = "") -> pl.Expr:
    at_floor = pl.col(f"{of}censored") == "at_floor"
    return pl.when(_room(of).is_not_null()).then(pl.when(at_floor).then(-float("inf")).otherwise(_room(of)))


def _greatest(of: str = "") -> pl.Expr:
    at_ceiling = pl.col(f"{of}censored") == "at_ceiling"
    return pl.when(_room(of).is_not_null()).then(pl.when(at_ceiling).then(float("inf")).otherwise(_room(of)))


def _bound(of: str = "") -> pl.Expr:
    return pl.col(f"{of}censored") != "none"


def _step(column: str) -> pl.Expr:
    return pl.col(column) - pl.col(f"previous_{column}")


def _another(column: str) -> pl.Expr:
    return pl.col(column).ne_missing(pl.col(f"previous_{column}"))


def _came_or_went(column: str) -> pl.Expr:
    return pl.col(column).is_null() != pl.col(f"previous_{column}").is_null()


def _any(conditions: Iterable[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal(c.fill_null(value=False) for c in conditions)
