"""The normalizer against the synthetic truth: what was read from odd text equals what was drawn."""

from collections.abc import Mapping

import polars as pl
import pytest

from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.loading import Catalog
from hc_platform.catalog.models import UtilityConfig
from hc_platform.demo import SyntheticLayer, truth
from hc_platform.demo.synthetic import SHAPES
from hc_platform.hosting_capacity.lookups import Lookup, lookup_of
from hc_platform.hosting_capacity.sections import normalize

Layers = Mapping[str, list[SyntheticLayer]]


def raw(code: str, layer: SyntheticLayer) -> pl.DataFrame:
    """The layer as raw features, as the client hands them on."""
    frame = layer.frame
    return frame.select(
        utility_code=pl.lit(code),
        snapshot=pl.lit("2026-05"),
        layer=pl.lit(layer.label),
        object_id=pl.col(layer.oid_field),
        feature_key=pl.col(layer.oid_field).cast(pl.String),
        raw_attributes=pl.struct(frame.columns).struct.json_encode(),
        geometry=pl.lit(None, dtype=pl.Binary),
    ).filter(layer.truth["served"])


def lookups(config: UtilityConfig, layer: LayerConfig, made: list[SyntheticLayer]) -> list[Lookup]:
    """The tables of the layer's joins, from all rows of the layers they name."""
    frames = {m.label: m.frame.cast(pl.String) for m in made}
    return [
        lookup_of(frames[join.layer], config.layer(join.layer), join, config.capacity_unit)
        for join in config.joins_of(layer)
    ]


@pytest.mark.parametrize("code", sorted(SHAPES))
def test_rows_ids_counts_and_sums_are_the_drawn_ones(catalog: Catalog, layers: Layers, code: str) -> None:
    config = catalog[code]
    expected = truth(config, layers[code])
    assert set(expected["layer"]) == {layer.label for layer in config.layers}
    for made in layers[code]:
        layer = config.layer(made.label)
        read = normalize(
            raw(code, made), config, layer, snapshot="2026-05", lookups=lookups(config, layer, layers[code])
        )
        for row in expected.filter(pl.col("layer") == made.label).to_dicts():
            sections = read.sections.filter(pl.col("resource") == row["resource"])
            assert sections.height == row["rows"], row
            assert sections["feeder_id_external"].drop_nulls().n_unique() == row["feeder_ids"], row
            assert sections["feeder_id_external"].null_count() == row["rows_without_feeder"], row
            values = sections[row["canonical"]]
            assert values.count() == row["numeric_rows"], row
            assert values.sum() == pytest.approx(row["sum_mw"], rel=1e-9), row


@pytest.mark.parametrize("code", ["coned", "ngrid_ny", "pepco"])
def test_what_binds_is_the_drawn_constraint(catalog: Catalog, layers: Layers, code: str) -> None:
    config = catalog[code]
    for made in layers[code]:
        layer = config.layer(made.label)
        for resource, spec in layer.resources.items():
            if spec.constraint_columns is None:
                continue
            read = normalize(raw(code, made), config, layer, snapshot="2026-05").sections
            drawn = made.truth.filter("served")["binding"]
            metrics = drawn.replace_strict(spec.constraint_columns.columns, return_dtype=pl.String)
            found = read.filter(pl.col("resource") == resource)
            assert drawn.count() > 30
            bound = drawn.is_not_null()
            assert found["constraining_metric"].filter(bound).to_list() == metrics.filter(bound).to_list()
            assert found["constraining_metric"].filter(~bound).drop_nulls().is_in(["none"]).all()
