"""Stretches of MOER and fleets for tests of the replay.

What belongs here: building inputs, and reading pauses off a replay. What does not: assertions.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import polars as pl

from hc_platform.charging.models import Policy
from hc_platform.charging.replay import Replay, replay
from hc_platform.charging.tariffs.model import Tariff
from hc_platform.charging.timeline import timeline_between
from hc_platform_tests.charging.decision.making import Row, flat_file, fleet

FLAT = flat_file("flat_utility", plan=[{"effective_from": "2020-01-01", "tiers": {"all_day": 1}}])
ON_FLAT = {"utility_id": "flat_utility", "rate_plan": "plan"}
POINTS = {"region": pl.String(), "point_time": pl.Datetime("us", "UTC"), "percentile": pl.Float64()}


def every_five_minutes(start: datetime, values: Iterable[float | None], region: str = "PSCO") -> pl.DataFrame:
    """Points from `start` on."""
    rows = [(region, start + timedelta(minutes=5 * n), value) for n, value in enumerate(values)]
    return pl.DataFrame(rows, schema=POINTS, orient="row")


def square(start: datetime, *levels: tuple[str, float]) -> pl.DataFrame:
    """Points at levels that each last until a time of the day (hh:mm), the first from `start` on."""
    values: list[float | None] = []
    for until, level in levels:
        end = start.replace(hour=int(until[:2]), minute=int(until[3:]))
        values += [level] * ((end - start) // timedelta(minutes=5) - len(values))
    return every_five_minutes(start, values)


def replayed(
    rows: list[Row],
    start: datetime,
    end: datetime,
    *,
    tariffs: Mapping[str, Tariff],
    policies: Mapping[str, Policy],
    readings: pl.DataFrame | None,
) -> Replay:
    """The fleet from `start` to `end`."""
    return replay(
        fleet(rows),
        start,
        end,
        tariffs=timeline_between(tariffs, start - timedelta(days=8), end + timedelta(days=30)),
        utilities={tariff.utility_id for tariff in tariffs.values()},
        policies=policies,
        readings=readings,
    )


def pauses(found: Replay, device_id: str = "a") -> list[tuple[datetime, datetime]]:
    """One device's pauses, by time."""
    rows = found.pauses.filter(pl.col("device_id") == device_id).sort("paused_from")
    return rows.select("paused_from", "paused_until").rows()
