"""Every config that describes layers, also those that cannot be fetched, normalized in memory against its truth."""

import polars as pl
import pytest

from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.demo.catalogue.layers import DrawnLayer, draw_utility, frame_of
from hc_platform.demo.catalogue.truth import differences, expected_sections, rejected_features
from hc_platform.hosting_capacity.lookups import Lookup, lookup_of
from hc_platform.hosting_capacity.packed import open_rows
from hc_platform.hosting_capacity.sections import normalize
from hc_platform.hosting_capacity.tables import SECTIONS
from hc_platform_tests.catalogue.conftest import CONFIGS, WITH_LAYERS

ROWS = 90


def raw(drawn: DrawnLayer) -> pl.DataFrame:
    """The layer as raw features, as a source hands them on; what its filter keeps out is not among them."""
    frame = frame_of(drawn)
    return frame.select(
        utility_code=pl.lit(drawn.plan.config.utility_code),
        snapshot=pl.lit("2026-08"),
        layer=pl.lit(drawn.layer.label),
        object_id=pl.Series(drawn.object_ids),
        feature_key=pl.Series(drawn.object_ids).cast(pl.String),
        raw_attributes=pl.struct(frame.columns).struct.json_encode(),
        geometry=pl.lit(None, dtype=pl.Binary),
    ).filter(pl.Series(drawn.served))


def lookups(config: UtilityConfig, layer: LayerConfig, drawn: list[DrawnLayer]) -> list[Lookup]:
    """The tables of the layer's joins."""
    made = []
    for join in config.joins_of(layer):
        other = next(d for d in drawn if d.layer.label == join.layer)
        names = {name: name for name in config.fields_of_contract(other.layer)}
        texts, _, _ = open_rows(raw(other)["raw_attributes"], other.layer, names)
        made.append(lookup_of(texts, other.layer, join, other.layer.capacity_unit or config.capacity_unit))
    return made


def differing(config: UtilityConfig, drawn: list[DrawnLayer]) -> pl.DataFrame:
    """Where the layers, normalized by this config, differ from their truth."""
    sections = []
    for one in drawn:
        layer = config.layer(one.layer.label)
        read = normalize(raw(one), config, layer, snapshot="2026-08", lookups=lookups(config, layer, drawn))
        # duplicates are found over the whole layer, not in a batch
        copies = [
            str(one.object_ids[f]) for f, why in rejected_features(one).items() if why == "duplicate_feature"
        ]
        sections.append(read.sections.filter(~pl.col("feature_key").is_in(copies)).select(SECTIONS.names))
    return differences(expected_sections(drawn), pl.concat(sections))


@pytest.mark.parametrize("code", WITH_LAYERS)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_layer_reads_as_it_was_drawn(code: str, seed: int) -> None:
    config = CONFIGS[code]
    assert differing(config, draw_utility(config, ROWS, seed)).rows() == []


def test_a_wrong_unit_is_a_difference() -> None:
    config = CONFIGS["dte"]
    wrong = config.model_dump(exclude_defaults=True)
    for targets in wrong["layers"][0]["field_map"].values():
        for target in targets:
            if target["to"] == "installed_dg_mw":
                target["unit"] = "mw"
    found = differing(UtilityConfig.model_validate(wrong), draw_utility(config, ROWS))
    assert found["column"].unique().to_list() == ["installed_dg_mw"]
    assert found.height > ROWS / 4  # a layer of feeders has a third as many rows
