"""The synthetic catalogue: every config's layers drawn, and one server with all utilities' hosts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from hc_platform.catalog import Catalog, load_catalog
from hc_platform.catalog.models import UtilityConfig
from hc_platform.demo.catalogue.files import write_files
from hc_platform.demo.catalogue.hosts import Host, serve_catalogue
from hc_platform.demo.catalogue.layers import DrawnLayer, draw_utility
from hc_platform.demo.catalogue.spelling import FieldType
from hc_platform.lake.store import Lake
from hc_platform.settings import PROJECT_DIR
from hc_platform_tests.catalogue.everything import EVERYTHING, IDENTITY, SECRET

RESEARCH = PROJECT_DIR.parent / "shared" / "research" / "utility_layers.yaml"
CONFIGS = Catalog({**load_catalog(PROJECT_DIR / "utility_configs"), EVERYTHING.utility_code: EVERYTHING})
FETCHABLE = sorted(code for code, config in CONFIGS.items() if config.fetchable)
WITH_LAYERS = sorted(code for code, config in CONFIGS.items() if config.layers)
_TYPES: Mapping[str, FieldType] = {
    "string": "text",
    "double": "number",
    "number": "number",
    "integer": "number",
    "smallinteger": "number",
    "date": "date",
}


@dataclass(frozen=True)
class Served:
    """All fetchable utilities: their layers, the server, and a lake and an import folder to ingest into."""

    catalog: Catalog
    drawn: Mapping[str, list[DrawnLayer]]
    host: Host
    lake: Lake
    folder: Path


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The catalogue in the types and with the fields that the research saw, where it is there; else by the configs."""
    folder = tmp_path_factory.mktemp("catalogue")
    entries: list[dict[str, Any]] = []
    if RESEARCH.is_file():
        entries = yaml.load(RESEARCH.read_text(), yaml.CSafeLoader)["entries"]
    drawn = {code: researched(CONFIGS[code], entries) for code in FETCHABLE}
    for layers in drawn.values():
        write_files(layers, folder / "imports")
    with pytest.MonkeyPatch.context() as environment, serve_catalogue(CONFIGS, drawn) as host:
        environment.setenv(IDENTITY, "reader")
        environment.setenv(SECRET, "password")
        yield Served(CONFIGS, drawn, host, Lake(str(folder / "lake")), folder)


def researched(config: UtilityConfig, entries: list[dict[str, Any]]) -> list[DrawnLayer]:
    """A utility's layers with the types, and the other fields, of the entry that shares most fields with each."""
    types: dict[str, dict[str, FieldType]] = {}
    extras: dict[str, dict[str, list[str | None]]] = {}
    for layer in config.layers:
        own = [e for e in entries if e["utility_code"] == config.utility_code]
        fields = max(
            (e.get("fields") or [] for e in own), key=lambda fs: _shared(layer.named_fields, fs), default=[]
        )
        seen = [f for f in fields if str(f["name"]).replace(".", "").isidentifier()]
        types[layer.label] = {f["name"]: t for f in seen if (t := _type(f))}
        extras[layer.label] = {f["name"]: [str(f.get("sample") or "x"), None] for f in seen}
    return draw_utility(config, types=types, extras=extras)


def _shared(names: list[str], fields: list[dict[str, Any]]) -> int:
    return len({f["name"] for f in fields} & set(names))


def _type(field: dict[str, Any]) -> FieldType | None:
    """The type where the research is sure of it: 'number?' is a guess."""
    told = str(field.get("type")).removeprefix("esriFieldType").partition("(")[0]
    return _TYPES.get(told.strip().lower())
