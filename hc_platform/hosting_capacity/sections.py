"""Raw features -> sections: fields renamed, values read, units turned into MW and kV, places described.

What belongs here: what one layer's rows say, row by row; pure functions of a batch, so that any size streams.
What does not: how a field is read (`reading`), packed cells (`packed`), other layers (`lookups`), uniqueness across
batches (`keys`), feeders (`feeders`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from hc_platform.catalog.fields import HOSTING_COLUMNS, Resource
from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.geo.geometry import describe
from hc_platform.hosting_capacity import values
from hc_platform.hosting_capacity.binding import binding, read_limits
from hc_platform.hosting_capacity.lookups import Lookup, look_up
from hc_platform.hosting_capacity.packed import FEATURE, SHARED, open_rows
from hc_platform.hosting_capacity.reading import (
    QUALITY,
    UNPACKED,
    Read,
    combine,
    no_rows,
    of_own_row,
    quality_row,
    read_field,
)
from hc_platform.hosting_capacity.tables import REJECTED_FEATURES, SECTIONS
from hc_platform.hosting_capacity.vocabulary import classify_constraint

_BEST_STATUS = ("published", "redacted", "pending", "not_published")


@dataclass(frozen=True)
class Normalized:
    """One batch of one layer.

    `sections`: SECTIONS plus `content_hash`; `rejected`: REJECTED_FEATURES; `quality`: reading.QUALITY; `fetched`:
    features that came in.
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
    lookups: Sequence[Lookup] = (),
    names: Mapping[str, str] | None = None,
) -> Normalized:
    """Turn a batch of RAW_FEATURES rows of one layer into sections and rejects.

    `lookups`: the tables of the layer's joins. `names` gives the published spelling of the config's fields where it
    differs (in case).
    A feature is accepted whole or rejected whole: if any resource's capacity cannot be read, the feature goes to
    the rejects with its raw attributes, so that accepted + rejected = fetched.
    """
    texts, refused, unread = open_rows(
        raw["raw_attributes"], layer, names or {f: f for f in layer.named_fields}
    )
    texts = texts.with_columns(feature_key=raw["feature_key"][texts[FEATURE]])
    place = describe(raw["geometry"])
    if layer.explode:
        place = place[texts[FEATURE]]
    keys = texts.select(
        "feature_key", record_key=_record_key(layer), content_hash=_content_hash(layer, place["geometry"])
    )
    known: dict[str, Read] = {}
    rejected, parts = [refused], []
    quality = [_packed_quality(layer, texts, unread)]
    for resource in layer.resources:
        reads, unreadable, problems = _read_fields(texts, config, layer, resource, lookups, known)
        quality.append(problems)
        parts.append(_section_columns(reads, texts.height, config, layer, resource))
        if unreadable.null_count() < texts.height:
            rejected.append(
                texts.select(FEATURE, reason=pl.lit("unparseable_capacity"), detail=unreadable).drop_nulls(
                    "detail"
                )
            )
    rejects = pl.concat(rejected).unique(FEATURE, keep="first", maintain_order=True)
    rest = pl.DataFrame([*keys, *place])
    if rejects.height:
        kept = ~texts[FEATURE].is_in(rejects[FEATURE].implode())
        parts, rest = [part.filter(kept) for part in parts], rest.filter(kept)
    identity = {
        "utility_code": pl.lit(config.utility_code),
        "snapshot": pl.lit(snapshot),
        "layer": pl.lit(layer.label),
    }
    sections = pl.concat([pl.DataFrame([*part, *rest]) for part in parts]).with_columns(**identity)
    evidence = raw.select("feature_key", "object_id", "raw_attributes")[rejects[FEATURE]]
    return Normalized(
        sections.select(*SECTIONS.names, "content_hash"),
        REJECTED_FEATURES.conform(pl.DataFrame([*evidence, *rejects.drop(FEATURE)]).with_columns(**identity)),
        pl.concat(quality),
        raw.height,
    )


def fill_remaining(frame: pl.DataFrame) -> pl.DataFrame:
    """Fill `remaining_capacity_mw` where it is not published (design: capacity basis).

    Gross: hosting - installed - queued, only where all three are known, for NULL is not 0, and only of a whole
    feeder: the generation published on a section, tile or point is its feeder's.
    Net of existing: the hosting capacity is already what remains.
    """
    derived = (
        pl.when((pl.col("capacity_basis") == "gross") & (pl.col("grain") == "feeder"))
        .then(pl.col("hosting_capacity_mw") - pl.col("installed_dg_mw") - pl.col("queued_dg_mw"))
        .when(pl.col("capacity_basis") == "net_of_existing")
        .then("hosting_capacity_mw")
    )
    return frame.with_columns(pl.coalesce("remaining_capacity_mw", derived).alias("remaining_capacity_mw"))


def _record_key(layer: LayerConfig) -> pl.Expr:
    """The layer's label and the key fields; the feature's own key where all of those are NULL.

    A published '#' is doubled: a single one is ours, before a feature's own key and before a number (`keys`). Where a
    feature holds several feeders, their ids tell its rows apart, in whatever order they are listed.
    """
    own = pl.concat_str(pl.lit("#"), pl.col("feature_key"), *_listed_feeder(layer))
    if not layer.record_key:
        return pl.concat_str(pl.lit(f"{layer.label}:"), own)
    fields = [values.parse_identifier(pl.col(f)) for f in layer.record_key]
    key = pl.concat_str(
        [f.fill_null("").str.replace_all("#", "##", literal=True) for f in fields], separator="/"
    )
    published = pl.any_horizontal([f.is_not_null() for f in fields])
    return pl.concat_str(pl.lit(f"{layer.label}:"), pl.when(published).then(key).otherwise(own))


def _listed_feeder(layer: LayerConfig) -> list[pl.Expr]:
    listed = {*layer.explode.columns, *layer.explode.virtual} if layer.explode else set()
    fields = [
        field
        for resource in layer.resources
        for field, targets in layer.fields_of(resource).items()
        if field in listed and any(t.to == "feeder_id_external" for t in targets)
    ]
    ids = [values.parse_identifier(pl.col(f)).fill_null("") for f in dict.fromkeys(fields)]
    return [pl.concat_str(pl.lit("/"), i.str.replace_all("#", "##", literal=True)) for i in ids]


def _content_hash(layer: LayerConfig, geometry: pl.Series) -> pl.Expr:
    """A hash of every mapped field and the geometry: it tells a feature served twice from two of one key."""
    fields = [pl.col(f) for f in (*layer.named_fields, *layer.virtual_fields)]
    return pl.struct(*fields, geometry.hash(seed=7).alias("__geometry")).hash(seed=7)


def _packed_quality(layer: LayerConfig, texts: pl.DataFrame, unread: Mapping[str, pl.Series]) -> pl.DataFrame:
    """How many cells of the unpacked columns could not be read, for nothing of what they hold is known; and in how many
    filled cells (`rows`) each field within them was not found (`nulls`)."""
    of_all = {"resource": next(iter(layer.resources)), "column": UNPACKED, "withheld": 0}
    rows = [
        {
            **of_all, "field": column, "rows": len(mask), "nulls": int(mask.sum()), "unreadable": int(mask.sum()),
            "sample": f"{column} of {int(mask.sum())} rows" if mask.any() else None,
        }
        for column, mask in unread.items()
    ]  # fmt: skip
    packed = {name: part.column for part in layer.unpack for name in part.virtual}
    if layer.explode and layer.explode.json_column:
        packed |= dict.fromkeys(layer.explode.virtual, layer.explode.json_column)
    for name, column in packed.items():
        cells = texts.filter(~pl.col(column).str.strip_chars().is_in(["", "[]", "{}", "null"]))
        nulls = cells[name].null_count()
        rows.append(
            {**of_all, "field": name, "rows": cells.height, "nulls": nulls, "unreadable": 0, "sample": None}
        )
    return pl.DataFrame(rows, schema=QUALITY)


def _read_fields(
    texts: pl.DataFrame,
    config: UtilityConfig,
    layer: LayerConfig,
    resource: Resource,
    lookups: Sequence[Lookup],
    known: dict[str, Read],
) -> tuple[dict[str, Read], pl.Series, pl.DataFrame]:
    """Canonical column -> how it was read, what makes a row's capacity unreadable (text or NULL), and the quality.

    `known` keeps what was read, so that a field that several resources share is read once.
    """
    unit = layer.capacity_unit or config.capacity_unit
    reads: dict[str, Read] = {}
    combined: dict[str, list[Read]] = {}
    unreadable = pl.Series("detail", [None], dtype=pl.String).new_from_index(0, texts.height)
    quality = []
    for field, targets in layer.fields_of(resource).items():
        for target in targets:
            name = f"{field} {target.model_dump_json()}"
            if name not in known:
                known[name] = of_own_row(read_field(texts, field, target, unit), texts, layer, field, target)
            read = reads[target.to] = known[name]
            quality.append(quality_row(resource, field, target.to, texts[field], read))
            if target.combine:
                combined.setdefault(f"{target.to} {target.combine}", []).append(read)
            if target.to in HOSTING_COLUMNS and read.bad.any():
                message = pl.concat_str(pl.lit(f"{field} = "), pl.col(field))
                unreadable = texts.select(
                    pl.when(read.bad & unreadable.is_null()).then(message).otherwise(unreadable)
                ).to_series()
    for key, several in combined.items():
        column, how = key.split()
        reads[column] = combine(several, "least" if how == "least" else "greatest")
    columns = layer.resources[resource].constraint_columns
    if columns:
        limits = read_limits(texts, columns, columns.unit or unit)
        shared = texts[SHARED] if any(map(layer.is_shared, columns.columns)) else no_rows(texts.height)
        bound = pl.select(pl.when(~shared).then(binding(limits, columns))).to_series()
        reads["__binding"] = Read(bound, no_rows(texts.height))
        for name in columns.columns:
            limit = Read(limits[name], no_rows(texts.height))
            limit = Read(limit.column, shared & ~limit.empty)
            quality.append(quality_row(resource, name, "constraining_metric", texts[name], limit))
    tables = [pl.DataFrame(quality, schema=QUALITY)]
    for lookup in lookups:
        found, told = look_up(texts, layer, lookup, resource)
        reads |= found
        tables.append(told)
    return reads, unreadable.alias("detail"), pl.concat(tables)


def _section_columns(
    reads: Mapping[str, Read], rows: int, config: UtilityConfig, layer: LayerConfig, resource: Resource
) -> pl.DataFrame:
    """The canonical columns of one resource, without keys and place."""
    read = pl.DataFrame(
        [pl.int_range(rows, eager=True).alias("__row"), *(r.column.alias(n) for n, r in reads.items())]
    )
    if "constraining_metric" in reads:
        metric = values.parse_column(read["constraining_metric"], classify_constraint)
        read = read.with_columns(metric.alias("__metric"))

    def value(column: str) -> pl.Expr:
        if column not in read.columns:
            return pl.lit(None)
        return pl.col(column).struct.field("value") if read[column].dtype == pl.Struct else pl.col(column)

    def part(column: str, name: str) -> pl.Expr:
        return pl.col(column).struct.field(name) if column in read.columns else pl.lit(None)

    hosting, least, most = HOSTING_COLUMNS
    # what is said of the capacity (mark, status) is said of what remains, where nothing else is published
    published = [c for c in HOSTING_COLUMNS if c in reads] or [
        c for c in ("remaining_capacity_mw",) if c in reads
    ]
    frame = read.select(
        resource=pl.lit(resource),
        grain=pl.lit(layer.grain),
        feeder_id_external=value("feeder_id_external"),
        feeder_name=value("feeder_name"),
        substation_name=value("substation_name"),
        hosting_capacity_mw=value(hosting),
        # a published range, or an open bound (">7500"), stands in min and max and never in the point
        hosting_capacity_min_mw=pl.coalesce(value(least), part(least, "low"), part(hosting, "low")),
        hosting_capacity_max_mw=pl.coalesce(value(most), part(most, "high"), part(hosting, "high")),
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
