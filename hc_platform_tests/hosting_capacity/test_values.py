"""Every spelling that the research found in a utility's data, and laws that hold for any text."""

import math
import time
from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial
from typing import Any, get_args

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_series_equal

from hc_platform.hosting_capacity import tables
from hc_platform.hosting_capacity.values import (
    CAPACITY_UNITS,
    ValueStatus,
    parse_capacity,
    parse_column,
    parse_date,
    parse_identifier,
    parse_network,
    parse_number,
    parse_overhead,
    parse_phase,
    parse_text,
    parse_voltage_kv,
    split_list,
)

Parser = Any
PARSERS: dict[str, Parser] = {
    "capacity": partial(parse_capacity, unit="kw", ceiling=10_000, floor=0, nulls={"-1": "not_published"}),
    "number": parse_number,
    "voltage": parse_voltage_kv,
    "voltage_in_v": partial(parse_voltage_kv, unit="v"),
    "date": parse_date,
    "phase": parse_phase,
    "overhead": parse_overhead,
    "network": parse_network,
    "text": parse_text,
    "identifier": parse_identifier,
    "list": split_list,
}


def one(parser: Parser, text: str | None) -> Any:
    """Parse one text in a column among others, so that no scalar shortcut of Polars takes part."""
    frame = pl.DataFrame({"field": ["12", text, None, "450 - 600", "x"]}, schema={"field": pl.String})
    return frame.select(parser(pl.col("field"))).to_series().to_list()[1]


def many(parser: Parser, texts: list[str]) -> list[Any]:
    frame = pl.DataFrame({"field": texts}, schema={"field": pl.String})
    return frame.select(parser(pl.col("field"))).to_series().to_list()


def cases(*rows: tuple[Any, ...]) -> list[Any]:
    return [pytest.param(*row, id=repr(row[0])) for row in rows]


# --- capacities -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mw"),
    cases(
        ("1000", 1.0),  # PG&E Existing_DG
        ("0", 0.0),
        ("0.0", 0.0),
        ("-0", 0.0),
        ("1e3", 1.0),
        ("1E3", 1.0),
        ("7560.668", 7.560668),  # PHI
        ("-650", -0.65),
        ("+12", 0.012),
        (".5", 0.0005),
        ("5.", 0.005),
        ("  12\t", 0.012),
        ("\u00a012\u00a0", 0.012),
        ("−12", -0.012),
        ("1,234.5", 1.2345),
        ("1,234,567", 1234.567),
        ("4805.8 kW", 4.8058),  # CMP, UI
        ("5446.8 kW", 5.4468),
        ("5 MW", 5.0),
        ("5MW", 5.0),
        ("12 MVA", 12.0),
        ("500 kva", 0.5),
        ("2500000 W", 2.5),
        ("2500000 VA", 2.5),
        ("100 kW AC", 0.1),
        ("100 kWac", 0.1),
        ("1,234.5 KW", 1.2345),
    ),
)
def test_a_point_is_a_value_in_mw(text: str, mw: float) -> None:
    got = one(partial(parse_capacity, unit="kw"), text)
    assert got["value"] == pytest.approx(mw, rel=1e-12, abs=0)
    assert (got["low"], got["high"], got["censored"], got["status"], got["bad"]) == (
        None,
        None,
        "none",
        "published",
        False,
    )


@pytest.mark.parametrize(
    ("text", "low", "high"),
    cases(
        ("450 - 600", 0.45, 0.6),  # LADWP
        ("0 - 150", 0.0, 0.15),
        ("1000-1500", 1.0, 1.5),
        ("0-500", 0.0, 0.5),
        ("450 to 600", 0.45, 0.6),
        ("450 TO 600", 0.45, 0.6),
        ("450 – 600", 0.45, 0.6),
        ("450—600", 0.45, 0.6),
        ("450 − 600", 0.45, 0.6),
        ("-5 - 10", -0.005, 0.01),
        ("-5--2", -0.005, -0.002),
        ("-5 to -2", -0.005, -0.002),
        ("5 - 5", 0.005, 0.005),
        ("450 - 600 kW", 0.45, 0.6),
        ("450 kW - 0.6 MW", 0.45, 0.6),
        ("0.45 - 0.6 MW", 0.45, 0.6),
        ("0.45 MW - 0.6", 0.45, 0.6),
        ("1,000 - 1,500", 1.0, 1.5),
        ("2.0 MVA to 5.0 MVA (Overhead)", 2.0, 5.0),  # CMP SymbolRange
        ("2.0 MVA to 5.0 MVA (Underground)", 2.0, 5.0),
        ("3.00 to 4.99 SKYBLUE-13AFED", 0.003, 0.00499),  # NYSEG stage3host
    ),
)
def test_a_range_is_not_a_point(text: str, low: float, high: float) -> None:
    got = one(partial(parse_capacity, unit="kw"), text)
    assert got == {
        "value": None,
        "low": pytest.approx(low, rel=1e-12),
        "high": pytest.approx(high, rel=1e-12),
        "censored": "none",
        "status": "published",
        "bad": False,
    }


@pytest.mark.parametrize(
    ("text", "low"),
    cases(
        (">7500", 7.5),  # LADWP
        ("> 7500", 7.5),
        (">= 7500", 7.5),
        ("≥7500", 7.5),
        ("7500+", 7.5),
        ("75+", 0.075),  # HECO
        ("250+", 0.25),
        ("7500+ kW", 7.5),
        ("7500 kW+", 7.5),
        ("Greater than 7500", 7.5),
        ("Greater than or equal to 7.5 MW", 7.5),
        ("Over 20MW", 20.0),  # NV
        ("More than 5 MW", 5.0),
        ("500 kW or more", 0.5),  # HECO
        ("500 and above", 0.5),
    ),
)
def test_above_a_bound_only_the_low_end_is_known(text: str, low: float) -> None:
    got = one(partial(parse_capacity, unit="kw"), text)
    assert got == {
        "value": None,
        "low": pytest.approx(low, rel=1e-12),
        "high": None,
        "censored": "at_ceiling",
        "status": "published",
        "bad": False,
    }


@pytest.mark.parametrize(
    ("text", "high"),
    cases(
        ("<=5", 0.005),  # HECO
        ("<100", 0.1),
        ("≤ 100", 0.1),
        ("< 600 kW", 0.6),  # UI
        ("Less than 100 kW AC", 0.1),  # FirstEnergy
        ("Less than 100kW", 0.1),  # PSE&G
        ("LESS THAN 100 KW AC", 0.1),
        ("0 or less", 0.0),
        ("Up To 4 MW", 4.0),  # Dominion
        ("Under 1 MW", 1.0),
        ("NO CAPACITY", 0.0),  # LADWP
        ("No Capacity", 0.0),
    ),
)
def test_below_a_bound_only_the_high_end_is_known(text: str, high: float) -> None:
    got = one(partial(parse_capacity, unit="kw"), text)
    assert got == {
        "value": None,
        "low": None,
        "high": pytest.approx(high, rel=1e-12),
        "censored": "at_floor",
        "status": "published",
        "bad": False,
    }


NULL_TEXTS = cases(
    (None, "not_published"),
    ("", "not_published"),
    ("   ", "not_published"),
    ("NULL", "not_published"),
    ("null", "not_published"),
    ("<Null>", "not_published"),
    ("None", "not_published"),
    ("NONE", "not_published"),
    ("N/A", "not_published"),
    ("NA", "not_published"),
    ("Unknown", "not_published"),
    ("NaN", "not_published"),
    ("Infinity", "not_published"),
    ("-Infinity", "not_published"),
    ("inf", "not_published"),
    ("Redacted", "redacted"),
    ("REDACTED", "redacted"),
    ("*REDACTED*", "redacted"),
    (" redacted ", "redacted"),
    ("Pending", "pending"),
    ("Analysis Pending", "pending"),
    ("ANALYSIS  PENDING", "pending"),
)


@pytest.mark.parametrize(("text", "status"), NULL_TEXTS)
def test_words_for_no_value_are_no_value_and_not_bad(text: str | None, status: str) -> None:
    got = one(partial(parse_capacity, unit="mw", ceiling=10, floor=0), text)
    assert got == {
        "value": None,
        "low": None,
        "high": None,
        "censored": "none",
        "status": status,
        "bad": False,
    }
    assert one(parse_number, text) == {"value": None, "status": status, "bad": False}
    assert one(parse_voltage_kv, text) == {"value": None, "bad": False}
    assert one(parse_date, text) == {"value": None, "bad": False}


@pytest.mark.parametrize(
    "text",
    [
        "9.9,9.9,5.31",  # Ameren: a list, to be split first
        "1,23",
        "true",
        "abc",
        "-",
        "1-2-3",
        "600 - 450",
        ">5 - 10",
        ">5+",
        "<5 or more",
        "1e400",
        "1e400 kW",
        "5 kWdc",
        "5 miles",
        "< 0.5 miles",  # National Grid distance_to_substation
        "5 GW",
        "5 kWh",
        "0x10",
        "1_000",
        "１２",
        "Potentially Viable",  # PECO
        "Exceeded",  # Xcel FeederTPS
        "SKYBLUE",
        "kW",
        ">",
        "450 -",
        "10_17",
    ],
)
def test_what_no_rule_knows_is_bad_and_never_a_guess(text: str) -> None:
    got = one(partial(parse_capacity, unit="kw", ceiling=0, floor=0), text)
    assert (got["value"], got["low"], got["high"], got["censored"]) == (None, None, None, "none")
    assert got["bad"] is True
    assert got["status"] == "published"


@pytest.mark.parametrize(
    ("text", "nulls", "status"),
    cases(
        ("-1", {"-1": "not_published"}, "not_published"),
        ("-1.0", {"-1": "not_published"}, "not_published"),
        ("-1", {"-1.0": "not_published"}, "not_published"),
        ("-1e0", {"-1": "not_published"}, "not_published"),
        ("−1", {"-1": "not_published"}, "not_published"),
        ("-9.999", {"-9.999": "redacted", "-1": "not_published"}, "redacted"),  # SCE
        ("-9.9990", {"-9.999": "redacted"}, "redacted"),
        ("0", {"0": "pending"}, "pending"),
        ("0.00", {"0": "pending"}, "pending"),
        ("9,999", {"9999": "not_published"}, "not_published"),
        ("On Hold", {"on hold": "pending"}, "pending"),
        (" ON  HOLD", {"On Hold": "pending"}, "pending"),
        ("á definir - 2027", {" Á  DEFINIR – 2027\u00a0": "pending"}, "pending"),
        ("NA", {"NA": "redacted"}, "redacted"),  # the config's word beats the built-in one
    ),
)
def test_the_configs_sentinels_match_as_text_and_as_number(
    text: str, nulls: dict[str, ValueStatus], status: str
) -> None:
    capacity = one(partial(parse_capacity, unit="mw", nulls=nulls, floor=0), text)
    assert (capacity["value"], capacity["status"], capacity["bad"]) == (None, status, False)
    assert capacity["censored"] == "none"
    number = one(partial(parse_number, nulls=nulls), text)
    assert (number["value"], number["status"], number["bad"]) == (None, status, False)


def test_a_sentinel_leaves_other_numbers_alone() -> None:
    parser = partial(parse_capacity, unit="mw", nulls={"-1": "not_published"})
    assert [r["value"] for r in many(parser, ["-1.5", "-10", "1", "0", "-1"])] == [
        -1.5,
        -10.0,
        1.0,
        0.0,
        None,
    ]
    assert one(parser, "-1 - 5") == {
        "value": None,
        "low": -1.0,
        "high": 5.0,
        "censored": "none",
        "status": "published",
        "bad": False,
    }


@pytest.mark.parametrize(
    ("text", "unit", "ceiling", "floor", "censored"),
    cases(
        ("10", "mw", 10, None, "at_ceiling"),  # SDG&E, National Grid, O&R
        ("10.0", "mw", 10, None, "at_ceiling"),
        ("10.1", "mw", 10, None, "at_ceiling"),
        ("9.999", "mw", 10, None, "none"),
        ("3000", "kw", 3000, None, "at_ceiling"),  # PHI
        ("3 MW", "kw", 3000, None, "at_ceiling"),
        ("2.999 MW", "kw", 3000, None, "none"),
        ("0", "kw", None, 0, "at_floor"),  # FirstEnergy: 0 is "less than 100"
        ("-5", "kw", None, 0, "at_floor"),
        ("0.1", "kw", 1, 0, "none"),
        ("5 - 20", "mw", 10, 6, "none"),
    ),
)
def test_points_at_a_ceiling_or_floor_keep_their_value_and_are_marked(
    text: str, unit: str, ceiling: float | None, floor: float | None, censored: str
) -> None:
    got = one(partial(parse_capacity, unit=unit, ceiling=ceiling, floor=floor), text)
    assert got["censored"] == censored
    assert (got["value"] is None) == (text == "5 - 20")


@pytest.mark.parametrize(
    ("parser", "message"),
    [
        (partial(parse_capacity, unit="hp"), "capacity unit 'hp' is not one of w, kw, mw, va, kva, mva"),
        (partial(parse_voltage_kv, unit="kw"), "voltage unit 'kw' is not one of v, kv"),
    ],
)
def test_an_unknown_unit_is_an_error_of_the_config(parser: Parser, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parser(pl.col("x"))


def test_units_agree_whether_they_come_from_the_field_or_the_text() -> None:
    for unit, factor in CAPACITY_UNITS.items():
        by_field = one(partial(parse_capacity, unit=unit.upper()), "4805.8")["value"]
        by_text = one(partial(parse_capacity, unit="mw"), f"4805.8 {unit}")["value"]
        assert by_field == by_text == pytest.approx(4805.8 * factor, rel=1e-12)


def test_kilowatts_divide_without_a_second_rounding() -> None:
    assert [r["value"] for r in many(partial(parse_capacity, unit="kw"), ["-0.65", "4805.8", "0.7"])] == [
        -0.65 / 1000,
        4805.8 / 1000,
        0.7 / 1000,
    ]


# --- plain numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    cases(("12", 12.0), ("1,152", 1152.0), ("-0.65", -0.65), (" 2.5 ", 2.5), ("−3", -3.0), ("0", 0.0)),
)
def test_plain_numbers(text: str, value: float) -> None:
    assert one(parse_number, text) == {"value": value, "status": "published", "bad": False}


@pytest.mark.parametrize("text", ["12 kW", "450 - 600", ">5", "5+", "true", "1,2", "20000, 20077", "x"])
def test_a_number_takes_no_unit_range_or_bound(text: str) -> None:
    assert one(parse_number, text) == {"value": None, "status": "published", "bad": True}


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


# --- laws -------------------------------------------------------------------------------------------

finite = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False).map(lambda x: 0.0 if abs(x) < 1e-9 else x)
odd_text = st.text(max_size=30) | st.from_regex(r"[-+<>=0-9.,/: a-zA-Z%~≥≤–−]{0,20}", fullmatch=True)


@st.composite
def spelled(draw: st.DrawFn) -> tuple[str, float]:
    """One number and one of the ways in which a service writes it."""
    number = draw(finite)
    spelling = draw(
        st.sampled_from(["{!r}", "{:.12g}", "{:.15e}", "{:+.9f}", " {!r} ", "{:,.9f}", "{!r}\u00a0"])
    )
    return spelling.format(number), number


@settings(deadline=None)
@given(st.lists(spelled(), min_size=1, max_size=40))
def test_numbers_parse_back_from_every_spelling(rows: list[tuple[str, float]]) -> None:
    texts, numbers = [t for t, _ in rows], [n for _, n in rows]
    for got, number in zip(many(parse_number, texts), numbers, strict=True):
        assert got["bad"] is False
        assert math.isclose(got["value"], number, rel_tol=1e-9, abs_tol=1e-9)


@settings(deadline=None)
@given(finite, st.sampled_from(sorted(CAPACITY_UNITS)), st.sampled_from(sorted(CAPACITY_UNITS)))
def test_a_power_is_the_same_in_every_unit(mw: float, unit: str, field_unit: str) -> None:
    text = f"{mw / CAPACITY_UNITS[unit]!r} {unit}"
    got = one(partial(parse_capacity, unit=field_unit), text)
    assert math.isclose(got["value"], mw, rel_tol=1e-9, abs_tol=1e-12)
    plain = one(partial(parse_capacity, unit=unit), repr(mw / CAPACITY_UNITS[unit]))
    assert math.isclose(plain["value"], mw, rel_tol=1e-9, abs_tol=1e-12)


@settings(deadline=None)
@given(
    finite, finite, st.sampled_from([" - ", "-", " to ", " – ", " −"]), st.sampled_from(["", " kW", " MW"])
)
def test_ranges_keep_their_order_and_falling_ones_are_bad(a: float, b: float, dash: str, unit: str) -> None:
    got = one(partial(parse_capacity, unit="kw"), f"{a:.9f}{dash}{b:.9f}{unit}")
    assert got["value"] is None
    if float(f"{a:.9f}") <= float(f"{b:.9f}"):
        scale = 1.0 if unit == " MW" else 1000.0
        assert not got["bad"]
        assert got["low"] <= got["high"]
        assert math.isclose(got["low"], a / scale, abs_tol=2e-9, rel_tol=1e-9)
        assert math.isclose(got["high"], b / scale, abs_tol=2e-9, rel_tol=1e-9)
    else:
        assert got["bad"]
        assert (got["low"], got["high"]) == (None, None)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.none() | odd_text, max_size=20))
def test_no_text_raises_and_the_invariants_hold(texts: list[str | None]) -> None:
    frame = pl.DataFrame({"field": texts}, schema={"field": pl.String})
    parsed = frame.select(parser(pl.col("field")).alias(name) for name, parser in PARSERS.items())
    assert parsed.height == len(texts)
    for text, row in zip(texts, parsed["capacity"].to_list(), strict=True):
        assert row["censored"] in tables.CENSORED
        assert row["status"] in tables.VALUE_STATUS
        point, interval = row["value"] is not None, (row["low"], row["high"]) != (None, None)
        assert point + interval + row["bad"] <= 1
        assert (point or interval or row["bad"]) == (row["status"] == "published")
        if point:
            assert math.isfinite(row["value"])
        if text is None:
            assert (row["status"], row["bad"]) == ("not_published", False)
    for name in ("voltage", "voltage_in_v"):
        assert all(r["value"] is None or 0 < r["value"] <= 765 for r in parsed[name].to_list())
    assert all(r["value"] is None or 1990 <= r["value"].year <= 2100 for r in parsed["date"].to_list())
    assert not any(
        r["bad"] and r["value"] is not None for n in ("date", "phase", "voltage") for r in parsed[n].to_list()
    )


@given(st.lists(st.none() | odd_text, max_size=30))
@settings(max_examples=25, deadline=None)
def test_a_column_at_once_its_rows_one_by_one_and_lazily_agree(texts: list[str | None]) -> None:
    series = pl.Series("field", texts, dtype=pl.String)
    frame = series.to_frame()
    for parser in PARSERS.values():
        whole = frame.select(parser(pl.col("field"))).to_series()
        assert whole.name == "field"
        assert_series_equal(frame.lazy().select(parser(pl.col("field"))).collect().to_series(), whole)
        assert_series_equal(
            frame.lazy().select(parser(pl.col("field"))).collect(engine="streaming").to_series(), whole
        )
        assert_series_equal(parse_column(series, parser), whole)
        repeated = pl.concat([series] * 3)
        assert_series_equal(parse_column(repeated, parser), pl.concat([whole] * 3))


@given(st.lists(st.none() | odd_text, min_size=1, max_size=8))
@settings(max_examples=25, deadline=None)
def test_a_row_does_not_depend_on_its_neighbours(texts: list[str | None]) -> None:
    for parser in PARSERS.values():
        whole = pl.DataFrame({"f": texts}, schema={"f": pl.String}).select(parser(pl.col("f"))).to_series()
        rows = [
            pl.DataFrame({"f": [t]}, schema={"f": pl.String}).select(parser(pl.col("f"))).to_series()
            for t in texts
        ]
        assert_series_equal(pl.concat(rows), whole)


@settings(deadline=None)
@given(st.from_regex(r"0{0,6}[0-9]{1,9}", fullmatch=True), st.sampled_from(["{}", " {} ", "{}.0", "\t{}.00"]))
def test_leading_zeros_of_identifiers_survive(digits: str, spelling: str) -> None:
    assert one(parse_identifier, spelling.format(digits)) == digits


@settings(deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_texts_are_idempotent_and_only_trimmed(text: str) -> None:
    once = one(parse_text, text)
    if once is not None:
        assert once in text
        assert one(parse_text, once) == once
        assert one(parse_identifier, one(parse_identifier, once)) == one(parse_identifier, once)


instants = st.datetimes(datetime(1990, 1, 1), datetime(2100, 12, 31, 23, 59), timezones=st.just(UTC))  # noqa: DTZ001


@settings(deadline=None)
@given(instants)
def test_epoch_milliseconds_are_utc_days(instant: datetime) -> None:
    ms = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert one(parse_date, str(ms)) == {"value": instant.date(), "bad": False}


@settings(deadline=None)
@given(instants, st.integers(-12 * 60, 14 * 60))
def test_offsets_move_to_utc(instant: datetime, minutes: int) -> None:
    local = instant.astimezone(timezone(timedelta(minutes=minutes)))
    # the offset may move the written date out of the calendar's years, never the instant
    assert one(parse_date, local.isoformat()) == {"value": instant.date(), "bad": False}


@settings(deadline=None)
@given(st.dates(date(1990, 1, 1), date(2100, 12, 31)))
def test_spellings_of_one_day_agree(day: date) -> None:
    spellings = ["{:%Y-%m-%d}", "{:%m/%d/%Y}", "{:%Y/%m/%d} 23:59:59+00", "{:%m/%d/%Y}, 11:59 PM",
                 "{:%b %d, %Y}", "{:%d-%b-%Y}", "{:%B %d, %Y}"]  # fmt: skip
    assert {r["value"] for r in many(parse_date, [s.format(day) for s in spellings])} == {day}
    assert one(parse_date, f"{day:%b %Y}")["value"] == day.replace(day=1)


@settings(deadline=None)
@given(st.permutations("ABC").map("".join), st.integers(1, 3), st.sampled_from(["{}", "[{}]", "{}N", " {} "]))
def test_phases_are_sorted(letters: str, count: int, spelling: str) -> None:
    assert one(parse_phase, spelling.format(letters[:count]))["value"] == "".join(sorted(letters[:count]))


# --- house rules ------------------------------------------------------------------------------------


def test_statuses_are_those_of_the_tables() -> None:
    assert set(get_args(ValueStatus)) == set(tables.VALUE_STATUS)


def test_parsers_keep_the_columns_name_and_accept_literals_and_other_types() -> None:
    frame = pl.DataFrame({"GenCapacity_kW": [1500], "none": [None]})
    got = frame.select(
        parse_capacity(
            pl.col(
                "GenCapacity_kW",
            ),
            unit="kw",
        ),
        parse_phase(pl.col("none")),
    )
    assert got.columns == ["GenCapacity_kW", "none"]
    assert got["GenCapacity_kW"].struct.field("value").to_list() == [1.5]
    assert got["none"].to_list() == [{"value": None, "bad": False}]
    assert pl.select(parse_capacity(pl.lit("5 MW"), unit="kw")).item()["value"] == 5.0


def test_an_empty_column_parses() -> None:
    empty = pl.DataFrame(schema={"field": pl.String})
    for parser in PARSERS.values():
        assert empty.select(parser(pl.col("field"))).height == 0
        assert parse_column(empty["field"], parser).len() == 0


def test_1_3_million_integers_parse_in_about_a_quarter_second() -> None:
    """A generous limit: it catches per-row Python and regular expressions, not a busy machine."""
    column = pl.select(field=pl.int_range(1_300_000).mod(10_007).cast(pl.String))
    started = time.perf_counter()
    parsed = column.select(parse_capacity(pl.col("field"), unit="kw", ceiling=10_000)).to_series()
    seconds = time.perf_counter() - started
    assert parsed.struct.field("value").sum() == pytest.approx(column["field"].cast(pl.Int64).sum() / 1000)
    assert seconds < 4
