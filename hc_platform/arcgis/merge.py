"""Corrections to rows that are already on disk: merging, removing, uniting.

Belongs here: rewriting a store's files, each atomically. Does not belong here: finding out what is wrong
(pull).
"""

from __future__ import annotations

import polars as pl

from hc_platform.arcgis import plan
from hc_platform.arcgis.store import Store


def merge(store: Store, aside: Store) -> None:
    """Put rows into the files whose span they fall in; rows beyond all spans get files of their own."""
    spans = sorted(span for span in map(plan.span_of, store.names) if span)
    for name in aside.names:
        frame, nulls = aside.read(name)
        for lo, hi in spans:
            inside = (pl.col("object_id") > lo) & (pl.col("object_id") <= hi)
            part = frame.filter(inside)
            if part.height:
                held, held_nulls = store.read(plan.span_name(lo, hi))
                store.save(
                    plan.span_name(lo, hi), pl.concat([held, part]).sort("object_id"), held_nulls + nulls
                )
                frame, nulls = frame.filter(~inside), 0
        if frame.height:
            ids = frame["object_id"].to_list()
            store.save(plan.span_name(ids[0] - 1, ids[-1]), frame, nulls)


def remove(store: Store, ids: set[int]) -> None:
    """Take these rows out."""
    for name in store.names:
        frame, nulls = store.read(name)
        kept = frame.filter(~pl.col("object_id").is_in(list(ids)))
        if kept.height < frame.height:
            store.save(name, kept, nulls)


def sort_and_unite(store: Store) -> None:
    """Rows read by row number, out of order or twice: sorted, each id once, in one file. Needs the layer
    in memory.
    """
    read = [store.read(name) for name in store.names]
    frame = pl.concat([frame for frame, _ in read]).unique("object_id", keep="last").sort("object_id")
    for name in store.names:
        store.drop(name)
    ids = frame["object_id"]
    store.save(plan.span_name(ids[0] - 1, ids[-1]), frame, sum(nulls for _, nulls in read))


def drop_copies(store: Store) -> None:
    """Leave each row in the first tile that has it.

    Equal rows inside one tile are several rows, since the server sends a row once per answer; so the nth
    equal row is told apart from the first.
    """
    seen: set[int] = set()
    for name in store.names:
        frame, nulls = store.read(name)
        content = frame.with_columns(content=pl.struct("attributes", "geometry").hash(seed=1))
        numbered = content.with_columns(copy=pl.int_range(pl.len()).over("content"))
        keys = numbered.select(pl.struct("content", "copy").hash(seed=2)).to_series().to_list()
        fresh = pl.Series([key not in seen for key in keys], dtype=pl.Boolean)
        seen.update(keys)
        if not fresh.all():
            store.save(name, frame.filter(fresh), nulls)


def equal_rows_adjoin(store: Store) -> bool:
    """Whether equal rows follow each other, as they do when rows were read by number in one stable order.

    When the order changed between two pages, some row came twice and another not at all; the two copies then lie
    apart. Needs 8 bytes a row.
    """
    hashes = [store.read(name)[0]["attributes"].hash() for name in store.names]
    if not hashes:
        return True
    content = pl.concat(hashes)
    return bool(content.rle_id().n_unique() == content.n_unique())
