"""What a person sees in the UI of a rotating service and of an optional layer."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from hc_platform.catalog import Catalog
from hc_platform.orchestration.platform import Platform
from hc_platform.orchestration.utility_assets import utility_assets
from hc_platform.settings import Settings
from hc_platform_tests.hosting_capacity.making import config
from hc_platform_tests.pipeline.stub import month
from hc_platform_tests.sources.portal_server import Publication, World, online

LAYER = {"layer_index": 0, "field_map": {"FEEDER": "feeder_id_external"}}


@pytest.fixture
def world() -> Iterator[World]:
    with online(World()) as served:
        yield served


def materialize(world: World, folder: Path, snapshot: str) -> dg.ExecuteInProcessResult:
    discovery = {"portal": world.root, "owner": "pub", "title": r"HC_\w+"}
    maybe = {**LAYER, "title": "load", "optional": True, "service_url": f"{world.root}/none/FeatureServer"}
    made = config(
        {**LAYER, "title": "lines"}, maybe,
        service_url=None, url_discovery_method="agol_search", discovery=discovery,
    )  # fmt: skip
    platform = Platform(
        Settings(data_dir=folder, min_interval_s=0, attempts=1), Catalog({"test": made}), now=lambda: month(6)
    )
    raw = utility_assets(made, platform)[0]
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize([raw], partition_key=snapshot, instance=instance, raise_on_error=False)


def test_candidates_stand_in_the_metadata_and_an_absent_optional_layer_warns(
    world: World, tmp_path: Path
) -> None:
    world.publish("/x/rest/services/HC_MAR2026", Publication(4))
    world.publish("/x/rest/services/HC_MAY2026", Publication(4, renamed={"FEEDER": "Circuit"}))
    result = materialize(world, tmp_path, "2026-06")
    assert result.success
    [event] = result.get_asset_materialization_events()
    table = str(event.materialization.metadata["candidates"].value)
    assert "| lines | HC_MAR2026 | 2026-03 |" in table
    assert "lacks_fields | lacks the field(s) FEEDER" in table
    checks = {c.check_name: c for c in result.get_asset_check_evaluations()}
    absent = checks["optional_layers_present"]
    assert (absent.passed, absent.severity, absent.blocking) == (False, dg.AssetCheckSeverity.WARN, False)
    assert "layer load" in (absent.description or "")
    newest = checks["newest_publication_taken"]
    assert (newest.passed, newest.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "lines: HC_MAY2026 was passed over: lacks" in (newest.description or "")


def test_a_past_that_no_layer_keeps_fails_with_the_reason(world: World, tmp_path: Path) -> None:
    world.publish("/x/rest/services/HC_MAR2026", Publication(4))
    result = materialize(world, tmp_path, "2026-03")
    assert not result.success
    [check] = result.get_asset_check_evaluations()
    assert "keep dated publications, but not load" in (check.description or "")
