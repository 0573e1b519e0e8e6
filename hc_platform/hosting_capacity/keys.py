"""Uniqueness of record keys over a whole layer, found from its keys alone.

What belongs here: which features are one feature served twice, and which differ but share a key.
What does not: how a key is made (`sections`).
"""

import polars as pl


def repeated_keys(keys: pl.LazyFrame) -> pl.DataFrame:
    """The rows whose (resource, record_key) is not the first of its kind.

    `keys`: row (a unique number), layer, resource, record_key, feature_key, content_hash. Features count in the
    order of their object ids, whatever order they are stored in, so that normalizing again numbers them alike.
    Returns row, layer, feature_key, record_key and `new_key`: NULL where the row repeats an earlier one in every
    mapped field and its geometry (it is to be rejected), else the key with `#2`, `#3`, ... behind it.
    """
    group = ["resource", "record_key"]
    return (
        keys.filter(pl.len().over(group) > 1)
        .sort("layer", pl.col("feature_key").str.len_bytes(), "feature_key", "row")
        .with_columns(
            copy=pl.int_range(pl.len()).over([*group, "content_hash"]),
            position=pl.int_range(pl.len()).over(group),
        )
        .filter(pl.col("position") > 0)
        .select(
            "row",
            "layer",
            "feature_key",
            "record_key",
            new_key=pl.when(pl.col("copy") == 0).then(
                pl.col("record_key") + "#" + (pl.col("position") + 1).cast(pl.String)
            ),
        )
        .collect()
    )
