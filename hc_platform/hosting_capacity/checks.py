"""What must hold before rows are published, as pure functions of what a step reports.

What belongs here: the checks, their thresholds and their wording. What does not: running them (`orchestration`).
"""

from typing import Final

import polars as pl

from hc_platform.checking import Check
from hc_platform.hosting_capacity.plausible import STOP_KV, STOP_MW, WARN_MW
from hc_platform.hosting_capacity.reading import JOINED, UNPACKED

MAX_ROW_CHANGE: Final = 0.5
MAX_UNREADABLE: Final = 0.01
MAX_NULL_RISE: Final = 0.25
STOP_NULL_RISE: Final = 0.5
FEW: Final = (
    20  # fewer cells say nothing of how the fields within them are called, fewer keys of how ids are spelled
)


SECTION_CHECKS: Final = {
    "all_features_accounted_for": (True, "accepted + rejected = fetched = the server's count"),
    "record_keys_are_unique": (True, "(resource, record_key) is unique"),
    "units_are_plausible": (
        True,
        f"no capacity beyond {STOP_MW:g} MW and none usual that only a wrong unit explains, no voltage beyond "
        f"{STOP_KV:g} kV; beyond {WARN_MW:g} MW a warning",
    ),
    "values_are_readable": (
        True,
        f"at most {MAX_UNREADABLE:.0%} of any field's published values cannot be read; packed fields and joins are found",
    ),
    "feeders_are_known": (
        False,
        "every row of a layer that tells feeders has one; a name of several ids has none",
    ),
    "row_count_is_stable": (True, f"rows moved by at most {MAX_ROW_CHANGE:.0%} since the last snapshot"),
    "null_rate_is_stable": (
        True,
        f"rows without capacity rose by at most {MAX_NULL_RISE:.0%} of all; {STOP_NULL_RISE:.0%} stop the commit",
    ),
    "constraints_are_known": (False, "every constraint text is in the vocabulary; others stand as 'other'"),
}
"""Check name -> whether it blocks, and what it says."""


def accounted_for(expected: int, fetched: int, accepted: int, rejected: int) -> Check:
    """accepted + rejected = fetched = the server's count."""
    return Check(
        "all_features_accounted_for",
        accepted + rejected == fetched == expected,
        True,
        f"{accepted} accepted + {rejected} rejected; {fetched} fetched; server counted {expected}",
        {"accepted": accepted, "rejected": rejected, "fetched": fetched, "server_count": expected},
    )


def keys_unique(rows: int, distinct: int, collisions: int) -> Check:
    """(resource, record_key) is unique; `collisions` were told apart by a number behind the key."""
    message = f"{rows} rows, {distinct} keys; {collisions} rows share a key with another and got a number"
    return Check("record_keys_are_unique", rows == distinct, True, message, {"collisions": collisions})


def values_readable(quality: pl.DataFrame) -> Check:
    """At most 1 % of any field's published values cannot be read; packed fields and joins are found somewhere.

    Values that are withheld are told, and no fault. (Metadata tell of fields that are columns; what is renamed within a
    cell, or spelled otherwise in two layers, shows only here.)
    """
    published = pl.col("rows") - pl.col("nulls") + pl.col("unreadable")
    bad = quality.filter(pl.col("unreadable") > 0).with_columns(share=pl.col("unreadable") / published)
    worst = bad.filter(pl.col("share") > MAX_UNREADABLE)
    told = [
        f"{r['field']} ({r['column']}): {r['unreadable']} of {r['rows']}, e.g. {r['sample']!r}"
        for r in bad.iter_rows(named=True)
    ]
    told += [
        f"{r['field']} ({r['column']}): {r['withheld']} of {r['rows']} have no one meaning and are NULL"
        for r in quality.filter(pl.col("withheld") > 0).iter_rows(named=True)
    ]
    inner = quality.filter(pl.col("column").is_in([UNPACKED, JOINED]) & (pl.col("unreadable") == 0))
    lost = inner.filter((pl.col("rows") >= FEW) & (pl.col("nulls") == pl.col("rows")))
    for row in lost.iter_rows(named=True):
        if row["column"] == UNPACKED:
            told.append(
                f"none of {row['rows']} cells has the field {row['field']}: is it called otherwise now?"
            )
        else:
            told.append(
                f"none of {row['rows']} rows finds its {row['field']}: are ids spelled otherwise there?"
            )
    return Check(
        "values_are_readable",
        worst.is_empty() and lost.is_empty(),
        True,
        "; ".join(told) or "every published value was read",
        {"unreadable": int(quality["unreadable"].sum()), "withheld": int(quality["withheld"].sum())},
    )


def feeders_known(quality: pl.DataFrame) -> Check:
    """How many rows have no feeder id, by the field that was to give it."""
    ids = quality.filter((pl.col("column") == "feeder_id_external") & (pl.col("nulls") > 0))
    told = [
        f"{r['layer']}: {r['nulls']} of {r['rows']} rows by {r['field']}" for r in ids.iter_rows(named=True)
    ]
    return Check(
        "feeders_are_known",
        not told,
        False,
        "without a feeder id: " + "; ".join(told) if told else "every row has its feeder's id",
        {"rows without feeder": int(ids["nulls"].sum())},
    )


def row_count_stable(now: dict[str, int], before: dict[str, int] | None, *, accepted: bool = False) -> Check:
    """No layer's count moved by more than half since the last snapshot. `now`, `before`: layer -> rows.

    A layer that only one of the two has is no change of rows. `accepted`: a person has looked and said yes.
    """
    total = sum(now.values())
    shared = sorted(layer for layer in now if (before or {}).get(layer))
    if not before or not shared:
        return Check("row_count_is_stable", True, True, f"{total} rows; no earlier snapshot to compare with")
    change = {layer: (now[layer] - before[layer]) / before[layer] for layer in shared}
    moved = [layer for layer in shared if abs(change[layer]) > MAX_ROW_CHANGE]
    told = "; ".join(
        f"{layer}: {now[layer]} rows, {before[layer]} before ({change[layer]:+.1%})" for layer in shared
    )
    if moved:
        told += ". Accepted by hand" if accepted else ". If that is right, run with --accept-row-change"
    return Check(
        "row_count_is_stable",
        accepted or not moved,
        True,
        told,
        {"accepted by hand": bool(moved and accepted)},
    )


def null_rate_stable(now: float, before: float | None, *, accepted: bool = False) -> Check:
    """The share of rows without capacity did not rise by more than a quarter; by more than half stops the commit.

    `accepted`: a person has looked and said yes.
    """
    told = "no earlier snapshot" if before is None else f"{before:.1%} in the last snapshot"
    message = f"{now:.1%} of rows have no capacity; {told}"
    rise = now - before if before is not None else 0.0
    stops = rise > STOP_NULL_RISE and not accepted
    if stops:
        message += ". If that is right, run with --accept-row-change"
    passed = rise <= MAX_NULL_RISE
    return Check("null_rate_is_stable", passed, passed or stops, message, {"null_rate": now})


def constraints_known(unknown: pl.DataFrame) -> Check:
    """Constraint texts no rule knows are counted; they stand as 'other' with their raw text."""
    listed = ", ".join(f"{text!r} ({count})" for text, count in unknown.head(10).iter_rows())
    message = f"unknown constraint texts: {listed}" if listed else "every constraint text is known"
    return Check(
        "constraints_are_known", unknown.is_empty(), False, message, {"unknown_texts": unknown.height}
    )
