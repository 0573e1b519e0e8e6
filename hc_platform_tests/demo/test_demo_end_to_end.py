"""The real client against the bad-mannered server: every row of every layer arrives, once."""

import json
from collections.abc import Mapping
from pathlib import Path

import httpx
import polars as pl
import pytest

from hc_platform import arcgis
from hc_platform.catalog.loading import Catalog
from hc_platform.demo import SyntheticLayer, truth
from hc_platform.demo.server import FAULTS, local_catalog, serve
from hc_platform.demo.synthetic import SHAPES

Layers = Mapping[str, list[SyntheticLayer]]


@pytest.mark.parametrize("code", sorted(SHAPES))
def test_every_layer_arrives_whole_through_broken_pages(
    catalog: Catalog, layers: Layers, code: str, tmp_path: Path
) -> None:
    expected = {row["layer"]: row["rows"] for row in truth(catalog[code], layers[code]).to_dicts()}
    with serve({code: layers[code]}) as url:
        config = local_catalog(catalog, url)[code]
        # The broken pages are what is tried here, not the patience between two attempts.
        http = arcgis.HttpOptions(min_interval_s=0.0, max_backoff_s=0.01)
        for number, layer in enumerate(config.layers):
            info = arcgis.describe_layer(
                config.layer_service_url(layer), name=layer.name, layer_index=layer.layer_index, http=http
            )
            pull = arcgis.pull_layer(
                info,
                tmp_path / str(number),
                where=layer.where,
                page_size=layer.page_size or config.page_size,
                http=http,
            )
            made = layers[code][number]
            served = made.frame.filter(made.truth["served"])
            assert (pull.status, pull.rows, pull.count_after) == ("complete", served.height, served.height)
            assert pull.rows == expected[layer.label]
            arrived = pl.concat(pl.read_parquet(file) for file in pull.files)
            assert arrived["object_id"].to_list() == served[made.oid_field].to_list()
            assert [json.loads(text) for text in arrived["attributes"]] == served.to_dicts()
            missing = made.lines.null[made.truth["served"].to_numpy()]
            assert arrived["geometry"].is_null().to_list() == missing.tolist()
        stats = httpx.get(f"{url}/_demo/stats").json()
    injected = {kind for counts in stats["faults"].values() for kind in counts}
    assert injected
    assert injected <= set(FAULTS)
