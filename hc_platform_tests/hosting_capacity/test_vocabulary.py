"""Every constraint name that the research found, and what happens to the ones nobody has seen yet."""

import re
import typing

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from hc_platform.hosting_capacity import tables
from hc_platform.hosting_capacity.values import parse_column
from hc_platform.hosting_capacity.vocabulary import RULES, classify_constraint, unknown_constraints

SEEN: dict[str, list[str]] = {
    "voltage": [
        "Voltage",  # the spec
        "voltage rise",
        "Steady State Voltage",  # SCE
        "Generation - Steady State Voltage",
        "Load Steady State Voltage",
        "ICA - Generation Steady State Voltage",
        "Voltage Variation",
        "ICA - Load Voltage Variation",
        "Abnormal Voltages",  # AEP
        "DeltaVlt",  # Ameren
        "Primary Over-Voltage",  # Consumers
        "Primary Voltage Deviation",
        "PrimaryOverVoltage",  # Xcel
        "PrimaryVoltageDeviation",
        "PrimaryOvervoltage",  # Central Hudson
        "Section Capacity Limited by Voltage Rise",  # PHI
        "primary_hc_over_voltage",  # National Grid
        "primary_hc_voltage_deviation",
        "PV_OVER_VOLTAGE",  # Con Edison
        "PV_VOLTAGE_DEVIATION",
        "npriovervolt",  # NYSEG
        "npriundervolt",
        "prim_over_volt",  # FirstEnergy OH
        "prim_volt_devi",
        "high_voltage__mw_",  # LUMA
        "low_voltage__mw_",
        "PrimaryUnderVoltageLoad",  # EPRI DRIVE
        "VoltageUnbalanceGen",
    ],
    "thermal": [
        "Thermal",  # the spec, NV
        "thermal limit",
        "THERMAL",
        "ICA - Generation Thermal",  # SCE
        "Generation - Thermal",
        "Thermal Discharging",  # Xcel
        "ThermalDischarging",
        "Thermal Charging",
        "Thermal Loading",  # AEP
        "ThermalLoadingMinRating",
        "PV_THERMAL",
        "primary_hc_thermal_from_gen",
        "thermal_for_gen",
        "nthrgen",
        "loading__mw_",
        "PV_FEEDER_RATING",
        "Feeder_Capacity_MW",
        "FeederTPS",
        "Overload",
    ],
    "regulator": [
        "regulator voltage deviation",
        "Regulator Voltage Deviation",
        "RegulatorVoltageDeviation",
        "RegulatorDeviation",
        "primary_hc_regulator_deviation",
        "PV_REGULATOR_DEVIATION",
        "nregdev",
        "reg_volt_devi",
    ],
    "islanding": [
        "Islanding",  # the spec
        "Unintentional Islanding",  # Xcel, in one column
        "UnintentionalIslanding",  # and in the next
        "DistributedLargeDERUnintentionalIslanding",
        "primary_hc_anti_islanding",
        "PV_ANTI_ISLAND",
        "SC_ANTI_ISLAND",
        "ANTI_ISLANDING",
        "naislanding",
        "Anti-Islanding",
    ],
    "flicker": ["Flicker", "PV_FLICKER", "primary_hc_flicker", "nflicker"],
    "reverse_flow": [
        "rev_power_flow",
        "reverse_flow__mw_",
        "Reverse Power Flow",
        "ReverseFlow",
        "MinReversePowerFlow",
        "Operational Flexibility",
        "OperationalFlexibility",
        "Op Flex",
        "OpFlex",
        "ICA - Uniform Generation Op Flex",
        "Backfeed",
    ],
    "protection": [
        "Protection",  # the spec
        "fault current",
        "ICA - Generation Protection",
        "Generation - Protection",
        "BreakerReach - Large DER",
        "BreakerReach",
        "AdditionalElementFault",
        "AdditionalElementFaultCurrent",
        "ProtectionReach",
        "SympatheticTrip",
        "VSR",
        "three_v0",
        "3V0",
        "scheme_3vo_present",
        "Zero Sequence Voltage",
        "SUBSTATION_PROTECTION",
        "Substation Breaker Reach",
    ],
    "substation": [
        "PV_BANK_RATING",
        "Substation_Capacity_MW",
        "Transformer_or_Network_Capacity_MW",
        "bulk_sub_hc_mw",
        "Remaining TPS Utilization",
        "substation thermal limit",
    ],
    "none": [
        "None",
        "NONE",
        "No Constraint",
        "no violations",
        "No limiting factor",
        "Not limited",
        "Unconstrained",
    ],
    "other": [
        "The most limiting criteria cannot be provide...",
        "The most limiting criteria cannot be provided due to customer confidentiality.",
        "PV_SECTION",
        "SC_SECTION",
        "Other",
    ],
}
NO_STATEMENT = [None, "", "  ", "NULL", "<Null>", "NA", "N/A", "Redacted", "Pending", "Unknown"]


def classify(*texts: str | None) -> list[str | None]:
    frame = pl.DataFrame({"raw": texts}, schema={"raw": pl.String})
    return frame.select(classify_constraint(pl.col("raw"))).to_series().to_list()


@pytest.mark.parametrize(
    ("text", "metric"),
    [pytest.param(text, metric, id=text) for metric, texts in SEEN.items() for text in texts],
)
def test_published_names(text: str, metric: str) -> None:
    assert classify(text, f"  {text}\u00a0", text.upper() if " " in text else text) == [metric] * 3
    assert unknown_constraints(pl.Series([text])).is_empty()


def test_every_metric_of_the_tables_has_a_spelling_and_no_rule_invents_one() -> None:
    assert {metric for _, metric in RULES} == set(SEEN) == set(tables.CONSTRAINTS)


@pytest.mark.parametrize("text", NO_STATEMENT)
def test_no_statement_is_null_and_not_unknown(text: str | None) -> None:
    assert classify(text) == [None]
    assert unknown_constraints(pl.Series([text], dtype=pl.String)).is_empty()


@pytest.mark.parametrize("text", ["Squirrels", "Class B", "10_17", "Section", "regular", "current month"])
def test_an_unseen_name_is_other_and_counted(text: str) -> None:
    assert classify(text) == ["other"]
    assert unknown_constraints(pl.Series([text]))["constraint_raw"].to_list() == [text]


def test_unknown_names_are_counted_frequent_first_with_their_own_spelling() -> None:
    series = pl.Series("x", ["Moose", "Thermal", "squirrels ", "Moose", None, "", "None", "Elk"])
    assert_frame_equal(
        unknown_constraints(series),
        pl.DataFrame(
            {"constraint_raw": ["Moose", "Elk", "squirrels "], "count": [2, 1, 1]},
            schema={"constraint_raw": pl.String, "count": pl.UInt32},
        ),
    )


def test_an_empty_column_has_no_unknown_names() -> None:
    empty = unknown_constraints(pl.Series([], dtype=pl.String))
    assert empty.schema == {"constraint_raw": pl.String, "count": pl.UInt32}
    assert unknown_constraints(pl.Series([None, None])).is_empty()


def test_the_column_keeps_its_name_and_runs_once_per_distinct_text() -> None:
    series = pl.Series("limit", ["Thermal", None, "Op Flex"] * 1000)
    got = parse_column(series, classify_constraint)
    assert got.name == "limit"
    assert got.to_list() == ["thermal", None, "reverse_flow"] * 1000


def test_every_rule_is_reached_by_a_spelling() -> None:
    """A rule that a rule above it always beats would be dead."""
    words = [t for texts in SEEN.values() for t in texts]
    frame = pl.DataFrame({"raw": words})
    for dead in range(len(RULES)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hc_platform.hosting_capacity.vocabulary.RULES", RULES[:dead] + RULES[dead + 1 :])
            without = frame.select(classify_constraint(pl.col("raw"))).to_series().to_list()
            unknown = unknown_constraints(frame["raw"])
        assert without != classify(*words) or not unknown.is_empty(), RULES[dead]


@given(st.lists(st.none() | st.text(max_size=30) | st.sampled_from([t for ts in SEEN.values() for t in ts])))
@settings(deadline=None)
def test_any_text_gets_a_metric_or_null_and_unknown_means_other(texts: list[str | None]) -> None:
    metrics = classify(*texts)
    assert set(metrics) <= {*tables.CONSTRAINTS, None}
    unknown = set(unknown_constraints(pl.Series(texts, dtype=pl.String))["constraint_raw"])
    assert all(metric == "other" for text, metric in zip(texts, metrics, strict=True) if text in unknown)


@given(st.sampled_from([t for ts in SEEN.values() for t in ts]), st.data())
@settings(deadline=None)
def test_punctuation_and_case_between_words_do_not_matter(text: str, data: typing.Any) -> None:
    if " " in text:
        glue = data.draw(st.sampled_from(["  ", " - ", "_", "/", ": "]))
        assert classify(re.sub(" +", glue, text), text.upper(), text.lower()) == classify(text) * 3
