"""The made-up grid: feeders, their sections and the true capacity of each, as plain numbers in MW.

What belongs here: drawing numbers and lines, vectorized and from one seed.
What does not: how a utility writes them (`shapes`), or how they are served (`server`).
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PUBLISHED, REDACTED, MISSING, NULL = 0, 1, 2, 3
"""Why a capacity is or is not a number: it is; withheld; said to be absent; silently null."""

_STARTS: Final = (
    "Ash Alder Amber Barley Birch Black Bramble Bright Cedar Clover Cold Copper Crane Dale Deer Dove East "
    "Elm Fair Falcon Fern Flint Fox Glen Gold Granite Green Grove Hare Haw Hazel Heron High Holly Iron "
    "Ivy Jasper Juniper Kestrel Lark Laurel Lime Long Maple Marsh Mill Moss Myrtle North Oak Olive Otter "
    "Peach Pine Plum Poplar Quail Quarry Raven Red River Rose Rye Sage Silver South Spruce Stone Swan "
    "Thorn West"
)
_ENDS: Final = (
    "acre bank bend brook burn bury by castle chester cliff combe cote creek croft dale den don downs "
    "edge fell field firth ford gap garth gate ham haven head hill holm hurst lake land ley loch low mead "
    "mere mill moor mouth ness park point pool port ridge rock shaw side stead stow thorpe ton vale view "
    "ville water way well wick wood worth yard"
)
_STEP: Final = 0.0007
"""Typical distance between two vertices, in degrees: about 60 m."""


@dataclass(frozen=True)
class Area:
    """Where a utility is: towns as (longitude, latitude), and how far its feeders lie around them."""

    towns: tuple[tuple[float, float], ...]
    spread: float = 0.08


def place_names(count: int, rng: np.random.Generator) -> list[str]:
    """Distinct invented place names."""
    starts, ends = _STARTS.split(), _ENDS.split()
    picked = rng.permutation(len(starts) * len(ends))[:count]
    return [starts[i // len(ends)] + ends[i % len(ends)] for i in picked.tolist()]


def draw_feeders(
    count: int, area: Area, voltages: tuple[float, ...], rng: np.random.Generator
) -> pl.DataFrame:
    """Feeders with substation, name, voltage (kV), place and capacities (MW); some names stand for two."""
    per_substation = 5
    substation = np.arange(count) // per_substation
    town = rng.integers(0, len(area.towns), substation[-1] + 1)[substation]
    place = np.asarray(area.towns)[town] + rng.normal(0, area.spread, (substation[-1] + 1, 2))[substation]
    names = place_names(count, rng)
    order = rng.permutation(count)
    pairs = max(1, count // 150)
    for a, b in zip(order[:pairs].tolist(), order[pairs : 2 * pairs].tolist(), strict=False):
        names[b] = names[a]
    shared = np.zeros(count, dtype=bool)
    shared[order[: 2 * pairs]] = True
    absent = np.zeros(count, dtype=bool)
    absent[order[2 * pairs : 3 * pairs]] = True
    kilowatts = rng.gamma(1.6, 3200, count).astype(np.int64)
    return pl.DataFrame(
        {
            "number": np.arange(count),
            "name": names,
            "substation_no": substation,
            "substation": pl.Series(place_names(int(substation[-1]) + 1, rng)).gather(substation),
            "kv": rng.choice(np.asarray(voltages), substation[-1] + 1)[substation],
            "lon": place[:, 0] + rng.normal(0, 0.01, count),
            "lat": place[:, 1] + rng.normal(0, 0.01, count),
            "capacity": kilowatts / 1000,
            "installed": rng.gamma(1.2, 900, count).astype(np.int64) / 1000,
            "queued": np.where(rng.random(count) < 0.6, rng.gamma(1, 500, count).astype(np.int64), 0) / 1000,
            "name_shared": shared,
            "absent": absent,
        }
    )


@dataclass
class Rows:
    """One layer's rows before anything became text: positions in the feeders' table, numbers in MW."""

    feeders: pl.DataFrame
    feeder: Ints
    section: Ints
    rng: np.random.Generator
    values: dict[str, Floats] = field(default_factory=dict)
    status: dict[str, Ints] = field(default_factory=dict)
    binding: Ints | None = None
    served: Bools = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.feeder)

    def of(self, column: str) -> pl.Series:
        """A column of the feeders' table, one value a row."""
        return self.feeders[column].gather(self.feeder)

    def number(self, name: str) -> pl.Series:
        """A value in MW, NULL where none is published."""
        published = self.status[name] == PUBLISHED if name in self.status else np.ones(self.count, dtype=bool)
        return pl.Series(np.where(published, self.values[name], np.nan)).fill_nan(None)

    def take(self, words: tuple[str | None, ...], weights: tuple[float, ...] | None = None) -> pl.Series:
        """One of the words for each row."""
        share = None if weights is None else np.asarray(weights) / sum(weights)
        return pl.Series(words, dtype=pl.String).gather(self.rng.choice(len(words), self.count, p=share))


def draw_rows(feeders: pl.DataFrame, count: int | None, rng: np.random.Generator) -> Rows:
    """`count` sections spread over the feeders, each with at least one; or one row a feeder (None)."""
    every = np.arange(feeders.height)
    if count is None:
        return Rows(feeders, every, np.zeros(feeders.height, dtype=np.int64), rng)
    weights = rng.gamma(2.0, 1.0, feeders.height)
    sizes = 1 + rng.multinomial(max(count - feeders.height, 0), weights / weights.sum())
    feeder = np.repeat(every, sizes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return Rows(feeders, feeder, np.arange(len(feeder)) - starts[feeder], rng)


def draw_capacity(
    rows: Rows,
    name: str,
    *,
    share: float = 1.0,
    ceiling: float | None = None,
    redacted: float = 0.0,
    missing: float = 0.0,
    null: float = 0.0,
    negative: float = 0.0,
) -> None:
    """Draw a capacity in whole kW that shrinks along the feeder, and say where it is no number."""
    rng, n = rows.rng, rows.count
    along = np.exp(-rows.section / (5 + 40 * rng.random(n)))
    kilowatts = np.rint(rows.of("capacity").to_numpy() * share * along * rng.uniform(0.5, 1.3, n) * 1000)
    kilowatts[rng.random(n) < 0.12] = 0
    low = rng.random(n) < negative
    kilowatts[low] = -np.rint(1 + 800 * rng.random(int(low.sum())))
    if ceiling is not None:
        kilowatts[rng.random(n) < 0.03] = ceiling * 1000
        kilowatts = np.minimum(kilowatts, ceiling * 1000)
    rows.values[name] = kilowatts / 1000
    rows.status[name] = rng.choice(
        4, n, p=[1 - redacted - missing - null, redacted, missing, null]
    ).astype(np.int64)  # fmt: skip


def draw_constraints(rows: Rows, of: str, ceilings: dict[str, float | None]) -> None:
    """One column per constraint, so that the least of them is the value `of`; none binds at a ceiling."""
    rng, n = rows.rng, rows.count
    rows.binding = rng.integers(0, len(ceilings), n)
    tops = [top for top in ceilings.values() if top is not None]
    study_end = min(tops) if tops else np.inf
    free = rows.values[of] >= study_end
    for i, (column, top) in enumerate(ceilings.items()):
        above = rows.values[of] + np.rint(1 + rng.exponential(4000, n)) / 1000
        value = np.where(rows.binding == i, rows.values[of], above)
        value = np.where(free, study_end if top is None else top, value)
        # To whole kW again: 0.1 + 0.2 is not 0.3.
        rows.values[column] = np.rint((value if top is None else np.minimum(value, top)) * 1000) / 1000
        rows.status[column] = rows.status[of]
    rows.binding[free | (rows.status[of] != PUBLISHED)] = -1


@dataclass(frozen=True)
class Lines:
    """Polylines as flat arrays, EPSG:4326: line i owns parts[i]..parts[i+1], part j vertices[j]..[j+1]."""

    coordinates: Floats
    vertices: Ints
    parts: Ints
    null: Bools

    def paths(self, coordinates: Floats | None = None) -> pl.Series:
        """List of parts of (x, y), one value a line; NULL where the line is missing."""
        xy = self.coordinates if coordinates is None else coordinates
        points = pa.FixedSizeListArray.from_arrays(pa.array(xy.ravel()), 2)
        parts = pa.LargeListArray.from_arrays(pa.array(self.vertices), points)
        lines = pa.LargeListArray.from_arrays(pa.array(self.parts), parts, mask=pa.array(self.null))
        return pl.Series("paths", lines)

    def take(self, order: Ints) -> "Lines":
        """The lines at these positions."""
        if np.array_equal(order, np.arange(len(self.null))):
            return self
        parts = _ranges(self.parts[:-1][order], self.parts[1:][order])
        points = _ranges(self.vertices[:-1][parts], self.vertices[1:][parts])
        return Lines(
            self.coordinates[points],
            _offsets(np.diff(self.vertices)[parts]),
            _offsets(np.diff(self.parts)[order]),
            self.null[order],
        )

    def bounds(self) -> pl.DataFrame:
        """xmin, ymin, xmax, ymax of each line; NULL where the line is missing."""
        starts = self.vertices[self.parts[:-1]]
        edges = {
            "xmin": np.minimum.reduceat(self.coordinates[:, 0], starts),
            "ymin": np.minimum.reduceat(self.coordinates[:, 1], starts),
            "xmax": np.maximum.reduceat(self.coordinates[:, 0], starts),
            "ymax": np.maximum.reduceat(self.coordinates[:, 1], starts),
        }
        here = pl.Series(~self.null)
        return pl.DataFrame(edges).select(pl.when(here).then(pl.col(name)).alias(name) for name in edges)


def _offsets(sizes: Ints) -> Ints:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)])


def _ranges(starts: Ints, ends: Ints) -> Ints:
    """All numbers of starts[i]..ends[i], one range after the other."""
    sizes = ends - starts
    return np.arange(int(sizes.sum())) + np.repeat(starts - _offsets(sizes)[:-1], sizes)


def draw_lines(rows: Rows, null: float = 0.004, several: float = 0.01) -> Lines:
    """A random walk along each feeder, cut into its sections: each begins where the one before ended."""
    rng, n = rows.rng, rows.count
    steps = rng.integers(1, 5, n)
    ends = np.cumsum(steps)
    walk = np.cumsum(rng.normal(0, _STEP, (int(ends[-1]) + 1, 2)), axis=0)
    first = np.concatenate([[0], ends[:-1]])
    begins = np.flatnonzero(np.diff(rows.feeder, prepend=-1))
    origin = walk[first[begins]][np.cumsum(np.isin(np.arange(n), begins)) - 1]
    vertices = _offsets(steps + 1)
    line = np.repeat(np.arange(n), steps + 1)
    point = np.arange(vertices[-1]) - vertices[line] + first[line]
    place = np.column_stack([rows.of("lon").to_numpy(), rows.of("lat").to_numpy()])
    coordinates = np.round(walk[point] - origin[line] + place[line], 7)
    # A line of several parts is cut in its middle; only longer ones have a middle.
    cut = (steps >= 3) & (rng.random(n) < several)
    middle = vertices[:-1][cut] + 2
    parts = _offsets(1 + cut)
    return Lines(coordinates, np.sort(np.concatenate([vertices, middle])), parts, rng.random(n) < null)
