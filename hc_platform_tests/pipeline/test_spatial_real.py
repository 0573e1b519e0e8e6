"""Real geography and real feeders: match rates that the docs state (docs/joins_real.md)."""

import gzip
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from hc_platform.geo.devices import match_devices
from hc_platform.geo.names import FEEDER_NAME_PATTERN
from hc_platform.geo.substations import match_substations
from hc_platform.hosting_capacity.tables import SECTIONS
from hc_platform.lake.store import Lake, open_lake
from hc_platform.pipeline.feeders import prepare_records
from hc_platform.pipeline.fetch import fetch
from hc_platform.pipeline.locations import PreparedLocations, prepare_locations
from hc_platform.pipeline.near import feeders_near
from hc_platform.pipeline.normalize import prepared_sections
from hc_platform.reference.checks import check_reference
from hc_platform.reference.datasets import DATASETS
from hc_platform.settings import Settings
from hc_platform.sources import SourceOptions, source_for
from hc_platform_tests.hosting_capacity.making import AT, SNAPSHOT, config

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def geo(shared_data: Path) -> Settings:
    folder = shared_data / "geo"
    return Settings(
        territories=str(folder / "utility_territories.parquet"),
        utility_table=str(folder / "utilities.csv"),
        ba_zones=str(folder / "ba_iso_zones_simplified.parquet"),
        pricing_nodes=str(folder / "pricing_nodes.csv"),
        county_authorities=str(folder / "county_primary_ba_2018.csv"),
    )


def test_every_reference_file_that_may_not_ship_is_read_and_passes(geo: Settings) -> None:
    rows = {name: d.build(geo) for name, d in DATASETS.items() if d.configured(geo)}
    failed = [
        (name, c.message)
        for name, frame in rows.items()
        for c in check_reference(DATASETS[name], frame, geo)
        if c.blocking and not c.passed
    ]
    assert failed == []
    heights = {name: frame.height for name, frame in rows.items()}
    assert heights["utility_territories"] == 3004
    assert rows["utility_territories"]["geometry"].null_count() == 3004 - 2919
    assert (heights["iso_regions"], heights["pricing_nodes"]) == (7, 4065)
    assert {"CISO", "MISO", "PJM", "FPL"} <= set(rows["balancing_authorities"]["balancing_authority"])
    assert rows["pricing_nodes"]["stands_in"].sum() == 3971
    of = dict(rows["utility_territories"].select("eia_id", "balancing_authority").iter_rows())
    known = {14328: "CISO", 17609: "CISO", 15270: "PJM", 4226: "NYIS", 13214: "ISNE", 13573: "NYIS"}
    assert {eia: of[eia] for eia in known} == known


def test_more_than_half_of_all_zip_centres_are_ambiguous_with_every_candidate(geo: Settings) -> None:
    zips = DATASETS["zip_centroids"].build(geo).select(device_id="zip", lat="lat", lon="lon")
    areas = DATASETS["utility_territories"].build(geo).filter(pl.col("geometry").is_not_null())
    none = pl.DataFrame(
        schema={"utility_code": pl.String, "feeder_id_external": pl.String, "geometry": pl.Binary}
    )
    found = match_devices(zips, none, areas.select("eia_id", "geometry", name="utility_name"))
    best = found.filter(pl.col("rank") == 1)
    assert best.height == zips.height == 33_791
    counts = dict(best["status"].value_counts().iter_rows())
    assert counts["ambiguous"] / zips.height > 0.5
    assert counts == {"ambiguous": 19_087, "matched": 14_463, "unmatched": 241}
    several = found.group_by("device_id").agg(pl.len(), pl.first("n_candidates", "status"))
    ambiguous = several.filter(pl.col("status") == "ambiguous")
    assert ambiguous.filter((pl.col("len") != pl.col("n_candidates")) | (pl.col("len") < 2)).is_empty()
    assert several.filter((pl.col("status") == "matched") & (pl.col("len") != 1)).is_empty()


def test_pge_feeders_find_their_substation_by_name_and_the_number_in_the_id_agrees(shared_data: Path) -> None:
    """The first five digits of a PG&E feeder id are its substation's number, which the matching does not look at."""
    feeders = pl.read_csv(shared_data / "pge" / "pge_feeder_detail_2019.csv", infer_schema=False)
    stations = pl.read_csv(shared_data / "pge" / "pge_substations_2019.csv", infer_schema=False)
    nowhere = pl.lit(None, pl.Float64)
    known = stations.select(
        substation_id="SUBSTATION",
        utility_code=pl.lit("pge"),
        substation_name="SUBNAME",
        lon=nowhere,
        lat=nowhere,
    ).unique(["substation_id", "substation_name"], maintain_order=True)
    for named, expected in ((pl.col("Substation"), (2938, 90)), (pl.lit(None, pl.String), (2938, 90))):
        rows = feeders.select(
            utility_code=pl.lit("pge"),
            feeder_id_external="FeederID",
            feeder_name="Feeder_Nam",
            substation_name=named,
        )
        best = match_substations(rows, known, feeder_name_pattern=FEEDER_NAME_PATTERN).filter(
            pl.col("rank") == 1
        )
        matched = best.filter(pl.col("status") == "matched")
        assert (matched.height, best.height - matched.height) == expected
        number = matched["feeder_id_external"].str.slice(0, 5).cast(pl.Int64)
        assert (matched["substation_id"].cast(pl.Int64) == number).all()
        assert matched["distance_m"].null_count() == matched.height, "name only: neither file has a geometry"


@pytest.fixture(scope="module")
def rhode_island(
    shared_data: Path, geo: Settings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Lake, PreparedLocations]:
    folder = tmp_path_factory.mktemp("rie")
    packed = shared_data / "rhode_island" / "ri_generation_screen.geojson.gz"
    (folder / "ri.geojson").write_bytes(gzip.decompress(packed.read_bytes()))
    layer = {
        "path": "ri.geojson", "grain": "section", "layer_index": None, "record_key": ["Section_ID"],
        "field_map": {"Network_ID": "feeder_id_external", "hosting_capacity_mw": "hosting_capacity_mw"},
    }  # fmt: skip
    made = config(
        layer, data_source_type="file", service_url=None, capacity_unit="mw", states=["RI"], eia_id=13214,
        iso_id="isone", balancing_authority="ISNE",
    )  # fmt: skip
    lake = open_lake(str(folder / "lake"))
    source = partial(source_for, made, options=SourceOptions(import_dir=folder))
    fetch(made, SNAPSHOT, source=source, lake=lake, staging=folder / "staging", now=AT)
    with prepared_sections(made, SNAPSHOT, lake) as prepared:
        prepared.commit(lake)
    prepare_records(made, SNAPSHOT, lake).commit(lake)
    for name, dataset in DATASETS.items():
        if dataset.configured(geo):
            lake.replace(dataset.table, {}, DATASETS[name].build(geo))
    return lake, prepare_locations(made, SNAPSHOT, lake, geo)


def test_all_59535_sections_of_rhode_island_are_located(rhode_island: tuple[Lake, PreparedLocations]) -> None:
    lake, prepared = rhode_island
    assert lake.scan(SECTIONS).select(pl.len()).collect().item() == 59_535
    rows = prepared.rows
    assert [c.message for c in prepared.checks() if not c.passed] == []
    assert dict(rows["county_name"].value_counts().iter_rows()) == {
        "Providence": 273, "Kent": 65, "Newport": 51, "Washington": 46, "Bristol": 14
    }  # fmt: skip
    assert set(rows["state"]) == {"RI"}
    assert set(
        rows.select("iso_id", "iso_method", "balancing_authority", "balancing_authority_method").rows()
    ) == {("isone", "eia_id", "ISNE", "eia_id")}
    assert rows["authorities_agree"].all()
    whole = lake.scan(SECTIONS).select(pl.col("length_km").sum()).collect().item()
    assert rows["length_km"].sum() == pytest.approx(whole, rel=1e-9)
    same = (rows["county_fips"] == rows["county_at_midpoint"]).sum()
    assert same / rows.height > 0.9


def test_feeders_near_downtown_providence(rhode_island: tuple[Lake, PreparedLocations]) -> None:
    lake, _ = rhode_island
    found = feeders_near(lake, 41.8240, -71.4128, 1.0)
    assert found.height == 66
    assert found["feeder_id_external"][0] == "1114"
    assert found["distance_m"].is_sorted()
    assert found["distance_m"].max() < 1000
