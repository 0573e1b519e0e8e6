"""Every spelling of voltages, dates, phases, flags, texts and ids that the research found."""

from datetime import date
from functools import partial

import polars as pl
import pytest

from hc_platform.hosting_capacity.values import (
    parse_capacity,
    parse_date,
    parse_identifier,
    parse_network,
    parse_overhead,
    parse_phase,
    parse_text,
    parse_voltage_kv,
    split_list,
)
from hc_platform_tests.hosting_capacity.reading import Parser, cases, many, one

# --- voltages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kv"),
    cases(
        ("12", 12.0),  # SCE RAM
        ("12.0", 12.0),  # SCE
        ("12.000000000000000", 12.0),  # PG&E shapefile
        ("12kV", 12.0),  # PG&E
        ("4.16kV", 4.16),
        ("34.5kV", 34.5),
        ("13kV", 13.0),  # PSE&G
        ("4.8-KV", 4.8),  # LADWP
        ("24.9 KV", 24.9),  # NV
        ("13.20 kV", 13.2),  # AEP
        ("13200", 13.2),  # NYSEG, Dominion
        ("13200.0", 13.2),
        ("13,200", 13.2),
        ("13200 V", 13.2),
        ("34,500 volts", 34.5),
        ("480 V", 0.48),
        ("765", 765.0),
        ("766", 0.766),
        ("66/12 kV", 12.0),  # SCE
        ("66 kV / 4.16 kV", 4.16),
        ("115/66 kV", 66.0),  # ratio close to sqrt(3), yet a transformer
        ("21/12 kV", 12.0),  # 1.75: a transformer
        ("7.62/13.20", 13.2),  # LUMA
        ("13.2/7.62", 13.2),
        ("12.47/7.2 kV", 12.47),
        ("12.47Y/7.2", 12.47),
        ("12.47GRDY/7.2 kV", 12.47),
        ("4.16Y/2.4", 4.16),
        ("34.5/19.92", 34.5),
        ("13200/7620", 13.2),
        ("13200/7620 V", 13.2),
        ("480/277 V", 0.48),
        ("480V/277", 0.48),
        ("12.47, 12.47", 12.47),
        ("13.8,13.8", 13.8),
    ),
)
def test_voltages_in_kv(text: str, kv: float) -> None:
    assert one(parse_voltage_kv, text) == {"value": pytest.approx(kv, rel=1e-12), "bad": False}


@pytest.mark.parametrize(
    "text",
    ["15, 35", "15,35", "12, 12, 4", "66/33/12", "-12", "high", "480", "480/277", "12 kW", "900 kV", "12.."],
)
def test_ambiguous_or_impossible_voltages_are_bad(text: str) -> None:
    assert one(parse_voltage_kv, text) == {"value": None, "bad": True}


@pytest.mark.parametrize("text", ["/", "0", "0.000000000000000", "0 kV"])
def test_unknown_voltages_are_null_and_not_bad(text: str) -> None:
    assert one(parse_voltage_kv, text) == {"value": None, "bad": False}


@pytest.mark.parametrize(
    ("text", "unit", "kv"),
    cases(
        ("12470", "v", 12.47),
        ("480", "V", 0.48),
        ("480/277", "v", 0.48),
        ("12 kV", "v", 12.0),
        ("4", "kv", 4.0),
    ),
)
def test_the_fields_unit_wins_over_size_and_the_texts_over_both(text: str, unit: str, kv: float) -> None:
    assert one(partial(parse_voltage_kv, unit=unit), text) == {"value": pytest.approx(kv), "bad": False}


def test_volts_in_a_field_declared_kv_are_bad() -> None:
    assert one(partial(parse_voltage_kv, unit="kv"), "13200") == {"value": None, "bad": True}


def test_a_voltage_sentinel_of_the_config_is_null() -> None:
    parser = partial(parse_voltage_kv, nulls={"-1": "not_published", "tbd": "pending"})
    assert many(parser, ["-1.0", "TBD", "12"]) == [
        {"value": None, "bad": False},
        {"value": None, "bad": False},
        {"value": 12.0, "bad": False},
    ]


# --- dates ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "day"),
    cases(
        ("1714521600000", date(2024, 5, 1)),
        ("1714521600000.0", date(2024, 5, 1)),
        ("1.7145216e12", date(2024, 5, 1)),
        ("1714521599999", date(2024, 4, 30)),
        ("May 2026", date(2026, 5, 1)),  # PG&E
        ("Apr 2025", date(2025, 4, 1)),
        ("september 2025", date(2025, 9, 1)),
        ("Sept 2025", date(2025, 9, 1)),
        ("Dec. 2024", date(2024, 12, 1)),
        ("May 15, 2026", date(2026, 5, 15)),
        ("15-May-2026", date(2026, 5, 15)),
        ("10/1/2021", date(2021, 10, 1)),  # NYSEG
        ("6/20/2018", date(2018, 6, 20)),  # Con Edison
        ("2018/6/20", date(2018, 6, 20)),
        ("03/06/2026", date(2026, 3, 6)),  # ComEd: month first
        ("12/30/2023", date(2023, 12, 30)),
        ("10/15/2022 00:00:00+00", date(2022, 10, 15)),
        ("2022/10/01 00:00:00+00", date(2022, 10, 1)),  # National Grid
        ("2022-10-15 00:00:00+00:00", date(2022, 10, 15)),  # NYSEG
        ("2018-06-20 00:00:00", date(2018, 6, 20)),
        ("11/21/2025, 11:39 AM", date(2025, 11, 21)),  # Eversource
        ("11/21/2025, 11:39 PM", date(2025, 11, 21)),
        ("11/21/2025, 12:05 AM", date(2025, 11, 21)),
        ("2026-04-15", date(2026, 4, 15)),
        ("2026-04-06", date(2026, 4, 6)),  # Consumers
        ("2026-05-10T14:44:35.254564", date(2026, 5, 10)),  # Duke
        ("2026-05-10T23:59:59.999999", date(2026, 5, 10)),
        ("2026-05-10T14:44:35.254564Z", date(2026, 5, 10)),
        ("2026-05-10T23:30:00-05:00", date(2026, 5, 11)),
        ("2026-05-10T00:30:00+02:00", date(2026, 5, 9)),
        ("2026-05-10 00:30+0200", date(2026, 5, 9)),
        ("2026-12-31T20:00:00-05", date(2027, 1, 1)),
        ("11/21/2025, 11:39 PM -0500", date(2025, 11, 22)),
        ("11/21/2025, 12:30 AM +01:00", date(2025, 11, 20)),
        ("2024-02-29", date(2024, 2, 29)),
        ("1990-01-01", date(1990, 1, 1)),
        ("2100-12-31", date(2100, 12, 31)),
    ),
)
def test_dates(text: str, day: date) -> None:
    assert one(parse_date, text) == {"value": day, "bad": False}


@pytest.mark.parametrize(
    "text",
    ["01/01/9999", "9999-12-31T00:00:00Z", "1989-12-31", "2101-01-01", "0001-01-01", "0", "-1",
     "-2208988800000", "-62135596800000", "253370764800000"],
)  # fmt: skip
def test_sentinel_years_are_null_and_not_bad(text: str) -> None:
    assert one(parse_date, text) == {"value": None, "bad": False}


@pytest.mark.parametrize(
    "text",
    ["20260415", "2026", "1714521600", "1714521600000000", "On Hold", "21:53.0", "02/30/2024", "2023-02-29",
     "15/10/2022", "2026-13-01", "10/1/21", "10_17", "2026-04-15T25:00", "11/21/2025, 13:00 PM",
     "2026-04-15T10:75", "May", "Mai 2026", "2026-04-15 noon", "101024", "2026-04-15T"],
)  # fmt: skip
def test_what_is_no_date_is_bad(text: str) -> None:
    assert one(parse_date, text) == {"value": None, "bad": True}


def test_a_date_sentinel_of_the_config_is_null() -> None:
    parser = partial(parse_date, nulls={"On Hold": "pending", "19000101": "not_published"})
    assert [r["bad"] for r in many(parser, ["on hold", "19000101", "nope"])] == [False, False, True]


# --- phases and flags -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    cases(
        ("3", "ABC"),  # UI, NYSEG NUMPHASES
        ("3.0", "ABC"),
        ("1", "1"),
        ("2", "2"),
        ("ABC", "ABC"),
        ("abc", "ABC"),
        ("BCA", "ABC"),  # Eversource MA West
        ("[ABC]", "ABC"),  # Eversource CT
        ("[ABCN]", "ABC"),  # Eversource MA East
        ("AN", "A"),
        ("AB", "AB"),
        ("CA", "AC"),
        ("B", "B"),  # AEP
        ("BN", "B"),
        ("A,B", "AB"),
        ("A B C", "ABC"),
        ("A-B-C", "ABC"),
        ("1PH", "1"),  # Con Edison layer names
        ("2PH", "2"),
        ("3-Phase", "ABC"),
        ("three phase", "ABC"),
        ("Single Phase", "1"),
    ),
)
def test_phases(text: str, value: str) -> None:
    assert one(parse_phase, text) == {"value": value, "bad": False}


@pytest.mark.parametrize("text", ["N", "AA", "ABCA", "ABD", "0", "4", "RYB", "[]", "13", "A1"])
def test_what_is_no_phase_is_bad(text: str) -> None:
    assert one(parse_phase, text) == {"value": None, "bad": True}


@pytest.mark.parametrize(
    ("text", "value"),
    cases(
        ("OH", True),  # SDG&E
        ("O", True),  # NYSEG
        ("oh", True),
        ("Overhead", True),  # AEP, UI
        ("OVERHEAD CONDUCTOR", True),  # LADWP
        ("Overhead Line", True),
        ("OH_Primary", True),
        ("UG", False),  # LUMA
        ("U", False),
        ("Underground", False),
        ("UNDERGROUND CABLE", False),
        ("UNDERGROUND CONDUCTOR", False),
    ),
)
def test_overhead(text: str, value: bool) -> None:
    assert one(parse_overhead, text) == {"value": value, "bad": False}


@pytest.mark.parametrize("text", ["true", "1", "OH/UG", "Both", "Submarine", "Overheads up"])
def test_what_is_no_construction_is_bad(text: str) -> None:
    assert one(parse_overhead, text) == {"value": None, "bad": True}


@pytest.mark.parametrize(
    ("text", "value"),
    cases(
        ("Network", True),  # Xcel NetworkOrRadial
        ("NETWORK", True),
        ("Secondary Network", True),
        ("Radial", False),
        ("Yes", True),  # Eversource feeds_sec_ntwrk_custs
        ("No", False),
        ("true", True),
        ("false", False),
        ("R", False),
    ),
)
def test_network(text: str, value: bool) -> None:
    assert one(parse_network, text) == {"value": value, "bad": False}


@pytest.mark.parametrize("text", ["N", "Network or Radial", "Loop", "0"])
def test_what_is_no_topology_is_bad(text: str) -> None:
    assert one(parse_network, text) == {"value": None, "bad": True}


@pytest.mark.parametrize("parser", [parse_phase, parse_overhead, parse_network])
@pytest.mark.parametrize("text", [None, "", " ", "NULL", "N/A", "NA", "Unknown"])
def test_missing_attributes_are_not_bad(parser: Parser, text: str | None) -> None:
    assert one(parser, text) == {"value": None, "bad": False}


# --- texts and identifiers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    cases(
        ("012011108", "012011108"),  # PG&E
        ("TULARE LAKE 1104", "TULARE LAKE 1104"),
        ("  CROTON FALLS  ", "CROTON FALLS"),  # PacifiCorp pads
        ("\u00a0X\u200b", "X"),
        ("STA_996 Tisbury", "STA_996 Tisbury"),
        ("HUBBARD # D170", "HUBBARD # D170"),
        ("a  b", "a  b"),
        ("1011.0", "1011.0"),
        ("-1", "-1"),
        ("INF", "INF"),
        ("", None),
        ("   ", None),
        ("NULL", None),
        ("N/A", None),
        ("None", None),
        ("*REDACTED*", None),
        (None, None),
    ),
)
def test_texts_are_trimmed_and_nothing_else(text: str | None, value: str | None) -> None:
    assert one(parse_text, text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    cases(
        ("1011.0", "1011"),  # Central Hudson
        ("1011.000000000000000", "1011"),
        ("0022", "0022"),  # Rhode Island
        ("0022.0", "0022"),
        ("0000702", "0000702"),  # AEP
        ("012011108", "012011108"),  # PG&E
        ("1.2", "1.2"),
        ("1.20", "1.20"),
        ("10-2-13", "10-2-13"),  # O&R
        ("4-97-97", "4-97-97"),  # Eversource
        ("322X12_12", "322X12_12"),
        ("36_13_81756", "36_13_81756"),  # National Grid
        ("1206-02", "1206-02"),  # LUMA
        ("REDHOOK_1B95", "REDHOOK_1B95"),  # Con Edison
        ("1E5", "1E5"),
        ("1.0.0", "1.0.0"),
        (" F4536 ", "F4536"),
        ("0", "0"),
        ("", None),
        ("Redacted", None),
        (None, None),
    ),
)
def test_identifiers(text: str | None, value: str | None) -> None:
    assert one(parse_identifier, text) == value


@pytest.mark.parametrize("key", ["-1", "-1.0"])
def test_identifier_sentinels_match_both_spellings_but_not_other_zeros(key: str) -> None:
    parser = partial(parse_identifier, nulls={key: "not_published", "0": "not_published"})
    assert many(parser, ["-1", "-1.0", "0", "0.0", "000", "00.0"]) == [None, None, None, None, "000", "00"]


@pytest.mark.parametrize(
    ("text", "items"),
    cases(
        ("9.9,9.9,5.31", ["9.9", "9.9", "5.31"]),  # Ameren
        ("A,B", ["A", "B"]),
        ("15, 35", ["15", "35"]),  # Duke
        ("20000, 20077", ["20000", "20077"]),
        ("1, 1, 1", ["1", "1", "1"]),  # Xcel
        ("A,,B", ["A", None, "B"]),
        ("A,", ["A", None]),
        (",", [None, None]),
        ("0022", ["0022"]),
        ("", None),
        (None, None),
    ),
)
def test_lists_keep_their_places(text: str | None, items: list[str | None] | None) -> None:
    assert one(split_list, text) == items


def test_lists_split_at_other_separators() -> None:
    assert one(partial(split_list, separator=";"), "a,b; c") == ["a,b", "c"]


def test_parallel_lists_explode_together_into_capacities() -> None:
    frame = pl.DataFrame({"FEEDERID": ["A,B,C"], "MAXGENMW_TXT": ["9.9,,5.31"]})
    rows = (
        frame.select(split_list(pl.col("FEEDERID")), split_list(pl.col("MAXGENMW_TXT")))
        .explode("FEEDERID", "MAXGENMW_TXT")
        .with_columns(parse_capacity(pl.col("MAXGENMW_TXT"), unit="mw", ceiling=9.9))
        .unnest("MAXGENMW_TXT")
    )
    assert rows.select("FEEDERID", "value", "censored", "status").rows() == [
        ("A", 9.9, "at_ceiling", "published"),
        ("B", None, "none", "not_published"),
        ("C", 5.31, "none", "published"),
    ]
