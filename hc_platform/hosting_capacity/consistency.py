"""What must hold of a feeder record whichever utility it is of: the common schema's meaning, as rules.

What belongs here: the rules, and finding the records that break them. What does not: closed vocabularies and unique keys
(`pipeline.national`), the sizes of one layer's units (`plausible`).
"""

from typing import Final

import polars as pl

from hc_platform.checking import Check
from hc_platform.hosting_capacity.plausible import STOP_KV, STOP_MW

_H, _LO, _HI, _REST = (
    pl.col(c)
    for c in (
        "hosting_capacity_mw",
        "hosting_capacity_min_mw",
        "hosting_capacity_max_mw",
        "remaining_capacity_mw",
    )
)
_SAME_MW: Final = 1e-6  # one watt: rounding between a utility's own columns
_SAME_DEGREE: Final = 1e-6
_CAPACITY: Final = pl.any_horizontal(c.is_not_null() for c in (_H, _LO, _HI))
_LAT, _LON = pl.col("centroid_lat"), pl.col("centroid_lon")

RULES: Final[dict[str, pl.Expr]] = {
    "least above greatest": _LO > _HI + _SAME_MW,
    "point outside of its bounds": (_H < _LO - _SAME_MW) | (_H > _HI + _SAME_MW),
    "capacity without a basis": _CAPACITY & pl.col("capacity_basis").is_null(),
    "capacity without its layer": _CAPACITY & pl.col("capacity_source").is_null(),
    "capacity that is said not to be published": _CAPACITY & (pl.col("value_status") != "published"),
    "ceiling or floor of nothing": (pl.col("censored") != "none") & ~_CAPACITY & _REST.is_null(),
    "remaining not derived where it could be": _REST.is_null()
    & (
        ((pl.col("capacity_basis") == "net_of_existing") & _H.is_not_null())
        | (
            (pl.col("capacity_basis") == "gross")
            & (pl.col("grain") != "section")
            & pl.all_horizontal(
                c.is_not_null() for c in (_H, pl.col("installed_dg_mw"), pl.col("queued_dg_mw"))
            )
        )
    ),
    "negative generation": (pl.col("installed_dg_mw") < 0) | (pl.col("queued_dg_mw") < 0),
    "capacity beyond any feeder's": pl.max_horizontal(c.abs() for c in (_H, _LO, _HI, _REST)) > STOP_MW,
    "voltage beyond distribution": (pl.col("voltage_kv") <= 0) | (pl.col("voltage_kv") > STOP_KV),
    # the states, Puerto Rico and the Virgin Islands; Alaska's westernmost islands and Guam lie east of 144
    "place outside of the United States": ~_LAT.is_between(13, 72)
    | ~(_LON.is_between(-180, -64) | (_LON >= 144)),
    "centre outside of its box": ~_LAT.is_between(
        pl.col("bbox_south") - _SAME_DEGREE, pl.col("bbox_north") + _SAME_DEGREE
    )
    | ~_LON.is_between(pl.col("bbox_west") - _SAME_DEGREE, pl.col("bbox_east") + _SAME_DEGREE),
    "generator as a record": pl.col("grain") == "der",
}
"""What is wrong -> the records (RECORDS rows) of which it holds; NULL is no fault of its own."""


def inconsistencies(records: pl.LazyFrame) -> pl.DataFrame:
    """The broken rules: rule, utility_code, count and an `example` (a record's id), the most frequent first."""
    marked = records.select(
        "utility_code", "feeder_id_external", *[e.fill_null(False).alias(name) for name, e in RULES.items()]
    )
    found = (
        marked.filter(pl.any_horizontal(*RULES))
        .unpivot(list(RULES), index=["utility_code", "feeder_id_external"], variable_name="rule")
        .filter("value")
        .group_by("rule", "utility_code")
        .agg(count=pl.len(), example=pl.col("feeder_id_external").min())
        .sort(["count", "rule", "utility_code"], descending=[True, False, False])
    )
    return found.collect()


def records_consistent(records: pl.LazyFrame) -> Check:
    """Every record keeps the common rules. A warning: one utility's contradiction must not hold back the nation."""
    found = inconsistencies(records)
    told = [
        f"{r['utility_code']}: {r['rule']} in {r['count']} records, e.g. {r['example']}"
        for r in found.head(20).iter_rows(named=True)
    ]
    return Check(
        "records_are_consistent",
        found.is_empty(),
        False,
        "; ".join(told) or "every record keeps the common rules",
        {"records": int(found["count"].sum())},
    )
