"""SCE's service, served as it was in April and in July 2026, and republished with its fields renamed or retyped.

Belongs here: drift from the config to the lake over HTTP. Does not belong here: each rule by itself (sources/test_drift).
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from hc_platform.catalog import load_catalog
from hc_platform.demo import synthetic_layers
from hc_platform.demo.server import local_catalog, serve
from hc_platform.demo.synthetic import SyntheticLayer
from hc_platform.hosting_capacity.source_tables import CONFIG_VERIFICATIONS
from hc_platform.lake.store import Lake, open_lake
from hc_platform.pipeline.fetch import Fetched, fetch
from hc_platform.pipeline.verifying import record, verify
from hc_platform.settings import PROJECT_DIR
from hc_platform.sources import ContractError, SourceOptions, source_for

SHIPPED = load_catalog(PROJECT_DIR / "utility_configs")
SEGMENTS, CIRCUITS = "ICA - Circuit Segments", "RAM - Circuits"
JULY = {layer.name: layer for layer in synthetic_layers(SHIPPED["sce"], 0.02)}
OPTIONS = SourceOptions(min_interval_s=0, attempts=1)


def april() -> list[SyntheticLayer]:
    """Index 0 held the substations then, and the circuit segments stood at 2."""
    substations = replace(JULY[CIRCUITS], index=0, name="Substations", label="Substations")
    return [substations, replace(JULY[SEGMENTS], index=2), JULY[CIRCUITS]]


def republished(field: str, *, name: str | None = None, kind: str | None = None) -> list[SyntheticLayer]:
    """July's layers with one field of the segments under another name, or of another type."""
    layer = JULY[SEGMENTS]
    fields = tuple(
        (name or f if f == field else f, kind or t if f == field else t, c) for f, t, c in layer.fields
    )
    frame = layer.frame.rename({field: name or field})
    if kind == "String":
        frame = frame.with_columns(pl.col(name or field).cast(pl.String))
    return [replace(layer, fields=fields, frame=frame), JULY[CIRCUITS]]


def at(
    month: int, layers: Sequence[SyntheticLayer], lake: Lake, folder: Path
) -> tuple[Fetched | str, list[dict[str, object]]]:
    """What a pull of that month makes of the service, or why it was stopped; and what a verification finds."""
    with serve({"sce": list(layers)}, broken_pages=False) as url:
        config = local_catalog(SHIPPED, url)["sce"]
        source = partial(source_for, config, options=OPTIONS)
        now = datetime(2026, month, 15, tzinfo=UTC)
        seen = verify(config, lambda c, layer: source_for(c, layer, OPTIONS).describe(c, layer), lake, now)
        record(lake, seen)
        found = [f for text in seen["findings"] for f in json.loads(text) if f["kind"] != "stale_data"]
        try:
            done = fetch(
                config, f"2026-{month:02d}", source=source, lake=lake, staging=folder / "staging", now=now
            )
        except ContractError as error:
            return str(error), found
        return done, found


def test_renumbered_layers_are_pulled_by_their_names(tmp_path: Path) -> None:
    lake = open_lake(str(tmp_path / "lake"))
    done, found = at(4, april(), lake, tmp_path)
    assert isinstance(done, Fetched)
    assert done.fetched == len(JULY[SEGMENTS]) + len(JULY[CIRCUITS])
    assert [(f["kind"], f["blocking"]) for f in found] == [("renumbered_layer", False)]
    notes = dict(done.layers.select("layer", "notes").iter_rows())
    assert any("is at index 2 now" in note for note in notes[SEGMENTS])
    done, found = at(7, list(JULY.values()), lake, tmp_path)
    assert isinstance(done, Fetched)
    assert found == []
    indexes = dict(done.layers.select("layer", "layer_index").iter_rows())
    assert indexes == {SEGMENTS: 0, CIRCUITS: 17}
    held = lake.scan(CONFIG_VERIFICATIONS, utility_code="sce").collect().sort("checked_at", "layer")
    assert held.select("layer", "verdict").rows() == [
        (SEGMENTS, "look"),
        (CIRCUITS, "ok"),
        (SEGMENTS, "ok"),
        (CIRCUITS, "ok"),
    ]


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"field": "uniform_generation", "name": "uniform_gen"}, "renamed_field", "uniform_gen"),
        ({"field": "uniform_generation", "kind": "String"}, "retyped_field", "is a text now, was a number"),
    ],
)
def test_a_republished_field_stops_the_pull_and_leaves_what_stands(
    change: dict[str, str], kind: str, said: str, tmp_path: Path
) -> None:
    lake = open_lake(str(tmp_path / "lake"))
    before, _ = at(6, list(JULY.values()), lake, tmp_path)
    assert isinstance(before, Fetched)
    stopped, found = at(7, republished(**change), lake, tmp_path)  # type: ignore[arg-type]
    assert isinstance(stopped, str)
    assert said in stopped
    assert SEGMENTS in stopped
    assert [(f["kind"], f["blocking"]) for f in found] in ([(kind, True)], [("gone_field", True)])
    again, _ = at(8, list(JULY.values()), lake, tmp_path)
    assert isinstance(again, Fetched)
    assert again.fetched == before.fetched
