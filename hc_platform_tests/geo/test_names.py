"""Substation names: what is dropped, what is kept, and which pairs are alike."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hc_platform.geo.names import alike, marks, normal_name, normalized, substation_in_feeder_names


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("Alpine Sub.", "ALPINE"),
        ("ALPINE SUBSTATION", "ALPINE"),
        ("alpine ss", "ALPINE"),
        ("Alpine 115/12kV Substation", "ALPINE"),
        ("Alpine 69 kV", "ALPINE"),
        ("ALPINE BK 2", "ALPINE"),
        ("ALPINE BANK NO 1", "ALPINE"),
        ("ALPINE 1101", "ALPINE"),
        ("ST. HELENA", "SAINT HELENA"),
        ("Saint Helena", "SAINT HELENA"),
        ("PINE ST", "PINE STREET"),
        ("Mt. Eden", "MOUNT EDEN"),
        ("Mount Eden", "MOUNT EDEN"),
        ("N. Dublin", "NORTH DUBLIN"),
        ("Ft Ord", "FORT ORD"),
        ("O'Neill", "ONEILL"),
        ("Cañon City", "CANON CITY"),
        ("OAKLAND J", "OAKLAND J"),  # a letter is part of a name
        ("SAN FRANCISCO N", "SAN FRANCISCO N"),
        ("Station 26", "26"),
        ("Station No. 026", "26"),
        ("CAMP 10", "CAMP 10"),
        ("LOCKHEED NO.2", "LOCKHEED 2"),
        ("El Dorado P H", "EL DORADO POWERHOUSE"),
        ("EL DORADO PH", "EL DORADO POWERHOUSE"),
        ("Pawtucket #1 Sub", "PAWTUCKET 1"),
        ("Station", "STATION"),  # nothing else would be left
        ("BANK", "BANK"),
        ("SUB 1101", "1101"),
        ("  ", ""),
        ("--", ""),
    ],
)
def test_a_name_is_freed_of_what_utilities_add(written: str, normal: str) -> None:
    assert normal_name(written) == normal


@given(st.text(st.characters(codec="ascii"), max_size=30))
def test_a_normal_name_is_upper_case_words(text: str) -> None:
    name = normal_name(text)
    assert name == " ".join(name.upper().split())
    assert normal_name(f"  {text.lower()} ") == normal_name(text.upper())


def test_columns_keep_their_order_and_their_nulls() -> None:
    assert normalized(pl.Series(["B sub", None, "", "A", "B sub"])).to_list() == ["B", None, None, "A", "B"]
    assert normalized(pl.Series([], dtype=pl.String)).to_list() == []
    assert normalized(pl.Series([None, None], dtype=pl.String)).to_list() == [None, None]


def test_a_feeder_named_for_its_substation_tells_it() -> None:
    names = pl.Series(["ALPINE 1101", "OAKLAND J 0409", "SF L-401", "1101", None, "ALPINE", "PIT NO 1 1101"])
    assert substation_in_feeder_names(names).to_list() == [
        "ALPINE",
        "OAKLAND J",
        "SF L",
        None,
        None,
        None,
        "PIT NO 1",
    ]
    assert substation_in_feeder_names(pl.Series(["12_ALPINE"]), r"^\d+_(.+)$").to_list() == ["ALPINE"]


def test_alike_names_whose_marks_differ_are_different_places() -> None:
    names = ["OAKLAND J", "STATION 26", "NORTH DUBLIN", "MISSION"]
    others = ["OAKLAND K", "STATION 27", "SOUTH DUBLIN", "MISION", "MISSION", "OAKLAND J"]
    got = alike(names, others).sort("left", "right")
    assert got.select("left", "right").rows() == [
        ("MISSION", "MISION"),
        ("MISSION", "MISSION"),
        ("OAKLAND J", "OAKLAND J"),
    ]
    assert got["similarity"].to_list()[1:] == [1.0, 1.0]
    assert 0.92 <= got["similarity"][0] < 1.0
    assert marks("NORTH DUBLIN 2 A") == ("2", "A", "NORTH")
    assert alike([], names).height == alike(names, []).height == 0
