"""What WattTime's answers say: values and their times, or why there are none.

What belongs here: errors, and the reading of JSON that may be anything. What does not: HTTP (`watttime`), or judging a
value (`readings`): NaN, -1 and 150 pass here as they are.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl


class WattTimeError(Exception):
    """WattTime gave nothing to use; the message says why in a few words and never holds a secret."""


class LoginError(WattTimeError):
    """No token: credentials refused, or the login did not answer."""


class DisabledRegionError(WattTimeError):
    """HTTP 403: the account's plan does not hold the region; asking again soon does not help."""


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object that a body holds; raises WattTimeError."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise WattTimeError("the answer is no JSON") from None
    if not isinstance(value, dict):
        raise WattTimeError("the answer is no JSON object")
    return value


def points_of(body: Mapping[str, Any]) -> list[tuple[datetime, float]]:
    """All points of an answer, time (UTC) and value as it is; raises WattTimeError where one cannot be read."""
    data = body.get("data")
    if not isinstance(data, list):
        raise WattTimeError("the answer has no data")
    return [_point(item) for item in data]


def _point(item: object) -> tuple[datetime, float]:
    """A point's time and value, the value as it is, be it NaN; raises WattTimeError where one is missing."""
    stamp, value = (item.get("point_time"), item.get("value")) if isinstance(item, dict) else (None, None)
    try:
        at = datetime.fromisoformat(stamp) if isinstance(stamp, str) else None
        if at is None or at.tzinfo is None:
            raise WattTimeError("a point has no point_time with an offset")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WattTimeError(f"a point's value is no number but {type(value).__name__}")
        return at.astimezone(UTC), float(value)
    except (ValueError, OverflowError):
        raise WattTimeError("a point's point_time or value cannot be read") from None


def index_of(body: Mapping[str, Any], region: str) -> tuple[datetime, float]:
    """The newest point of a signal-index answer.

    Raises WattTimeError where there is none, or where it says that it is about something else.
    """
    told = body.get("meta")
    meta = told if isinstance(told, dict) else {}
    for name, expected in (("units", "percentile"), ("region", region)):
        if meta.get(name, expected) != expected:
            raise WattTimeError(f"the answer's {name} is not {expected}")
    points = points_of(body)
    if not points:
        raise WattTimeError("empty data")
    return max(points, key=lambda point: point[0])


def frame_of(points: Iterable[tuple[datetime, float]]) -> pl.DataFrame:
    """Points as columns time (UTC) and moer, by time."""
    schema = {"time": pl.Datetime("us", "UTC"), "moer": pl.Float64()}
    return pl.DataFrame(list(points), schema=schema, orient="row").sort("time")
