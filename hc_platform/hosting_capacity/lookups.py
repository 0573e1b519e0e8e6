"""Columns that stand on another layer of the same config than the rows they describe.

What belongs here: the table of a join, and looking a batch's rows up in it. What does not: reading the other layer's raw
rows from the lake (`pipeline.lookups`).
"""

from dataclasses import dataclass

import polars as pl

from hc_platform.catalog.fields import FieldTarget
from hc_platform.catalog.layers import LayerConfig, LayerJoin
from hc_platform.hosting_capacity.reading import JOINED, QUALITY, Read, of_own_row, quality_row, read_field
from hc_platform.hosting_capacity.values import parse_identifier

_KEY = "__key"


@dataclass(frozen=True)
class Lookup:
    """What a join takes. `table`: a row per key, with a column per taken canonical column (as its parser gives it,
    NULL where the key's rows disagree) and `<column> several`, whether they do, or one of them is withheld."""

    layer: str
    field: str
    targets: tuple[FieldTarget, ...]
    table: pl.DataFrame


def lookup_of(texts: pl.DataFrame, other: LayerConfig, join: LayerJoin, unit: str | None) -> Lookup:
    """The join's table from the other layer's texts. `unit`: that of its capacity fields which name none.

    Rows without the key, and those that say nothing of a column, do not count; a text that cannot be read says
    something. Keys are compared as identifiers, so that 1011 and "1011.0" are one.
    """
    keys = texts.select(parse_identifier(pl.col(join.matches)).alias(_KEY)).to_series()
    table = keys.drop_nulls().unique().to_frame()
    targets = []
    for field, specs in join.takes.items():
        for target in specs:
            read = of_own_row(read_field(texts, field, target, unit), texts, other, field, target)
            told = (~read.empty | read.bad | read.withheld).alias("told")
            rows = pl.DataFrame([keys, read.column.alias(target.to), read.withheld.alias("withheld"), told])
            agreed = (
                rows.filter("told")
                .drop_nulls(_KEY)
                .group_by(_KEY)
                .agg(
                    pl.col(target.to).first(),
                    several=(pl.col(target.to).n_unique() > 1) | pl.col("withheld").any(),
                )
                .select(
                    _KEY,
                    pl.when(~pl.col("several")).then(target.to).alias(target.to),
                    pl.col("several").alias(f"{target.to} several"),
                )
            )
            table = table.join(agreed, on=_KEY, how="left", validate="1:1")
            targets.append(target)
    return Lookup(join.layer, join.field, tuple(targets), table)


def look_up(
    texts: pl.DataFrame, layer: LayerConfig, lookup: Lookup, resource: str
) -> tuple[dict[str, Read], pl.DataFrame]:
    """The looked-up columns of the layer's rows, and their QUALITY rows: of each column, and of the keys themselves."""
    keys = texts.select(parse_identifier(pl.col(lookup.field)).alias(_KEY))
    found = keys.join(lookup.table, on=_KEY, how="left", maintain_order="left")
    reads: dict[str, Read] = {}
    known = keys.to_series().is_in(lookup.table[_KEY].implode())  # NULL where a row has no key
    quality: list[dict[str, object]] = [
        {
            "resource": resource, "field": f"{lookup.field} in {lookup.layer}", "column": JOINED,
            "rows": len(known) - known.null_count(), "nulls": int((~known).sum()), "unreadable": 0, "withheld": 0,
            "sample": None,
        }
    ]  # fmt: skip
    for target in lookup.targets:
        read = Read(found[target.to], found[f"{target.to} several"].fill_null(False))
        read = reads[target.to] = of_own_row(read, texts, layer, lookup.field, target)
        quality.append(quality_row(resource, lookup.field, target.to, texts[lookup.field], read))
    return reads, pl.DataFrame(quality, schema=QUALITY)
