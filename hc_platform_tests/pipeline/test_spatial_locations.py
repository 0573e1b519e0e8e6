"""Where a feeder lies: shares of its length, its midpoint, and who names its grid region."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from pyproj import Geod

from hc_platform.pipeline import pieces
from hc_platform.pipeline.locations import LOCATION_CHECKS, prepare_locations
from hc_platform.reference.datasets import DATASETS
from hc_platform.reference.tables import BALANCING_AUTHORITIES, COUNTIES, ISO_REGIONS, UTILITY_TERRITORIES
from hc_platform.settings import Settings
from hc_platform_tests.hosting_capacity.making import SNAPSHOT
from hc_platform_tests.laws import law
from hc_platform_tests.pipeline.placing import fill, section, utility
from hc_platform_tests.pipeline.stub import Bench

GEOD = Geod(ellps="WGS84")
ABOUT = {"source": "made up", "licence": "none", "vintage": "2026"}


def located(bench: Bench, **keys: Any) -> dict[str, dict[str, Any]]:
    prepared = prepare_locations(utility(**keys), SNAPSHOT, bench.lake, Settings())
    assert [c.name for c in prepared.checks()] == list(LOCATION_CHECKS)
    return {r["feeder_id_external"]: r for r in prepared.rows.to_dicts()}


def metres(line: shapely.Geometry) -> float:
    return float(GEOD.geometry_length(line))


def test_a_feeder_over_a_state_line_is_shared_by_length_and_adds_up(bench: Bench) -> None:
    west = shapely.LineString([(-94.70, 38.5), (-94.66, 38.5)])
    across = shapely.LineString([(-94.66, 38.5), (-94.58, 38.5)])
    fill(bench.lake, [section("F", west), section("F", across)])
    row = located(bench)["F"]
    counties = DATASETS["counties"].build(Settings())
    brute = {
        fips: sum(metres(shapely.from_wkb(wkb).intersection(line)) for line in (west, across))
        for fips, wkb in counties.filter(pl.col("state").is_in(["KS", "MO"]))
        .select("county_fips", "geometry")
        .rows()
    }
    total = metres(west) + metres(across)
    expected = {fips: m / total for fips, m in brute.items() if m > 0}
    assert json.loads(row["county_shares"]) == pytest.approx(expected, abs=1e-4)
    assert row["state"] == "KS"
    assert row["state_share"] == pytest.approx(expected["20121"], abs=1e-6)
    assert row["length_km"] == pytest.approx(total / 1000, rel=1e-4)
    assert row["county_name"] == "Miami"
    assert sum(expected.values()) + row["outside_share"] == pytest.approx(1.0, abs=1e-4)
    assert row["state_at_midpoint"] in ("KS", "MO")


def test_a_feature_counts_once_however_many_resources_and_batches_it_is_in(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [shapely.LineString([(-95.0 + i / 100, 38.5), (-94.99 + i / 100, 38.5)]) for i in range(5)]
    rows = [
        section("F", line, key=str(i), resource=resource)
        for i, line in enumerate(lines)
        for resource in ("generation", "load")
    ]
    fill(bench.lake, rows)
    total = sum(metres(line) for line in lines) / 1000
    for size in (1, 2, 3, 100):  # a batch may end between the two rows of a feature
        monkeypatch.setattr(pieces, "BATCH_ROWS", size)
        assert located(bench)["F"]["length_km"] == pytest.approx(total, rel=1e-4)


def test_a_feeders_own_line_stands_for_it_and_not_its_sections_too(bench: Bench) -> None:
    own = shapely.LineString([(-95.0, 38.5), (-94.9, 38.5)])
    far = shapely.LineString([(-97.0, 38.5), (-96.0, 38.5)])
    fill(
        bench.lake, [section("F", own, grain="feeder", layer="feeders"), section("F", far), section("G", far)]
    )
    rows = located(bench)
    assert rows["F"]["length_km"] == pytest.approx(metres(own) / 1000, rel=1e-4)
    assert rows["G"]["length_km"] == pytest.approx(metres(far) / 1000, rel=1e-4)


def test_points_and_tiles_go_by_their_centre_and_what_has_no_place_says_so(bench: Bench) -> None:
    tile = shapely.box(-95.0, 38.4, -94.9, 38.5)
    rows = [
        section(None, shapely.Point(-95.0, 38.5), key="point", grain="point"),
        section(None, tile, key="tile", grain="tile"),
        section("nowhere", None),
        section("at sea", shapely.LineString([(-140, 30), (-141, 30)])),
    ]
    fill(bench.lake, rows)
    found = located(bench)
    methods = {name: (r["location_method"], r["state"]) for name, r in found.items()}
    assert methods == {
        "point": ("centroid", "KS"),
        "tile": ("centroid", "KS"),
        "nowhere": ("none", None),
        "at sea": ("line_share", None),
    }
    assert found["point"]["length_km"] is None
    assert found["tile"]["county_share"] == 1.0
    assert found["at sea"]["outside_share"] == 1.0
    assert found["nowhere"]["county_shares"] is None


def reference_tables(bench: Bench, *, by_id: str | None, outlines: list[str], county: str | None) -> None:
    square = shapely.to_wkb(shapely.box(-96, 38, -94, 39))
    put = bench.lake.replace
    listed = pl.DataFrame({"eia_id": [7], "utility_name": ["T"], "balancing_authority": [by_id], **ABOUT})
    put(UTILITY_TERRITORIES, {}, UTILITY_TERRITORIES.conform(listed))
    zones = pl.DataFrame(
        {
            "balancing_authority": outlines,
            "authority_name": outlines,
            "outline_from": ["authority"] * len(outlines),
            "geometry": [square] * len(outlines),
        },
        schema={
            c: BALANCING_AUTHORITIES.schema[c]
            for c in ("balancing_authority", "authority_name", "outline_from", "geometry")
        },
    ).with_columns(pl.lit(v).alias(k) for k, v in ABOUT.items())
    put(BALANCING_AUTHORITIES, {}, BALANCING_AUTHORITIES.conform(zones))
    put(ISO_REGIONS, {}, ISO_REGIONS.empty())
    counties = DATASETS["counties"].build(Settings())
    put(COUNTIES, {}, counties.with_columns(balancing_authority=pl.lit(county, pl.String)))


@pytest.mark.parametrize(
    ("by_id", "config", "outlines", "county", "expected"),
    [
        ("SWPP", "MISO", ["PJM"], "ERCO", ("SWPP", "eia_id", "spp", "eia_id", False)),
        (None, "MISO", ["PJM"], "ERCO", ("MISO", "config", "miso", "config", False)),
        (None, None, ["SWPP"], "ERCO", ("SWPP", "polygon", "spp", "polygon", False)),
        (None, None, ["PJM", "SWPP"], "SWPP", ("SWPP", "county", "spp", "county", True)),
        (None, None, ["PJM", "MISO"], "SWPP", ("SWPP", "county", "spp", "county", False)),
        (None, None, ["PJM", "SWPP"], None, (None, "none", None, "none", None)),
        (None, None, [], "WACM", ("WACM", "county", None, "county", None)),
        ("PACE", None, ["PACE"], None, ("PACE", "eia_id", None, "eia_id", True)),
        (None, None, [], None, (None, "none", None, "none", None)),
    ],
)
def test_the_eia_id_decides_before_the_config_before_outlines_before_the_county(
    bench: Bench,
    by_id: str | None,
    config: str | None,
    outlines: list[str],
    county: str | None,
    expected: tuple[Any, ...],
) -> None:
    fill(bench.lake, [section("F", shapely.LineString([(-95.0, 38.5), (-94.9, 38.5)]))])
    reference_tables(bench, by_id=by_id, outlines=outlines, county=county)
    row = located(bench, eia_id=7, balancing_authority=config)["F"]
    columns = (
        "balancing_authority",
        "balancing_authority_method",
        "iso_id",
        "iso_method",
        "authorities_agree",
    )
    assert tuple(row[c] for c in columns) == expected
    said = json.loads(row["authorities_said"])
    assert set(said) == {
        m for m, v in (("eia_id", by_id), ("config", config), ("polygon", outlines), ("county", county)) if v
    }
    if len(outlines) > 1:
        assert said["polygon"] == sorted(outlines)


def test_disagreement_is_counted_and_wrong_states_warned_of(bench: Bench) -> None:
    line = shapely.LineString([(-95.0, 38.5), (-94.9, 38.5)])
    fill(bench.lake, [section("F", line), section("G", line)])
    reference_tables(bench, by_id="SWPP", outlines=[], county=None)
    made = utility(eia_id=7, balancing_authority="MISO", states=["MO"])
    checks = {c.name: c for c in prepare_locations(made, SNAPSHOT, bench.lake, Settings()).checks()}
    assert not checks["authorities_agree"].passed
    assert "2 of 2 feeders" in checks["authorities_agree"].message
    assert not checks["states_are_the_utilitys"].passed
    assert checks["feeders_are_located"].passed
    assert not any(c.blocking for c in checks.values() if not c.passed)


@law(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_shares_add_up_to_one_and_the_midpoint_lies_on_a_line(bench: Bench, seed: int) -> None:
    """Any handful of lines around any US place, Alaska, Hawaii and Puerto Rico included."""
    random = np.random.default_rng(seed)
    centres = [
        (-95, 38.5),
        (-149.9, 61.2),
        (-157.8, 21.3),
        (-66.1, 18.2),
        (179.9, 51.9),
        (-71.4, 41.8),
        (-94.6, 39),
    ]
    lon, lat = centres[random.integers(len(centres))]
    lines = [
        shapely.LineString(random.normal(0, 0.05, (4, 2)).cumsum(axis=0) + np.array([lon, lat]))
        for _ in range(random.integers(1, 4))
    ]
    fill(bench.lake, [section("F", line, key=str(i)) for i, line in enumerate(lines)])
    row = located(bench)["F"]
    shares = json.loads(row["county_shares"] or "{}")
    assert sum(shares.values()) + row["outside_share"] == pytest.approx(1.0, abs=1e-3)
    assert all(0.0 <= s <= 1.0 + 1e-9 for s in shares.values())
    middle = shapely.Point(row["midpoint_lon"], row["midpoint_lat"])
    turned = [shapely.transform(middle, lambda c, t=t: c + np.array([t, 0])) for t in (0, 360, -360)]
    assert min(line.distance(m) for line in lines for m in turned) < 1e-6
