"""A verification asks every layer, records what it found, and knows what the layer was before."""

import json
from datetime import UTC, datetime

import pytest

from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.source_tables import CONFIG_VERIFICATIONS
from hc_platform.pipeline.snapshots import known_layers, newest_pull
from hc_platform.pipeline.verifying import record, verify
from hc_platform.sources import AbsentError, ContractError, SourceError
from hc_platform.sources.base import LayerDescription
from hc_platform_tests.hosting_capacity.making import config, put, raw
from hc_platform_tests.pipeline.stub import Bench

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MADE = config(
    {
        "title": "lines",
        "capacity_unit": "kw",
        "field_map": {"Id": "feeder_id_external", "kW": "hosting_capacity_mw"},
    },
    {"title": "tables", "capacity_unit": "kw", "field_map": {"kW": "hosting_capacity_mw"}},
)


def layer_at(index: int, **types: str) -> LayerDescription:
    return LayerDescription(f"http://127.0.0.1:9/{index}", f"layer {index}", index, types, "OID", 7, None)


def test_each_layer_has_its_row_and_a_dead_one_is_a_finding(bench: Bench) -> None:
    def describe(_: UtilityConfig, layer: LayerConfig) -> LayerDescription:
        if layer.label == "tables":
            raise SourceError("test, layer tables: no answer within 5 s", retryable=True)
        return layer_at(0, Id="esriFieldTypeString", kW="esriFieldTypeDouble")

    verified = verify(MADE, describe, bench.lake, NOW)
    assert verified.select("layer", "verdict", "rows").rows() == [
        ("lines", "ok", 7),
        ("tables", "broken", None),
    ]
    (finding,) = json.loads(verified["findings"][1])
    assert (finding["kind"], finding["blocking"]) == ("unreachable", True)
    assert "no answer" in finding["message"]
    record(bench.lake, verified)
    record(bench.lake, verify(MADE, describe, bench.lake, NOW.replace(day=2)))
    held = bench.lake.scan(CONFIG_VERIFICATIONS, utility_code="test").collect()
    assert held.height == 4
    assert set(held["config_hash"]) == {MADE.fingerprint}


def test_what_a_layer_was_comes_from_its_last_pull(bench: Bench) -> None:
    put(bench.lake, MADE, [raw(MADE, [{"Id": "0022", "kW": "5"}]), raw(MADE, [{"kW": "5"}], layer=1)])
    known = known_layers(newest_pull(bench.lake, "test", until="9999-12"))
    assert known["lines"].fields == {"Id": "esriFieldTypeString", "kW": "esriFieldTypeString"}

    def describe(_: UtilityConfig, layer: LayerConfig) -> LayerDescription:
        return layer_at(layer.layer_index or 0, Id="esriFieldTypeInteger", kW="esriFieldTypeString")

    verified = verify(MADE, describe, bench.lake, NOW)
    assert verified["verdict"].to_list() == ["broken", "ok"]
    assert [f["kind"] for f in json.loads(verified["findings"][0])] == ["retyped_field"]


@pytest.mark.parametrize(
    ("error", "kind", "blocks"),
    [
        (AbsentError("test, layer maybe: Invalid URL"), "moved", False),
        (ContractError("test, layer maybe: no publication fits"), "gone_field", False),
        (SourceError("test, layer maybe: 403"), "unreachable", True),
    ],
)
def test_an_optional_layer_that_never_was_there_breaks_nothing(
    bench: Bench, error: SourceError, kind: str, blocks: bool
) -> None:
    def describe(_: UtilityConfig, layer: LayerConfig) -> LayerDescription:
        raise error

    for optional in (True, False):
        made = config({"title": "maybe", "optional": optional, "field_map": {}})
        row = verify(made, describe, bench.lake, NOW).row(0, named=True)
        (finding,) = json.loads(row["findings"])
        assert (finding["kind"], finding["blocking"]) == (kind, blocks or not optional)
        assert row["verdict"] == ("broken" if blocks or not optional else "look")
