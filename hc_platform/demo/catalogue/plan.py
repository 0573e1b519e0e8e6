"""Which fields a layer must have by its config, of what types, and who reads them.

What belongs here: reading the config's keys as an order for columns. What does not: filling them (`layers`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hc_platform.catalog.fields import CAPACITY_COLUMNS, Canonical, FieldTarget
from hc_platform.catalog.layers import FeederIdFrom, LayerConfig, LayerJoin
from hc_platform.catalog.models import UtilityConfig
from hc_platform.demo.catalogue.spelling import Asked, FieldType

_OBJECT_ID: Final = re.compile(r"(objectid(_1)?|fid|oid|esri_oid)", re.IGNORECASE)
_DEFAULT_UNIT: Final = "kw"
_NAMES: Final = ("feeder_id_external", "feeder_name", "substation_name")


@dataclass(frozen=True)
class LayerPlan:
    """The columns of a layer.

    `asked`: every column that is read, packed ones among them; `keys`: columns that only make a row's key; `conditions`:
    column -> the texts that some `when` asks for. `listed`: columns inside the exploded lists. `types`: those known.
    """

    config: UtilityConfig
    layer: LayerConfig
    oid: str
    asked: dict[str, Asked]
    keys: tuple[str, ...]
    conditions: Mapping[str, tuple[str, ...]]
    listed: tuple[str, ...]
    types: Mapping[str, FieldType]

    @property
    def unit(self) -> str:
        """The unit of capacities that name none."""
        return self.layer.capacity_unit or self.config.capacity_unit or _DEFAULT_UNIT


def plan_layer(
    config: UtilityConfig, layer: LayerConfig, types: Mapping[str, FieldType] | None = None
) -> LayerPlan:
    """The columns of a layer; `types` (field -> type) wins over what the config lets one guess."""
    taken = _taken(config, layer)
    readers = _readers(layer)
    for name, targets in taken.items():
        readers.setdefault(name, []).extend(t for t in targets if t not in readers.get(name, []))
    for name, to in _looked_up(config, layer).items():
        if name not in readers:
            readers[name] = [FieldTarget(to=to)]
    conditions = _conditions(layer)
    listed = tuple([*layer.explode.columns, *layer.explode.virtual] if layer.explode else ())
    packed = {v for part in layer.unpack for v in part.virtual} | set(listed)
    outer = {part.column for part in layer.unpack}
    if layer.explode and layer.explode.json_column:
        outer.add(layer.explode.json_column)
    oid = layer.object_id_field or next(
        (name for name in layer.named_fields if _OBJECT_ID.fullmatch(name)), "OBJECTID"
    )
    unit = layer.capacity_unit or config.capacity_unit
    known = {**(types or {}), **layer.field_types}
    asked = {
        name: Asked(
            name,
            "text" if name in packed else known.get(name) or _type(name, targets, layer.path is not None),
            tuple(targets),
            unit,
            plain=name in packed or any(t.when or t.combine or t.single for t in targets),
            separators=layer.explode.separator if layer.explode and name in listed else "",
            required=layer.grain == "feeder" or name in listed or name in layer.record_key,
        )
        for name, targets in readers.items()
        if name != oid
    }
    places = {layer.x_field, layer.y_field}
    rest = [n for n in layer.named_fields if n not in asked and n != oid and n not in outer | places]
    keys = tuple(n for n in rest if n not in conditions)
    return LayerPlan(config, layer, oid, asked, keys, conditions, listed, known)


def _readers(layer: LayerConfig) -> dict[str, list[FieldTarget]]:
    """Field -> the targets that read it, of all resources, each once."""
    readers: dict[str, list[FieldTarget]] = {}
    for resource in layer.resources:
        for name, targets in layer.fields_of(resource).items():
            held = readers.setdefault(name, [])
            held += [t for t in targets if t not in held]
    return readers


def _taken(config: UtilityConfig, layer: LayerConfig) -> dict[str, tuple[FieldTarget, ...]]:
    """Fields of this layer that other layers take over, by their targets there."""
    found: dict[str, tuple[FieldTarget, ...]] = {}
    for other in config.layers:
        for join in other.joins:
            if join.layer == layer.label:
                for name, targets in join.takes.items():
                    found[name] = (*found.get(name, ()), *targets)
    return found


def _looked_up(config: UtilityConfig, layer: LayerConfig) -> dict[str, Canonical]:
    """Key fields of look-ups, here or from elsewhere -> the canonical column whose value they hold."""
    found: dict[str, Canonical] = {}
    for here in config.layers:
        specs: list[LayerJoin | FeederIdFrom] = [*here.joins]
        for spec in [*specs, *([here.feeder_id_from] if here.feeder_id_from else [])]:
            there = config.layer(spec.layer)
            meanings = [*_readers(there).get(spec.matches, ()), *_readers(here).get(spec.field, ())]
            texts = [t.to for t in meanings if t.to in _NAMES]
            to: Canonical = texts[0] if texts else "feeder_id_external"
            if here is layer:
                found[spec.field] = to
            if there is layer:
                found[spec.matches] = to
    return found


def _conditions(layer: LayerConfig) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for resource in layer.resources:
        for targets in layer.fields_of(resource).values():
            for target in targets:
                for name, texts in target.when.items():
                    found[name] = tuple(dict.fromkeys([*found.get(name, ()), *texts]))
    return found


def _type(name: str, targets: list[FieldTarget], in_file: bool) -> FieldType:
    """A guess where nothing is known: numbers where the config expects no words."""
    first = targets[0]
    words = any(t.classes or t.single for t in targets)
    numeric = all(_is_number(key) for t in targets for key in t.nulls)
    if first.to in CAPACITY_COLUMNS:
        return "number" if numeric and not words else "text"
    if first.to == "voltage_kv":
        return "number" if numeric and not words and len(name) % 2 else "text"
    if first.to == "record_date":
        return "date" if numeric and not words and not in_file and len(name) % 3 == 0 else "text"
    return "text"


def _is_number(key: str) -> bool:
    try:
        float(key)
    except ValueError:
        return False
    return True
