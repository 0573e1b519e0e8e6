"""Whose grid a device is on: lines first, territories after, and nothing decided in silence."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import shapely

from hc_platform.geo.devices import FeederLines, match_devices
from hc_platform_tests.geo.truth import GEOD, line, wkb


def devices(*rows: tuple[str, float | None, float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        rows, schema={"device_id": pl.String, "lat": pl.Float64, "lon": pl.Float64}, orient="row"
    )


def lines(*rows: tuple[str, str | None, Any]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "utility_code": pl.Series([r[0] for r in rows], dtype=pl.String),
            "feeder_id_external": pl.Series([r[1] for r in rows], dtype=pl.String),
            "geometry": wkb(*(r[2] for r in rows)),
        }
    )


def street(lat: float) -> Any:
    return line((-71.02, lat), (-70.98, lat))


TERRITORIES = pl.DataFrame(
    {
        "eia_id": ["10", "20", "30"],
        "name": ["Wide", "Town", "Elsewhere"],
        "geometry": wkb(
            shapely.box(-72, 40, -70, 42), shapely.box(-71.1, 40.9, -70.9, 41.1), shapely.box(0, 0, 1, 1)
        ),
    }
)
UTILITIES = pl.DataFrame({"utility_code": ["wide", "town"], "eia_id": [10, 20]})


def test_the_nearest_line_within_300_m_decides() -> None:
    known = lines(("wide", "1", street(41.002)), ("wide", "2", street(41.001)), ("town", "9", street(41.01)))
    got = match_devices(devices(("d", 41.0, -71.0)), known, TERRITORIES, utilities=UTILITIES)
    assert got.select("rank", "utility_code", "feeder_id_external", "eia_id", "method", "status").rows() == [
        (1, "wide", "2", "10", "line", "matched"),
        (2, "wide", "1", "10", "line", "matched"),
    ]
    metres = [GEOD.inv(0, 41, 0, lat)[2] for lat in (41.001, 41.002)]
    assert got["distance_m"].to_list() == pytest.approx(metres, abs=0.1)
    assert got["runner_up_gap_m"][0] == pytest.approx(metres[1] - metres[0], abs=0.1)


def test_lines_of_two_utilities_are_ambiguous_however_far_apart() -> None:
    known = lines(("wide", "1", street(41.0001)), ("town", "9", street(41.0026)))
    got = match_devices(devices(("d", 41.0, -71.0)), known)
    assert got.select("utility_code", "status").rows() == [("wide", "ambiguous"), ("town", "ambiguous")]


def test_two_feeders_in_one_street_are_ambiguous() -> None:
    known = lines(
        ("wide", "1", street(41.0005)), ("wide", "2", street(40.9994)), ("wide", "1", street(41.0006))
    )
    got = match_devices(devices(("d", 41.0, -71.0)), known)
    assert got.select("feeder_id_external", "n_candidates", "status").rows() == [
        ("1", 2, "ambiguous"),
        ("2", 2, "ambiguous"),
    ]
    assert (
        match_devices(devices(("d", 41.0, -71.0)), known, clear_gap_m=5.0)["status"].to_list()
        == ["matched"] * 2
    )


def test_the_same_feeder_of_two_resources_is_one_candidate() -> None:
    known = lines(
        ("wide", "1", street(41.001)), ("wide", "1", street(41.001)), ("wide", None, street(41.002))
    )
    got = match_devices(devices(("d", 41.0, -71.0)), known)
    assert got.select("feeder_id_external", "status").rows() == [("1", "matched"), (None, "matched")]


def test_without_a_line_at_hand_all_territories_come_back() -> None:
    got = match_devices(devices(("d", 41.0, -71.0)), lines(), TERRITORIES, utilities=UTILITIES)
    assert got.select("rank", "eia_id", "utility_code", "territory_name", "method", "status").rows() == [
        (1, "20", "town", "Town", "territory", "ambiguous"),  # the smaller first
        (2, "10", "wide", "Wide", "territory", "ambiguous"),
    ]
    alone = match_devices(devices(("d", 40.1, -71.0)), lines(), TERRITORIES)
    assert alone.select("eia_id", "utility_code", "status").rows() == [("10", None, "matched")]


def test_a_territory_of_two_configs_names_the_one_whose_line_is_near_or_none() -> None:
    """A company that publishes two maps under one EIA id."""
    maps = pl.DataFrame({"utility_code": ["east", "west"], "eia_id": [10, 10]})
    where = devices(("far", 40.1, -71.0), ("near", 41.2, -71.0))
    got = match_devices(where, lines(("west", "1", street(41.21))), TERRITORIES, utilities=maps)
    assert got.select("device_id", "eia_id", "utility_code", "status").rows() == [
        ("far", "10", None, "matched"),
        ("near", "10", "west", "matched"),
    ]


def test_territories_are_ranked_by_confirmation_then_by_the_nearest_line() -> None:
    known = lines(("wide", "1", street(41.02)), ("town", "9", street(41.05)))
    where = devices(("d", 41.0, -71.0), ("e", 41.0, -71.0))
    confirmed = pl.DataFrame({"device_id": ["e"], "eia_id": ["20"]})
    got = match_devices(where, known, TERRITORIES, utilities=UTILITIES, confirmed=confirmed)
    assert got.select("device_id", "utility_code", "confirmed", "status").rows() == [
        ("d", "wide", False, "ambiguous"),
        ("d", "town", False, "ambiguous"),
        ("e", "town", True, "ambiguous"),
        ("e", "wide", False, "ambiguous"),
    ]
    assert got["distance_m"][0] == pytest.approx(GEOD.inv(0, 41, 0, 41.02)[2], abs=1)


def test_every_device_has_an_answer_in_its_order() -> None:
    where = devices(
        ("z", 41.0, -71.0),
        ("ocean", 0.0, -30.0),
        ("blank", None, None),
        ("pole", 95.0, 0.0),
        ("a", 41.0, -71.0),
    )
    got = match_devices(where, FeederLines(lines(("wide", "1", street(41.001)))), TERRITORIES)
    assert got.select("device_id", "method", "status", "n_candidates").rows() == [
        ("z", "line", "matched", 1),
        ("ocean", "none", "unmatched", 0),
        ("blank", "no_place", "unmatched", 0),
        ("pole", "no_place", "unmatched", 0),
        ("a", "line", "matched", 1),
    ]
    schema = got.schema
    assert match_devices(where[:0], lines(), TERRITORIES).schema == schema
    assert match_devices(where, lines()).schema == schema
    assert match_devices(where, lines(("w", "1", None)), TERRITORIES[:0]).schema == schema


@pytest.mark.real_data
def test_most_zip_centres_are_ambiguous_with_all_candidates(shared_data: Path) -> None:
    territories = pl.read_parquet(
        shared_data / "geo" / "utility_territories.parquet", columns=["eia_id", "name", "geometry"]
    )
    zips = pl.read_csv(shared_data / "geo" / "zip_centroids.csv", schema_overrides={"zip": pl.String})
    got = match_devices(zips.rename({"zip": "device_id"}), lines(), territories)
    best = got.filter(pl.col("rank") == 1)
    assert best.height == zips.height == 33_791
    ambiguous = best.filter(pl.col("status") == "ambiguous")
    assert ambiguous.height / zips.height > 0.5
    listed = got.group_by("device_id").len()
    assert (
        best.filter(pl.col("n_candidates") > 0)
        .join(listed, on="device_id")
        .select((pl.col("len") == pl.col("n_candidates")).all())
        .item()
    )
    assert ((best["n_candidates"] > 1) == (best["status"] == "ambiguous")).all()
