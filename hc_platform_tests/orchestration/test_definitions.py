"""The shape of the asset graph: what a change of code or config does to it is seen here first."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hc_platform.catalog import Catalog
from hc_platform.definitions import build_definitions
from hc_platform.orchestration.platform import Platform
from hc_platform.settings import PROJECT_DIR, Settings

SNAPSHOT = Path(__file__).with_name("definitions_snapshot.json")


EXAMPLE = "pepco"
"""The utility whose assets the snapshot shows whole; of all others it has a line."""

OF_SOME = ("optional_layers_present", "newest_publication_taken")
"""Checks of raw_features that only the utilities with such layers have."""


def assets_of(definitions: dg.Definitions) -> dict[str, dict[str, Any]]:
    graph = definitions.resolve_asset_graph()
    assets = {}
    for key in sorted(graph.get_all_asset_keys(), key=lambda k: k.to_user_string()):
        node = graph.get(key)
        partitions = node.partitions_def
        assets[key.to_user_string()] = {
            "deps": sorted(k.to_user_string() for k in node.parent_keys),
            "group": node.group_name,
            "tags": dict(sorted(node.tags.items())),
            "partitions": partitions.cron_schedule
            if isinstance(partitions, dg.TimeWindowPartitionsDefinition)
            else None,
            "pools": sorted(node.pools or ()),
            "kinds": sorted(node.kinds),
            "checks": sorted(k.name for k in node.check_keys),
            "automation": node.automation_condition is not None,
            "freshness": node.freshness_policy is not None,
        }
    return assets


def folded(deps: list[str], codes: set[str]) -> list[str]:
    """feeders/a, feeders/b, ... -> feeders/*, where it is all utilities."""
    by_layer: dict[str, set[str]] = {}
    for dep in deps:
        layer, _, code = dep.partition("/")
        if code in codes:
            by_layer.setdefault(layer, set()).add(code)
    whole = {layer for layer, its in by_layer.items() if its == codes}
    rest = [d for d in deps if d.partition("/")[0] not in whole or d.partition("/")[2] not in codes]
    return sorted([*rest, *(f"{layer}/*" for layer in whole)])


def shape(assets: dict[str, dict[str, Any]], code: str) -> dict[str, Any]:
    """A utility's assets without what is its own: group, tags, pool, calendar."""
    own = ("group", "tags", "pools", "partitions")
    of_it = {name: asset for name, asset in assets.items() if name.endswith(f"/{code}")}
    plain = {name: {k: v for k, v in asset.items() if k not in own} for name, asset in of_it.items()}
    return json.loads(json.dumps(plain).replace(f"/{code}", "/*"))  # type: ignore[no-any-return]


def described(definitions: dg.Definitions) -> dict[str, Any]:
    assets = assets_of(definitions)
    codes = {name.partition("/")[2] for name in assets if name.startswith("raw_features/")}
    shared = {name: a for name, a in assets.items() if name.partition("/")[2] not in codes}
    repository = definitions.get_repository_def()
    raw = {code: assets[f"raw_features/{code}"] for code in sorted(codes)}
    whole = {
        "utilities": {
            code: " ".join([a["group"], a["partitions"] or "", *a["pools"]]) for code, a in raw.items()
        },
        EXAMPLE: {name: a for name, a in assets.items() if name.endswith(f"/{EXAMPLE}")},
        "shared": {name: {**a, "deps": folded(a["deps"], codes)} for name, a in shared.items()},
        "jobs": sorted(n for n in repository.job_names if not n.startswith("__")),
        "schedules": {s.name: s.cron_schedule for s in repository.schedule_defs},
        "sensors": sorted(s.name for s in repository.sensor_defs),
    }
    return {part: its for part, its in whole.items() if its}


@pytest.fixture(scope="module")
def definitions(shipped: Catalog, tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    data = tmp_path_factory.mktemp("data")
    return build_definitions(Platform(Settings(data_dir=data), shipped))


def test_the_graph_is_as_recorded(definitions: dg.Definitions) -> None:
    """After a change that is meant: HC_UPDATE_SNAPSHOT=1 make test TESTS=hc_platform_tests/orchestration.

    A new config is a line in `utilities`.
    """
    now = described(definitions)
    if os.environ.get("HC_UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    assert now == json.loads(SNAPSHOT.read_text())


def test_all_utilities_have_the_shape_that_is_recorded_of_one(
    definitions: dg.Definitions, shipped: Catalog
) -> None:
    assets = assets_of(definitions)
    wanted = shape(assets, EXAMPLE)
    for code, config in shipped.items():
        if not config.fetchable:
            assert shape(assets, code) == {}
            continue
        its = shape(assets, code)
        raw, usual = its["raw_features/*"], wanted["raw_features/*"]
        raw["kinds"] = usual["kinds"]
        raw["checks"] = [c for c in raw["checks"] if c not in OF_SOME]
        assert its == wanted, code
        tags = assets[f"sections/{code}"]["tags"]
        assert tags["utility"] == code
        assert tags["state"] == "-".join(config.states)
        assert {"wave", "parent", "cadence", "iso", "source", "verification"} <= set(tags)


def test_groups_stay_readable(definitions: dg.Definitions, shipped: Catalog) -> None:
    """A group is a state's or a parent's; none has more utilities than fit a screen."""
    assets = assets_of(definitions)
    groups: dict[str, set[str]] = {}
    for code, config in shipped.items():
        if config.fetchable:
            groups.setdefault(assets[f"raw_features/{code}"]["group"], set()).add(code)
            its = {a["group"] for name, a in assets.items() if name.endswith(f"/{code}")}
            assert len(its) == 1, code
    assert max(map(len, groups.values())) <= 8, groups
    for group, codes in groups.items():
        if group.startswith("us_"):
            assert all(shipped[code].states == [group[3:].upper()] for code in codes)


def test_hosts_share_a_pool_and_utilities_do_not_share_assets(definitions: dg.Definitions) -> None:
    assets = assets_of(definitions)
    pools = {name: a["pools"] for name, a in assets.items() if name.startswith("raw_features/")}
    assert pools["raw_features/coned"] == pools["raw_features/cmp"] == ["host_services_arcgis_com"]
    assert pools["raw_features/sce"] == ["host_drpep_sce_com"]
    assert all(not a["pools"] for name, a in assets.items() if not name.startswith("raw_features/"))


def test_definitions_load_from_the_workspace_without_a_deprecation_warning(tmp_path: Path) -> None:
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path), "HC_DATA_DIR": str(tmp_path)}
    code = (
        "import warnings; warnings.simplefilter('error', DeprecationWarning);"
        "import dagster; warnings.filterwarnings('error', message='.*', module='hc_platform.*');"
        "from hc_platform.definitions import defs; defs().get_repository_def().load_all_definitions()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=PROJECT_DIR
    )
    assert done.returncode == 0, done.stderr


def test_a_broken_config_names_file_line_key_and_mend(tmp_path: Path) -> None:
    folder = tmp_path / "utility_configs"
    folder.mkdir()
    good = (PROJECT_DIR / "utility_configs" / "rie.yaml").read_text()
    (folder / "rie.yaml").write_text(good.replace("grain: section", "grain: sektion"))
    environment = {**os.environ, "HC_CONFIG_DIR": str(folder), "HC_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", "from hc_platform.definitions import defs; defs()"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    line = next(i for i, text in enumerate(good.splitlines(), 1) if "grain: section" in text)
    assert f"rie.yaml:{line}: layers.0.grain" in done.stderr
    assert "did you mean section?" in done.stderr
