"""When tariffs make a car wait: pausing windows, and where an instant stands among them.

What belongs here: windows from compiled tariffs, looked up for an instant. What does not: a device's own jitter,
MOER or override (`decision`).
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hc_platform.charging.tariffs.compiled import compile_tariffs
from hc_platform.charging.tariffs.model import Tariff

_BACK, _AHEAD = timedelta(days=8), timedelta(days=370)
_LONGEST = timedelta(days=2)
_TIME = pl.Datetime("us", "UTC")
_US = 1_000_000
Micros = NDArray[np.int64]
"""Instants as microseconds since 1970 UTC, ascending."""


@dataclass(frozen=True)
class Timeline:
    """Compiled tariffs (columns of TOU_SCHEDULES) over [start, end), with fast look-up."""

    stretches: pl.DataFrame
    start: datetime
    end: datetime

    @cached_property
    def _by_schedule(self) -> dict[str, tuple[Micros, pl.DataFrame]]:
        """Per schedule the starts of its stretches and the stretches."""
        parts = self.stretches.sort("schedule", "starts_at").partition_by("schedule", as_dict=True)
        return {str(key[0]): (_micros(rows["starts_at"]), rows) for key, rows in parts.items()}

    @cached_property
    def _instants(self) -> list[int]:
        starts = self.stretches.filter(pl.col("starts_at") > self.start)["starts_at"]
        return _micros(starts.unique().sort()).tolist()  # type: ignore[no-any-return]

    def windows(self, pause_rank: int) -> dict[str, tuple[Micros, Micros]]:
        """Per schedule the starts and ends of all time whose tier ranks `pause_rank` or dearer, touching ones joined.

        A flat plan has none: its hours make no difference. Nor has a stretch of more than two days without a cheaper
        hour: a car that waited for one would never charge.
        """
        if pause_rank not in self._windows:
            self._windows[pause_rank] = {
                name: _joined(rows.filter((pl.col("rank") >= pause_rank) & ~pl.col("is_flat")))
                for name, (_, rows) in self._by_schedule.items()
            }
        return self._windows[pause_rank]

    @cached_property
    def _windows(self) -> dict[int, dict[str, tuple[Micros, Micros]]]:
        return {}

    def at(self, as_of: datetime, pause_ranks: Iterable[int]) -> pl.DataFrame:
        """Every schedule at an instant, for every pause rank.

        Columns: utility_id, rate_plan, pause_rank, version, tier, rank, is_flat, and the windows around the instant:
        last_start and last_end (over by then), next_start and next_end (going on, or to come), after_start and
        after_end (the one after that); NULL where the timeline has none. Raises ValueError outside [start, end).
        """
        if not self.start <= as_of < self.end:
            raise ValueError(f"the timeline covers {self.start} to {self.end}, not {as_of}")
        t = _micro(as_of)
        rows = []
        for name, (starts, stretches) in self._by_schedule.items():
            now = stretches.row(int(np.searchsorted(starts, t, side="right")) - 1, named=True)
            tier = (now["version"], now["tier"], now["rank"], now["is_flat"])
            for pause_rank in pause_ranks:
                begins, ends = self.windows(pause_rank)[name]
                i = int(np.searchsorted(ends, t, side="right"))  # the first that is not over
                around = [
                    edge
                    for k in (i - 1, i, i + 1)
                    for edge in ((int(begins[k]), int(ends[k])) if 0 <= k < len(ends) else (None, None))
                ]
                rows.append((now["utility_id"], now["rate_plan"], pause_rank, *tier, *around))
        return pl.DataFrame(rows, schema=_AT, orient="row")

    def next_instant(self, after: datetime) -> datetime | None:
        """The first instant after that one at which any schedule changes its tier; None at the timeline's end."""
        i = bisect_right(self._instants, _micro(after))
        return (
            after + timedelta(microseconds=self._instants[i] - _micro(after))
            if i < len(self._instants)
            else None
        )


_AT = {
    "utility_id": pl.String(),
    "rate_plan": pl.String(),
    "pause_rank": pl.Int64(),
    "version": pl.Date(),
    "tier": pl.String(),
    "rank": pl.Int64(),
    "is_flat": pl.Boolean(),
    "last_start": _TIME,
    "last_end": _TIME,
    "next_start": _TIME,
    "next_end": _TIME,
    "after_start": _TIME,
    "after_end": _TIME,
}


def timeline(tariffs: Mapping[str, Tariff], around: datetime) -> Timeline:
    """The timeline from a week before to a year after an instant."""
    return timeline_between(tariffs, around - _BACK, around + _AHEAD)


def timeline_between(tariffs: Mapping[str, Tariff], start: datetime, end: datetime) -> Timeline:
    """The timeline over [start, end)."""
    return Timeline(compile_tariffs(tariffs, start, end), start, end)


def _joined(pausing: pl.DataFrame) -> tuple[Micros, Micros]:
    """Starts and ends of stretches with those that touch made one."""
    starts, ends = _micros(pausing["starts_at"]), _micros(pausing["ends_at"])
    if not len(starts):
        return starts, ends
    apart = starts[1:] != ends[:-1]
    starts, ends = starts[np.concatenate(([True], apart))], ends[np.concatenate((apart, [True]))]
    pauses = ends - starts <= _LONGEST // timedelta(microseconds=1)
    return starts[pauses], ends[pauses]


def _micros(times: pl.Series) -> Micros:
    return times.cast(_TIME).to_physical().to_numpy()


def _micro(at: datetime) -> int:
    return round(at.timestamp()) * _US if at.microsecond == 0 else int(at.timestamp() * _US)
