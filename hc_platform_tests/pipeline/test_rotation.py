"""Fetching what rotates or may be absent: new addresses, past months, the record of candidates, optional layers."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import polars as pl
import pytest

from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.source_tables import SOURCE_CANDIDATES
from hc_platform.hosting_capacity.tables import INGESTION_EVENTS, RAW_FEATURES, SOURCE_LAYERS
from hc_platform.pipeline.describing import PastSnapshotError
from hc_platform.pipeline.fetch import Fetched
from hc_platform.sources import AbsentError, ContractError, SourceError, SourceOptions, source_for
from hc_platform_tests.hosting_capacity.making import config
from hc_platform_tests.pipeline.stub import Bench, month
from hc_platform_tests.sources.portal_server import Publication, World, online

FIELDS = {"FEEDER": "feeder_id_external", "MW": "hosting_capacity_mw"}
BASE = "/x/rest/services"


@pytest.fixture
def world() -> Iterator[World]:
    with online(World()) as served:
        yield served


def layer(name: str, **more: Any) -> dict[str, Any]:
    return {"title": name, "layer_index": 0, "field_map": FIELDS, "capacity_unit": "mw", **more}


def rotating(world: World, *layers: dict[str, Any], title: str = r"HC_\w+", **more: Any) -> UtilityConfig:
    keys = {"service_url": None, "url_discovery_method": "agol_search", **more}
    discovery = {"portal": world.root, "owner": "pub", "title": title}
    return config(*(layers or (layer("lines"),)), discovery=discovery, **keys)


def static(world: World, *layers: dict[str, Any], **more: Any) -> UtilityConfig:
    return config(*layers, service_url=f"{world.root}{BASE}/Plain/FeatureServer", **more)


def bring(bench: Bench, made: UtilityConfig, number: int, **more: Any) -> Fetched:
    source = partial(source_for, made, options=SourceOptions(min_interval_s=0, attempts=1))
    return bench.fetch(made, None, month(number), source_for=source, **more)


def rows(bench: Bench, snapshot: str) -> int:
    return bench.lake.scan(RAW_FEATURES, snapshot=snapshot).select(pl.len()).collect().item()


def recorded(bench: Bench, snapshot: str) -> list[tuple[str, str | None, str]]:
    frame = bench.lake.scan(SOURCE_CANDIDATES, snapshot=snapshot).collect()
    return sorted(frame.select("title", "vintage", "verdict").rows(), reverse=True)


def test_the_same_publication_costs_nothing_and_a_new_one_is_a_change(bench: Bench, world: World) -> None:
    world.publish(f"{BASE}/HC_MAR2026", Publication(5))
    made = rotating(world)
    assert bring(bench, made, 4, run_id="run-1").status == "complete"
    before = world.queries()
    same = bring(bench, made, 5)
    assert (same.status, same.same_as) == ("unchanged", "2026-04")
    assert world.queries() - before <= 2  # a count is asked, no row
    world.publish(
        f"{BASE}/HC_062026", Publication(5)
    )  # the same rows and the same edit date under another name
    new = bring(bench, made, 6)
    assert (new.status, rows(bench, "2026-06")) == ("complete", 5)
    urls = bench.lake.scan(SOURCE_LAYERS).sort("snapshot").collect()["source_url"].to_list()
    assert [u.split("/")[-3] for u in urls] == ["HC_MAR2026", "HC_MAR2026", "HC_062026"]
    assert recorded(bench, "2026-06") == [
        ("HC_MAR2026", "2026-03", "not_newest"), ("HC_062026", "2026-06", "chosen")
    ]  # fmt: skip
    events = (
        bench.lake.scan(INGESTION_EVENTS, snapshot="2026-06").filter(pl.col("status") == "complete").collect()
    )
    assert events["source_url"].to_list() == [urls[-1]]
    first = bench.lake.scan(SOURCE_CANDIDATES, snapshot="2026-04").collect().row(0, named=True)
    assert (first["run_id"], first["layer"], first["reason"]) == ("run-1", "lines", None)
    assert f"{first['modified_at']:%Y-%m-%d}" == "2026-03-20"


def test_a_newer_one_that_lacks_a_field_is_noted_and_recorded_with_the_reason(
    bench: Bench, world: World
) -> None:
    world.publish(f"{BASE}/HC_MAR2026", Publication(5))
    world.publish(f"{BASE}/HC_APR2026", Publication(6, renamed={"FEEDER": "Circuit"}))
    done = bring(bench, rotating(world), 4)
    assert done.fetched == 5
    assert "HC_APR2026 was passed over: lacks the field(s) FEEDER" in done.layers["notes"][0][0]
    assert done.described is not None
    reasons = dict(done.described.candidates.select("verdict", "reason").rows())
    assert reasons == {"lacks_fields": "lacks the field(s) FEEDER", "chosen": None}


def test_layers_of_one_service_are_not_taken_from_publications_of_two_dates(
    bench: Bench, world: World
) -> None:
    world.publish(f"{BASE}/HC_MAR2026", Publication(3))
    world.publish(f"{BASE}/HC_062026", Publication(5, renamed={"MW": "Cap"}))
    names = {"field_map": {"FEEDER": "feeder_id_external"}}
    both = rotating(world, layer("lines"), layer("names", **names))
    with pytest.raises(ContractError, match="lines in HC_MAR2026, names in HC_062026"):
        bring(bench, both, 6)
    assert not bench.lake.has(RAW_FEATURES)
    assert {v for _, _, v in recorded(bench, "2026-06")} == {"chosen", "lacks_fields", "not_newest"}


@pytest.mark.parametrize("newer", ["gone", "lacks a field"])
def test_an_older_publication_than_the_held_one_is_not_taken_for_a_newer_month(
    bench: Bench, world: World, newer: str
) -> None:
    world.publish(f"{BASE}/HC_MAR2026", Publication(3))
    world.publish(f"{BASE}/HC_062026", Publication(5))
    made = rotating(world)
    assert bring(bench, made, 6).fetched == 5
    del world.services[f"{BASE}/HC_062026/FeatureServer"]
    if newer == "lacks a field":
        world.publish(f"{BASE}/HC_062026", Publication(5, renamed={"FEEDER": "Circuit"}))
    for _ in range(2):  # the failure leaves nothing that lets the next run through
        with pytest.raises(ContractError, match="HC_MAR2026 is older than HC_062026, which snapshot 2026-06"):
            bring(bench, made, 7)
    assert not bench.lake.has(RAW_FEATURES, snapshot="2026-07")
    assert bring(bench, made, 7, force=True).fetched == 3  # a person has looked


def test_where_none_fits_the_candidates_are_recorded_all_the_same(bench: Bench, world: World) -> None:
    world.publish(f"{BASE}/HC_APR2026", Publication(renamed={"FEEDER": "Circuit"}))
    with pytest.raises(ContractError, match="HC_APR2026: lacks the field"):
        bring(bench, rotating(world), 4)
    assert recorded(bench, "2026-04") == [("HC_APR2026", "2026-04", "lacks_fields")]
    assert bench.lake.scan(INGESTION_EVENTS).sort("at").collect()["status"].to_list() == ["running", "failed"]


def test_a_past_month_is_fetched_from_its_own_publication(bench: Bench, world: World) -> None:
    for name, count in (("JAN2026", 3), ("MAR2026", 4), ("052026", 5)):
        world.publish(f"{BASE}/HC_{name}", Publication(count, edited=None))
    made = rotating(world)
    assert bring(bench, made, 6).fetched == 5
    past = bring(bench, made, 6, snapshot="2026-03")
    assert (past.status, past.fetched, rows(bench, "2026-03")) == ("complete", 4, 4)
    assert ("HC_MAR2026", "2026-03", "chosen") in recorded(bench, "2026-03")
    again = bring(bench, made, 6, snapshot="2026-03")
    assert (again.status, again.same_as) == ("unchanged", "2026-03")  # the lake has it: nothing is asked
    assert again.described is None


def test_a_neighbouring_month_is_never_taken(bench: Bench, world: World) -> None:
    for name in ("JAN2026", "MAR2026", "2026", "Final"):
        world.publish(f"{BASE}/HC_{name}", Publication())
    with pytest.raises(PastSnapshotError) as error:
        bring(bench, rotating(world), 6, snapshot="2026-02")
    said = str(error.value)
    assert "no publication of 2026-02 can be had" in said
    assert all(
        x in said
        for x in ("HC_JAN2026 (2026-01)", "HC_MAR2026 (2026-03)", "HC_2026 (2026)", "HC_Final (no date)")
    )
    assert not bench.lake.has(RAW_FEATURES, snapshot="2026-02")
    assert {v for _, _, v in recorded(bench, "2026-02")} == {"other_period"}


def test_a_past_publication_that_no_longer_fits_is_told(bench: Bench, world: World) -> None:
    world.publish(f"{BASE}/HC_FEB2026", Publication(renamed={"MW": "Cap"}))
    with pytest.raises(ContractError, match="HC_FEB2026: lacks the field"):
        bring(bench, rotating(world), 6, snapshot="2026-02")
    del world.services[f"{BASE}/HC_FEB2026/FeatureServer"]
    with pytest.raises(
        PastSnapshotError, match=r"There are: HC_FEB2026 \(2026-02\)\. HC_FEB2026 .*Invalid URL"
    ):
        bring(bench, rotating(world), 6, snapshot="2026-02")


def test_a_quarter_holds_its_three_months(bench: Bench, world: World) -> None:
    for name in ("MAR2026", "APR2026", "052026", "JUL2026"):
        world.publish(f"{BASE}/HC_{name}", Publication())
    made = rotating(world, cadence="quarterly")
    bring(bench, made, 8, snapshot="2026-04")
    assert ("HC_052026", "2026-05", "chosen") in recorded(bench, "2026-04")
    with pytest.raises(PastSnapshotError, match="2026-05 is no quarterly snapshot; 2026-04 is"):
        bring(bench, made, 8, snapshot="2026-05")


def test_a_past_is_all_layers_or_none(bench: Bench, world: World) -> None:
    world.publish(f"{BASE}/HC_FEB2026", Publication())
    elsewhere = layer("feeders", service_url=f"{world.root}{BASE}/Plain/FeatureServer")
    with pytest.raises(
        PastSnapshotError, match="keep dated publications, but not feeders: a snapshot has all"
    ):
        bring(bench, rotating(world, layer("lines"), elsewhere), 6, snapshot="2026-02")
    assert world.asked == []


def optional(world: World) -> UtilityConfig:
    more = layer("load", optional=True, service_url=f"{world.root}{BASE}/Maybe/FeatureServer")
    return static(world, layer("lines"), more)


def test_an_optional_layer_that_is_absent_is_left_out_and_told(bench: Bench, world: World) -> None:
    world.publish(f"{BASE}/Plain", Publication(5))
    done = bring(bench, optional(world), 4)
    assert (done.status, done.fetched) == ("complete", 5)
    assert done.described is not None
    assert "Invalid URL" in done.described.left_out["load"]
    assert done.layers["notes"][0][0].startswith("left out: test, layer load")
    assert bring(bench, optional(world), 5).status == "unchanged"  # its absence is no change
    world.publish(f"{BASE}/Maybe", Publication(3))
    back = bring(bench, optional(world), 6)
    assert (back.status, back.fetched) == ("complete", 8)


@pytest.mark.parametrize("how", ["gone", "renamed"])
def test_an_optional_layer_that_was_pulled_may_not_vanish(bench: Bench, world: World, how: str) -> None:
    world.publish(f"{BASE}/Plain", Publication(5))
    maybe = world.publish(f"{BASE}/Maybe", Publication(3))
    bring(bench, optional(world), 4)
    if how == "gone":
        del world.services[maybe]
    else:
        world.services[maybe] = Publication(3, renamed={"MW": "Cap"})
    with pytest.raises(AbsentError if how == "gone" else ContractError, match="snapshot 2026-04 has it"):
        bring(bench, optional(world), 5)
    assert not bench.lake.has(SOURCE_LAYERS, snapshot="2026-05")


def test_an_optional_layer_that_never_fitted_is_left_out(bench: Bench, world: World) -> None:
    world.publish(f"{BASE}/Plain", Publication(5))
    world.publish(f"{BASE}/Maybe", Publication(3, renamed={"MW": "Cap"}))
    done = bring(bench, optional(world), 4)
    assert done.described is not None
    assert "field(s) MW" in done.described.left_out["load"]


def test_files_and_services_stand_side_by_side_and_an_optional_file_may_lack(
    bench: Bench, world: World
) -> None:
    world.publish(f"{BASE}/HC_MAR2026", Publication(5))
    imports = bench.folder / "imports"
    imports.mkdir()
    (imports / "der.csv").write_text("FEEDER,MW\n001,0.5\n001,0.25\n")
    files = [layer(name, path=name, layer_index=None, grain="point") for name in ("der.csv", "queue.csv")]
    made = rotating(world, layer("lines"), files[0], {**files[1], "optional": True})
    options = SourceOptions(min_interval_s=0, attempts=1, import_dir=imports)
    done = bench.fetch(made, None, month(4), source_for=partial(source_for, made, options=options))
    fetched = dict(done.layers.select("layer", "records_fetched").rows())
    assert fetched == {"lines": 5, "der.csv": 2}
    assert done.described is not None
    assert "there is no file" in done.described.left_out["queue.csv"]


def test_a_server_that_fails_is_not_an_absent_layer(bench: Bench, world: World) -> None:
    class Busy(Publication):
        def answer(self, path: str, params: dict[str, str]) -> dict[str, Any]:
            return {"error": {"code": 503, "message": "Service is busy"}}

    world.publish(f"{BASE}/Plain", Publication(5))
    world.publish(f"{BASE}/Maybe", Busy())
    with pytest.raises(SourceError, match="busy") as error:
        bring(bench, optional(world), 4)
    assert error.value.retryable
    assert not isinstance(error.value, AbsentError)


def test_a_utility_without_any_of_its_layers_fails(bench: Bench, world: World) -> None:
    alone = layer("load", optional=True, service_url=f"{world.root}{BASE}/Maybe/FeatureServer")
    with pytest.raises(AbsentError, match=r"none of its layers is there\. test, layer load"):
        bring(bench, static(world, alone), 4)


def test_other_geometry_asked_is_a_change(bench: Bench, world: World) -> None:
    world.publish(f"{BASE}/Plain", Publication(5))
    bring(bench, static(world, layer("lines")), 4)
    bare = static(world, layer("lines", geometry="none"))
    assert bring(bench, bare, 4).status == "complete"
    assert bench.lake.scan(RAW_FEATURES).collect()["geometry"].null_count() == 5
    assert bring(bench, bare, 4).status == "unchanged"
