"""Small hand-made configs and raw features for the tests of the data half."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl
import shapely

from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.sections import Normalized, normalize
from hc_platform.hosting_capacity.tables import RAW_FEATURES, SECTIONS, SOURCE_LAYERS
from hc_platform.lake.store import Lake

SNAPSHOT = "2026-05"
FEEDER = {"Id": "feeder_id_external"}
AT = datetime(2026, 5, 20, 12, tzinfo=UTC)


def config(*layers: dict[str, Any], code: str = "test", **keys: Any) -> UtilityConfig:
    """A config whose layers need to say only what the test is about."""
    whole = {
        "utility_code": code,
        "utility_name": "Test Electric",
        "states": ["CA"],
        "data_source_type": "arcgis_feature",
        "service_url": "http://127.0.0.1:9/rest/services/Test/FeatureServer",
        "capacity_basis": "gross",
        "verification": {"status": "guessed", "on": "2026-01-01", "sources": ["made up"]},
        "layers": [{"layer_index": i, "grain": "section", **layer} for i, layer in enumerate(layers)],
        **keys,
    }
    return UtilityConfig.model_validate(whole)


def raw(
    made: UtilityConfig,
    rows: Sequence[dict[str, Any]],
    *,
    layer: int = 0,
    geometry: Sequence[str | None] | None = None,
    first_id: int = 1,
    snapshot: str = SNAPSHOT,
) -> pl.DataFrame:
    """RAW_FEATURES rows of one layer; `geometry` as WKT."""
    shapes = [None] * len(rows) if geometry is None else geometry
    ids = range(first_id, first_id + len(rows))
    return RAW_FEATURES.conform(
        pl.DataFrame(
            {
                "utility_code": [made.utility_code] * len(rows),
                "snapshot": [snapshot] * len(rows),
                "layer": [made.layers[layer].label] * len(rows),
                "object_id": list(ids),
                "feature_key": [str(i) for i in ids],
                "raw_attributes": [json.dumps(row) for row in rows],
                "geometry": [s and shapely.to_wkb(shapely.from_wkt(s)) for s in shapes],
                "fetched_at": [AT] * len(rows),
            },
            schema=RAW_FEATURES.schema,
        )
    )


def normal(made: UtilityConfig, rows: Sequence[dict[str, Any]], **more: Any) -> Normalized:
    """The first layer's rows, normalized in one batch."""
    return normalize(raw(made, rows), made, made.layers[0], snapshot=SNAPSHOT, **more)


def column(done: Normalized, name: str, resource: str = "generation") -> list[Any]:
    """One column of one resource's sections."""
    return done.sections.filter(pl.col("resource") == resource)[name].to_list()


def put(lake: Lake, made: UtilityConfig, frames: Sequence[pl.DataFrame], snapshot: str = SNAPSHOT) -> None:
    """Commit raw features, and what a pull would have noted of each layer (one frame per layer, in order)."""
    partition = {"utility_code": made.utility_code, "snapshot": snapshot}
    notes = []
    for layer, frame in zip(made.layers, frames, strict=True):
        names: dict[str, str] = {}
        for text in frame["raw_attributes"]:
            names |= dict.fromkeys(json.loads(text), "esriFieldTypeString")
        notes.append(
            {
                **partition,
                "layer": layer.label,
                "source_url": "http://127.0.0.1:9",
                "expected_count": frame.height,
                "records_fetched": frame.height,
                "fields_json": json.dumps(names or dict.fromkeys(layer.named_fields, "esriFieldTypeString")),
                "status": "complete",
            }
        )
    lake.replace(RAW_FEATURES, partition, pl.concat(frames))
    lake.replace(SOURCE_LAYERS, partition, SOURCE_LAYERS.conform(pl.DataFrame(notes)))


def sections(*rows: dict[str, Any], **common: Any) -> pl.LazyFrame:
    """SECTIONS rows; what a row does not say is NULL, but for the keys and the words that are never NULL."""
    defaults: dict[str, Any] = {
        "utility_code": "test",
        "snapshot": SNAPSHOT,
        "resource": "generation",
        "layer": "lines",
        "grain": "section",
        "censored": "none",
        "value_status": "published",
    }
    whole = [
        {**defaults, "record_key": f"lines:{i}", "feature_key": str(i), **common, **row}
        for i, row in enumerate(rows)
    ]
    return pl.DataFrame(whole, schema={c: SECTIONS.schema[c] for c in SECTIONS.names}).lazy()
