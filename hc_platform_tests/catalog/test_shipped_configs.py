"""The configs that ship: they load, fit the schema, and use no field name that was never seen."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hc_platform.catalog.loading import load_catalog
from hc_platform.catalog.models import UtilityConfig, json_schema
from hc_platform.documents import Loader

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "utility_configs"
RESEARCH = ROOT.parent / "shared" / "research" / "utility_layers.yaml"
CATALOG = load_catalog(CONFIGS)

EIA_IDS = {"pge": 14328, "sce": 17609, "rie": 13214, "ngrid_ny": 13573, "coned": 4226, "pepco": 15270}
AUTHORITIES = {
    "pge": "CISO",
    "sce": "CISO",
    "rie": "ISNE",
    "ngrid_ny": "NYIS",
    "coned": "NYIS",
    "pepco": "PJM",
}


def test_the_six_utilities_are_there_with_their_ids() -> None:
    assert {code: CATALOG[code].eia_id for code in EIA_IDS} == EIA_IDS
    assert {code: CATALOG[code].balancing_authority for code in AUTHORITIES} == AUTHORITIES


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_config_fits_the_json_schema(path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    # Editors read dates as text; PyYAML gives date objects, which JSON does not know.
    data = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    messages = [f"{list(e.absolute_path)}: {e.message}" for e in validator.iter_errors(_dates_as_text(data))]
    assert messages == []


def _dates_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _dates_as_text(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(v) for v in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


@pytest.mark.parametrize("code", sorted(EIA_IDS))
def test_every_field_name_was_seen(code: str) -> None:
    """Spelling counts: HC_REFESH_DATE is spelled so."""
    if not RESEARCH.is_file():
        pytest.skip("the research on utility layers is not beside the project (../shared/research)")
    entries = yaml.safe_load(RESEARCH.read_text(encoding="utf-8"))["entries"]
    config = CATALOG[code]
    for layer in config.layers:
        url = config.layer_service_url(layer)
        seen: set[str] = set()
        for entry in entries:
            index = re.match(r"\d+", str(entry["layer_index"]))
            same = entry["service_url"].split(" ")[0] == url and index is not None
            if same and int(index.group()) == layer.layer_index:
                seen |= {field["name"] for field in entry["fields"]}
        assert seen, f"{code}, {layer.label}: no such service and layer was ever described"
        assert set(layer.named_fields) <= seen, f"{code}, {layer.label}"


@pytest.mark.parametrize("code", sorted(EIA_IDS))
def test_a_name_that_is_resolved_was_published(code: str) -> None:
    """A descriptive name of ours would be looked for on the server and never found."""
    if not RESEARCH.is_file():
        pytest.skip("the research on utility layers is not beside the project (../shared/research)")
    entries = yaml.safe_load(RESEARCH.read_text(encoding="utf-8"))["entries"]
    published = {e["layer_name"] for e in entries if e["utility_code"] == code}
    for layer in CATALOG[code].layers:
        assert layer.name is None or layer.name in published
        assert layer.name or "ndex" in (layer.verification or CATALOG[code].verification).note


def _targets(config: UtilityConfig) -> set[str]:
    maps = [layer.fields_of(r) for layer in config.layers for r in layer.resources]
    return {target.to for fields in maps for targets in fields.values() for target in targets}


@pytest.mark.parametrize("code", sorted(CATALOG))
def test_every_fetchable_config_says_where_capacity_stands(code: str) -> None:
    config = CATALOG[code]
    capacities = {"hosting_capacity_mw", "hosting_capacity_max_mw", "remaining_capacity_mw"}
    assert not config.fetchable or _targets(config) & capacities


def test_the_ceilings_belong_to_their_columns() -> None:
    nodal = CATALOG["ngrid_ny"].layer("primary nodal sections").resources["generation"].constraint_columns
    assert nodal is not None
    assert nodal.ceiling_of("primary_hc_flicker") == 20
    assert nodal.ceiling_of("primary_hc_over_voltage") == 10
    pepco = [t for layer in CATALOG["pepco"].layers for ts in layer.field_map.values() for t in ts]
    assert all(t.ceiling is None for t in pepco)


def test_what_is_already_net_is_not_subtracted_again() -> None:
    sce = CATALOG["sce"]
    assert sce.basis_of(sce.layer("RAM - Circuits"), "generation") == "net_of_existing"
    coned = CATALOG["coned"]
    assert coned.basis_of(coned.layer("EV headroom"), "load") == "net_of_existing"
