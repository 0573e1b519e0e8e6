"""Raw features -> sections: fields renamed, values read, units turned into MW and kV, places described.

What belongs here: what one layer's rows say, row by row; pure functions of a batch, so that any size streams.
What does not: how a text is read (`values`, `vocabulary`), uniqueness across batches (`keys`), feeders (`feeders`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl

from hc_platform.catalog.fields import (
    CAPACITY_COLUMNS,
    HOSTING_COLUMNS,
    FieldTarget,
    Resource,
)
from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.geo.geometry import describe
from hc_platform.hosting_capacity import values
from hc_platform.hosting_capacity.binding import binding, read_limits
from hc_platform.hosting_capacity.extract import explode, extract_fields
from hc_platform.hosting_capacity.tables import REJECTED_FEATURES, SECTIONS
from hc_platform.hosting_capacity.vocabulary import classify_constraint

_PARSERS: Mapping[str, Callable[[pl.Expr], pl.Expr]] = {
    "phase_config": values.parse_phase,
    "is_overhead": values.parse_overhead,
    "is_network": values.parse_network,
}
_BEST_STATUS = ("published", "redacted", "pending", "not_published")


@dataclass(frozen=True)
class Normalized:
    """One batch of one layer.

    `sections`: SECTIONS plus `content_hash`; `rejected`: REJECTED_FEATURES; `quality`: a row per resource and
    mapped field (resource, field, column, rows, nulls, unreadable, sample); `fetched`: features that came in.
    """

    sections: pl.DataFrame
    rejected: pl.DataFrame
    quality: pl.DataFrame
    fetched: int


def normalize(
    raw: pl.DataFrame,
    config: UtilityConfig,
    layer: LayerConfig,
    *,
    snapshot: str,
    feeder_ids: pl.DataFrame | None = None,
    names: Mapping[str, str] | None = None,
) -> Normalized:
    """Turn a batch of RAW_FEATURES rows of one layer into sections and rejects.

    `feeder_ids` (columns `match`, `feeder_id`) serves `feeder_id_from`; its matches must be unique. `names` gives
    the published spelling of the config's fields where it differs (in case).
    A feature is accepted whole or rejected whole: if any resource's capacity cannot be read, the feature goes to
    the rejects with its raw attributes, so that accepted + rejected = fetched.
    """
    published = dict(names or {f: f for f in layer.named_fields})
    fields = extract_fields(raw["raw_attributes"], list(published.values()))
    features = pl.int_range(raw.height, eager=True, dtype=pl.UInt32).alias("__feature")
    # __feature: the row's feature by its position in the batch; each once, unless features hold several rows
    texts = pl.DataFrame([features, *fields.rename({new: old for old, new in published.items()})])
    texts = texts.with_columns(feature_key=raw["feature_key"])
    rejected: list[pl.DataFrame] = []
    if layer.explode:
        texts, ragged = explode(texts, layer.explode)
        detail = f"the lists in {', '.join(layer.explode.columns)} have different lengths"
        rejected.append(
            pl.DataFrame([features.filter(ragged)]).with_columns(
                reason=pl.lit("ragged_lists"), detail=pl.lit(detail)
            )
        )
    place = describe(raw["geometry"])
    if layer.explode:
        place = place[texts["__feature"]]
    keys = texts.select(
        "feature_key", record_key=_record_key(layer), content_hash=_content_hash(layer, place["geometry"])
    )
    known: dict[str, pl.Series] = {}
    parts, quality = [], []
    for resource in layer.resources:
        read, problems = _read_fields(texts, config, layer, resource, feeder_ids, known)
        quality.append(problems)
        parts.append(_section_columns(read, config, layer, resource))
        unread = read["__unreadable"].is_not_null()
        if unread.any():
            rejected.append(
                texts.filter(unread).select(
                    "__feature",
                    reason=pl.lit("unparseable_capacity"),
                    detail=read["__unreadable"].filter(unread),
                )
            )
    rejects = pl.concat(rejected or [pl.DataFrame(schema=_REJECTS)]).unique(
        "__feature", keep="first", maintain_order=True
    )
    rest = pl.DataFrame([*keys, *place])
    if rejects.height:
        kept = ~texts["__feature"].is_in(rejects["__feature"].implode())
        parts, rest = [part.filter(kept) for part in parts], rest.filter(kept)
    sections = pl.concat([pl.DataFrame([*part, *rest]) for part in parts]).with_columns(
        utility_code=pl.lit(config.utility_code), snapshot=pl.lit(snapshot), layer=pl.lit(layer.label)
    )
    identity = {
        "utility_code": pl.lit(config.utility_code),
        "snapshot": pl.lit(snapshot),
        "layer": pl.lit(layer.label),
    }
    return Normalized(
        sections.select(*SECTIONS.names, "content_hash"),
        REJECTED_FEATURES.conform(
            pl.DataFrame(
                [
                    *raw.select("feature_key", "object_id", "raw_attributes")[rejects["__feature"]],
                    *rejects.drop("__feature"),
                ]
            ).with_columns(**identity)
        ),
        pl.concat(quality),
        raw.height,
    )


def fill_remaining(frame: pl.DataFrame) -> pl.DataFrame:
    """Fill `remaining_capacity_mw` where it is not published (design: capacity basis).

    Gross: hosting - installed - queued, only where all three are known, for NULL is not 0, and not on a section:
    the generation published there is its whole feeder's.
    Net of existing: the hosting capacity is already what remains.
    """
    derived = (
        pl.when((pl.col("capacity_basis") == "gross") & (pl.col("grain") != "section"))
        .then(pl.col("hosting_capacity_mw") - pl.col("installed_dg_mw") - pl.col("queued_dg_mw"))
        .when(pl.col("capacity_basis") == "net_of_existing")
        .then("hosting_capacity_mw")
    )
    return frame.with_columns(pl.coalesce("remaining_capacity_mw", derived).alias("remaining_capacity_mw"))


def _record_key(layer: LayerConfig) -> pl.Expr:
    """The layer's label and the key fields; the feature's own key where all of those are NULL.

    A published '#' is doubled: a single one is ours, before a feature's own key and before a number (`keys`).
    """
    own = pl.concat_str(pl.lit("#"), pl.col("feature_key"))
    if not layer.record_key:
        return pl.concat_str(pl.lit(f"{layer.label}:"), own)
    fields = [values.parse_identifier(pl.col(f)) for f in layer.record_key]
    key = pl.concat_str(
        [f.fill_null("").str.replace_all("#", "##", literal=True) for f in fields], separator="/"
    )
    published = pl.any_horizontal([f.is_not_null() for f in fields])
    return pl.concat_str(pl.lit(f"{layer.label}:"), pl.when(published).then(key).otherwise(own))


def _content_hash(layer: LayerConfig, geometry: pl.Series) -> pl.Expr:
    """A hash of every mapped field and the geometry: it tells a feature served twice from two of one key."""
    fields = [pl.col(f) for f in layer.named_fields]
    return pl.struct(*fields, geometry.hash(seed=7).alias("__geometry")).hash(seed=7)


_REJECTS = {"__feature": pl.UInt32, "reason": pl.String, "detail": pl.String}


def _read_fields(
    texts: pl.DataFrame,
    config: UtilityConfig,
    layer: LayerConfig,
    resource: Resource,
    feeder_ids: pl.DataFrame | None,
    known: dict[str, pl.Series],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Columns `<canonical>` as structs or plain values, `__unreadable` (text or NULL), and the quality table.

    `known` keeps what was read, so that a field that several resources share is read once.
    """
    unit = layer.capacity_unit or config.capacity_unit
    read: dict[str, pl.Series] = {}
    unreadable = pl.Series("__unreadable", [None] * texts.height, dtype=pl.String)
    quality = []
    for field, targets in layer.fields_of(resource).items():
        for target in targets:
            name = f"{field} {target.model_dump_json()}"
            if name not in known:
                known[name] = values.parse_column(texts[field], _reader(target, unit)).alias(target.to)
            column = read[target.to] = known[name]
            bad = (
                column.struct.field("bad")
                if column.dtype == pl.Struct
                else pl.Series([False]).new_from_index(0, texts.height)
            )
            if target.to in HOSTING_COLUMNS and bad.any():
                message = pl.concat_str(pl.lit(f"{field} = "), pl.col(field))
                unreadable = texts.select(
                    pl.when(bad & unreadable.is_null()).then(message).otherwise(unreadable)
                ).to_series()
            quality.append(_quality(resource, field, target.to, texts[field], column, bad))
    if "constraining_metric" in read:
        read["__metric"] = values.parse_column(read["constraining_metric"], classify_constraint)
    columns = layer.resources[resource].constraint_columns
    nothing_bad = pl.Series([False]).new_from_index(0, texts.height)
    if columns:
        limits = read_limits(texts, columns, columns.unit or unit)
        read["__binding"] = binding(limits, columns)
        for name in columns.columns:
            bad = limits[name].struct.field("bad")
            quality.append(_quality(resource, name, "constraining_metric", texts[name], limits[name], bad))
    if layer.feeder_id_from and feeder_ids is not None:
        field = layer.feeder_id_from.field
        match = texts.select(values.parse_text(pl.col(field)).alias("match"))
        found = match.join(feeder_ids, on="match", how="left", maintain_order="left")["feeder_id"]
        read["feeder_id_external"] = found
        quality.append(_quality(resource, field, "feeder_id_external", texts[field], found, nothing_bad))
    frame = pl.DataFrame([s.alias(n) for n, s in read.items()] + [unreadable.alias("__unreadable")])
    return frame, pl.DataFrame(quality, schema=_QUALITY_SCHEMA)


_QUALITY_SCHEMA = {
    "resource": pl.String,
    "field": pl.String,
    "column": pl.String,
    "rows": pl.Int64,
    "nulls": pl.Int64,
    "unreadable": pl.Int64,
    "sample": pl.String,
}


def _quality(
    resource: str, field: str, column: str, text: pl.Series, read: pl.Series, bad: pl.Series
) -> dict[str, object]:
    value = read.struct.field("value") if read.dtype == pl.Struct else read
    nulls = value.is_null()
    if read.dtype == pl.Struct and "low" in read.struct.fields:
        nulls &= read.struct.field("low").is_null() & read.struct.field("high").is_null()
    return {
        "resource": resource,
        "field": field,
        "column": column,
        "rows": len(text),
        "nulls": int(nulls.sum()),
        "unreadable": int(bad.sum()),
        "sample": text.filter(bad).first() if bad.any() else None,
    }


def _reader(target: FieldTarget, default_unit: str | None) -> Callable[[pl.Expr], pl.Expr]:
    """How the text of a field that goes to this column is read."""
    if target.to in CAPACITY_COLUMNS:
        unit = target.unit or default_unit
        assert unit is not None  # noqa: S101 - UtilityConfig refuses a capacity field without a unit
        return partial(
            values.parse_capacity, unit=unit, nulls=target.nulls, ceiling=target.ceiling, floor=target.floor
        )
    if target.to == "voltage_kv":
        return partial(values.parse_voltage_kv, unit=target.unit, nulls=target.nulls)
    if target.to == "record_date":
        return partial(values.parse_date, nulls=target.nulls)
    if target.to == "feeder_id_external":
        return partial(values.parse_identifier, nulls=target.nulls)
    if target.to == "constraining_metric":
        return partial(_without, nulls=target.nulls)  # "None" is a constraint's name here: nothing binds
    if parser := _PARSERS.get(target.to):
        return lambda text: parser(_without(text, nulls=target.nulls))
    return partial(values.parse_text, nulls=target.nulls)


def _without(text: pl.Expr, *, nulls: Mapping[str, values.ValueStatus]) -> pl.Expr:
    """The trimmed text, NULL where it is empty or one of the config's own null words."""
    trimmed = text.str.strip_chars()
    return pl.when(trimmed.is_in(["", *nulls]).not_()).then(trimmed).name.keep()


def _section_columns(
    read: pl.DataFrame, config: UtilityConfig, layer: LayerConfig, resource: Resource
) -> pl.DataFrame:
    """The canonical columns of one resource, without keys and place."""

    def value(column: str) -> pl.Expr:
        if column not in read.columns:
            return pl.lit(None)
        return pl.col(column).struct.field("value") if read[column].dtype == pl.Struct else pl.col(column)

    def part(column: str, name: str) -> pl.Expr:
        return pl.col(column).struct.field(name) if column in read.columns else pl.lit(None)

    hosting = "hosting_capacity_mw"
    published = [c for c in HOSTING_COLUMNS if c in read.columns]
    frame = read.select(
        resource=pl.lit(resource),
        grain=pl.lit(layer.grain),
        feeder_id_external=value("feeder_id_external"),
        feeder_name=value("feeder_name"),
        substation_name=value("substation_name"),
        hosting_capacity_mw=value(hosting),
        # a published range, or an open bound (">7500"), stands in min and max and never in the point
        hosting_capacity_min_mw=pl.coalesce(value("hosting_capacity_min_mw"), part(hosting, "low")),
        hosting_capacity_max_mw=pl.coalesce(value("hosting_capacity_max_mw"), part(hosting, "high")),
        installed_dg_mw=value("installed_dg_mw"),
        queued_dg_mw=value("queued_dg_mw"),
        remaining_capacity_mw=value("remaining_capacity_mw").cast(pl.Float64),
        capacity_basis=pl.lit(config.basis_of(layer, resource)),
        censored=_first_mark(published),
        value_status=_best_status(published),
        **_constraint(read),
        voltage_kv=value("voltage_kv"),
        phase_config=value("phase_config"),
        is_overhead=value("is_overhead"),
        is_network=value("is_network"),
        record_date=value("record_date"),
    )
    return fill_remaining(frame.cast({c: SECTIONS.schema[c] for c in frame.columns}))


def _first_mark(published: Sequence[str]) -> pl.Expr:
    """The mark of the point where there is one; else the first other than 'none' among the bounds."""
    marks = [pl.col(c).struct.field("censored") for c in published]
    first = pl.coalesce(*[pl.when(m != "none").then(m) for m in marks], pl.lit("none"))
    if published[:1] != ["hosting_capacity_mw"]:
        return first
    point = pl.col("hosting_capacity_mw")
    return (
        pl.when(point.struct.field("value").is_not_null())
        .then(point.struct.field("censored"))
        .otherwise(first)
    )


def _best_status(published: Sequence[str]) -> pl.Expr:
    """Published if any hosting capacity column is; else the most telling reason why none is."""
    found = [pl.col(c).struct.field("status") for c in published]
    cases = [
        pl.when(pl.any_horizontal([f == status for f in found])).then(pl.lit(status))
        for status in _BEST_STATUS
        if found
    ]
    return pl.coalesce(*cases, pl.lit("not_published"))


def _constraint(read: pl.DataFrame) -> dict[str, pl.Expr]:
    if "__binding" in read.columns:
        binding = pl.col("__binding")
        return {
            "constraining_metric": binding.struct.field("metric"),
            "constraining_metric_raw": binding.struct.field("raw"),
        }
    if "constraining_metric" in read.columns:
        return {
            "constraining_metric": pl.col("__metric"),
            "constraining_metric_raw": pl.col("constraining_metric"),
        }
    return {"constraining_metric": pl.lit(None), "constraining_metric_raw": pl.lit(None)}
