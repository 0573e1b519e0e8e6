"""What a pipeline must make of the drawn layers, and where its sections differ from that.

What belongs here: expected rows from drawn numbers, expected rejects, the comparison. What does not: any parser of the
platform's: the rules are those that docs/utility_configs.md tells a reader.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import polars as pl

from hc_platform.catalog.fields import CAPACITY_COLUMNS, HOSTING_COLUMNS, FieldTarget, Resource
from hc_platform.demo.catalogue.layers import DrawnLayer
from hc_platform.demo.catalogue.meaning import NOTHING, Meaning

COMPARED: Final[Mapping[str, Any]] = {
    "feeder_id_external": pl.String,
    "feeder_name": pl.String,
    "substation_name": pl.String,
    **dict.fromkeys(CAPACITY_COLUMNS, pl.Float64),
    "censored": pl.String,
    "value_status": pl.String,
    "constraining_metric": pl.String,
    "constraining_metric_raw": pl.String,
    "voltage_kv": pl.Float64,
    "phase_config": pl.String,
    "is_overhead": pl.Boolean,
    "is_network": pl.Boolean,
    "record_date": pl.Date,
}
"""Columns of sections that are held against the truth."""

_KEY: Final = ("layer", "resource", "feature_key")
_OF_ONE: Final = (
    *(
        "hosting_capacity_mw",
        "installed_dg_mw",
        "queued_dg_mw",
        "remaining_capacity_mw",
        "constraining_metric",
    ),
)
_STATUS: Final = ("published", "redacted", "pending", "not_published")


def expected_sections(utility: Sequence[DrawnLayer]) -> pl.DataFrame:
    """One row for each section that must come out: layer, resource, feature_key and COMPARED."""
    by_label = {drawn.layer.label: drawn for drawn in utility}
    rows = []
    for drawn in utility:
        gone = rejected_features(drawn)
        lookups = _lookups(drawn, by_label)
        for resource in drawn.layer.resources:
            for item, feature in enumerate(drawn.feature_of):
                if not drawn.served[feature] or feature in gone:
                    continue
                key = {"layer": drawn.layer.label, "resource": resource}
                key["feature_key"] = str(drawn.object_ids[feature])
                rows.append(key | _section(drawn, resource, item, lookups))
    return pl.DataFrame(rows, schema=dict.fromkeys(_KEY, pl.String) | dict(COMPARED))


def rejected_features(drawn: DrawnLayer) -> dict[int, str]:
    """Feature -> why it must be rejected, among those that are served."""
    gone = {feature: "ragged_lists" for feature in drawn.ragged if drawn.served[feature]}
    for item, feature in enumerate(drawn.feature_of):
        if drawn.served[feature] and feature not in gone and _unreadable(drawn, item):
            gone[feature] = "unparseable_capacity"
    layer = drawn.layer
    if not layer.record_key or drawn.plan.oid in layer.named_fields:
        return gone  # each has a key of its own
    for feature, original in enumerate(drawn.original):
        if original != feature and drawn.served[feature] and feature not in gone and _has_key(drawn, feature):
            gone[feature] = "duplicate_feature"
    return gone


def differences(expected: pl.DataFrame, sections: pl.DataFrame) -> pl.DataFrame:
    """Where sections differ from the truth: layer, resource, feature_key, column, expected, found.

    A section too many or too few stands as a difference of the column '(row)'.
    """
    there, here = (_numbered(frame) for frame in (expected, sections))
    both = there.join(here, on=[*_KEY, "n"], how="full", suffix=":found", coalesce=True)
    parts = [
        both.filter(pl.col("here").is_null() | pl.col("here:found").is_null()).select(
            *_KEY,
            column=pl.lit("(row)"),
            expected=pl.col("here").cast(pl.String),
            found=pl.col("here:found").cast(pl.String),
        )
    ]
    paired = both.filter(pl.col("here") & pl.col("here:found"))
    for name, dtype in COMPARED.items():
        a, b = pl.col(name), pl.col(f"{name}:found")
        same = a.eq_missing(b)
        if dtype == pl.Float64:
            same = same | ((a - b).abs() <= 1e-9 * pl.max_horizontal(a.abs(), pl.lit(1.0))).fill_null(False)
        parts.append(
            paired.filter(~same).select(
                *_KEY, column=pl.lit(name), expected=a.cast(pl.String), found=b.cast(pl.String)
            )
        )
    return pl.concat(parts)


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    """Items of a feature in an order that both sides share: by feeder, then by value."""
    order = ["feeder_id_external", "hosting_capacity_mw", "hosting_capacity_min_mw", "record_date"]
    return (
        frame.select(*_KEY, *COMPARED)
        .with_columns(pl.col(c).round(9) for c, t in COMPARED.items() if t == pl.Float64)
        .sort(*_KEY, *order, nulls_last=True)
        .with_columns(n=pl.int_range(pl.len()).over(*_KEY), here=pl.lit(True))
    )


Lookup = dict[str, dict[str, Meaning]]


def _lookups(drawn: DrawnLayer, utility: Mapping[str, DrawnLayer]) -> list[tuple[str, str, Lookup]]:
    """For each column from another layer: this layer's key field, the column, and key -> what it means.

    A key whose rows disagree gives nothing.
    """
    found: list[tuple[str, str, Lookup]] = []
    if spec := drawn.layer.feeder_id_from:
        other = utility[spec.layer]
        field, target = next(
            (name, target)
            for name, asked in other.plan.asked.items()
            for target in asked.targets
            if target.to == "feeder_id_external"
        )
        found.append((spec.field, target.to, {target.to: _agreed(other, spec.matches, field, target)}))
    for join in drawn.layer.joins:
        other = utility[join.layer]
        for field, targets in join.takes.items():
            for target in targets:
                table: Lookup = {target.to: _agreed(other, join.matches, field, target)}
                found.append((join.field, target.to, table))
    return found


def _agreed(other: DrawnLayer, matches: str, field: str, target: FieldTarget) -> dict[str, Meaning]:
    keys, column = other.made[matches].values, other.made[field]
    meanings = column.meanings[other.plan.asked[field].targets.index(target)]
    said: dict[str, set[Meaning]] = {}
    for item, feature in enumerate(other.feature_of):
        if other.served[feature] and (key := _key_text(keys[item])):
            said.setdefault(key, set()).add(meanings[item])
    if target.to == "feeder_id_external":  # rows without an id say nothing
        said = {key: {m for m in told if m.value is not None} for key, told in said.items()}
    return {key: told.pop() for key, told in said.items() if len(told) == 1}


def _key_text(value: object) -> str:
    return "" if value is None else str(value).strip().removesuffix(".0")


def _section(
    drawn: DrawnLayer, resource: Resource, item: int, lookups: Sequence[tuple[str, str, Lookup]]
) -> dict[str, Any]:
    read = _read(drawn, resource, item)
    for field, to, table in lookups:
        read[to] = table[to].get(_key_text(drawn.made[field].values[item]), NOTHING)
    point, least, most = (read.get(c, NOTHING) for c in HOSTING_COLUMNS)
    # what remains is told of where no capacity is
    told = [read[c] for c in HOSTING_COLUMNS if c in read] or [
        read[c] for c in ("remaining_capacity_mw",) if c in read
    ]
    marks = [m.mark for m in told if m.mark != "none"]
    row: dict[str, Any] = {to: meaning.value for to, meaning in read.items()}
    row |= {
        "hosting_capacity_mw": point.value,
        "hosting_capacity_min_mw": _first(least.value, least.low, point.low),
        "hosting_capacity_max_mw": _first(most.value, most.high, point.high),
        "censored": point.mark if point.value is not None else (marks or ["none"])[0],
        "value_status": next((s for s in _STATUS if any(m.status == s for m in told)), "not_published"),
    }
    row |= _bound(drawn, resource, item)
    basis = drawn.plan.config.basis_of(drawn.layer, resource)
    if row.get("remaining_capacity_mw") is None:
        row["remaining_capacity_mw"] = _remaining(row, basis, drawn.layer.grain)
    return row


def _first(*values: object) -> object:
    return next((v for v in values if v is not None), None)


def _remaining(row: Mapping[str, Any], basis: str | None, grain: str) -> float | None:
    if basis == "net_of_existing":
        return row["hosting_capacity_mw"]  # type: ignore[no-any-return]
    parts = [row.get(c) for c in ("hosting_capacity_mw", "installed_dg_mw", "queued_dg_mw")]
    if basis != "gross" or grain == "section" or any(p is None for p in parts):
        return None
    hosting, installed, queued = parts
    return hosting - installed - queued  # type: ignore[no-any-return, operator]


def _read(drawn: DrawnLayer, resource: Resource, item: int) -> dict[str, Meaning]:
    """Canonical column -> what this item's published fields say of it."""
    read: dict[str, list[tuple[FieldTarget, Meaning]]] = {}
    for field, targets in drawn.layer.fields_of(resource).items():
        asked, made = drawn.plan.asked[field], drawn.made[field]
        for target in targets:
            meaning = made.meanings[asked.targets.index(target)][item]
            if not _condition_holds(drawn, target, item):
                meaning = NOTHING
            if target.to in _OF_ONE and _of_several(drawn, [field], item):
                bare = meaning.low is None and meaning.high is None
                meaning = meaning._replace(value=None, mark="none" if bare else meaning.mark)
            read.setdefault(target.to, []).append((target, meaning))
    return {to: _combined(told) for to, told in read.items()}


def _of_several(drawn: DrawnLayer, fields: Iterable[str], item: int) -> bool:
    """Whether the feature holds several feeders and these fields stand there but once: they speak of all together."""
    listed = drawn.plan.listed
    if not listed or set(fields) <= set(listed):
        return False
    return drawn.sizes[drawn.feature_of[item]] > 1


def _combined(told: list[tuple[FieldTarget, Meaning]]) -> Meaning:
    """The one meaning, or the least or greatest of several; nothing where any of them is missing."""
    if not told[0][0].combine:
        return told[0][1]
    meanings = [m for _, m in told]
    if any(m.value is None for m in meanings):
        return next(m for m in meanings if m.value is None)
    least = told[0][0].combine == "least"
    best = (min if least else max)(m.value for m in meanings)  # type: ignore[type-var]
    # a floor lies under the least whichever field stands at it; a ceiling over it only if all that are least do
    beyond, held = ("at_floor", "at_ceiling") if least else ("at_ceiling", "at_floor")
    mark = held if all(m.mark == held for m in meanings if m.value == best) else "none"
    mark = beyond if any(m.mark == beyond for m in meanings) else mark
    return Meaning(best, status="published", mark=mark)


def _condition_holds(drawn: DrawnLayer, target: FieldTarget, item: int) -> bool:
    def text(name: str) -> str:
        made = drawn.made.get(name)
        value = made.values[item] if made else drawn.columns[name][drawn.feature_of[item]]
        return "" if value is None else str(value).strip()

    return all(text(name) in texts for name, texts in target.when.items())


def _bound(drawn: DrawnLayer, resource: Resource, item: int) -> dict[str, str | None]:
    if resource in drawn.limits:
        limits = drawn.limits[resource]
        if _of_several(drawn, limits.forms, item):
            return {"constraining_metric": None, "constraining_metric_raw": None}
        return {"constraining_metric": limits.metric[item], "constraining_metric_raw": limits.raw[item]}
    for field, targets in drawn.layer.fields_of(resource).items():
        for target in targets:
            if target.to == "constraining_metric":
                if not _condition_holds(drawn, target, item) or _of_several(drawn, [field], item):
                    return {"constraining_metric": None, "constraining_metric_raw": None}
                words = str(drawn.made[field].values[item] or "").strip()
                return {"constraining_metric_raw": target.classes.get(words, words) or None}
    return {}


def _unreadable(drawn: DrawnLayer, item: int) -> bool:
    return any(
        drawn.made[field].meanings[drawn.plan.asked[field].targets.index(target)][item].unreadable
        for resource in drawn.layer.resources
        for field, targets in drawn.layer.fields_of(resource).items()
        for target in targets
        if target.to in HOSTING_COLUMNS
    )


def _has_key(drawn: DrawnLayer, feature: int) -> bool:
    """Whether any field of the record key says anything; else the feature's own key stands in."""
    item = drawn.feature_of.index(feature)
    for name in drawn.layer.record_key:
        made = drawn.made.get(name)
        value = made.values[item] if made else drawn.columns[name][feature]
        if value is not None and str(value).strip() not in ("", "NA"):
            return True
    return False
