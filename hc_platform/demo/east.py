"""The true shape of the layers of New York, Rhode Island and Washington: field names, types, ids, traps.

What belongs here: what is particular to a utility. What does not: how a column is made (`writing`).
"""

from typing import Final

import numpy as np
import polars as pl

from hc_platform.demo import writing as w
from hc_platform.demo.numbers import Area, Rows, draw_capacity, draw_constraints
from hc_platform.demo.shape import Field, LayerShape, UtilityShape, digits, draw_range

_NO: Final = pl.col("number")
_SUBSTATION: Final = pl.col("substation_no")


# --- Rhode Island Energy: ids such as 0022, 54F1, 107W62 ----------------------------------------------------
def _rie_ids(_: pl.DataFrame) -> dict[str, pl.Expr]:
    lettered = (1 + _SUBSTATION).cast(pl.String) + pl.lit("W") + (40 + _NO % 5).cast(pl.String)
    return {"id": pl.when(_NO % 4 == 0).then(digits(_NO + 22, 4)).otherwise(lettered)}


_RIE = LayerShape(
    0,
    "RI Hosting Capacity",
    (
        Field("Section_ID", "String", w.row_text("1000{}", 100_213)),
        Field("Network_ID", "String", w.of_feeder("id")),
        Field("Substation", "String", w.of_feeder("substation")),
        Field("Area", "String", w.words("Providence", "South County", "Newport")),
        Field("Voltage", "String", w.of_feeder("kv_text")),
        Field("HC", "Double", w.megawatts("hc")),
        Field("DG_Refresh_Date", "String", w.us_date(0)),
    ),
    lambda rows: draw_capacity(rows, "hc", null=0.01),
    {"generation": {"hosting_capacity_mw": "hc"}},
    rows=6_000,
)

# --- National Grid New York: a map service; 10 MW is where the study ends, 20 MW for flicker ---------------
_NGRID_LIMITS: Final[dict[str, float | None]] = {
    "primary_hc_over_voltage": 10,
    "primary_hc_voltage_deviation": 10,
    "primary_hc_regulator_deviation": 10,
    "primary_hc_thermal_from_gen": 10,
    "primary_hc_anti_islanding": 10,
    "primary_hc_flicker": 20,
}


def _ngrid_ids(_: pl.DataFrame) -> dict[str, pl.Expr]:
    return {"id": pl.lit("36_") + digits(_SUBSTATION % 40, 2) + "_" + digits(1001 + _NO * 3, 5)}


def _ngrid_draw(rows: Rows) -> None:
    draw_capacity(rows, "hc", ceiling=10, missing=0.02, null=0.01)
    draw_constraints(rows, "hc", _NGRID_LIMITS)


def _ngrid_feeder_draw(rows: Rows) -> None:
    draw_range(rows, 10, null=0.02)
    # a feeder's least and greatest are those of its sections, whose draws reach both ends of the study
    rows.values["lo"], rows.values["hi"] = np.zeros(rows.count), np.full(rows.count, 10.0)


_NGRID_NODAL = LayerShape(
    2,
    "Primary Nodal",
    (
        Field("feeder_cdf", "String", w.of_feeder("id")),
        Field("primary_voltage", "Double", w.of_feeder("kv")),
        Field("primary_hc", "Double", w.megawatts("hc", missing=-1.0)),
        *(Field(name, "Double", w.megawatts(name, missing=-1.0)) for name in _NGRID_LIMITS),
        Field("color", "String", w.words("Dark Green", "Yellow", "Red")),
        Field("distance_to_substation", "String", w.words("< 0.5 miles", "4519", "1.2 miles")),
    ),
    _ngrid_draw,
    {"generation": {"hosting_capacity_mw": "hc"}},
    rows=8_000,
    constraints=tuple(_NGRID_LIMITS),
)
_NGRID_FEEDERS = LayerShape(
    0,
    "Distribution Feeders",
    (
        Field("Master_CDF", "String", w.of_feeder("id")),
        Field("feeder_voltage", "Double", w.of_feeder("kv")),
        Field("feeder_max_hc", "Double", w.megawatts("hi")),
        Field("feeder_min_hc", "Double", w.megawatts("lo")),
        Field("feeder_dg_connected_since_refresh", "Double", w.of_feeder("queued")),
        Field("nyiso_load_zone", "String", w.words("A", "C", "F")),
        Field("hca_refresh_date", "String", w.constant("2022/10/01 00:00:00+00")),
    ),
    _ngrid_feeder_draw,
    {"generation": {"hosting_capacity_min_mw": "lo", "hosting_capacity_max_mw": "hi"}},
)

# --- Con Edison: EPSG:4326, dates as epoch ms, the feeder's generation on each of its segments --------------
_CONED_LIMITS: Final[dict[str, float | None]] = dict.fromkeys(
    [
        "PV_BANK_RATING",
        "PV_FEEDER_RATING",
        "PV_FLICKER",
        "PV_OVER_VOLTAGE",
        "PV_VOLTAGE_DEVIATION",
        "PV_REGULATOR_DEVIATION",
        "PV_THERMAL",
        "PV_ANTI_ISLAND",
    ]
)


def _coned_ids(_: pl.DataFrame) -> dict[str, pl.Expr]:
    number = digits(1 + _NO % 100, 2)
    letter = pl.when(_NO % 2 == 0).then(pl.lit("U")).otherwise(pl.lit("B"))
    place = pl.col("substation").str.to_uppercase()
    return {
        "id": (1 + _NO // 100).cast(pl.String) + number + letter + "1",
        "id_by_place": place + "_" + (1 + _NO // 100).cast(pl.String) + letter + number,
    }


def _coned_draw(rows: Rows) -> None:
    draw_range(rows, None, null=0.01, negative=0.004)
    draw_constraints(rows, "lo", _CONED_LIMITS)
    # the section's overall result, not one more limit: in the argmin it would tie with what binds
    rows.values["PV_SECTION"], rows.status["PV_SECTION"] = rows.values["lo"], rows.status["lo"]
    rows.values |= {name: rows.of(name).to_numpy() for name in ("installed", "queued")}


_CONED_NODAL = LayerShape(
    0,
    "3PH Segments",
    (
        Field("FEEDER_ID", "String", w.of_feeder("id")),
        Field("FRIENDLY_CIRCUIT_NAME", "String", w.of_feeder("name")),
        Field("SUBSTATION", "String", w.of_feeder("substation")),
        Field("LOCAL_MIN", "Double", w.megawatts("lo")),
        Field("LOCAL_MAX", "Double", w.megawatts("hi")),
        Field("CONNECTED_DER", "Double", w.megawatts("installed")),
        Field("QUEUED_DER", "Double", w.megawatts("queued")),
        Field("LOCAL_VOLTAGE", "Double", w.of_feeder("kv")),
        *(Field(name, "Double", w.megawatts(name)) for name in ("PV_SECTION", *_CONED_LIMITS)),
        Field("HC_REFESH_DATE", "Date", w.epoch_ms(before_1970=0.01)),
        Field("NOTES", "String", w.constant("NONE")),
    ),
    _coned_draw,
    {
        "generation": {
            "hosting_capacity_min_mw": "lo",
            "hosting_capacity_max_mw": "hi",
            "installed_dg_mw": "installed",
            "queued_dg_mw": "queued",
        }
    },
    rows=4_000,
    max_record_count=6000,
    wkid=4326,
    constraints=tuple(_CONED_LIMITS),
)
_CONED_EV = LayerShape(
    0,
    "EV Headroom",
    (
        Field("FEEDER_ID", "String", w.of_feeder("id_by_place")),
        Field("SUBSTATION", "String", w.of_feeder("substation")),
        Field("VOLTAGE_KV", "Double", w.of_feeder("kv")),
        Field("EV_HEADROOM", "Double", w.megawatts("headroom")),
        Field("UPDATED_DATE", "Date", w.epoch_ms()),
        Field("NOTES", "String", w.words(None, "This line may not be able to accept addition...")),
    ),
    lambda rows: draw_capacity(rows, "headroom", null=0.01, negative=0.01),
    {"load": {"hosting_capacity_mw": "headroom"}},
    rows=4_000,
    max_record_count=6000,
    wkid=4326,
    oid="OBJECTID_1",
    feeder_id="id_by_place",
)
_CONED_STORAGE = LayerShape(
    0,
    "Storage Charge",
    (
        Field("FEEDER_ID", "String", w.of_feeder("id")),
        Field("STORAGE_MAX_CHARGE", "Double", w.megawatts("hi")),
        Field("STORAGE_MIN_CHARGE", "Double", w.megawatts("lo")),
    ),
    lambda rows: draw_range(rows, None, null=0.01),
    {"storage": {"hosting_capacity_min_mw": "lo", "hosting_capacity_max_mw": "hi"}},
    rows=4_000,
    max_record_count=6000,
    wkid=4326,
)


# --- Pepco: one service for three companies; kW for generation, MW for load ---------------------------------
def _pepco_ids(_: pl.DataFrame) -> dict[str, pl.Expr]:
    return {"id": digits(14 + _NO * 29, 5)}


def _pepco_draw(rows: Rows) -> None:
    draw_range(rows, None, null=0.02)
    rows.values["mid"] = np.rint((rows.values["lo"] + rows.values["hi"]) * 500) / 1000
    rows.status["mid"] = rows.status["lo"]
    draw_capacity(rows, "large", ceiling=3)
    rows.values |= {name: rows.of(name).to_numpy() for name in ("installed", "queued")}


_PEPCO_FEEDERS = LayerShape(
    0,
    "Hosting Capacity Feeders",
    (
        Field("FeederID", "String", w.of_feeder("id")),
        Field("Substation", "String", w.of_feeder("substation")),
        Field("State", "String", w.words("DC", "MD")),
        Field("Region", "String", w.when_served("Pepco", "Delmarva")),
        Field("Voltage", "String", w.feeder_text("{} kV", "kv_text")),
        Field("Allowable_PV_kW", "Double", w.kilowatts_float("mid")),
        Field("Strict_PV_kW", "Double", w.kilowatts_float("lo")),
        Field("Max_PV_kW", "Double", w.kilowatts_float("hi")),
        Field("Total_Active_Gen_kW", "Double", w.kilowatts_float("installed")),
        Field("Total_Pending_Gen_kW", "Double", w.kilowatts_float("queued")),
        Field("Feeder_Large_Gen_HC", "Double", w.kilowatts_float("large")),
        Field("Last_Updated", "String", w.us_date(0)),
    ),
    _pepco_draw,
    {
        "generation": {
            "hosting_capacity_mw": "mid",
            "hosting_capacity_min_mw": "lo",
            "hosting_capacity_max_mw": "hi",
            "installed_dg_mw": "installed",
            "queued_dg_mw": "queued",
        }
    },
    max_record_count=3500,
    left_out=0.06,
)
_PEPCO_PARTS: Final[dict[str, float | None]] = dict.fromkeys(
    ("Feeder_Capacity_MW", "Transformer_or_Network_Capacity_MW", "Substation_Capacity_MW")
)


def _pepco_ev_draw(rows: Rows) -> None:
    draw_capacity(rows, "load", null=0.02)
    draw_constraints(rows, "load", _PEPCO_PARTS)


_PEPCO_EV = LayerShape(
    0,
    "EV Load Serving Capacity",
    (
        Field("FEEDERID", "String", w.of_feeder("id")),
        Field("Feeder", "String", w.of_feeder("name")),
        Field("Voltage_kV", "Double", w.of_feeder("kv")),
        Field("Capacity_MW", "Double", w.megawatts("load")),
        *(Field(name, "Double", w.megawatts(name)) for name in _PEPCO_PARTS),
        Field("Region", "String", w.when_served("Pepco", "DPL")),
        Field("Substation", "String", w.of_feeder("substation")),
        Field("UpdateDate", "String", w.constant("11/21/2025, 11:39 AM")),
    ),
    _pepco_ev_draw,
    {"load": {"hosting_capacity_mw": "load"}},
    max_record_count=3500,
    left_out=0.06,
    constraints=tuple(_PEPCO_PARTS),
)

RIE: Final = UtilityShape(
    Area(((-71.42, 41.83), (-71.43, 41.70), (-71.51, 42.0)), 0.03),
    120,
    449,
    (4.16, 12.47, 13.8),
    _rie_ids,
    {"hosting capacity sections": _RIE},
)
NGRID_NY: Final = UtilityShape(
    Area(((-78.83, 42.9), (-76.15, 43.05), (-73.78, 42.67), (-75.23, 43.1))),
    200,
    1912,
    (4.8, 13.2, 34.5),
    _ngrid_ids,
    {"feeders": _NGRID_FEEDERS, "primary nodal sections": _NGRID_NODAL},
)
CONED: Final = UtilityShape(
    Area(((-73.87, 40.85), (-73.82, 40.73), (-73.95, 40.65), (-73.77, 41.03)), 0.02),
    160,
    1800,
    (4.0, 13.0, 27.0, 33.0),
    _coned_ids,
    {"3-phase segments": _CONED_NODAL, "EV headroom": _CONED_EV, "storage charging": _CONED_STORAGE},
)
PEPCO: Final = UtilityShape(
    Area(((-77.02, 38.91), (-77.03, 39.0), (-77.15, 39.08), (-76.75, 38.82)), 0.03),
    530,
    800,
    (4.0, 13.2, 13.8, 34.5),
    _pepco_ids,
    {"Pepco feeders": _PEPCO_FEEDERS, "EV load serving capacity": _PEPCO_EV},
)
