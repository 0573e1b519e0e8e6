"""The names that utilities give to binding constraints, and the few metrics they are grouped into.

Belongs here: one ordered table of rules from published wording to metric, with where it was seen.
Does not belong here: which column names the constraint or how the least of several columns is found
(the config and the normalizer); words for "no value" (``texts``).

To teach the platform a new wording, add it to a rule below and a row to the tests. ``unknown_constraints``
lists what no rule knows.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from hc_platform.hosting_capacity.texts import NO_NULLS, fold, staged, word_status

# First match wins, so what is specific stands above what is general: "Regulator Voltage Deviation" is
# about the regulator, "Substation Breaker Reach" about protection, "zero sequence voltage" too.
# Patterns see folded words: camel case split, lower case, every other character one blank
# ("primary_hc_over_voltage" -> "primary hc over voltage", "UnintentionalIslanding" -> "unintentional
# islanding"). EPRI DRIVE names are those of the tool behind most East Coast and Xcel maps.
RULES: Final[tuple[tuple[str, str], ...]] = (
    # Sentences. SCE withholds the criterion: "The most limiting criteria cannot be provide..." (sic).
    # Known, and no statement about the grid; "other" keeps the raw text beside it.
    (r"\bcannot be (?:provided?|shown|displayed|determined)\b", "other"),
    # Said to be unconstrained: "None", "No Constraint", "No violation", "Not limited", "Unconstrained".
    (r"^none$|^no (?:\w+ )?(?:constraints?|violations?|limits?|limitations?|limiting \w+)$", "none"),
    (r"^unconstrained$|^not (?:limited|constrained)$", "none"),
    # National Grid primary_hc_regulator_deviation, Con Edison PV_REGULATOR_DEVIATION, Central Hudson and
    # Xcel RegulatorDeviation, NYSEG nregdev, FirstEnergy OH reg_volt_devi, DRIVE RegulatorVoltageDeviation.
    (r"\bregulators?\b|\bn?reg ?(?:volt\w* )?dev", "regulator"),
    # Xcel "Unintentional Islanding", "UnintentionalIslanding"; Con Edison PV_ANTI_ISLAND, ANTI_ISLANDING,
    # SC_ANTI_ISLAND; National Grid primary_hc_anti_islanding; NYSEG naislanding; the spec's "Islanding".
    (r"island", "islanding"),
    # Con Edison PV_FLICKER, National Grid primary_hc_flicker, NYSEG nflicker, FirstEnergy OH flicker.
    (r"flicker", "flicker"),
    # FirstEnergy OH rev_power_flow, LUMA reverse_flow__mw_. SCE "Operational Flexibility", "Op Flex": the
    # limit at which power would flow back through SCADA switches (CPUC ICA working group).
    (r"\brev(?:erse|erses|ersed)?\b.*\bflow\b|\bback ?feed|\boperational flex|\bop ?flex", "reverse_flow"),
    # The spec's "Protection", "fault current"; SCE "Protection", "Generation - Protection"; Xcel
    # "BreakerReach - Large DER", AdditionalElementFault, VSR (voltage supervised reclosing); FirstEnergy OH
    # three_v0, Eversource 3VO (zero-sequence overvoltage); DRIVE SympatheticTrip, ProtectionReach;
    # Con Edison SUBSTATION_PROTECTION.
    (
        r"\bprotect|\bbreaker|\bfault|\bshort circuit|\breclos|\bsympathetic|\brelay|\breach\b|\bvsr\b",
        "protection",
    ),
    (r"\b3 ?v[0o]\b|\bthree v[0o]\b|\bzero sequence\b", "protection"),
    # Feeder ratings: Con Edison PV_FEEDER_RATING, Pepco Feeder_Capacity_MW, Xcel FeederTPS (the technical
    # planning standard, a share of the feeder's rating).
    (r"\bfeeder (?:rating|capacity|tps)\b", "thermal"),
    # Con Edison PV_BANK_RATING, Eversource bulk_sub_hc_mw, Pepco Substation_Capacity_MW and
    # Transformer_or_Network_Capacity_MW, Xcel "Remaining TPS Utilization" (substation transformer).
    (r"\bsubstation\b|\bbank\b|\bbulk sub\b|\btps\b|\btechnical planning\b", "substation"),
    (r"\btransformer or network\b|\btransformer capacity\b", "substation"),
    # The spec's "Thermal", "thermal limit"; NV "Thermal"; Xcel and Central Hudson "Thermal Discharging",
    # "Thermal Charging"; AEP "Thermal Loading"; National Grid primary_hc_thermal_from_gen; NYSEG nthrgen;
    # FirstEnergy OH thermal_for_gen; LUMA loading__mw_.
    (r"therm|\boverload|\bloading\b|\bn?thr ?gen\b|\bampacity\b|\bconductor (?:rating|limit)", "thermal"),
    # The spec's "Voltage", "voltage rise"; SCE "Steady State Voltage", "Generation - Steady State Voltage",
    # "Voltage Variation"; AEP "Abnormal Voltages"; Consumers "Primary Over-Voltage", "Primary Voltage
    # Deviation"; PHI "Section Capacity Limited by Voltage Rise"; National Grid and Con Edison *_OVER_VOLTAGE,
    # *_VOLTAGE_DEVIATION; NYSEG npriovervolt, npriunder...; FirstEnergy OH prim_over_volt, prim_volt_devi;
    # LUMA high_voltage__mw_, low_voltage__mw_; Ameren "DeltaVlt".
    (r"volt|\bvlt\b|\bn?pri ?(?:over|under)|\bssv\b", "voltage"),
    # Con Edison PV_SECTION and SC_SECTION: one of nine limits, not explained anywhere we have read.
    (r"^(?:pv|sc|sd) section$", "other"),
    (r"^other$", "other"),
)

_UNKNOWN = "unknown"


def classify_constraint(text: pl.Expr) -> pl.Expr:
    """Map the name of a constraint, or of a per-constraint column, to one of ``tables.CONSTRAINTS`` (String).

    NULL, empty, "NA", "Redacted" and their like give NULL; "None" is ``none``: the utility says that nothing
    binds. A text that no rule knows is ``other`` and turns up in ``unknown_constraints``. A text that names
    several constraints takes the first rule that matches: split lists before (``values.split_list``).
    """
    name = text.meta.output_name(raise_if_undetermined=False)
    metric = _rule(text).replace({_UNKNOWN: "other"})
    return metric if name is None else metric.alias(name)


def unknown_constraints(series: pl.Series) -> pl.DataFrame:
    """Texts that no rule knows: DataFrame(constraint_raw: String, count: UInt32); frequent first."""
    counts = series.cast(pl.String).alias("constraint_raw").value_counts(name="count")
    return (
        counts.filter(_rule(pl.col("constraint_raw")) == _UNKNOWN)
        .with_columns(pl.col("count").cast(pl.UInt32))
        .sort("count", "constraint_raw", descending=[True, False])
    )


def _rule(text: pl.Expr) -> pl.Expr:
    words = (
        pl.field("text")
        .str.replace_all(r"([a-z0-9])([A-Z])", "$1 $2")
        .str.to_lowercase()
        .str.replace_all(r"[^\p{L}\p{N}]+", " ")
        .str.strip_chars(" ")
    )
    metric = pl.lit(_UNKNOWN)
    for pattern, value in reversed(RULES):
        metric = pl.when(pl.field("words").str.contains(pattern)).then(pl.lit(value)).otherwise(metric)
    folded = pl.field("folded")
    silent = folded.is_null() | (word_status(folded, NO_NULLS).is_not_null() & (folded != "none"))
    return staged(
        text,
        {"folded": fold(pl.field("text")), "words": words},
        {"out": pl.when(~silent).then(metric)},
    )
