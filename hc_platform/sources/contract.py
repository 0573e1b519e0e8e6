"""The contract between a config's layer and what its source publishes now: every way in which it can drift.

What belongs here: holding a layer's description against the config and against what it last was, in words.
What does not: asking the source (`arcgis_source`, `saved`), when to ask and what is recorded (`pipeline`).
"""

import difflib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from hc_platform.catalog.fields import Cadence
from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.sources.base import LayerDescription, published_name
from hc_platform.sources.discovery import passed_over

FindingKind = Literal[
    "renamed_field",
    "gone_field",
    "retyped_field",
    "renumbered_layer",
    "renamed_layer",
    "moved",
    "stale_service",
    "stale_data",
    "empty",
    "unchecked",
    "unreachable",
]
FieldType = Literal["text", "number", "date"]

_ESRI: Final[dict[str, FieldType]] = {
    "esriFieldTypeString": "text",
    "esriFieldTypeGUID": "text",
    "esriFieldTypeGlobalID": "text",
    "esriFieldTypeXML": "text",
    "esriFieldTypeOID": "number",
    "esriFieldTypeSmallInteger": "number",
    "esriFieldTypeInteger": "number",
    "esriFieldTypeBigInteger": "number",
    "esriFieldTypeSingle": "number",
    "esriFieldTypeDouble": "number",
    "esriFieldTypeDate": "date",
    "esriFieldTypeDateOnly": "date",
    "esriFieldTypeTimestampOffset": "date",
}
# Data older than two and a half of the publisher's own periods is a map that nobody renews any more.
_STALE_AFTER: Final[dict[Cadence, timedelta]] = {
    "monthly": timedelta(days=75),
    "quarterly": timedelta(days=230),
    "annual": timedelta(days=900),
}


@dataclass(frozen=True)
class Finding:
    """One way in which a layer is not what the config says. `blocking`: pulling it would mislead, or fail."""

    layer: str
    kind: FindingKind
    blocking: bool
    message: str


@dataclass(frozen=True)
class KnownLayer:
    """What a layer was when it was last pulled: its published name, index and field types."""

    name: str | None
    layer_index: int | None
    fields: dict[str, str]


def findings_of(
    config: UtilityConfig,
    layer: LayerConfig,
    found: LayerDescription,
    known: KnownLayer | None,
    now: datetime,
) -> list[Finding]:
    """Everything that a person should know before this layer is pulled, the worst first; empty if all is as configured.

    `known` is what it last was, where it was ever pulled: it tells a renamed layer that is only known by its index,
    and a field that changed its type.
    """

    def finding(kind: FindingKind, blocking: bool, message: str) -> Finding:
        return Finding(layer.label, kind, blocking, message)

    # a rotating service may carry its date in its layers' names too; there the fields alone must hold
    rotates = config.discovery_of(layer) is not None
    findings = [finding(kind, not rotates, told) for kind, told in _identity(layer, found, known)]
    if layer.name and layer.layer_index is not None and found.layer_index not in (None, layer.layer_index):
        told = f"is at index {found.layer_index} now, was at {layer.layer_index}: its name holds; correct layer_index"
        findings.append(finding("renumbered_layer", False, told))
    if not found.fields:
        findings.append(finding("unchecked", False, "its fields were not told, so they were not checked"))
    else:
        findings += [finding(*told) for told in field_drift(layer, found, known)]
    # of a service that rotates, a newer publication is there which does not fit
    findings += [finding("stale_service", False, told) for told in passed_over(found.looked)]
    if found.count == 0:
        findings.append(finding("empty", True, f"has no rows under where: {layer.where}"))
    age = now - found.edited_at if found.edited_at else timedelta(0)
    if age > _STALE_AFTER[config.cadence]:
        told = f"was last edited on {found.edited_at:%Y-%m-%d}, {age.days} days ago, and is said to be {config.cadence}"
        findings.append(finding("stale_data", False, told))
    return sorted(findings, key=lambda f: not f.blocking)


def _identity(
    layer: LayerConfig, found: LayerDescription, known: KnownLayer | None
) -> list[tuple[FindingKind, str]]:
    """A layer that is found by its index must still be the one it was: another may stand there after a republication."""
    if layer.name or layer.path or not known or not known.name or known.name == found.name:
        return []
    if known.layer_index != found.layer_index:
        return []  # the config names another index than it did
    told = (
        f"index {found.layer_index} holds {found.name!r} now, and held {known.name!r} when it was last pulled: look "
        "which index the layer has, or write its name"
    )
    return [("renamed_layer", told)]


def field_drift(
    layer: LayerConfig, found: LayerDescription, known: KnownLayer | None = None
) -> list[tuple[FindingKind, bool, str]]:
    """(kind, blocking, message) of every field that is gone, renamed, or of another type than stated, or than it was."""
    told: list[tuple[FindingKind, bool, str]] = []
    taken = {published_name(name, found.fields) for name in layer.named_fields}
    free = [name for name in found.fields if name not in taken]
    for name in layer.named_fields:
        published = published_name(name, found.fields)
        if published is None:
            near = likeliest(name, free)
            if near:
                told.append(("renamed_field", True, f"field {name} is gone; is it {near} now?"))
            else:
                told.append(("gone_field", True, f"field {name} is gone, and none is like it"))
            continue
        before = layer.field_types.get(name) or _type((known.fields if known else {}).get(published))
        now = _type(found.fields[published])
        if before and now and before != now:
            grave = name in _grave(layer)
            why = "; ids and capacities may be lost or misread: look at the values" if grave else ""
            told.append(("retyped_field", grave, f"field {name} is a {now} now, was a {before}{why}"))
    return told


def likeliest(name: str, names: list[str]) -> str | None:
    """The published name that a field which is gone most likely has now; case and punctuation do not count."""

    def folded(text: str) -> str:
        return "".join(c for c in text.lower() if c.isalnum())

    by_folded = {folded(n): n for n in names}
    near = difflib.get_close_matches(folded(name), by_folded, n=1, cutoff=0.6)
    return by_folded[near[0]] if near else None


def _grave(layer: LayerConfig) -> set[str]:
    """Fields whose type matters: a feeder id that became a number has lost its zeros, a capacity that became a text may
    hold ranges and words.
    """
    grave = set(layer.record_key)
    for resource in layer.resources:
        for field, targets in layer.fields_of(resource).items():
            if any(t.to.endswith("_mw") or t.to == "feeder_id_external" for t in targets):
                grave.add(field)
    return grave


def _type(published: str | None) -> FieldType | None:
    """The kind of type, None where it says nothing: files publish every column as text."""
    return _ESRI.get(published or "")
