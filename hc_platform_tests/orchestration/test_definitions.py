"""The shape of the asset graph: what a change of code or config does to it is seen here first."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg

from hc_platform.catalog import Catalog
from hc_platform.definitions import build_definitions
from hc_platform.orchestration.platform import Platform
from hc_platform.settings import PROJECT_DIR, Settings

SNAPSHOT = Path(__file__).with_name("definitions_snapshot.json")


def described(definitions: dg.Definitions) -> dict[str, Any]:
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
    repository = definitions.get_repository_def()
    return {
        "assets": assets,
        "jobs": sorted(n for n in repository.job_names if not n.startswith("__")),
        "schedules": {s.name: s.cron_schedule for s in repository.schedule_defs},
        "sensors": sorted(s.name for s in repository.sensor_defs),
    }


def test_the_graph_is_as_recorded(shipped: Catalog, tmp_path: Path) -> None:
    """After a change that is meant: HC_UPDATE_SNAPSHOT=1 make test TESTS=hc_platform_tests/orchestration."""
    now = described(build_definitions(Platform(Settings(data_dir=tmp_path), shipped)))
    if os.environ.get("HC_UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    assert now == json.loads(SNAPSHOT.read_text())


def test_hosts_share_a_pool_and_utilities_do_not_share_assets(shipped: Catalog, tmp_path: Path) -> None:
    assets = described(build_definitions(Platform(Settings(data_dir=tmp_path), shipped)))["assets"]
    pools = {name: a["pools"] for name, a in assets.items() if name.startswith("raw_features/")}
    assert pools["raw_features/coned"] == pools["raw_features/rie"] == ["host_services_arcgis_com"]
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
