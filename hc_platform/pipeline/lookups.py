"""The other layers' rows that a layer's joins look up.

What belongs here: reading them from the lake. What does not: what a join gives (`hosting_capacity.lookups`).
"""

from collections.abc import Mapping

import polars as pl

from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.lookups import Lookup, lookup_of
from hc_platform.hosting_capacity.packed import open_rows
from hc_platform.hosting_capacity.tables import RAW_FEATURES
from hc_platform.lake.store import Lake


def lookups_of(
    config: UtilityConfig,
    layer: LayerConfig,
    names: Mapping[str, Mapping[str, str]],
    lake: Lake,
    snapshot: str,
) -> list[Lookup]:
    """The tables of the layer's joins from the snapshot's raw rows.

    `names`: layer label -> the config's field -> the published one; a join to a layer that is not in it, because the
    snapshot does not have the layer, is left out, and its columns stay NULL.
    """
    made = []
    for join in config.joins_of(layer):
        if join.layer not in names:
            continue
        other = config.layer(join.layer)
        raw = (
            lake.scan(RAW_FEATURES, utility_code=config.utility_code, snapshot=snapshot)
            .filter(pl.col("layer") == other.label)
            .select("raw_attributes")
            .collect()
            .to_series()
        )
        texts, _, _ = open_rows(raw, other, names[other.label])
        made.append(lookup_of(texts, other, join, other.capacity_unit or config.capacity_unit))
    return made
