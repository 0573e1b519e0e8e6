"""Synthetic layers of a configured utility, and what a pipeline must make of them.

What belongs here: putting a layer together from its shape, and its truth, taken from the numbers before
they became text. What does not: serving it (`server`), utility-specific tables (`california`, `east`).
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from hc_platform.catalog.fields import CAPACITY_COLUMNS
from hc_platform.catalog.models import UtilityConfig
from hc_platform.demo.california import PGE, SCE
from hc_platform.demo.east import CONED, NGRID_NY, PEPCO, RIE
from hc_platform.demo.numbers import Lines, Rows, draw_feeders, draw_lines, draw_rows
from hc_platform.demo.shape import Field, LayerShape, UtilityShape
from hc_platform.demo.writing import MAY_2026_MS

SHAPES: Final[Mapping[str, UtilityShape]] = {
    "coned": CONED,
    "ngrid_ny": NGRID_NY,
    "pepco": PEPCO,
    "pge": PGE,
    "rie": RIE,
    "sce": SCE,
}
"""The utilities whose layers can be made, by code."""

_DTYPES: Final[Mapping[str, pl.DataType]] = {
    "OID": pl.Int64(),
    "Integer": pl.Int64(),
    "SmallInteger": pl.Int64(),
    "Double": pl.Float64(),
    "Date": pl.Int64(),
    "String": pl.String(),
    "GlobalID": pl.String(),
}


@dataclass(frozen=True)
class SyntheticLayer:
    """One made-up layer: what is served, and the numbers that stand behind it.

    `frame` holds the published attributes, the object id first; `lines` their geometry, row by row.
    `truth` holds, row by row: served (bool), repeated (bool: a copy of an earlier row under another object
    id), feeder_id (what the id must come out as; NULL where none can be known), binding (the constraint
    column that binds; NULL if none does), and `<resource>:<canonical column>` in MW.
    """

    utility_code: str
    label: str
    service_url: str
    headers: Mapping[str, str]
    index: int
    name: str
    oid_field: str
    fields: tuple[tuple[str, str, Mapping[int, str] | None], ...]
    max_record_count: int
    wkid: int
    last_edit_ms: int
    frame: pl.DataFrame
    lines: Lines
    truth: pl.DataFrame
    geometry_type: str | None = "esriGeometryPolyline"

    @property
    def service(self) -> str:
        """The service's path below /rest/services, as 'Hosted/ICA_Layer/FeatureServer'."""
        return self.service_url.split("/rest/services/", 1)[1]

    def __len__(self) -> int:
        return self.frame.height


def shaped(config: UtilityConfig) -> UtilityConfig:
    """The config with those of its layers whose shape is described here, each at its last known address.

    Raises KeyError for a utility without any. (All layers of all utilities stand in `hc_platform.demo.catalogue`.)
    """
    if config.utility_code not in SHAPES:
        raise KeyError(f"no shape is described for {config.utility_code}; there are: {', '.join(SHAPES)}")
    known = SHAPES[config.utility_code].layers
    layers = [layer for layer in config.layers if layer.label in known]
    static = {"discovery": None, "url_discovery_method": "static"}
    return config.model_copy(update={"layers": layers, **static})


def synthetic_layers(config: UtilityConfig, scale: float = 1.0, seed: int = 7) -> list[SyntheticLayer]:
    """The `shaped` layers of a utility in their true shape; the same seed gives the same bytes.

    `scale` multiplies the sections; feeders grow with it to as many as the utility has. Raises KeyError for
    a utility whose shape is not described.
    """
    config = shaped(config)
    shape = SHAPES[config.utility_code]
    feeders = _feeders(shape, scale, _rng(seed, config.utility_code))
    layers = []
    for layer in config.layers:
        what = shape.layers[layer.label]
        rng = _rng(seed, f"{config.utility_code}/{layer.label}")
        listed = feeders if what.only is None else feeders.filter(pl.col(what.only))
        rows = draw_rows(listed, None if what.rows is None else max(1, round(what.rows * scale)), rng)
        place = (config.utility_code, layer.label, config.layer_service_url(layer), config.headers_of(layer))
        layers.append(_layer(place, what, rows))
    return layers


def truth(config: UtilityConfig, layers: Sequence[SyntheticLayer]) -> pl.DataFrame:
    """What a pull and its normalization must find, one row per layer, resource and capacity column.

    Columns: utility_code, layer, resource, canonical; rows (served under the config's filter), repeated_rows
    (copies among them), feeder_ids (distinct, known), rows_without_feeder; numeric_rows and sum_mw over all
    served rows, unique_numeric_rows and unique_sum_mw without the copies.
    """
    found = []
    for layer in layers:
        served = layer.truth.filter("served")
        unique = served.filter(~pl.col("repeated"))
        common: dict[str, Any] = {
            "utility_code": config.utility_code,
            "layer": layer.label,
            "rows": served.height,
            "repeated_rows": served.height - unique.height,
            "feeder_ids": served["feeder_id"].drop_nulls().n_unique(),
            "rows_without_feeder": served["feeder_id"].null_count(),
        }
        for column in layer.truth.columns:
            resource, _, canonical = column.partition(":")
            if canonical not in CAPACITY_COLUMNS:
                continue
            numbers = {"numeric_rows": served[column].count(), "sum_mw": served[column].sum()}
            once = {"unique_numeric_rows": unique[column].count(), "unique_sum_mw": unique[column].sum()}
            found.append({**common, "resource": resource, "canonical": canonical, **numbers, **once})
    return pl.DataFrame(found)


def _rng(seed: int, name: str) -> np.random.Generator:
    # A layer's numbers do not change when another layer is added before it.
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _feeders(shape: UtilityShape, scale: float, rng: np.random.Generator) -> pl.DataFrame:
    count = min(shape.most_feeders, max(8, round(shape.feeders * scale)))
    feeders = draw_feeders(count, shape.area, shape.voltages, rng).with_columns(
        kv_point=pl.col("kv").cast(pl.String),
        kv_text=pl.col("kv").cast(pl.String).str.strip_suffix(".0"),
        listed=~pl.col("absent"),
    )
    return feeders.with_columns(**shape.ids(feeders))


def _layer(place: tuple[str, str, str, Mapping[str, str]], shape: LayerShape, rows: Rows) -> SyntheticLayer:
    rng = rows.rng
    rows.served = rng.random(rows.count) >= shape.left_out
    if shape.left_out:
        rows.served[-1] = False
    shape.draw(rows)
    columns = [field.make(rows).cast(_DTYPES[field.type]).alias(field.name) for field in shape.fields]
    lines = draw_lines(rows)
    # Copies stand at the end under object ids of their own, as a botched append leaves them.
    copies = np.sort(rng.choice(rows.count, min(shape.repeated, rows.count), replace=False))
    order = np.concatenate([np.arange(rows.count), copies])
    gaps = np.where(rng.random(len(order)) < 0.03, rng.integers(1, 60, len(order)), 0)
    object_ids = pl.Series(shape.oid, np.cumsum(1 + gaps), dtype=pl.Int64)
    fields = (Field(shape.oid, "OID", lambda rows: pl.Series()), *shape.fields)
    return SyntheticLayer(
        *place,
        shape.index,
        shape.name,
        shape.oid,
        tuple((field.name, field.type, field.codes) for field in fields),
        shape.max_record_count,
        shape.wkid,
        MAY_2026_MS,
        pl.DataFrame([object_ids, *pl.DataFrame(columns)[order].get_columns()]),
        lines.take(order),
        _row_truth(shape, rows)[order].with_columns(repeated=pl.int_range(pl.len()) >= rows.count),
    )


def _row_truth(shape: LayerShape, rows: Rows) -> pl.DataFrame:
    binding = pl.Series([None] * rows.count, dtype=pl.String)
    if rows.binding is not None:
        names = pl.Series([*shape.constraints, None], dtype=pl.String)
        binding = names.gather(np.where(rows.binding < 0, len(shape.constraints), rows.binding))
    numbers = {
        f"{resource}:{canonical}": rows.number(name)
        for resource, columns in shape.truth.items()
        for canonical, name in columns.items()
    }
    known = {"served": rows.served, "feeder_id": rows.of(shape.feeder_id), "binding": binding}
    return pl.DataFrame({**known, **numbers})
