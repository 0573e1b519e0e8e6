"""Where made-up features lie: lines, tiles and points within the utility's states.

What belongs here: coordinates. What does not: attributes (`layers`).
"""

from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Final

import numpy as np
import polars as pl
import shapely

from hc_platform.catalog.layers import LayerConfig
from hc_platform.demo.numbers import Lines
from hc_platform.reference.codes import STATE_OF_FIPS
from hc_platform.settings import PROJECT_DIR

_KINDS: Final = {"tile": "Polygon", "point": "Point", "der": "Point"}
_STEP: Final = 0.0007


def place(states: Sequence[str], layer: LayerConfig, count: int, draw: Random) -> tuple[Lines, str | None]:
    """A geometry a feature, a few of them missing, and Esri's name of the kind."""
    rng = np.random.default_rng(draw.randrange(2**32))
    kind = _KINDS.get(layer.grain, "Polyline")
    lon, lat = _inside(states[0])
    centre = np.asarray([lon, lat]) + rng.normal(0, 0.05, (count, 2))
    if kind == "Point":
        shapes = [[c] for c in centre]
    elif kind == "Polygon":
        ring = np.asarray([[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]]) * 4 * _STEP
        shapes = [[*(c + ring)] for c in centre]
    else:
        shapes = [
            [*np.cumsum(np.vstack([c, rng.normal(0, _STEP, (2 + i % 3, 2))]), axis=0)]
            for i, c in enumerate(centre)
        ]
    sizes = np.cumsum([0, *(len(s) for s in shapes)])
    flat = [point for shape in shapes for point in shape]
    coordinates = np.asarray(flat, dtype=np.float64).round(7).astype(np.float64)
    whole = np.arange(count + 1)
    return Lines(coordinates, sizes, whole, rng.random(count) < 0.005), f"esriGeometry{kind}"


@cache
def _inside(state: str) -> tuple[float, float]:
    """A point in the middle of a state."""
    states = pl.read_parquet(PROJECT_DIR / "hc_platform" / "reference" / "data" / "states.parquet")
    outline = states.filter(pl.col("fips").replace_strict(STATE_OF_FIPS, default=None) == state)[
        "geometry"
    ].first()
    point = shapely.from_wkb(outline).representative_point()
    return float(point.x), float(point.y)
