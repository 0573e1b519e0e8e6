"""What devices have in common: the tariff, the region and the policy, once for each combination of them.

What belongs here: everything of a decision that no single device's state bears on. What does not: the device
(`decision`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import polars as pl

from hc_platform.charging.models import Policy, Reason
from hc_platform.charging.moer.readings import unusable
from hc_platform.charging.policies import DEFAULT, policies_frame
from hc_platform.charging.timeline import Timeline

KEYS: Final = ["utility_id", "rate_plan", "watttime_region", "policy_id"]
NO_READINGS: Final = pl.DataFrame(
    schema={
        "region": pl.String(),
        "point_time": pl.Datetime("us", "UTC"),
        "percentile": pl.Float64(),
        "failure": pl.String(),
    }
)


def bit(reason: Reason, when: pl.Expr) -> pl.Expr:
    """The reason's bit where the condition holds, else 0."""
    return pl.when(when).then(pl.lit(int(reason), pl.Int64)).otherwise(pl.lit(0, pl.Int64))


def kinds_of(fleet: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """The combinations of the KEYS that occur in the fleet, and for every device the row of its own.

    Each becomes one whole number first: to join a million rows on four texts takes four times as long as all rules.
    """
    codes = fleet.select(pl.col(KEYS).cast(pl.Categorical).to_physical().cast(pl.Int64).fill_null(-1) + 1)
    number = pl.lit(0, pl.Int64)
    for key, most in zip(KEYS, codes.max().row(0), strict=True):
        number = number * ((most or 0) + 1) + pl.col(key)
    numbers = codes.select(number=number)
    firsts = numbers["number"].arg_unique()
    known = numbers[firsts].with_row_index("row")
    rows = numbers.join(known, on="number", how="left", maintain_order="left")["row"]
    return fleet.select(KEYS)[firsts], rows


def situations(
    kinds: pl.DataFrame,
    as_of: datetime,
    tariffs: Timeline,
    utilities: set[str],
    policies: Mapping[str, Policy],
    readings: pl.DataFrame | None,
) -> pl.DataFrame:
    """One row for each combination of the KEYS, in their order.

    Columns: the policy's fields; the tariff at `as_of` (`Timeline.at`); the region's reading with
    `moer_usable`, `moer_bad` (reason bits), `high` and `low`; `in_utilities`; `common`, the reason bits that all its
    devices share.
    """
    known = {**policies, DEFAULT: policies.get(DEFAULT, Policy())}
    ranks = {policy.pause_rank for policy in known.values()}
    use_moer = pl.lit(False) if readings is None else pl.col("use_moer") & pl.col("in_utilities")
    readings = NO_READINGS if readings is None else readings
    has_plan = pl.col("rate_plan").is_not_null()
    bad = unusable(as_of, pl.col("moer_ttl_s"), pl.col("moer_skew_s"))
    return (
        kinds.with_columns(
            policy=pl.when(pl.col("policy_id").is_in(list(known)))
            .then("policy_id")
            .otherwise(pl.lit(DEFAULT)),
            in_utilities=pl.col("utility_id").is_in(list(utilities)).fill_null(False),
        )
        .join(
            policies_frame(known).rename({"policy_id": "policy"}),
            on="policy",
            how="left",
            maintain_order="left",
        )
        .join(
            tariffs.at(as_of, sorted(ranks)),
            on=["utility_id", "rate_plan", "pause_rank"],
            how="left",
            maintain_order="left",
        )
        .join(
            readings.select("region", "point_time", "percentile", "failure"),
            left_on="watttime_region",
            right_on="region",
            how="left",
            maintain_order="left",
        )
        .with_columns(use_moer=use_moer)
        .with_columns(
            common=bit(Reason.UNKNOWN_POLICY, pl.col("policy") != pl.col("policy_id"))
            | bit(Reason.UNKNOWN_UTILITY, ~pl.col("in_utilities"))
            | bit(Reason.NO_PLAN, pl.col("in_utilities") & (pl.col("is_flat").is_null() | ~has_plan))
            | bit(Reason.FLAT_PLAN, pl.col("is_flat"))
            | bit(Reason.NO_VERSION, pl.col("is_flat").is_not_null() & pl.col("rank").is_null())
            | bit(Reason.NO_REGION, pl.col("use_moer") & pl.col("watttime_region").is_null()),
            moer_bad=pl.when(pl.col("use_moer") & pl.col("watttime_region").is_not_null())
            .then(bad)
            .otherwise(0),
        )
        .with_columns(
            moer_usable=pl.col("use_moer")
            & pl.col("watttime_region").is_not_null()
            & (pl.col("moer_bad") == 0)
        )
        .with_columns(
            high=pl.col("moer_usable") & (pl.col("percentile") > pl.col("moer_on")).fill_null(False),
            low=pl.col("moer_usable") & (pl.col("percentile") <= pl.col("moer_off")).fill_null(False),
        )
        .drop(*KEYS, "policy", "failure")
    )
