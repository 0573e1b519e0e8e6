"""Every spelling of a capacity that the research found in a utility's data."""

from functools import partial

import polars as pl
import pytest

from hc_platform.hosting_capacity.values import (
    CAPACITY_UNITS,
    ValueStatus,
    parse_capacity,
    parse_date,
    parse_voltage_kv,
)
from hc_platform_tests.hosting_capacity.reading import Parser, cases, many, one

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


@pytest.mark.parametrize("text", [None, "", " "])
def test_the_config_says_what_null_means(text: str | None) -> None:
    """PSE&G: NULL is a circuit whose analysis is pending."""
    capacity = one(partial(parse_capacity, unit="mw", nulls={"": "pending"}), text)
    assert (capacity["value"], capacity["status"], capacity["bad"]) == (None, "pending", False)
    assert one(partial(parse_capacity, unit="mw"), text)["status"] == "not_published"


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
