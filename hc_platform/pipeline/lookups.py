"""Feeder ids that stand on another layer than the sections.

What belongs here: the table that `feeder_id_from` looks up. What does not: using it (`hosting_capacity.sections`).
"""

import polars as pl

from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity import values
from hc_platform.hosting_capacity.extract import extract_fields
from hc_platform.hosting_capacity.tables import RAW_FEATURES
from hc_platform.lake.store import Lake


def feeder_ids(
    config: UtilityConfig, layer: LayerConfig, names: dict[str, dict[str, str]], lake: Lake, snapshot: str
) -> pl.DataFrame:
    """`match` -> `feeder_id` from the raw rows of another layer; a name of several ids is left out, and so gives NULL.

    `names`: layer label -> config's field -> published field.
    """
    spec = layer.feeder_id_from
    assert spec is not None  # noqa: S101 - the caller asks only for such layers
    other = config.layer(spec.layer)
    resource = next(iter(other.resources))
    id_field, target = next(
        (field, target)
        for field, targets in other.fields_of(resource).items()
        for target in targets
        if target.to == "feeder_id_external"
    )
    matches, id_published = names[other.label][spec.matches], names[other.label][id_field]
    raw = (
        lake.scan(RAW_FEATURES, utility_code=config.utility_code, snapshot=snapshot)
        .filter(pl.col("layer") == other.label)
        .select("raw_attributes")
        .collect()
        .to_series()
    )
    texts = extract_fields(raw, list(dict.fromkeys([matches, id_published])))
    return (
        texts.select(
            match=values.parse_text(pl.col(matches)),
            feeder_id=values.parse_identifier(pl.col(id_published), nulls=target.nulls),
        )
        .drop_nulls()
        .unique()
        .group_by("match")
        .agg(pl.col("feeder_id").first(), n=pl.len())
        .filter(pl.col("n") == 1)
        .drop("n")
    )
