"""What a MOER reading is worth: usable or not, high or low, and percentiles out of past MOER values.

What belongs here: pure rules over readings, as Polars expressions. What does not: fetching them (`watttime`), or
hysteresis, dwell and caps, which need a device's past (`decision`).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
import polars as pl

from hc_platform.charging.models import Reading, Reason

CLOCK_TOLERANCE_S: Final = 120.0
"""A host clock further off than this is not trusted: no new pauses (case 41)."""

_STEP_US = 300_000_000  # readings come every 5 minutes
_AHEAD = 288  # 24 hours of them
_GAP = 12  # with more than an hour of the 24 missing, a rank means nothing


def unusable(as_of: datetime, ttl_s: pl.Expr, skew_s: pl.Expr) -> pl.Expr:
    """Why a reading says nothing at `as_of`, as the int of one `Reason`; 0 where it can be used.

    Over columns point_time (UTC), percentile, failure. MOER_MISSING without a value, MOER_INVALID for NaN or a value
    out of 0..100, MOER_STALE when older than `ttl_s` seconds, MOER_FUTURE when more than `skew_s` seconds ahead;
    exactly at either limit it is still used.
    """
    percentile, at, now = pl.col("percentile"), pl.col("point_time"), pl.lit(as_of.astimezone(UTC))
    missing = pl.col("failure").is_not_null() | percentile.is_null() | at.is_null()
    return (
        pl.when(missing)
        .then(int(Reason.MOER_MISSING))
        .when(~_sensible(percentile))
        .then(int(Reason.MOER_INVALID))
        .when(now - at > pl.duration(seconds=ttl_s))
        .then(int(Reason.MOER_STALE))
        .when(at - now > pl.duration(seconds=skew_s))
        .then(int(Reason.MOER_FUTURE))
        .otherwise(0)
        .cast(pl.Int64)
    )


def moer_class(percentile: pl.Expr, on: pl.Expr | float, off: pl.Expr | float) -> pl.Expr:
    """'high' strictly above `on`, 'low' at or below `off`, else 'mid'; NULL for NULL, NaN and out of 0..100.

    A region's reading matters only when its class changes; floats are compared as they are (70.9 is above 70).
    """
    kind = pl.when(percentile > on).then(pl.lit("high")).when(percentile <= off).then(pl.lit("low"))
    return pl.when(_sensible(percentile)).then(kind.otherwise(pl.lit("mid")))


def _sensible(percentile: pl.Expr) -> pl.Expr:
    return percentile.is_between(0, 100) & percentile.is_not_nan()


def clock_trusted(offset_s: float | None) -> bool:
    """Whether this machine's clock may start pauses (case 41): not if it is more than two minutes off.

    `offset_s` is ours less another's; None, never measured, is no evidence against it.
    """
    return offset_s is None or abs(offset_s) <= CLOCK_TOLERANCE_S


def alerts(readings: Iterable[Reading], offset_s: float | None = None) -> list[str]:
    """What a person should hear of after a run: one text for each way of failing, and one for the clock."""
    failed: defaultdict[str, list[str]] = defaultdict(list)
    for reading in readings:
        if reading.failure:
            failed[reading.failure].append(reading.region)
    texts = [
        f"WattTime: {failure} ({len(regions)} regions: {', '.join(regions[:5])}{', ...' if regions[5:] else ''}); "
        "there MOER pauses nothing, tariffs go on"
        for failure, regions in failed.items()
    ]
    if not clock_trusted(offset_s):
        texts.append(
            f"this host's clock is {offset_s:+.0f} s off (WattTime's Date header): no new pauses; set the clock (NTP)"
        )
    return texts


def percentile_of_forecast(value: float, forecast: Sequence[float]) -> float:
    """The signal index: `value`'s percentile within the forecast of the next 24 hours, 0 to 100.

    Counted as the share of points strictly below it, which makes a flat day 0 (nothing to gain by waiting); WattTime
    does not publish how it treats ties. Raises ValueError for an empty forecast or one with NaN.
    """
    if not forecast or any(math.isnan(point) for point in (value, *forecast)):
        raise ValueError(
            "the percentile needs a value and a forecast of at least one point, none of them NaN"
        )
    return 100.0 * sum(point < value for point in forecast) / len(forecast)


def percentiles_from_moer(frame: pl.DataFrame) -> pl.DataFrame:
    """Each past MOER value's percentile within the 288 points (24 hours) that follow it: what the index would have been.

    Takes columns time (UTC, every 5 minutes) and moer; gives time, percentile, by time. NULL where the value or more
    than an hour of what follows is missing, so for the last day. The realised values stand in for the forecast.
    Raises ValueError for times that are off the 5-minute grid or there twice.
    """
    frame = frame.select("time", pl.col("moer").cast(pl.Float64)).sort("time")
    if frame.is_empty():
        return frame.select("time", pl.col("moer").alias("percentile"))
    stamps = frame["time"].dt.epoch("us").to_numpy()
    places, rest = np.divmod(stamps - stamps[0], _STEP_US)
    if rest.any() or (np.diff(places) == 0).any():
        raise ValueError(
            "column time has times off the 5-minute grid, or one twice: give one row each 5 minutes"
        )
    values = frame["moer"].fill_null(float("nan")).to_numpy()
    grid = np.full(places[-1] + 1 + _AHEAD, np.nan)
    grid[places] = values
    # NaN is below nothing, so a gap counts neither below nor among the points.
    following = np.lib.stride_tricks.sliding_window_view(grid[1:], _AHEAD)
    known = np.concatenate(([0], np.cumsum(~np.isnan(grid))))
    points = known[places + 1 + _AHEAD] - known[places + 1]
    below = np.concatenate(
        [
            (following[some] < grid[some, None]).sum(axis=1)
            for some in np.array_split(places, len(places) // 10_000 + 1)
        ]
    )
    usable = ~np.isnan(values) & (points >= _AHEAD - _GAP)
    share = np.where(usable, 100.0 * below / np.maximum(points, 1), np.nan)
    return pl.DataFrame({"time": frame["time"], "percentile": pl.Series(share).fill_nan(None)})
