"""A utility's made-up layers by its config: columns filled, features packed, filters and traps among them.

What belongs here: putting rows together. What does not: single columns (`spelling`, `limits`, `packing`), what the
rows must come out as (`truth`), serving (`hosts`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

import numpy as np
import polars as pl

from hc_platform.catalog.fields import CAPACITY_COLUMNS
from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.demo.catalogue import filters, packing
from hc_platform.demo.catalogue.limits import Limits, draw_limits
from hc_platform.demo.catalogue.meaning import NOTHING, Meaning, capacity
from hc_platform.demo.catalogue.places import place
from hc_platform.demo.catalogue.plan import LayerPlan, plan_layer
from hc_platform.demo.catalogue.spelling import Asked, Feeder, FieldType, Made, Published, make
from hc_platform.demo.numbers import Lines, place_names

COPIES = 3
"""Features that come twice, under another object id."""


@dataclass(frozen=True)
class DrawnLayer:
    """A layer before it is served, features in object-id order.

    `columns`: published column -> a value a feature. `made`: field -> its column and meanings, a value an item (an item
    is a feature, or a part of one that is exploded). `feature_of`: item -> feature. `served`: features the filter lets
    through. `ragged`: features whose lists disagree. `original`: feature -> itself, or the feature it repeats.
    """

    plan: LayerPlan
    columns: dict[str, list[Published]]
    types: dict[str, str]
    made: dict[str, Made]
    limits: dict[str, Limits]
    feature_of: list[int]
    served: list[bool]
    ragged: set[int]
    original: list[int]
    object_ids: list[int]
    lines: Lines
    geometry: str | None

    @property
    def layer(self) -> LayerConfig:
        """Its config."""
        return self.plan.layer

    @cached_property
    def sizes(self) -> list[int]:
        """How many items each feature has."""
        return [int(n) for n in np.bincount(self.feature_of)]


def draw_utility(
    config: UtilityConfig,
    rows: int = 240,
    seed: int = 7,
    types: Mapping[str, Mapping[str, FieldType]] | None = None,
    extras: Mapping[str, Mapping[str, Sequence[Published]]] | None = None,
    feeders: int | None = None,
) -> list[DrawnLayer]:
    """Every layer of a config, deterministic by its code and the seed; a third as many feeders as rows, if not said.

    A layer of feeders has a row for each but one, the others have `rows`.
    `types` and `extras`, by layer label, add what is known of the real layer: types of its fields, and more fields with
    values seen in them.
    """
    draw = Random(f"{seed}/{config.utility_code}")  # noqa: S311 - made-up data, the same for the same seed
    plans = [plan_layer(config, layer, (types or {}).get(layer.label)) for layer in config.layers]
    made = _feeders(feeders or max(8, rows // 3), plans, draw)
    return [
        _draw_layer(
            plan,
            rows,
            made,
            Random(f"{seed}/{config.utility_code}/{plan.layer.label}"),  # noqa: S311
            (extras or {}).get(plan.layer.label, {}),
        )
        for plan in plans
    ]


def _feeders(count: int, plans: Sequence[LayerPlan], draw: Random) -> list[Feeder]:
    """Feeders with ids of one style; two of them share a name."""
    asked = [a for plan in plans for a in plan.asked.values()]
    numeric = any(a.type == "number" and any(t.to == "feeder_id_external" for t in a.targets) for a in asked)
    style = (
        "{:d}" if numeric else draw.choice(("{:09d}", "{:04d}", "F{:d}", "36_13_{:d}", "{:d}-2-13", "{:d}Y8"))
    )
    names = place_names(count + count // 4 + 1, np.random.default_rng(draw.randrange(2**32)))
    feeders = []
    for at in range(count):
        name = names[0] if at == count - 1 else names[at]
        substation = names[count + at // 4]
        kv = draw.choice((4.16, 4.8, 12.47, 13.2, 13.8, 24.9, 34.5))
        feeders.append(Feeder(at, style.format(1000 + at), name, substation, kv))
    return feeders


@dataclass(frozen=True)
class _Items:
    """Features and their items: how many each has, which item is whose, and the feeder of each."""

    sizes: list[int]
    ragged: set[int]
    feeders: list[Feeder]
    feature_of: list[int]
    heads: list[int]


def _items(plan: LayerPlan, rows: int, feeders: Sequence[Feeder], draw: Random) -> _Items:
    layer = plan.layer
    if layer.grain == "feeder" and not layer.explode:
        # the last feeder but one stands in no feeder layer: what looks it up finds nothing
        own = [f for f in feeders if f.number != len(feeders) - 2]
        every = list(range(len(own)))
        return _Items([1] * len(own), set(), own, every, every)
    sizes = [draw.choice((1, 1, 2, 3)) for _ in range(rows)] if layer.explode else [1] * rows
    ragged = {rows // 5} if layer.explode and layer.explode.columns[1:] else set()
    for feature in ragged:
        sizes[feature] = 3
    feature_of = [feature for feature, size in enumerate(sizes) for _ in range(size)]
    heads = [at for at, feature in enumerate(feature_of) if at == 0 or feature_of[at - 1] != feature]
    return _Items(sizes, ragged, [f for size in sizes for f in draw.sample(feeders, size)], feature_of, heads)


def _draw_layer(
    plan: LayerPlan,
    rows: int,
    feeders: Sequence[Feeder],
    draw: Random,
    extras: Mapping[str, Sequence[Published]],
) -> DrawnLayer:
    items = _items(plan, rows, feeders, draw)
    count, heads = len(items.sizes), items.heads
    amounts = [draw.random() for _ in items.feature_of]
    made: dict[str, Made] = {}
    for asked in plan.asked.values():
        if asked.name in plan.listed:
            made[asked.name] = make(asked, draw, items.feeders, amounts)
        else:
            one = make(asked, draw, [items.feeders[i] for i in heads], [amounts[i] for i in heads])
            made[asked.name] = _spread(one, items.feature_of)
    limits = _limits(plan, made, len(items.feature_of), draw)
    _single_lists(plan, made, draw)
    columns = _columns(plan, made, items, extras, draw)
    types = {name: _esri_type(values, plan.asked.get(name)) for name, values in columns.items()}
    served = filters.served(_frame(plan.oid, list(range(count)), columns, types), plan.layer.where)
    lines, kind = place(plan.config.states, plan.layer, count, draw)

    order = list(range(count))
    order += [row for row in draw.sample(order, min(COPIES, count)) if row not in items.ragged]
    gaps = [draw.randrange(40) if draw.random() < 0.03 and not plan.layer.path else 0 for _ in order]
    ids = np.cumsum([1 + gap for gap in gaps])
    if plan.layer.path and not plan.layer.object_id_field:  # the rows of a file are numbered after its filter
        ids = np.cumsum([served[row] for row in order])
    again = [item for row in order for item in range(heads[row], heads[row] + items.sizes[row])]
    return DrawnLayer(
        plan,
        {name: [values[row] for row in order] for name, values in columns.items()},
        types,
        {
            name: Made([m.values[i] for i in again], [[t[i] for i in again] for t in m.meanings])
            for name, m in made.items()
        },
        {
            resource: Limits(group.forms, [group.metric[i] for i in again], [group.raw[i] for i in again])
            for resource, group in limits.items()
        },
        [at for at, row in enumerate(order) for _ in range(items.sizes[row])],
        [served[row] for row in order],
        {at for at, row in enumerate(order) if row in items.ragged},
        [order.index(row) for row in order],
        ids.tolist(),
        lines.take(np.asarray(order)),
        kind,
    )


def _columns(
    plan: LayerPlan,
    made: Mapping[str, Made],
    items: _Items,
    extras: Mapping[str, Sequence[Published]],
    draw: Random,
) -> dict[str, list[Published]]:
    """The published columns, a value a feature; those that nothing reads at the end."""
    count, virtual = len(items.sizes), plan.layer.virtual_fields
    columns = {n: [m.values[item] for item in items.heads] for n, m in made.items() if n not in virtual}
    for name in (n for n in plan.keys if n not in columns):
        numbers = [draw.randrange(10) * 100_000 + at for at in range(count)]
        columns[name] = (
            [*numbers] if plan.types.get(name) == "number" else [f"{name[:2]}-{n:06d}" for n in numbers]
        )
    for name, texts in plan.conditions.items():
        if name not in columns and name not in virtual:
            columns[name] = [draw.choice((*texts, "Another")) for _ in range(count)]
    columns |= _packed(plan, made, items.sizes, items.ragged)
    filters.fill(columns, plan.layer.where, list(plan.asked), draw)
    for name, samples in {"Shape__Length": (12.5, 0.25), "REMARKS": ("", None, "n/a"), **extras}.items():
        if name.lower() not in {c.lower() for c in (*columns, plan.oid)}:
            columns[name] = [draw.choice(list(samples)) for _ in range(count)]
    return columns


def _spread(made: Made, feature_of: Sequence[int]) -> Made:
    """A feature's values for each of its items."""
    return Made(
        [made.values[f] for f in feature_of],
        [[meanings[f] for f in feature_of] for meanings in made.meanings],
    )


def _limits(plan: LayerPlan, made: dict[str, Made], count: int, draw: Random) -> dict[str, Limits]:
    """The constraint columns of each resource, written into `made`, other readers of theirs included."""
    groups: dict[str, Limits] = {}
    for resource, spec in plan.layer.resources.items():
        columns = spec.constraint_columns
        if columns is None:
            continue
        unit = columns.unit or plan.unit
        groups[resource] = group = draw_limits(columns, unit, count, draw)
        for name, forms in group.forms.items():
            asked = plan.asked.get(name)
            values: list[Published] = [None if f.kind == "null" else f.low for f in forms]
            readers = asked.targets if asked else ()
            meanings = [[capacity(f, target, target.unit or plan.unit) for f in forms] for target in readers]
            made[name] = Made(values, meanings)
    return groups


def _single_lists(plan: LayerPlan, made: dict[str, Made], draw: Random) -> None:
    """Fields of which the config says that a list has no one value: now and then one of two."""
    for name, asked in plan.asked.items():
        separator = next((t.single for t in asked.targets if t.single), None)
        if separator is None:
            continue
        column = made[name]
        for item, value in enumerate(column.values):
            other = next((v for v in column.values[item:] if v and v != value), None)
            if value and other and draw.random() < 0.12:
                column.values[item] = f"{value}{separator} {other}"
                for target, meanings in zip(asked.targets, column.meanings, strict=True):
                    listed = Meaning(status="published") if target.to in CAPACITY_COLUMNS else NOTHING
                    meanings[item] = listed if target.single else Meaning(str(column.values[item]).strip())


def _packed(
    plan: LayerPlan, made: Mapping[str, Made], sizes: Sequence[int], ragged: set[int]
) -> dict[str, list[Published]]:
    layer = plan.layer
    values = {name: column.values for name, column in made.items()}
    packed: dict[str, list[Published]] = {}
    for part in layer.unpack:
        packed[part.column] = packing.packed_cells(
            part, {v: values.get(v) or [None] * len(sizes) for v in part.virtual}
        )
    if layer.explode and layer.explode.json_column:
        whole = sum(sizes)
        items = {v: values.get(v) or [None] * whole for v in layer.explode.virtual}
        packed[layer.explode.json_column] = packing.json_lists(layer.explode, items, sizes)
    elif layer.explode:
        packed |= packing.parallel_lists(layer.explode, values, sizes, ragged)
    return packed


def _esri_type(values: Sequence[Published], asked: Asked | None) -> str:
    if asked and asked.type == "date":
        return "Date"
    kinds = {type(v) for v in values if v is not None}
    if kinds <= {int} and kinds:
        return "Integer"
    return "Double" if kinds and kinds <= {int, float} else "String"


def frame_of(drawn: DrawnLayer) -> pl.DataFrame:
    """The published attributes, the object id first."""
    return _frame(drawn.plan.oid, drawn.object_ids, drawn.columns, drawn.types)


def _frame(
    oid: str, ids: Sequence[int], columns: Mapping[str, Sequence[Published]], types: Mapping[str, str]
) -> pl.DataFrame:
    dtypes = {"Integer": pl.Int64(), "Date": pl.Int64(), "Double": pl.Float64(), "String": pl.String()}
    made = [pl.Series(oid, ids, dtype=pl.Int64)]
    for name, values in columns.items():
        texts = [v if v is None or types[name] != "String" else str(v) for v in values]
        made.append(pl.Series(name, texts, dtype=dtypes[types[name]], strict=False))
    return pl.DataFrame(made)
