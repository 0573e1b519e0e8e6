"""Every way in which a published layer can drift from its config gives one clear finding."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hc_platform.catalog.loading import load_config
from hc_platform.sources import SourceError
from hc_platform.sources.base import LayerDescription
from hc_platform.sources.contract import Finding, KnownLayer, findings_of, likeliest
from hc_platform.sources.discovery import Candidate, Looked
from hc_platform.sources.saved import describe_saved
from hc_platform_tests.hosting_capacity.making import config

ROOT = Path(__file__).parents[2]
SAVED = ROOT.parent / "shared" / "data" / "schemas" / "arcgis_sce"
NOW = datetime(2026, 8, 15, tzinfo=UTC)
FIELDS = {
    "FeederId": "esriFieldTypeString",
    "GenCapacity_kW": "esriFieldTypeInteger",
    "Division": "esriFieldTypeString",
}
LAYER: dict[str, Any] = {
    "name": "ICA LineDetail",
    "layer_index": 3,
    "capacity_unit": "kw",
    "field_map": {"FeederId": "feeder_id_external", "GenCapacity_kW": "hosting_capacity_mw"},
    "field_types": {"FeederId": "text", "GenCapacity_kW": "number"},
}
FOUND = LayerDescription(
    "http://127.0.0.1:9/3", "ICA LineDetail", 3, FIELDS, "OBJECTID", 10, NOW - timedelta(days=5)
)


def findings(
    found: LayerDescription,
    known: KnownLayer | None = None,
    config_keys: dict[str, Any] | None = None,
    **layer: Any,
) -> list[Finding]:
    made = config({**LAYER, **layer}, **(config_keys or {}))
    return findings_of(made, made.layers[0], found, known, NOW)


def only(found: list[Finding]) -> Finding:
    assert len(found) == 1, found
    return found[0]


def without(name: str, **more: str) -> dict[str, str]:
    return {k: v for k, v in FIELDS.items() if k != name} | more


def test_a_layer_as_configured_has_no_finding() -> None:
    assert findings(FOUND) == []


@pytest.mark.parametrize("new", ["Feeder_Id", "FEEDERID_", "feeder_ident"])
def test_a_renamed_field_is_one_finding_that_names_both(new: str) -> None:
    told = only(findings(replace(FOUND, fields=without("FeederId", **{new: "esriFieldTypeString"}))))
    assert (told.kind, told.blocking) == ("renamed_field", True)
    assert "FeederId" in told.message
    assert new in told.message


def test_a_field_that_is_gone_is_not_guessed() -> None:
    told = only(findings(replace(FOUND, fields=without("GenCapacity_kW"))))
    assert (told.kind, told.blocking) == ("gone_field", True)


def test_a_field_in_use_is_nobody_elses_new_name() -> None:
    """FeederId is gone; FeederID2 is taken by another key of the config, so it is not the new name."""
    layer = {"field_map": {"FeederId": "feeder_id_external", "FeederIds": "feeder_name"}, "field_types": {}}
    told = only(findings(replace(FOUND, fields={"FeederIds": "esriFieldTypeString"}), **layer))
    assert told.kind == "gone_field"


@pytest.mark.parametrize(
    ("field", "new", "blocks"),
    [
        ("FeederId", "esriFieldTypeInteger", True),  # its zeros are lost
        ("GenCapacity_kW", "esriFieldTypeString", True),  # ranges and words may come
    ],
)
def test_a_retyped_id_or_capacity_blocks(field: str, new: str, blocks: bool) -> None:
    told = only(findings(replace(FOUND, fields={**FIELDS, field: new})))
    assert (told.kind, told.blocking) == ("retyped_field", blocks)
    assert field in told.message


def test_another_kind_of_number_is_no_new_type() -> None:
    assert findings(replace(FOUND, fields={**FIELDS, "GenCapacity_kW": "esriFieldTypeDouble"})) == []


def test_types_are_held_against_the_last_pull_where_the_config_says_none() -> None:
    now = replace(FOUND, fields={**FIELDS, "GenCapacity_kW": "esriFieldTypeString"})
    assert findings(now, field_types={}) == []
    told = only(findings(now, KnownLayer("ICA LineDetail", 3, FIELDS), field_types={}))
    assert told.kind == "retyped_field"


def test_a_renumbered_layer_is_found_by_its_name_and_told() -> None:
    told = only(findings(replace(FOUND, layer_index=5)))
    assert (told.kind, told.blocking) == ("renumbered_layer", False)
    assert "layer_index" in told.message


def test_another_layer_at_the_index_blocks() -> None:
    """AEP's layer 0 is load and its layer 1 generation, with the same fields: a wrong index is silent."""
    nameless = {"name": None, "title": "load", "layer_index": 0}
    found = replace(FOUND, name="MAXGEN", layer_index=0)
    told = only(findings(found, KnownLayer("MAXLOAD", 0, FIELDS), **nameless))
    assert (told.kind, told.blocking) == ("renamed_layer", True)
    assert "MAXLOAD" in told.message
    assert findings(found, None, **nameless) == []
    assert (
        findings(found, KnownLayer("MAXLOAD", 1, FIELDS), **nameless) == []
    )  # the config was corrected since


def test_a_rotating_service_may_rename_its_layers() -> None:
    discovery = {"folder": "http://127.0.0.1:9/rest/services", "title": "Map_.*"}
    keys = {"service_url": None, "discovery": discovery, "url_discovery_method": "folder_listing"}
    nameless = {"name": None, "title": "load", "layer_index": 3}
    found = replace(FOUND, name="Carolinas June 2026")
    told = only(findings(found, KnownLayer("Carolinas May 2026", 3, FIELDS), keys, **nameless))
    assert not told.blocking


def test_a_newer_publication_that_was_passed_over_makes_the_service_stale() -> None:
    older = Looked(Candidate("HC_MAR2026", "http://127.0.0.1:9/a"), "chosen")
    newer = Looked(
        Candidate("HC_JUN2026", "http://127.0.0.1:9/b"), "lacks_fields", "lacks the field(s) FeederId"
    )
    found = only(findings(replace(FOUND, looked=(newer, older))))
    assert (found.kind, found.blocking) == ("stale_service", False)
    assert found.message == "HC_JUN2026 was passed over: lacks the field(s) FeederId"
    assert findings(replace(FOUND, looked=(older,))) == []


def test_no_rows_block_and_old_data_are_told() -> None:
    told = only(findings(replace(FOUND, count=0)))
    assert (told.kind, told.blocking) == ("empty", True)
    told = only(findings(replace(FOUND, edited_at=datetime(2021, 10, 1, tzinfo=UTC))))
    assert (told.kind, told.blocking) == ("stale_data", False)
    assert "2021-10-01" in told.message


NAMES = st.text("abcXYZ_019", min_size=4, max_size=12)


@given(NAMES, st.lists(NAMES, max_size=4))
def test_a_name_that_differs_in_case_and_punctuation_is_the_likeliest(name: str, others: list[str]) -> None:
    new = "_".join(name.swapcase())
    found = likeliest(name, [*others, new])
    folded = {"".join(c for c in n.lower() if c.isalnum()) for n in (name, found or "")}
    assert len(folded) == 1 or not any(c.isalnum() for c in name)


# --- saved answers -------------------------------------------------------------------------------------------------


@pytest.fixture
def sce(tmp_path: Path) -> Path:
    """A folder with SCE's real answer for the service, and layer answers with the real field types."""
    if not SAVED.is_dir():
        pytest.skip("SCE's saved answers are not beside the project (../shared/data/schemas)")
    service = json.loads((SAVED / "sce-drpep-ica-layer-featureserver.json").read_text())
    (tmp_path / "service.json").write_text(json.dumps(service))
    return tmp_path


def circuit_segments(index: int = 0, **types: str) -> dict[str, Any]:
    """The layer's answer, rebuilt from the field types that were derived from it."""
    schema = json.loads((SAVED / "sce-drpep-layers-schema.json").read_text())["$defs"]["IcaCircuitSegment"]
    fields = {name: spec["x-esri-field-type"] for name, spec in schema["properties"].items()}
    return {
        "id": index,
        "name": "ICA - Circuit Segments",
        "geometryType": "esriGeometryPolyline",
        "fields": [{"name": n, "type": t} for n, t in (fields | types).items() if t],
    }


def sce_findings(folder: Path) -> dict[str, list[str]]:
    made = load_config(ROOT / "utility_configs" / "sce.yaml")
    return {
        layer.label: [
            f.kind for f in findings_of(made, layer, describe_saved(folder, made, layer), None, NOW)
        ]
        for layer in made.layers
    }


def test_sce_as_saved_is_as_configured_and_its_fields_unchecked(sce: Path) -> None:
    assert sce_findings(sce) == {"ICA - Circuit Segments": ["unchecked"], "RAM - Circuits": ["unchecked"]}


def test_the_real_fields_of_the_circuit_segments_fit(sce: Path) -> None:
    (sce / "segments.json").write_text(json.dumps(circuit_segments()))
    assert sce_findings(sce)["ICA - Circuit Segments"] == []


def test_aprils_numbers_are_told_and_mended_by_name(sce: Path) -> None:
    """In April index 0 held the substations and the segments stood at 2; in July they stood at 0."""
    service = json.loads((sce / "service.json").read_text())
    swapped = {"ICA - Circuit Segments": 2, "Substations": 0}
    for layer in service["layers"]:
        layer["id"] = swapped.get(layer["name"], layer["id"])
    (sce / "service.json").write_text(json.dumps(service))
    (sce / "segments.json").write_text(json.dumps(circuit_segments(2)))
    assert sce_findings(sce)["ICA - Circuit Segments"] == ["renumbered_layer"]


def test_a_field_renamed_in_sces_answer_is_found(sce: Path) -> None:
    answer = circuit_segments(uniform_generation="", uniform_gen="esriFieldTypeDouble")
    (sce / "segments.json").write_text(json.dumps(answer))
    assert sce_findings(sce)["ICA - Circuit Segments"] == ["renamed_field"]


def test_a_layer_that_no_answer_knows_is_told_with_those_there_are(sce: Path) -> None:
    service = json.loads((sce / "service.json").read_text())
    service["layers"] = [x for x in service["layers"] if x["name"] != "RAM - Circuits"]
    (sce / "service.json").write_text(json.dumps(service))
    with pytest.raises(
        SourceError, match=r"no saved answer knows this layer; they know: .*'Substations' \(16\)"
    ):
        sce_findings(sce)
