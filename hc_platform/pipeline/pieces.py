"""Which published geometries stand for a feeder.

What belongs here: that choice, streamed. What does not: what is done with them (`locations`, `feeder_substations`,
`device_feeders`).
"""

from collections.abc import Iterator
from typing import Final

import polars as pl

from hc_platform.catalog.fields import CAPACITY_COLUMNS
from hc_platform.hosting_capacity.tables import SECTIONS
from hc_platform.lake.store import Lake

BATCH_ROWS: Final = 50_000
DRAWN: Final = pl.col("geometry").is_not_null() & (pl.col("grain") != "der")
"""The rows whose geometry is a feeder's, or a tile's or point's own; where a generator stands no feeder need run."""
_EMPTY_TILE: Final = (
    (pl.col("grain") == "tile")
    & (pl.col("value_status") == "not_published")
    & pl.all_horizontal(pl.col("feeder_id_external", *CAPACITY_COLUMNS).is_null())
)
SERVED: Final = DRAWN & ~_EMPTY_TILE
"""Of these, the ones that say whose grid a place is on: a regular grid has tiles under which no feeder lies."""
BOX: Final = ("bbox_west", "bbox_south", "bbox_east", "bbox_north")
_PIECE: Final = {"layer": pl.String, "feature_key": pl.String, "feeder_id_external": pl.String}


def feeder_pieces(lake: Lake, **partition: str) -> Iterator[pl.DataFrame]:
    """The geometries that stand for each feeder: columns feeder_id_external, geometry, length_km and BOX, batch by
    batch.

    A feeder's own layer where it has one with a geometry, else all its sections (a generator is no piece of it); each
    published feature once, however many resources it carries. (The rows of a feature are neighbours in the table, so
    that the batch before is enough to know it again.)
    """
    drawn = (
        lake.scan(SECTIONS, **partition)
        .filter((pl.col("grain") == "feeder") & pl.col("geometry").is_not_null())
        .select("feeder_id_external")
        .unique()
        .collect()["feeder_id_external"]
    )
    before = pl.DataFrame(schema=_PIECE)
    for batch in lake.batches(SECTIONS, BATCH_ROWS, **partition):
        rows = (
            batch.filter(DRAWN)
            .select(
                "layer",
                "feature_key",
                pl.coalesce("feeder_id_external", "record_key").alias("feeder_id_external"),
                "grain",
                "geometry",
                "length_km",
                *BOX,
            )
            .filter((pl.col("grain") == "feeder") | ~pl.col("feeder_id_external").is_in(drawn.implode()))
            .unique(list(_PIECE), keep="first", maintain_order=True)
        )
        fresh = rows.join(before, on=list(_PIECE), how="anti", maintain_order="left")
        before = rows.select(list(_PIECE))
        if fresh.height:
            yield fresh.select("feeder_id_external", "geometry", "length_km", *BOX)
