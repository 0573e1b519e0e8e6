"""Replay: what would have been decided over a stretch of time, and what it would have meant for the cars.

What belongs here: stepping a fleet through past instants, and its totals. What does not: commands; a replay makes none.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hc_platform.charging.decision import decide
from hc_platform.charging.models import Control, Policy
from hc_platform.charging.recording import reason_counts
from hc_platform.charging.timeline import Timeline

_CONTROL: Final = [name for name in Control.model_fields if name != "device_id"]
_ROUND: Final = timedelta(minutes=1)
_TIME = pl.Datetime("us", "UTC")
Instants = NDArray[np.int64]
"""Microseconds since 1970 UTC, ascending."""


@dataclass(frozen=True)
class Replay:
    """A stretch of time replayed.

    `decisions`: every decision that differs from the device's one before, with as_of; `pauses`: device_id,
    paused_from, paused_until; `reasons`: device-instants decided by reason; `instants`: how many were decided.
    """

    decisions: pl.DataFrame
    pauses: pl.DataFrame
    reasons: dict[str, int]
    instants: int
    devices: int
    days: float

    @property
    def commands(self) -> int:
        """Commands that would have gone out."""
        return int(self.decisions["commanded"].sum())

    @property
    def flips_per_day(self) -> float:
        """Starts and ends of pauses, for one device and day."""
        return 2 * self.pauses.height / max(self.devices * self.days, 1e-9)

    @property
    def longest_pause(self) -> timedelta:
        """The longest that a device waited without a break."""
        return timedelta(seconds=int(self._seconds.max() or 0))  # type: ignore[arg-type]

    @property
    def paused_share(self) -> float:
        """Share of all device-time paused."""
        return float(self._seconds.sum()) / max(self.devices * self.days * 86_400, 1e-9)

    @property
    def _seconds(self) -> pl.Series:
        return (self.pauses["paused_until"] - self.pauses["paused_from"]).dt.total_seconds()


def replay(
    fleet: pl.DataFrame,
    start: datetime,
    end: datetime,
    *,
    tariffs: Timeline,
    utilities: Collection[str],
    policies: Mapping[str, Policy],
    readings: pl.DataFrame | None,
) -> Replay:
    """Decide for the fleet at every instant of [start, end) at which something can change, from a first sight on.

    `fleet` has the columns of `tables.FLEET`; what it says of control is set aside. `readings`: region, point_time (UTC),
    percentile, all points of the stretch; None: MOER is not in use.
    """
    state = fleet.with_columns(pl.lit(None, fleet.schema[name]).alias(name) for name in _CONTROL)
    series = _Series(readings) if readings is not None else None
    moves = series.moves(policies) if series else np.array([], np.int64)
    kept: list[pl.DataFrame] = []
    counts: dict[str, int] = {}
    instants, at = 0, start
    while at < end:
        frame = decide(
            state,
            at,
            tariffs=tariffs,
            utilities=utilities,
            policies=policies,
            readings=series.at(at) if series else None,
        )
        state = state.with_columns(frame[name] for name in _CONTROL)
        kept.append(frame.filter("differs").with_columns(as_of=pl.lit(at, _TIME)))
        for name, devices in reason_counts(frame).items():
            counts[name] = counts.get(name, 0) + devices
        instants += 1
        at = _next(at, end, moves, state["next_check_at"])
    decisions = pl.concat(kept)
    days = (end - start) / timedelta(days=1)
    reasons = dict(sorted(counts.items(), key=lambda item: -item[1]))
    return Replay(decisions, _pauses(decisions, end), reasons, instants, fleet.height, days)


class _Series:
    """Each region's points, found by instant."""

    def __init__(self, readings: pl.DataFrame) -> None:
        ordered = readings.select("region", pl.col("point_time").cast(_TIME), "percentile").sort("point_time")
        self._regions = {
            str(key[0]): (rows["point_time"].to_physical().to_numpy(), rows)
            for key, rows in ordered.partition_by("region", as_dict=True).items()
        }

    def at(self, at: datetime) -> pl.DataFrame:
        """The newest point of each region that is not later than `at`."""
        t = _micro(at)
        rows = []
        for times, points in self._regions.values():
            i = int(np.searchsorted(times, t, side="right"))
            rows += [points[i - 1]] if i else []
        found = pl.concat(rows) if rows else pl.DataFrame(schema=next(iter(self._regions.values()))[1].schema)
        return found.with_columns(failure=pl.lit(None, pl.String))

    def moves(self, policies: Mapping[str, Policy]) -> Instants:
        """The instants (microseconds) at which a region comes into another class of any policy's, or back from a gap."""
        found = []
        for times, points in self._regions.values():
            value = points["percentile"].fill_null(np.nan).to_numpy()
            since_last = np.diff(times, prepend=times[:1] - 10**12)
            for on, off, ttl_s in {
                (p.moer_on, p.moer_off, p.moer_ttl_s) for p in policies.values() if p.use_moer
            }:
                kind = np.where(np.isnan(value), 3, np.where(value > on, 2, np.where(value <= off, 0, 1)))
                gap = since_last > ttl_s * 1_000_000
                found.append(times[(np.diff(kind, prepend=-1) != 0) | gap])
        return np.unique(np.concatenate(found)) if found else np.array([], np.int64)


def _next(at: datetime, end: datetime, moves: Instants, checks: pl.Series) -> datetime:
    """The next move of MOER or the next check, whichever is first, up to the next whole minute."""
    i = int(np.searchsorted(moves, _micro(at), side="right"))
    move = at + timedelta(microseconds=int(moves[i]) - _micro(at)) if i < len(moves) else end
    check = checks.filter(checks > at).min()
    first = min(move, check) if isinstance(check, datetime) else move
    return at + max(-((at - first) // _ROUND), 1) * _ROUND


def _micro(at: datetime) -> int:
    return round(at.timestamp()) * 1_000_000


def _pauses(decisions: pl.DataFrame, end: datetime) -> pl.DataFrame:
    """The pauses as the devices kept them, touching ones joined: until the window's end, or an earlier decision."""
    stretches = (
        decisions.sort("device_id", "as_of")
        .with_columns(until=pl.col("as_of").shift(-1).over("device_id").fill_null(pl.lit(end, _TIME)))
        .filter(pl.col("desired") == "pause")
        .select(
            "device_id",
            pl.max_horizontal("window_start", "as_of").alias("paused_from"),
            pl.min_horizontal("window_end", "until").alias("paused_until"),
        )
        .filter(pl.col("paused_from") < pl.col("paused_until"))
    )
    begins = (pl.col("paused_from") > pl.col("paused_until").shift(1)).fill_null(True)
    return (
        stretches.with_columns(pause=begins.cum_sum().over("device_id"))
        .group_by("device_id", "pause", maintain_order=True)
        .agg(pl.col("paused_from").min(), pl.col("paused_until").max())
        .drop("pause")
    )


def unsteady(policy: Policy) -> Policy:
    """The policy without hysteresis, dwell and cap: what they are worth is the difference."""
    return policy.model_copy(update={"moer_off": policy.moer_on, "dwell_s": 0, "max_pause_s": 30 * 86_400})
