"""The true shape of the Californian layers: field names, types, ids, traps.

What belongs here: what is particular to a utility. What does not: how a column is made (`writing`).
"""

from typing import Final

import polars as pl

from hc_platform.demo import writing as w
from hc_platform.demo.numbers import Area, Rows, draw_capacity
from hc_platform.demo.shape import Field, LayerShape, UtilityShape, digits

_NO: Final = pl.col("number")
_SUBSTATION: Final = pl.col("substation_no")


# --- PG&E: integers in kW, ids of nine digits, the half of them with a leading zero ---------------------
def _pge_ids(_: pl.DataFrame) -> dict[str, pl.Expr]:
    start = digits(1 + (_SUBSTATION * 7) % 19, 2) + digits(_SUBSTATION % 1000, 3)
    breaker = (1101 + _NO % 5).cast(pl.String)
    in_name = pl.when("name_shared").then(pl.lit("1101")).otherwise(breaker)
    return {"id": start + breaker, "title": pl.col("name").str.to_uppercase() + " " + in_name}


def _pge_draw(rows: Rows) -> None:
    draw_capacity(rows, "gen", null=0.01)
    draw_capacity(rows, "load", share=0.6, null=0.02)


_PGE_LINE = LayerShape(
    3,
    "ICA LineDetail",
    (
        Field("GlobalID", "GlobalID", w.row_text("{{0D0E-{}}}", 10_000_000)),
        Field("FeederId", "String", w.of_feeder("id")),
        Field("FeederName", "String", w.of_feeder("title")),
        Field("CSV_LineSection", "Integer", w.section_number(1)),
        Field("GenCapacity_kW", "Integer", w.kilowatts("gen")),
        Field("LoadCapacity_kW", "Integer", w.kilowatts("load")),
        Field("voltage_kv", "Double", w.of_feeder("kv")),
        Field("phase_cnt", "SmallInteger", lambda rows: rows.take(("1", "2", "3"), (2, 1, 7)).cast(pl.Int64)),
        Field("limiting_criteria", "String", w.limits()),
        Field("limiting_criteria_of", "String", w.limits()),
        Field("limiting_month_hour_of", "String", w.words("10_17", "06_13", "04_12")),
        Field("ICA_Analysis_Date", "String", w.month_text("May 2026")),
        Field("LICA_Analysis_Date", "String", w.month_text("Apr 2025")),
        Field("Last_Update_On_Map", "Date", w.epoch_ms()),
        Field("Division", "String", w.words("Fresno", "Kern", "East Bay", None)),
        Field("Publish", "Integer", w.when_served(1, 0), {0: "No", 1: "Yes"}),
    ),
    _pge_draw,
    {"generation": {"hosting_capacity_mw": "gen"}, "load": {"hosting_capacity_mw": "load"}},
    rows=20_000,
    left_out=0.02,
    repeated=12,
)


def _pge_feeder_draw(rows: Rows) -> None:
    rows.values |= {name: rows.of(name).to_numpy() for name in ("installed", "queued")}
    rows.values["both"] = rows.values["installed"] + rows.values["queued"]


_PGE_FEEDER = LayerShape(
    2,
    "FeederDetail",
    (
        Field("FeederID", "String", w.of_feeder("id")),
        Field("Feeder_Name", "String", w.of_feeder("title")),
        Field("Substation", "String", w.of_feeder("substation")),
        Field("Nominal_Voltage", "String", w.feeder_text("{}kV", "kv_text")),
        Field("Load_Profile_Redaction", "String", w.words("Yes", "No")),
        Field("Existing_DG", "Integer", w.kilowatts("installed")),
        Field("Queued_DG", "Integer", w.kilowatts("queued")),
        Field("Total_DG", "Integer", w.kilowatts("both")),
    ),
    _pge_feeder_draw,
    {"generation": {"installed_dg_mw": "installed", "queued_dg_mw": "queued"}},
)


# --- SCE: sections with a name only, capacities as text, sentinels, web mercator, lower-case names --------
def _sce_ids(_: pl.DataFrame) -> dict[str, pl.Expr]:
    # A section's id is looked up by its name: none, where two circuits share it or the list lacks it.
    unique = pl.when(~pl.col("name_shared") & ~pl.col("absent"))
    number = digits(21_013 + _NO * 37, 7)
    return {"id": number, "id_by_name": unique.then(number)}


def _sce_draw(rows: Rows) -> None:
    draw_capacity(rows, "gen", redacted=0.02, missing=0.01, null=0.005)
    draw_capacity(rows, "load", share=0.5, redacted=0.05, missing=0.03, null=0.01)


_SCE_SEGMENTS = LayerShape(
    0,
    "ICA - Circuit Segments",
    (
        Field("system_name", "String", w.feeder_text("{} 220/66 System", "substation")),
        Field("substation_name", "String", w.of_feeder("substation")),
        Field("substation_voltage", "String", w.feeder_text("66/{} kV", "kv_text")),
        Field("circuit_name", "String", w.of_feeder("name")),
        Field("circuit_voltage", "String", w.of_feeder("kv_point")),
        Field("section_id", "Double", lambda rows: w.row_number(50_000_017, 3)(rows).cast(pl.Float64)),
        Field("node_id", "String", w.row_text("N_{}", 700_001)),
        Field("uniform_generation", "Double", w.megawatts("gen", redacted=-9.999, missing=-1.0)),
        Field("uniform_generation_op_flex", "String", w.megawatts_text("gen")),
        Field("ica_overall_load", "String", w.megawatts_text("load")),
        Field("note", "String", w.words(None, "This is a potentially constrained circuit.", shares=(9, 1))),
        Field("most_limiting_criteria_ug_sg", "String", w.limits()),
        Field("most_limiting_criteria_lsg", "String", w.limits()),
        Field("phase", "String", w.words("ABC", "A", "BC", "[ABC]", None, shares=(8, 1, 1, 1, 0.2))),
        Field("changed_date", "String", w.us_date()),
    ),
    _sce_draw,
    {"generation": {"hosting_capacity_mw": "gen"}, "load": {"hosting_capacity_mw": "load"}},
    rows=8_000,
    oid="objectid",
    feeder_id="id_by_name",
    repeated=6,
)


def _sce_ram_draw(rows: Rows) -> None:
    draw_capacity(rows, "remaining", null=0.02)
    rows.values |= {name: rows.of(name).to_numpy() for name in ("installed", "queued")}


_SCE_RAM = LayerShape(
    17,
    "RAM - Circuits",
    (
        Field("circuit_id", "String", w.of_feeder("id")),
        Field("circuit_name", "String", w.of_feeder("name")),
        Field("sub_name", "String", w.of_feeder("substation")),
        Field("sys_name", "String", w.feeder_text("{} 220/66 System", "substation")),
        Field("circuit_voltage", "Double", w.of_feeder("kv")),
        Field("substation_voltage", "String", w.feeder_text("66/{} kV", "kv_text")),
        Field("existing_gen", "Double", w.megawatts("installed")),
        Field("queued_gen", "Double", w.megawatts("queued")),
        Field("max_remain_cap", "Double", w.megawatts("remaining")),
        Field("note", "String", w.words(None, "Deliverability is limited upstream of this circuit.")),
    ),
    _sce_ram_draw,
    {
        "generation": {
            "installed_dg_mw": "installed",
            "queued_dg_mw": "queued",
            "remaining_capacity_mw": "remaining",
        }
    },
    oid="objectid",
    only="listed",
)


PGE: Final = UtilityShape(
    Area(((-122.2, 37.79), (-121.89, 37.33), (-119.78, 36.74), (-119.02, 35.37), (-121.84, 39.73))),
    330,
    3032,
    (4.0, 12.0, 21.0),
    _pge_ids,
    {"ICA LineDetail": _PGE_LINE, "FeederDetail": _PGE_FEEDER},
)
SCE: Final = UtilityShape(
    Area(((-117.65, 34.06), (-119.29, 36.33), (-117.87, 33.75), (-118.12, 34.58))),
    302,
    4135,
    (4.16, 12.0, 16.0),
    _sce_ids,
    {"ICA - Circuit Segments": _SCE_SEGMENTS, "RAM - Circuits": _SCE_RAM},
)
