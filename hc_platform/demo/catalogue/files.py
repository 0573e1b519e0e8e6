"""Layers that a utility publishes as files, written below an import folder.

What belongs here: the bytes of a file. What does not: its rows (`layers`).
"""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from hc_platform.demo.catalogue.layers import DrawnLayer, frame_of


def write_files(utility: Iterable[DrawnLayer], folder: Path) -> None:
    """Write every file layer of a utility where its config expects it below the folder.

    Raises ValueError for a kind of file that is not taught here.
    """
    for drawn in utility:
        layer = drawn.layer
        if layer.path is None:
            continue
        target = folder / layer.path
        if "://" in layer.path or target.suffix != ".csv" or layer.header_row != 1:
            raise ValueError(f"the catalogue does not know how to write {layer.path}")
        target.parent.mkdir(parents=True, exist_ok=True)
        frame = frame_of(drawn)
        if layer.object_id_field is None:
            frame = frame.drop(drawn.plan.oid)
        if layer.x_field and layer.y_field:
            first = drawn.lines.coordinates[drawn.lines.vertices[:-1]]
            frame = frame.with_columns(
                pl.Series(layer.x_field, first[:, 0]), pl.Series(layer.y_field, first[:, 1])
            )
        frame.write_csv(target)
