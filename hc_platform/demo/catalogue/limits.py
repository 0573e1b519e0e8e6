"""Columns of one constraint each, drawn together: which binds, where they tie, where all stand at their ceilings.

What belongs here: the numbers of such a group and what binds. What does not: columns on their own (`spelling`).
"""

from dataclasses import dataclass
from random import Random

from hc_platform.catalog.fields import ConstraintColumns
from hc_platform.demo.catalogue.meaning import PER_MW, Form


@dataclass(frozen=True)
class Limits:
    """`forms`: per column, a form a row. `metric`, `raw`: what binds; NULL where that cannot be known."""

    forms: dict[str, list[Form]]
    metric: list[str | None]
    raw: list[str | None]


def draw_limits(spec: ConstraintColumns, unit: str, count: int, draw: Random) -> Limits:
    """The group for so many rows, in the columns' unit."""
    names = list(spec.columns)
    step = PER_MW[unit] / 1000  # whole kW
    forms: dict[str, list[Form]] = {name: [] for name in names}
    metrics: list[str | None] = []
    raws: list[str | None] = []
    for _ in range(count):
        chance = draw.random()
        tops = {name: spec.ceiling_of(name) for name in names}
        study_end = min((top for top in tops.values() if top is not None), default=8000 * step)
        least = round(draw.randrange(0, max(2, int(study_end / step * 0.9))) * step, 6)
        binding = draw.sample(names, 2 if chance < 0.06 else 1)
        values: dict[str, float | None] = {}
        for name, top in tops.items():
            above = round(least + draw.randrange(1, 4000) * step, 6)
            values[name] = least if name in binding else above if top is None else min(above, top)
        metric: str | None = next(spec.columns[name] for name in names if name in binding)
        raw: str | None = "; ".join(name for name in names if name in binding)
        if 0.06 <= chance < 0.16 and all(top is not None for top in tops.values()):
            values = dict(tops)
            low = min(t for t in tops.values() if t is not None)
            metric, raw = "none", "; ".join(name for name in names if tops[name] == low)
            if chance < 0.08:  # one is missing, and the others tell nothing: it may be the one that binds
                values[draw.choice(names)] = None
                metric = raw = None
        elif 0.16 <= chance < 0.2:
            values, metric, raw = dict.fromkeys(names), None, None
        elif 0.2 <= chance < 0.24:
            values[draw.choice([name for name in names if name not in binding])] = None
        for name in names:
            value = values[name]
            forms[name].append(Form("null") if value is None else Form("point", value))
        metrics.append(metric)
        raws.append(raw)
    return Limits(forms, metrics, raws)
