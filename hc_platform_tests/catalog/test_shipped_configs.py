"""The configs that ship: they load, fit the schema, and use no field name that was never seen."""

import csv
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from hc_platform.catalog.coverage import coverage_markdown, load_atlas
from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.loading import load_catalog
from hc_platform.catalog.models import UtilityConfig, json_schema
from hc_platform.documents import Loader

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "utility_configs"
SHARED = ROOT.parent / "shared"
RESEARCH = SHARED / "research" / "utility_layers.yaml"
SPEC = SHARED / "spec" / "hosting-capacity.md"
CATALOG = load_catalog(CONFIGS)
LAYERS = [(code, layer.label) for code, config in CATALOG.items() for layer in config.layers]

EIA_IDS = {"pge": 14328, "sce": 17609, "rie": 13214, "ngrid_ny": 13573, "coned": 4226, "pepco": 15270}
AUTHORITIES = {
    "pge": "CISO",
    "sce": "CISO",
    "rie": "ISNE",
    "ngrid_ny": "NYIS",
    "coned": "NYIS",
    "pepco": "PJM",
}


def test_utilities_are_there_with_their_ids() -> None:
    assert {code: CATALOG[code].eia_id for code in EIA_IDS} == EIA_IDS
    assert {code: CATALOG[code].balancing_authority for code in AUTHORITIES} == AUTHORITIES


def test_an_eia_id_is_the_number_of_one_utility() -> None:
    """Eversource's and Duke's companies may share one; no two parents do."""
    parents: dict[int, set[str]] = {}
    for config in CATALOG.values():
        if config.eia_id is not None:
            parents.setdefault(config.eia_id, set()).add(config.parent_company or config.utility_name)
    assert {number: names for number, names in parents.items() if len(names) > 1} == {}


def test_eia_ids_are_those_of_eia() -> None:
    numbers = SHARED / "data" / "geo" / "utilities.csv"
    if not numbers.is_file():
        pytest.skip("EIA's utilities are not beside the project (../shared/data/geo)")
    with numbers.open(encoding="utf-8") as file:
        known = {row["eiaId"]: row for row in csv.DictReader(file)}
    strange = {c.utility_code: c.eia_id for c in CATALOG.values() if c.eia_id and str(c.eia_id) not in known}
    assert strange == {}


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


@cache
def _entries() -> list[dict[str, Any]]:
    if not RESEARCH.is_file():
        pytest.skip("the research on utility layers is not beside the project (../shared/research)")
    entries: list[dict[str, Any]] = yaml.safe_load(RESEARCH.read_text(encoding="utf-8"))["entries"]
    return entries


def _described(
    config: UtilityConfig, layer: LayerConfig, entries: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What the research says of a layer: of this very layer, else of its service, else of the utility."""
    own = [e for e in entries if e["utility_code"] == config.utility_code]
    url = layer.service_url or (None if config.discovery_of(layer) else config.service_url)
    service = [e for e in entries if url and e["service_url"].split(" ")[0].lower() == url.lower()]

    def index(entry: dict[str, Any]) -> int | None:
        number = re.match(r"\d+", str(entry["layer_index"]))
        return int(number.group()) if number else None

    found = [e for e in service if index(e) == layer.layer_index] or service or own
    # a layer told only in passing ("layer 2 = nodal") has the columns of its sister in the parent's other companies
    parent = {e["parent"] for e in own}
    sisters = [e for e in entries if e["parent"] in parent and index(e) == layer.layer_index]
    return found + sisters if not any(index(e) == layer.layer_index for e in found) else found


def _names(entry: dict[str, Any]) -> set[str]:
    """Every field that an entry names: as a field, or in passing ("also PrimaryVoltageDeviation, Flicker")."""
    names = {field["name"] for field in entry["fields"]}
    texts = [*names, *(str(f["meaning"]) for f in entry["fields"]), *map(str, entry["quirks"])]
    return names | {word for text in texts for word in re.findall(r"[A-Za-z_][\w.]*\w", text)}


# seen in published pulls of the very layer, of which the research names one column only
ALSO_SEEN = {("ameren_il", "load grid"): {"FEEDERID"}}


@pytest.mark.parametrize(("code", "label"), LAYERS)
def test_every_field_name_was_seen(code: str, label: str) -> None:
    """Spelling counts: HC_REFESH_DATE is spelled so."""
    config = CATALOG[code]
    layer = config.layer(label)
    if layer.path:
        pytest.skip("a file's columns stand in no list of layers")
    entries = _described(config, layer, _entries())
    if (layer.verification or config.verification).status in ("documented", "guessed"):
        entries += [
            e for e in _entries() if e["utility_code"] == code
        ]  # written after the utility's other layers
    seen = [name for entry in entries for name in _names(entry)]
    assert seen, f"{code}, {label}: no such service and layer was ever described"
    assert sorted(set(layer.named_fields) - set(seen) - ALSO_SEEN.get((code, label), set())) == []


@pytest.mark.parametrize(("code", "label"), LAYERS)
def test_a_type_the_config_states_was_seen(code: str, label: str) -> None:
    config = CATALOG[code]
    layer = config.layer(label)
    kinds = {"string": "text", "integer": "number", "double": "number", "number": "number", "int": "number"}
    kinds |= {"smallinteger": "number", "date": "date", "oid": "number"}
    seen: dict[str, set[str]] = {}
    for entry in [] if layer.path else _described(config, layer, _entries()):
        for field in entry["fields"]:
            word = re.sub(r"^esriFieldType", "", str(field["type"])).lower()
            if kind := kinds.get(re.split(r"[^a-z]", word)[0]):
                seen.setdefault(field["name"], set()).add(kind)
    wrong = {f: (t, seen[f]) for f, t in layer.field_types.items() if f in seen and t not in seen[f]}
    assert wrong == {}


@pytest.mark.parametrize(("code", "label"), LAYERS)
def test_a_name_that_is_resolved_was_published(code: str, label: str) -> None:
    """A descriptive name of ours would be looked for on the server and never found; `title` is the key for it."""
    layer = CATALOG[code].layer(label)
    if layer.name is None:
        return
    entries = [e for e in _entries() if e["utility_code"] == code]
    told = " ".join(str(e["layer_name"]) + " ".join(map(str, e.get("layers", {}).values())) for e in entries)
    assert layer.name in told


def _targets(config: UtilityConfig) -> set[str]:
    maps = [layer.fields_of(r) for layer in config.layers for r in layer.resources]
    return {target.to for fields in maps for targets in fields.values() for target in targets}


@pytest.mark.parametrize("code", sorted(CATALOG))
def test_every_fetchable_config_says_where_capacity_stands(code: str) -> None:
    config = CATALOG[code]
    capacities = {
        "hosting_capacity_mw",
        "hosting_capacity_min_mw",
        "hosting_capacity_max_mw",
        "remaining_capacity_mw",
    }
    assert not config.fetchable or _targets(config) & capacities


@pytest.mark.parametrize("code", sorted(CATALOG))
def test_what_cannot_be_fetched_says_why_in_a_sentence(code: str) -> None:
    config = CATALOG[code]
    assert config.fetchable or len((config.access_reason or "").split()) >= 6


def test_the_atlas_and_the_configs_know_each_other() -> None:
    atlas = load_atlas()
    assert {code for row in (*atlas.resources, *atlas.beyond) for code in row.utilities} == set(CATALOG)
    assert (atlas.resources_in_atlas, len(atlas.resources), atlas.unnamed) == (97, 74, 23)


def test_the_atlas_holds_every_row_of_the_plan() -> None:
    if not SPEC.is_file():
        pytest.skip("the hosting-capacity plan is not beside the project (../shared/spec)")
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in SPEC.read_text(encoding="utf-8").splitlines()
        if re.match(r"\| [A-Z]{2} \|", line)
    ]
    assert sorted((r.state, r.resource) for r in load_atlas().resources) == sorted(row[:2] for row in rows)
    waves = {(row[0], row[1]): int(row[6][5:]) for row in rows if row[6].startswith("Wave")}
    told = {
        (r.state, r.resource): {CATALOG[code].wave for code in r.utilities} for r in load_atlas().resources
    }
    assert {
        row: told[row] for row, wave in waves.items() if wave not in told[row] and not _wave_of_side(row)
    } == {}


def _wave_of_side(row: tuple[str, str]) -> bool:
    """The plan puts some load sides into a later wave than their utility's generation side."""
    return "(EV)" in row[1]


def test_docs_coverage_is_what_the_configs_say() -> None:
    written = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8")
    assert written == coverage_markdown(load_atlas(), CATALOG), "run hc coverage -o docs/coverage.md"


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
