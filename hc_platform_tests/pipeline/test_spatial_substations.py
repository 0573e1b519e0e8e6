"""Which substation feeds a feeder: the utility's own points, reviewed overrides, price nodes, and what is warned of."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from hc_platform.geo.lines import LineIndex
from hc_platform.pipeline.feeder_substations import (
    SUBSTATION_CHECKS,
    PreparedSubstations,
    prepare_substations,
)
from hc_platform.pipeline.reference import build_reference
from hc_platform.reference.datasets import DATASETS
from hc_platform.reference.reading import ReferenceDataError
from hc_platform.reference.tables import PRICING_NODES, SUBSTATIONS
from hc_platform.settings import Settings
from hc_platform_tests.hosting_capacity.making import SNAPSHOT, config
from hc_platform_tests.laws import law
from hc_platform_tests.pipeline.placing import CODE, fill, record, section, utility
from hc_platform_tests.pipeline.stub import Bench

LINE = shapely.LineString([(-95.0, 38.5), (-94.9, 38.5)])
ABOUT = {"source": "made up", "licence": "none", "vintage": "2026"}


def matched(bench: Bench, **keys: object) -> PreparedSubstations:
    prepared = prepare_substations(utility(), SNAPSHOT, bench.lake, Settings(**keys))
    assert [c.name for c in prepared.checks()] == list(SUBSTATION_CHECKS)
    return prepared


def listed(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "s.csv"
    path.write_text("\n".join(("utility_code,id,name,lat,lon", *lines)) + "\n")
    return str(path)


def put(bench: Bench, where: str) -> None:
    rows = build_reference(DATASETS["substations"], Settings(substations=where), bench.lake, {})  # type: ignore[arg-type]
    bench.lake.replace(SUBSTATIONS, {}, rows)


def test_a_feeder_is_matched_by_what_is_published_beside_it_else_by_its_own_name(
    bench: Bench, tmp_path: Path
) -> None:
    records = [
        record("1", substation_name="Oak Grove Sub", feeder_name="X 1101"),
        record("2", feeder_name="ELM 1102"),
        record("3", feeder_name="circuit of nothing"),
    ]
    fill(bench.lake, [section("1", LINE), section("2", LINE), section("3", LINE)], records)
    put(bench, listed(tmp_path, "test,a,OAK GROVE,38.51,-94.95", "test,b,ELM,,", "other,c,ELM,38.5,-94.95"))
    prepared = matched(bench)
    rows = {r["feeder_id_external"]: r for r in prepared.best.to_dicts()}
    assert (rows["1"]["substation_id"], rows["1"]["method"], rows["1"]["status"]) == (
        "a",
        "exact_name",
        "matched",
    )
    assert rows["1"]["distance_m"] == pytest.approx(1110, rel=0.01)
    assert (rows["2"]["substation_id"], rows["2"]["method"]) == ("b", "exact_name_only"), (
        "not another utility's"
    )
    assert (rows["3"]["status"], rows["3"]["method"]) == ("unmatched", "no_name")
    assert prepared.known == 2
    assert all(c.passed for c in prepared.checks())


def test_one_far_away_is_no_candidate_and_two_alike_are_ambiguous_with_both_kept(
    bench: Bench, tmp_path: Path
) -> None:
    records = [record("1", substation_name="OAK"), record("2", substation_name="ELM")]
    fill(bench.lake, [section("1", LINE), section("2", LINE)], records)
    put(
        bench,
        listed(tmp_path, "test,far,OAK,38.7,-94.95", "test,x,ELM,38.501,-94.95", "test,y,ELM,38.502,-94.95"),
    )
    prepared = matched(bench)
    rows = prepared.rows.filter(pl.col("feeder_id_external") == "2").to_dicts()
    assert [(r["substation_id"], r["rank"], r["status"]) for r in rows] == [
        ("x", 1, "ambiguous"), ("y", 2, "ambiguous")
    ]  # fmt: skip
    assert {r["n_candidates"] for r in rows} == {2}
    assert prepared.best.filter(pl.col("feeder_id_external") == "1")["status"].to_list() == ["unmatched"]
    rate = next(c for c in prepared.checks() if c.name == "feeders_are_matched")
    assert not rate.passed
    assert not rate.blocking
    assert "0 of 2 feeders" in rate.message


def test_a_reviewed_override_wins_and_one_that_no_longer_fits_is_told(bench: Bench, tmp_path: Path) -> None:
    fill(bench.lake, [section("1", LINE)], [record("1", substation_name="OAK")])
    put(bench, listed(tmp_path, "test,a,OAK,38.51,-94.95", "test,b,ELM,38.51,-94.95"))
    reviewed = tmp_path / "reviewed.csv"
    reviewed.write_text("utility_code,feeder_id_external,substation_id\ntest,1,b\nother,1,nothing\n")
    best = matched(bench, substation_overrides=reviewed).best.to_dicts()[0]
    assert (best["substation_id"], best["method"], best["status"]) == ("b", "override", "matched")
    reviewed.write_text("utility_code,feeder_id_external,substation_id\ntest,1,gone\n")
    with pytest.raises(ReferenceDataError, match=r"HC_SUBSTATION_OVERRIDES.*test 1 -> gone"):
        matched(bench, substation_overrides=reviewed)
    with pytest.raises(ReferenceDataError, match="which is not there"):
        matched(bench, substation_overrides=tmp_path / "none.csv")


def test_the_utilitys_own_substation_layer_comes_first(bench: Bench, tmp_path: Path) -> None:
    rows = [
        section("1", LINE),
        section(None, shapely.Point(-94.95, 38.51), key="p1", grain="point", layer="Substations", substation_name="OAK"),
        section(None, shapely.Point(-94.95, 38.53), key="p2", grain="point", layer="Substations", substation_name="OAK"),
        section(None, shapely.Point(-94.95, 38.52), key="p3", grain="point", layer="nodes", substation_name="NODE"),
    ]  # fmt: skip
    fill(bench.lake, rows, [record("1", substation_name="OAK")])
    put(bench, listed(tmp_path, "test,OAK,OAK,1,1", "test,e,ELM,38.5,-94.9"))
    made = config(
        {"name": "lines", "field_map": {"F": "feeder_id_external"}},
        {"name": "Substations", "grain": "point"},
        {"name": "nodes", "grain": "point"},
        states=["KS"],
    )
    prepared = prepare_substations(made, SNAPSHOT, bench.lake, Settings())
    assert (prepared.known, prepared.placed) == (2, 2)
    best = prepared.best.row(0, named=True)
    assert best["substation_name"] == "OAK"
    assert best["distance_m"] == pytest.approx(2220, rel=0.01), "to the middle of its two banks"
    catalog = {made.utility_code: made}
    national = build_reference(DATASETS["substations"], Settings(), bench.lake, catalog)  # type: ignore[arg-type]
    assert national.select("utility_code", "substation_name", "vintage").rows() == [(CODE, "OAK", SNAPSHOT)]


def test_a_price_node_at_the_substation_is_linked_and_a_stand_in_is_told(
    bench: Bench, tmp_path: Path
) -> None:
    fill(bench.lake, [section("1", LINE)], [record("1", substation_name="OAK")])
    put(bench, listed(tmp_path, "test,a,OAK,38.51,-94.95", "test,a,OAK TREE,38.51,-94.95"))
    nodes = pl.DataFrame(
        {
            "node_id": ["far", "near", "strange"],
            "node_name": ["OAK_1_N1", "OAK_1_N2", "ELM_1"],
            "lat": [39.0, 38.515, 38.51],
            "lon": [-94.95] * 3,
            "stands_in": [False, True, False],
            **ABOUT,
        }
    )
    bench.lake.replace(PRICING_NODES, {}, PRICING_NODES.conform(nodes))
    best = matched(bench).best
    assert best.height == 1
    row = best.row(0, named=True)
    assert (row["pricing_node_id"], row["pricing_node_stands_in"]) == ("near", True)
    assert row["pricing_node_m"] == pytest.approx(555, rel=0.01)


def test_without_any_substation_every_feeder_is_unmatched_and_only_a_configured_file_is_warned_of(
    bench: Bench, tmp_path: Path
) -> None:
    fill(bench.lake, [section("1", LINE)], [record("1", substation_name="OAK")])
    prepared = matched(bench)
    assert prepared.best["status"].to_list() == ["unmatched"]
    assert all(c.passed for c in prepared.checks())
    assert "set HC_SUBSTATIONS" in prepared.checks()[1].message
    prepared = matched(bench, substations=listed(tmp_path, "other,c,ELM,38.5,-94.95"))
    assert [c.name for c in prepared.checks() if not c.passed] == ["substations_are_known"]


@law(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lat=st.sampled_from([18.2, 38.5, 51.9, 71.3]),
    lon=st.sampled_from([-179.99, 179.99, -95.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_few_pieces_that_are_measured_give_the_distance_of_all(
    bench: Bench, lat: float, lon: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    here = np.array([lon, lat])
    lines = [
        shapely.LineString(
            here + random.uniform(-0.03, 0.03, 2) + random.normal(0, 0.02, (3, 2)).cumsum(axis=0)
        )
        for _ in range(12)
    ]
    places = (here + random.uniform(-0.03, 0.03, (2, 2)) + 180.0) % 360.0 - 180.0
    places[:, 1] = lat + random.uniform(-0.03, 0.03, 2)
    rows = [section(str(i % 2), line, key=str(i)) for i, line in enumerate(lines)]
    fill(bench.lake, rows, [record(str(i), substation_name="OAK") for i in range(2)])
    stations = SUBSTATIONS.conform(
        pl.DataFrame(
            {
                "utility_code": [CODE] * 2,
                "substation_id": ["a", "b"],
                "substation_name": ["OAK", "OAK SUB"],
                "lat": places[:, 1],
                "lon": places[:, 0],
                **ABOUT,
            }
        )
    )
    bench.lake.replace(SUBSTATIONS, {}, stations)
    found = matched(bench).rows.drop_nulls("distance_m")
    for feeder, station, metres in found.select("feeder_id_external", "substation_id", "distance_m").rows():
        own = LineIndex(
            pl.Series([0] * 6), pl.Series([shapely.to_wkb(line) for line in lines[int(feeder) :: 2]])
        )
        [at] = stations.filter(pl.col("substation_id") == station).select("lon", "lat").rows()
        truth = own.within(pl.Series([at[0]]), pl.Series([at[1]]), 15_000)["distance_m"][0]
        assert metres == pytest.approx(truth, abs=1e-6)
    assert found.height == 4, "both feeders are within reach of both"
