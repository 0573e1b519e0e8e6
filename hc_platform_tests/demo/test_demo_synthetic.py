"""The synthetic layers: repeatable, in the configs' shape, with the traps that real data has."""

from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest

from hc_platform.catalog.loading import Catalog
from hc_platform.demo import SyntheticLayer, synthetic_layers, truth
from hc_platform.demo.synthetic import SHAPES

Layers = Mapping[str, list[SyntheticLayer]]


def by_label(layers: Layers, code: str, label: str) -> SyntheticLayer:
    return next(layer for layer in layers[code] if layer.label == label)


@pytest.mark.parametrize("code", sorted(SHAPES))
def test_the_same_seed_gives_the_same_layers_and_another_seed_others(catalog: Catalog, code: str) -> None:
    one, two = synthetic_layers(catalog[code], 0.05), synthetic_layers(catalog[code], 0.05)
    other = synthetic_layers(catalog[code], 0.05, seed=8)
    for a, b, c in zip(one, two, other, strict=True):
        assert a.frame.equals(b.frame)
        assert a.truth.equals(b.truth)
        assert a.lines.coordinates.tobytes() == b.lines.coordinates.tobytes()
        assert not a.frame.equals(c.frame)


@pytest.mark.parametrize("code", sorted(SHAPES))
def test_every_field_a_config_relies_on_is_published(catalog: Catalog, layers: Layers, code: str) -> None:
    for layer in layers[code]:
        config = catalog[code].layer(layer.label)
        assert set(config.named_fields) <= set(layer.frame.columns)
        assert config.layer_index == layer.index
        assert config.name in (None, layer.name)


@pytest.mark.parametrize("code", sorted(SHAPES))
def test_object_ids_are_unique_and_have_gaps(layers: Layers, code: str) -> None:
    for layer in layers[code]:
        ids = layer.frame[layer.oid_field]
        assert ids.is_unique().all()
        assert ids.is_sorted()
        assert ids.max() > len(layer) or len(layer) < 60


@pytest.mark.parametrize("code", sorted(SHAPES))
def test_lines_stay_near_their_utility_and_fit_their_rows(layers: Layers, code: str) -> None:
    towns = np.asarray(SHAPES[code].area.towns)
    for layer in layers[code]:
        paths = layer.lines.paths()
        assert len(paths) == len(layer)
        assert paths.null_count() == int(layer.lines.null.sum())
        assert paths.list.len().drop_nulls().is_in([1, 2]).all()
        assert paths.drop_nulls().explode().list.len().min() >= 2
        assert np.abs(layer.lines.coordinates - towns.mean(axis=0)).max() < 5


def test_sections_of_a_feeder_hang_together(layers: Layers) -> None:
    layer = by_label(layers, "rie", "hosting capacity sections")
    ends = layer.lines.coordinates[layer.lines.vertices[layer.lines.parts[1:]] - 1]
    begins = layer.lines.coordinates[layer.lines.vertices[layer.lines.parts[:-1]]]
    same = layer.frame["Network_ID"].to_numpy()[1:] == layer.frame["Network_ID"].to_numpy()[:-1]
    assert same.sum() > 400
    assert np.allclose(begins[1:][same], ends[:-1][same], atol=2e-7)


def test_a_feeder_begins_at_one_place_in_every_layer(layers: Layers) -> None:
    """However many sections were drawn before it."""
    starts = []
    for label, name in (("3-phase segments", "FEEDER_ID"), ("storage charging", "FEEDER_ID")):
        layer = by_label(layers, "coned", label)
        first = layer.frame[name].is_first_distinct().to_numpy()
        starts.append(layer.lines.coordinates[layer.lines.vertices[layer.lines.parts[:-1]]][first])
    assert len(starts[0]) == 16
    assert np.array_equal(*starts)


def test_the_traps_are_there(layers: Layers) -> None:
    lines, feeders = layers["pge"]
    assert 0.3 < lines.frame["FeederId"].str.starts_with("0").mean() < 0.7
    assert lines.frame["Publish"].is_in([0]).any()
    assert lines.frame["ICA_Analysis_Date"].is_in(["May 2026"]).any()
    assert set(lines.frame["FeederId"]) == set(feeders.frame["FeederID"])
    assert feeders.frame["Nominal_Voltage"].is_in(["12kV"]).any()
    segments, ram = layers["sce"]
    assert segments.frame["ica_overall_load"].is_in(["Redacted", "NA"]).sum() > 10
    assert segments.frame["uniform_generation"].is_in([-9.999]).any()
    assert segments.frame["uniform_generation"].is_in([-1.0]).any()
    assert segments.frame["changed_date"].is_in(["01/01/9999"]).any()
    assert segments.frame["circuit_voltage"].is_in(["12.0"]).any()
    assert segments.frame["substation_voltage"].is_in(["66/12 kV"]).any()
    assert ram.frame["circuit_name"].is_duplicated().any()
    assert set(segments.frame["circuit_name"]) - set(ram.frame["circuit_name"])
    nodal = by_label(layers, "ngrid_ny", "primary nodal sections").frame
    assert nodal["primary_hc"].max() == 10
    assert nodal["primary_hc_flicker"].max() == 20
    assert nodal["primary_hc"].is_in([-1.0]).any()
    assert by_label(layers, "coned", "3-phase segments").frame["HC_REFESH_DATE"].min() < 0
    assert by_label(layers, "coned", "EV headroom").oid_field == "OBJECTID_1"
    assert by_label(layers, "coned", "EV headroom").frame["EV_HEADROOM"].min() < 0
    assert by_label(layers, "pepco", "Pepco feeders").frame["Feeder_Large_Gen_HC"].max() == 3000
    assert any(layer.lines.null.any() for layer in layers["pge"])


def test_copies_differ_in_the_object_id_only(layers: Layers) -> None:
    layer = by_label(layers, "sce", "ICA - Circuit Segments")
    rest = layer.frame.drop(layer.oid_field)
    copied = layer.truth["repeated"]
    assert copied.sum() == 6
    assert rest.is_duplicated().sum() == 12
    assert rest.filter(copied).join(rest.filter(~copied), on=rest.columns, nulls_equal=True).height == 6


def test_the_binding_column_is_the_least(layers: Layers) -> None:
    for code, label in (("ngrid_ny", "primary nodal sections"), ("coned", "3-phase segments")):
        layer = by_label(layers, code, label)
        columns = list(SHAPES[code].layers[label].constraints)
        both = pl.concat([layer.frame.select(columns), layer.truth.select("binding")], how="horizontal")
        bound = both.drop_nulls("binding")
        assert bound.height > 300
        for column in columns:
            mine = bound.filter(pl.col("binding") == column)
            others = [c for c in columns if c != column]
            assert (mine[column] < mine.select(pl.min_horizontal(others)).to_series()).all()
    free = layers["ngrid_ny"][1]
    top = free.frame.filter(free.frame["primary_hc"] == 10)
    assert top.height > 10
    assert free.truth.filter(free.frame["primary_hc"] == 10)["binding"].null_count() == top.height
    assert top["primary_hc_flicker"].unique().to_list() == [20]
    assert top["primary_hc_over_voltage"].unique().to_list() == [10]


def test_the_truth_matches_a_hand_count(catalog: Catalog, layers: Layers) -> None:
    """Counted here from the published text, by other means than the generator's numbers."""
    found = truth(catalog["sce"], layers["sce"])
    segments = layers["sce"][0].frame
    load = found.row(by_predicate=pl.col("resource") == "load", named=True)
    numbers = segments["ica_overall_load"].cast(pl.Float64, strict=False)
    assert (load["rows"], load["numeric_rows"]) == (806, numbers.count())
    assert load["sum_mw"] == pytest.approx(numbers.sum())
    assert load["repeated_rows"] == 6
    names = layers["sce"][1].frame["circuit_name"]
    once = names.filter(~names.is_duplicated())
    assert (
        load["feeder_ids"]
        == segments["circuit_name"].filter(segments["circuit_name"].is_in(once.implode())).n_unique()
    )
    assert load["rows_without_feeder"] == (~segments["circuit_name"].is_in(once.implode())).sum()
    pge = truth(catalog["pge"], layers["pge"]).row(0, named=True)
    published = layers["pge"][0].frame.filter(pl.col("Publish") == 1)
    assert pge["rows"] == published.height < len(layers["pge"][0])
    assert pge["sum_mw"] == pytest.approx(published["GenCapacity_kW"].sum() / 1000)


def test_a_million_sections_keep_their_keys(catalog: Catalog) -> None:
    lines, feeders = synthetic_layers(catalog["pge"], scale=50)
    assert len(lines) == 1_000_012
    assert len(feeders) == 3032
    assert feeders.frame["FeederID"].is_unique().all()
    kept = lines.frame.filter(~lines.truth["repeated"])
    assert kept.select("FeederId", "CSV_LineSection").is_unique().all()
    assert lines.lines.vertices[-1] == len(lines.lines.coordinates)


@pytest.mark.parametrize("code", sorted(SHAPES))
def test_feeder_ids_are_unique_at_full_size(catalog: Catalog, code: str) -> None:
    for layer in synthetic_layers(catalog[code], scale=15):
        config = catalog[code].layer(layer.label)
        if config.grain == "feeder":
            name = next(f for f, ts in config.field_map.items() if ts[0].to == "feeder_id_external")
            assert layer.frame[name].is_unique().all()
        if config.record_key:
            once = layer.frame.filter(~layer.truth["repeated"])
            assert once.select(config.record_key).is_unique().all()


def test_an_unknown_utility_is_told(catalog: Catalog) -> None:
    strange = catalog["pge"].model_copy(update={"utility_code": "nobody"})
    with pytest.raises(KeyError, match="no shape is described for nobody"):
        synthetic_layers(strange)
