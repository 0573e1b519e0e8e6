"""Feeders and their substations: candidates, scores, and when there is no answer."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hc_platform.geo.names import FEEDER_NAME_PATTERN, substation_in_feeder_names
from hc_platform.geo.substations import match_pricing_nodes, match_substations
from hc_platform_tests.geo.truth import GEOD, line, wkb

HERE = line((-120.0, 40.0), (-120.02, 40.0))


def feeders(*rows: tuple[str, str | None, Any], utility: str = "a") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "utility_code": [utility] * len(rows),
            "feeder_id_external": [r[0] for r in rows],
            "substation_name": pl.Series([r[1] for r in rows], dtype=pl.String),
            "geometry": wkb(*(r[2] for r in rows)),
        }
    )


def substations(*rows: tuple[str, str | None, str, float | None, float | None]) -> pl.DataFrame:
    schema = {
        "substation_id": pl.String,
        "utility_code": pl.String,
        "substation_name": pl.String,
        "lon": pl.Float64,
        "lat": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_the_equal_name_at_hand_is_matched_and_measured_to_the_line() -> None:
    got = match_substations(
        feeders(("1", "ALPINE SUB", HERE)),
        substations(("s1", "a", "Alpine", -120.01, 40.01), ("s2", "a", "Bell", -120.01, 40.0)),
    )
    [row] = got.rows(named=True)
    away = GEOD.inv(-120.01, 40.01, -120.01, 40.0)[2]
    assert row["distance_m"] == pytest.approx(away, abs=0.5)
    assert row["score"] == pytest.approx(0.7 + 0.3 * (1 - away / 15_000), abs=1e-4)
    assert (row["substation_id"], row["method"], row["status"]) == ("s1", "exact_name", "matched")
    assert (row["rank"], row["n_candidates"], row["runner_up_gap"]) == (1, 1, None)


def test_only_the_same_utility_or_an_untold_one_within_15_km_counts() -> None:
    got = match_substations(
        feeders(("1", "ALPINE", HERE)),
        substations(
            ("far", "a", "ALPINE", -120.0, 40.14),
            ("other", "b", "ALPINE", -120.0, 40.0),
            ("osm", None, "ALPINE", -120.0, 40.13),
        ),
    )
    assert got.select("substation_id", "status").rows() == [("osm", "matched")]


def test_two_of_one_name_are_ambiguous_unless_one_is_clearly_nearer() -> None:
    near, close, far = (
        ("n", "a", "ALPINE", -120.0, 40.001),
        ("c", "a", "ALPINE", -120.0, 40.01),
        ("f", "a", "ALPINE", -120.0, 40.1),
    )
    got = match_substations(feeders(("1", "ALPINE", HERE)), substations(close, near))
    assert got.select("rank", "substation_id", "n_candidates", "status").rows() == [
        (1, "n", 2, "ambiguous"),
        (2, "c", 2, "ambiguous"),
    ]
    assert got["runner_up_gap"][0] == pytest.approx(0.3 * 1_000 / 15_000, rel=0.01)
    got = match_substations(feeders(("1", "ALPINE", HERE)), substations(far, near))
    assert got.select("substation_id", "status").rows() == [("n", "matched"), ("f", "matched")]


def test_an_equal_name_beats_an_alike_one_at_the_same_place() -> None:
    got = match_substations(
        feeders(("1", "ALPINE", HERE)),
        substations(("x", "a", "ALPINES", -120.0, 40.0), ("y", "a", "ALPINE", -120.0, 40.0)),
    )
    assert got.select("substation_id", "method", "status").rows() == [
        ("y", "exact_name", "matched"),
        ("x", "similar_name", "matched"),
    ]


def test_without_places_names_alone_are_compared_and_the_method_says_so() -> None:
    known = substations(
        ("s1", "a", "ALPINE", None, None), ("s2", "a", "BELL", -120.0, 40.0), ("s3", "a", "CAMP", None, None)
    )
    got = match_substations(
        feeders(("1", "ALPINE", HERE), ("2", "BELL", None), ("3", None, HERE), ("4", "NONE", HERE)), known
    )
    assert got.select("feeder_id_external", "substation_id", "method", "distance_m", "status").rows() == [
        ("1", "s1", "exact_name_only", None, "matched"),
        ("2", "s2", "exact_name_only", None, "matched"),
        ("3", None, "no_name", None, "unmatched"),
        ("4", None, "no_candidate", None, "unmatched"),
    ]
    no_geometry = match_substations(feeders(("2", "BELL", None)).drop("geometry"), known)
    assert no_geometry["method"].to_list() == ["exact_name_only"]


def test_a_substation_of_two_names_is_one_candidate() -> None:
    known = substations(("2201", "a", "SF X", -120.0, 40.0), ("2201", "a", "MISSION X", -120.0, 40.0))
    got = match_substations(feeders(("1", "MISSION (X)", HERE), ("2", "SF-X", HERE)), known)
    assert got.select("substation_name", "n_candidates", "status").rows() == [
        ("MISSION X", 1, "matched"),
        ("SF X", 1, "matched"),
    ]


def test_a_feeder_in_pieces_is_one() -> None:
    got = match_substations(
        feeders(("1", None, HERE), ("1", "ALPINE", line((-120.1, 40.0), (-120.12, 40.0)))),
        substations(("s1", "a", "ALPINE", -120.12, 40.0)),
    )
    assert got.select("feeder_id_external", "substation_id", "distance_m").rows() == [
        ("1", "s1", pytest.approx(0, abs=0.1))
    ]


def test_names_come_from_feeders_only_where_the_utility_names_them_so() -> None:
    named = feeders(("1", None, HERE)).with_columns(feeder_name=pl.lit("ALPINE 1101"))
    known = substations(("s1", "a", "ALPINE", -120.0, 40.0))
    assert match_substations(named, known)["method"].to_list() == ["no_name"]
    got = match_substations(named, known, feeder_name_pattern=r"^(.*\D)\s+\d{4}$")
    assert got.select("substation_id", "name_used").rows() == [("s1", "ALPINE")]


def overrides(*rows: tuple[str, str, str | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["utility_code", "feeder_id_external", "substation_id"], orient="row")


def test_a_reviewed_row_wins() -> None:
    given = feeders(("1", "ALPINE", HERE), ("2", "ALPINE", HERE), ("3", "ALPINE", HERE))
    known = substations(("s1", "a", "ALPINE", -120.0, 40.0), ("s2", "a", "OTHER", -120.0, 40.1))
    reviewed = overrides(("a", "1", "s2"), ("a", "2", None), ("b", "3", "s2"))
    got = match_substations(given, known, reviewed).filter(pl.col("rank") == 1)
    assert got.select("feeder_id_external", "substation_id", "method", "status").rows() == [
        ("1", "s2", "override", "matched"),
        ("2", None, "override", "unmatched"),
        ("3", "s1", "exact_name", "matched"),
    ]


def test_an_override_that_cannot_be_followed_is_an_error() -> None:
    given, known = feeders(("1", "ALPINE", HERE)), substations(("s1", "a", "ALPINE", -120.0, 40.0))
    with pytest.raises(ValueError, match="a 1 -> gone"):
        match_substations(given, known, overrides(("a", "1", "gone")))
    with pytest.raises(ValueError, match="more than one substation for feeder 1"):
        match_substations(given, known, overrides(("a", "1", "s1"), ("a", "1", None)))


def test_nothing_gives_nothing_and_no_substations_give_unmatched() -> None:
    given, known = feeders(("1", "ALPINE", HERE)), substations(("s1", "a", "ALPINE", -120.0, 40.0))
    columns = match_substations(given, known).schema
    assert match_substations(given[:0], known).schema == columns
    lonely = match_substations(given, known[:0])
    assert lonely.schema == columns
    assert lonely["status"].to_list() == ["unmatched"]


def test_price_nodes_are_linked_by_name_and_nearness() -> None:
    known = substations(
        ("s1", "a", "Palermo Sub", -120.0, 40.0),
        ("s2", "a", "Bell", -121.0, 40.0),
        ("s3", "a", "Bell", None, None),
    )
    nodes = pl.DataFrame(
        {
            "node_id": ["n1", "n2", "n3", "n4"],
            "node_name": ["PALERMO_1_N101", "PALERMO_2_N101", "Bell", "Palermo"],
            "lon": [-120.0, -120.001, -121.05, None],
            "lat": [40.001, 40.0, 40.0, None],
        }
    )
    got = match_pricing_nodes(known, nodes)
    assert got.select("substation_id", "node_id", "rank", "n_candidates", "status").rows() == [
        ("s1", "n2", 1, 2, "ambiguous"),
        ("s1", "n1", 2, 2, "ambiguous"),
    ]
    assert got["distance_m"].is_sorted()


@pytest.mark.real_data
def test_pge_feeder_names_against_its_substations(shared_data: Path) -> None:
    detail = pl.read_csv(shared_data / "pge" / "pge_feeder_detail_2019.csv", infer_schema=False)
    subs = pl.read_csv(shared_data / "pge" / "pge_substations_2019.csv", infer_schema=False)
    given = detail.select(utility_code=pl.lit("pge"), feeder_id_external="FeederID", feeder_name="Feeder_Nam")
    known = subs.select(
        substation_id="SUBSTATION",
        utility_code=pl.lit("pge"),
        substation_name="SUBNAME",
        lon=pl.lit(None, pl.Float64),
        lat=pl.lit(None, pl.Float64),
    )
    got = match_substations(given, known, feeder_name_pattern=FEEDER_NAME_PATTERN).filter(pl.col("rank") == 1)
    assert got.height == given["feeder_id_external"].n_unique()
    matched = got.filter(pl.col("status") == "matched")
    assert matched.height / got.height > 0.96
    # an independent witness: a PG&E feeder's id is its substation's number and four digits
    number = matched["feeder_id_external"].str.head(-4).str.strip_chars_start("0")
    assert (number == matched["substation_id"]).all()
    assert substation_in_feeder_names(given["feeder_name"]).null_count() < 0.05 * given.height
