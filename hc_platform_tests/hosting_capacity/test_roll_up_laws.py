"""The roll-up against a loop over rows, on groups of many rows: every column, the same every time."""

import math
import random
from collections import Counter, defaultdict
from typing import Any

import polars as pl
import pytest

from hc_platform.hosting_capacity.feeders import build_records
from hc_platform_tests.hosting_capacity.making import sections

NO_ATTRIBUTES = pl.DataFrame(
    schema={"feature_key": pl.String, "layer": pl.String, "raw_attributes": pl.String}
)
H, LO, HI, REST = (
    "hosting_capacity_mw", "hosting_capacity_min_mw", "hosting_capacity_max_mw", "remaining_capacity_mw",
)  # fmt: skip
ID = "feeder_id_external"
RANK = ["published", "redacted", "pending", "not_published"]
OF_THE_POINT = ("constraining_metric", "constraining_metric_raw", "capacity_basis")


def made(draw: random.Random, feeders: int, rows: int) -> list[dict[str, Any]]:
    """Rows as utilities publish them: points, ranges, open ends, blanks; every value from a few, so that many tie."""

    def one(number: int) -> dict[str, Any]:
        shape = draw.choices(["point", "range", "above", "below", "nothing"], [20, 2, 0.2, 0.5, 1])[0]
        size = draw.choice([0.0, 0.5, 2.0, 2.0, 7.25, 10.0])
        capacity = {
            "point": {H: size, "censored": "at_ceiling" if size == 10.0 else "none"},
            "range": {LO: size, HI: size + draw.choice([0.0, 1.0])},
            "above": {LO: size, "censored": "at_ceiling"},
            "below": {HI: size, "censored": "at_floor"},
            "nothing": {"value_status": draw.choice(RANK)},
        }[shape]
        metric = draw.choice([None, "thermal", "voltage", "none"])
        return {
            ID: f"{draw.randrange(feeders):03d}",
            "record_key": f"lines:{number:06d}",
            REST: draw.choice([None, size - 1.0]),
            "constraining_metric": metric,
            "constraining_metric_raw": metric and f"{metric} {draw.randrange(3)}",
            "capacity_basis": draw.choice(["gross", "net_of_existing"]),
            "phase_config": draw.choice([None, "A", "B", "AB", "ABC", "BC"]),
            "substation_name": draw.choice([None, "OAK", "ELM"]),
            "voltage_kv": draw.choice([None, 4.0, 12.0, 12.0]),
            "is_overhead": draw.choice([None, True]),
            "installed_dg_mw": 1.5,
            "length_km": draw.choice([None, 0.25, 1.0]),
            **capacity,
        }

    return [one(i) for i in range(rows)]


def expected(rows: list[dict[str, Any]], *, least: bool) -> dict[str, Any]:
    """One feeder's record, by the rules as they are written down, one row after the other."""
    rows = sorted(rows, key=lambda r: r["record_key"])
    informs = [
        r
        for r in rows
        if any(r.get(c) is not None for c in (H, LO, HI)) or r.get("censored", "none") != "none"
    ]
    points = [r for r in rows if r.get(H) is not None]

    def end(row: dict[str, Any], bound: str) -> float | None:
        return row[H] if row.get(H) is not None else row.get(bound)

    open_above = any(end(r, HI) is None for r in informs)
    open_below = any(end(r, LO) is None for r in informs)
    point = None
    if points and not least:
        best = max(r[H] for r in points)
        point = (
            best
            if not open_above and best >= max(e for r in informs if (e := end(r, HI)) is not None)
            else None
        )
    elif points:
        best = min(r[H] for r in points)
        point = (
            best
            if not open_below and best <= min(e for r in informs if (e := end(r, LO)) is not None)
            else None
        )
    at = [r for r in points if r[H] == point] if point is not None else []
    has = [r for r in rows if any(r.get(c) is not None for c in (H, LO, HI))]
    marked = [r["censored"] for r in (at or rows) if r.get("censored", "none") != "none"]
    above = any(r.get("censored") == "at_ceiling" and end(r, HI) is None for r in informs)
    lows = [e for r in informs for e in (r.get(H), r.get(LO)) if e is not None]
    highs = [e for r in informs for e in (r.get(H), r.get(HI)) if e is not None]
    got = {
        H: point,
        LO: None if open_below or not lows else min(lows),
        HI: None if open_above or not highs else max(highs),
        "censored": "at_ceiling" if not at and above else (marked or ["none"])[0],
        "value_status": min((r.get("value_status", "published") for r in rows), key=RANK.index),
        "capacity_basis": (at or has or [{}])[0].get("capacity_basis"),
        "substation_name": min((r["substation_name"] for r in rows if r["substation_name"]), default=None),
        "phase_config": max((p for r in rows if (p := r["phase_config"])), key=lambda p: (len(p), p), default=None),
        "section_count": len(rows),
        "length_km": math.fsum(r["length_km"] or 0 for r in rows) if any(r["length_km"] for r in rows) else None,
        "installed_dg_mw": 1.5,
    }  # fmt: skip
    left = [r[REST] for r in rows if r[REST] is not None]
    if at:
        got[REST] = at[0][REST]
        got |= {c: at[0][c] for c in OF_THE_POINT}
    else:
        got[REST] = (min(left) if least else max(left)) if left and len(left) >= len(informs) else None
        metrics = [r["constraining_metric"] for r in rows if r["constraining_metric"]]
        got["constraining_metric"] = commonest(metrics)
        of_it = [
            r["constraining_metric_raw"]
            for r in rows
            if r["constraining_metric"] == got["constraining_metric"]
        ]
        got["constraining_metric_raw"] = commonest([x for x in of_it if x])
    if got[REST] is None and got["capacity_basis"] == "net_of_existing":
        got[REST] = point
    return got


def commonest(found: list[str]) -> str | None:
    counts = Counter(found)
    return max((x for x, n in counts.items() if n == max(counts.values())), default=None)


@pytest.mark.parametrize("least", [False, True])
@pytest.mark.parametrize(("feeders", "rows"), [(1, 4), (2, 53), (3, 400), (40, 4000), (300, 900)])
def test_every_column_is_that_of_a_plain_loop(feeders: int, rows: int, least: bool) -> None:
    given = made(random.Random(feeders * rows), feeders, rows)
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in given:
        groups[row[ID]].append(row)
    whole = {feeder: expected(group, least=least) for feeder, group in groups.items()}
    for turn in range(4):  # what is wrong in memory is wrong only now and then
        got = build_records(sections(*given), NO_ATTRIBUTES, ["generation"] if least else [])
        assert got.height == len(whole)
        for record in got.to_dicts():
            want = whole[record[ID]]
            assert {c: record[c] for c in want} == {c: pytest.approx(v) for c, v in want.items()}, (
                record[ID],
                turn,
            )


def test_a_feeders_many_equal_points_keep_what_stands_beside_them() -> None:
    """PSE&G has 124 of them. Polars 2.1 gave what lay in memory for what remains, or crashed, by the way it was asked."""
    for count in (5, 124, 1000):
        rows = [
            {ID: f, H: v, REST: v, "capacity_basis": "net_of_existing"}
            for f, v, n in (("A", -2.5, count), ("B", 1.5, 3))
            for _ in range(n)
        ]
        for _ in range(20):
            got = build_records(sections(*rows), NO_ATTRIBUTES, [])
            assert got.sort(ID).select(H, REST, "capacity_source", "censored").rows() == [
                (-2.5, -2.5, "lines", "none"), (1.5, 1.5, "lines", "none"),
            ]  # fmt: skip
