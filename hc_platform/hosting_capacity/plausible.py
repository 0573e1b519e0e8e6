"""Whether a layer's numbers have the size that their unit gives: kW taken for MW shows here, or nowhere.

What belongs here: the bounds with their reasons, the numbers that are held against them, and the check.
What does not: the other checks (`checks`), or reading a unit (`values`, `voltage`).
"""

from typing import Final

import polars as pl

from hc_platform.catalog.fields import CAPACITY_COLUMNS, FieldMap
from hc_platform.catalog.models import UtilityConfig
from hc_platform.checking import Check

# A distribution feeder takes some 10 MW (34.5 kV: 40), a bank of substation transformers 100 to 300. Beyond 500 the unit
# is wrong; kW read as MW gives thousands. Between, somebody should look.
STOP_MW: Final = 500.0
WARN_MW: Final = 100.0
# A list of generators may hold power stations: 942 MW of coal and a plan of 1,300 MW stand in New York's.
STOP_DER_MW: Final = 3000.0
WARN_DER_MW: Final = 500.0
# What is usual (the median of what is above zero). No layer's usual row is 100 MW. The other way, MW read as kW makes
# a feeder's usual 1 to 5 MW and a section's 0.3 (Con Edison) into less than 5 kW. Tiles, parcels (HECO: 75 kW) and
# points can be that small, but not 0.5 kW: the finest study steps are kilowatts.
MEDIAN_STOP_MW: Final = 100.0
MEDIAN_LOW_MW: Final = {"feeder": 0.005, "section": 0.005}
MEDIAN_LOW_ELSE_MW: Final = 0.0005
MEDIAN_ODD_MW: Final = 0.005
# Where the unit is a guess, the greatest value tells: no map's best feeder takes less than 0.5 MW or more than 100.
GUESS_LOW_MW: Final = 0.5
GUESS_HIGH_MW: Final = 100.0
MEDIAN_ROWS: Final = 20  # fewer say nothing of what is usual
# The highest distribution and subtransmission voltage; a secondary network has 0.12 kV, so under 0.1 kV were read as V.
STOP_KV: Final = 138.0
LOW_KV: Final = 0.1

_OF_FEEDERS: Final = ("hosting_capacity_mw", "hosting_capacity_max_mw", "remaining_capacity_mw")
_COLUMNS: Final = (*CAPACITY_COLUMNS, "voltage_kv")
_BY: Final = ("layer", "resource", "grain")
_NUMBERS: Final = pl.Struct({"greatest": pl.Float64, "median": pl.Float64, "positive": pl.Int64})
_NOTHING: Final = pl.DataFrame(schema=dict.fromkeys(_BY, pl.String) | dict.fromkeys(_COLUMNS, _NUMBERS))


def magnitudes(sections: pl.LazyFrame, config: UtilityConfig) -> pl.DataFrame:
    """Per layer, resource and capacity or voltage column: grain, `greatest` magnitude, `median` of what is above zero,
    `positive` (how many are), and the `field` and `unit` it was read from. Columns without a value are left out."""
    numbers = [
        pl.struct(
            greatest=pl.col(c).abs().max(),
            median=pl.col(c).filter(pl.col(c) > 0).median(),
            positive=(pl.col(c) > 0).sum().cast(pl.Int64),
        ).alias(c)
        for c in _COLUMNS
    ]
    # each group by itself: a median holds its values, and a grouping of all rows their keys too
    groups = sections.select(_BY).unique().sort(_BY).collect(engine="streaming")
    found = [
        sections.filter(**dict(zip(_BY, group, strict=True)))
        .select(*(pl.lit(text).alias(name) for name, text in zip(_BY, group, strict=True)), *numbers)
        .collect(engine="streaming")
        for group in groups.iter_rows()
    ]
    long = (
        pl.concat(found or [_NOTHING])
        .unpivot(_COLUMNS, index=_BY, variable_name="column", value_name="numbers")
        .unnest("numbers")
        .drop_nulls("greatest")
    )
    return long.join(_read_from(config), on=["layer", "resource", "column"], how="left").sort(*_BY, "column")


def _read_from(config: UtilityConfig) -> pl.DataFrame:
    """Which field gives each column, and in which unit it is read."""
    rows = []
    for layer in config.layers:
        for resource in layer.resources:
            maps: list[tuple[str, FieldMap, str | None]] = [
                ("", layer.fields_of(resource), layer.capacity_unit)
            ]
            for join in config.joins_of(layer):
                maps.append((f"{join.layer}.", join.takes, config.layer(join.layer).capacity_unit))
            for prefix, fields, unit in maps:
                for name, targets in fields.items():
                    for target in targets:
                        told = target.unit or (
                            "as written" if target.to == "voltage_kv" else unit or config.capacity_unit
                        )
                        row = (layer.label, resource, target.to, f"{prefix}{name}", told, target.unit_guessed)
                        rows.append(row)
    schema = dict.fromkeys(("layer", "resource", "column", "field", "unit"), pl.String) | {
        "guessed": pl.Boolean
    }
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.group_by("layer", "resource", "column", maintain_order=True).agg(
        pl.col("field").unique(maintain_order=True).str.join(", "),
        pl.col("unit").unique(maintain_order=True).str.join(", "),
        pl.col("guessed").any(),
    )


def units_plausible(found: pl.DataFrame) -> Check:
    """No magnitude that only a wrong unit explains (stops the commit), none that somebody should look at (warns).

    `found`: what `magnitudes` gives.
    """
    stops: list[str] = []
    warnings: list[str] = []
    for row in found.iter_rows(named=True):
        stop, message = _judged(
            **{k: row[k] for k in ("grain", "column", "greatest", "median", "positive", "guessed")}
        )
        if message:
            where = (
                f"{row['layer']}, {row['resource']}: {row['column']} ({row['field']}, read as {row['unit']})"
            )
            (stops if stop else warnings).append(f"{where} {message}")
    return Check(
        "units_are_plausible",
        not stops and not warnings,
        bool(stops) or not warnings,
        "; ".join(stops + warnings) or "all within bounds",
        {f"{r['layer']}, {r['resource']}, {r['column']}": r["greatest"] for r in found.iter_rows(named=True)},
    )


def _judged(
    grain: str, column: str, greatest: float, median: float | None, positive: int, guessed: bool | None
) -> tuple[bool, str | None]:
    """Whether it stops the commit, and what is odd about it; None where nothing is."""
    if column == "voltage_kv":
        if greatest > STOP_KV:
            return True, f"reaches {greatest:g} kV: are these volts?"
        if 0 < greatest < LOW_KV:
            return True, f"reaches only {greatest:g} kV: are these kV, read as volts?"
        return False, None
    if guessed and positive >= MEDIAN_ROWS and not GUESS_LOW_MW <= greatest <= GUESS_HIGH_MW:
        return True, f"reaches {greatest:g} MW, and its unit is a guess: it seems to be another"
    stop, warn = (STOP_DER_MW, WARN_DER_MW) if grain == "der" else (STOP_MW, WARN_MW)
    if greatest > stop:
        return True, f"reaches {greatest:g} MW: is its unit right?"
    usual = median if positive >= MEDIAN_ROWS else None
    if usual is not None and usual > MEDIAN_STOP_MW:
        return True, f"is {usual:g} MW in the median: is its unit right?"
    if usual is not None and column in _OF_FEEDERS:
        if usual < MEDIAN_LOW_MW.get(grain, MEDIAN_LOW_ELSE_MW):
            return True, f"is {usual:g} MW in the median: are these MW, read as kW?"
        if usual < MEDIAN_ODD_MW:
            return False, f"is {usual:g} MW in the median: is its unit right?"
    if greatest > warn:
        return False, f"reaches {greatest:g} MW: is its unit right, or is it no single feeder's?"
    return False, None
