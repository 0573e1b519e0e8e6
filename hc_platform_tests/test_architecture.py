"""The rules that hold the rooms together (docs/design.md)."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from hc_platform.settings import PROJECT_DIR

PACKAGE = PROJECT_DIR / "hc_platform"
MODULES = sorted(PACKAGE.rglob("*.py"))
DOMAIN = {
    *("arcgis", "catalog", "charging", "geo", "hosting_capacity", "lake", "pipeline", "reference", "sources"),
    *("checking", "documents", "settings", "tables"),
}
# room -> rooms of ours that it may import; what is not named here may import all
MAY_IMPORT = {
    "arcgis": set(),
    "tables": set(),
    "settings": set(),
    "catalog": {"documents"},
    "charging": {"checking", "documents", "lake", "settings", "tables"},
    "documents": set(),
    "geo": {"tables"},
    "checking": set(),
    "hosting_capacity": {"catalog", "checking", "geo", "tables"},
    # the warehouse names the tables it holds
    "lake": {"charging", "tables", "settings", "hosting_capacity", "geo", "reference"},
    "reference": {"checking", "settings", "tables"},
    "sources": {"arcgis", "catalog", "settings"},
    "pipeline": {
        *(
            "catalog",
            "checking",
            "geo",
            "hosting_capacity",
            "lake",
            "reference",
            "settings",
            "sources",
            "tables",
        ),
        "charging",  # the table of devices
    },
}


def room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(module: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_imports_point_one_way(module: Path) -> None:
    own = room(module)
    names = imported(module)
    if own in DOMAIN:
        assert not [n for n in names if n.split(".")[0] == "dagster"], "domain code imports no Dagster"
    if own in MAY_IMPORT:
        rooms = {n.split(".")[1] for n in names if n.startswith("hc_platform.")}
        assert rooms - MAY_IMPORT[own] - {own} == set()


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_every_module_says_what_belongs_in_it_and_stays_short(module: Path) -> None:
    text = module.read_text()
    assert len(text.splitlines()) <= 400
    doc = ast.get_docstring(ast.parse(text)) or ""
    assert doc
    if module.name not in ("__init__.py", "definitions.py", "cli.py"):
        assert re.search(r"belongs? here", doc, re.I), (
            "its docstring says what belongs here and what does not"
        )


def test_no_utility_is_a_special_case_in_code() -> None:
    codes = [p.stem for p in (PROJECT_DIR / "utility_configs").glob("*.yaml")]
    pattern = re.compile(rf"==\s*['\"]({'|'.join(codes)})['\"]")
    outside = [m for m in MODULES if "demo" not in m.parts]
    assert [str(m) for m in outside if pattern.search(m.read_text())] == []


def test_no_machine_path_or_index_address_is_committed() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT_DIR, capture_output=True, text=True, check=True
    ).stdout.split()
    bad = re.compile(r"/(?:root|work|home/\w+)/|index-url|pypi\.org/simple|registry\.npmjs")
    found = []
    for name in tracked:
        path = PROJECT_DIR / name
        if path.is_file() and path != Path(__file__) and path.suffix not in {".png", ".parquet"}:
            found += [name] if bad.search(path.read_text(errors="ignore")) else []
    assert found == []
