"""Window files on disk -> verified, hashed, streamed RAW_FEATURES rows.

What belongs here: the last look at a pull before it is committed. What does not: fetching (`sources`).
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from hc_platform.sources import PartialPullError

_BATCH_ROWS = 50_000


@dataclass(frozen=True)
class Verified:
    """Rows and the hash of a pull's content; two pulls with one hash hold the same data."""

    rows: int
    source_hash: str


def verify(files: Iterable[Path], expected: int, label: str) -> Verified:
    """Count the rows on disk, see that no object id comes twice, and hash the content in id order.

    Attributes and geometries are hashed as two streams, so that the hash does not depend on how a pull was paged.
    Raises PartialPullError when the rows on disk are not what the server counted.
    """
    attributes, geometry = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
    rows, last = 0, None
    for path in files:
        frame = pl.read_parquet(path)
        ids = frame["object_id"]
        if ids.null_count() < len(
            ids
        ):  # rows without ids may be equal, and are several features all the same
            if (
                ids.null_count()
                or not ids.is_sorted()
                or ids.n_unique() < len(ids)
                or (last is not None and ids[0] <= last)
            ):
                raise PartialPullError(
                    f"{label}: object ids in {path.name} are not unique and ascending; nothing published"
                )
            last = ids[-1]
        rows += frame.height
        attributes.update("\n".join(frame["attributes"].fill_null("")).encode())
        attributes.update(b"\n" if frame.height else b"")
        geometry.update(b"".join(len(g or b"").to_bytes(4, "big") + (g or b"") for g in frame["geometry"]))
    if rows != expected:
        raise PartialPullError(
            f"{label}: {rows} features are on disk but the server counted {expected}; nothing was published, run again"
        )
    return Verified(
        rows, hashlib.blake2b(attributes.digest() + geometry.digest(), digest_size=16).hexdigest()
    )


def raw_rows(
    files: Iterable[Path], *, code: str, snapshot: str, layer: str, at: datetime
) -> Iterator[pl.DataFrame]:
    """RAW_FEATURES rows in frames of about 50,000, however small the windows were."""
    waiting: list[pl.DataFrame] = []
    height = 0
    copies = Counter[str]()
    for path in files:
        frame = pl.read_parquet(path)
        waiting.append(frame)
        height += frame.height
        if height >= _BATCH_ROWS:
            yield _as_raw(pl.concat(waiting), code, snapshot, layer, at, copies)
            waiting, height = [], 0
    if waiting:
        yield _as_raw(pl.concat(waiting), code, snapshot, layer, at, copies)


def _as_raw(
    frame: pl.DataFrame, code: str, snapshot: str, layer: str, at: datetime, copies: Counter[str]
) -> pl.DataFrame:
    key = pl.col("object_id").cast(pl.String)
    if frame["object_id"].null_count():
        key = pl.Series(_content_keys(frame, copies))  # type: ignore[assignment]
    return frame.select(
        utility_code=pl.lit(code),
        snapshot=pl.lit(snapshot),
        layer=pl.lit(layer),
        object_id="object_id",
        feature_key=key,
        raw_attributes="attributes",
        geometry="geometry",
        fetched_at=pl.lit(at, pl.Datetime("us", "UTC")),
    )


def _content_keys(frame: pl.DataFrame, copies: Counter[str]) -> list[str]:
    """A key for each row from its content; the second of equal rows gets `#2`, and so on.

    `copies` counts what came before, so that equal rows in different files have different keys. They are equal, so
    which of them is the first makes no difference: the set of keys is the same however a pull was paged.
    """
    keys = []
    for attributes, geometry in frame.select("attributes", "geometry").iter_rows():
        content = (attributes or "").encode() + (geometry or b"")
        key = hashlib.blake2b(content, digest_size=16).hexdigest()
        copies[key] += 1
        keys.append(key if copies[key] == 1 else f"{key}#{copies[key]}")
    return keys
