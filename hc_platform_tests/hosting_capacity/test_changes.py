"""What changed between two snapshots: each word, and the law that the changes lead from one to the other."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hc_platform.hosting_capacity.changes import (
    GENERATION,
    HOSTING,
    MOVED_MW,
    WORDS,
    feeder_changes,
    monthly,
)
from hc_platform.hosting_capacity.derived_tables import FEEDER_CHANGES, MONTHLY_CHANGES
from hc_platform.hosting_capacity.tables import RECORDS
from hc_platform_tests.laws import law

VALUES = (*HOSTING, *GENERATION)
TRACKED = ("grain", *VALUES, *WORDS)


def records(snapshot: str, *rows: dict[str, Any]) -> pl.DataFrame:
    """RECORDS rows; what is not said is a feeder's with a measured value."""
    usual = {
        "utility_code": "u",
        "resource": "generation",
        "feeder_id_external": "f",
        "grain": "feeder",
        "censored": "none",
        "value_status": "published",
        "capacity_basis": "gross",
        "snapshot": snapshot,
    }
    return pl.DataFrame([{**usual, **row} for row in rows], schema=RECORDS.schema)


def compare(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> pl.DataFrame:
    old, new = records("2026-09", *before), records("2026-10", *after)
    return feeder_changes(old.lazy(), new.lazy(), config_changed=False)


def value(mw: float | None, censored: str = "none", **more: Any) -> dict[str, Any]:
    return {"hosting_capacity_mw": mw, "censored": censored, **more}


def span(least: float, greatest: float, censored: str = "none") -> dict[str, Any]:
    return {
        "hosting_capacity_min_mw": least,
        "hosting_capacity_max_mw": greatest,
        "censored": censored,
    }


@pytest.mark.parametrize(
    ("before", "after", "word", "change_mw"),
    [
        (value(5), value(5), None, None),
        (value(5), value(5.0005), None, None),  # less than a kW: rounding
        (value(5), value(5.5), "raised", 0.5),
        (value(5.5), value(5), "lowered", -0.5),
        # bounds: "at least 10" after 8 is more, after 12 nobody knows
        (value(8), value(10, "at_ceiling"), "raised", None),
        (value(12), value(10, "at_ceiling"), "unclear", None),
        (value(10, "at_ceiling"), value(8), "lowered", None),
        (value(10, "at_ceiling"), value(12), "unclear", None),
        (value(5, "at_ceiling"), value(10, "at_ceiling"), "unclear", None),
        (value(5, "at_ceiling"), value(5, "at_ceiling"), None, None),
        (value(5), value(5, "at_ceiling"), "unclear", None),
        (value(0.1, "at_floor"), value(0.5, "at_floor"), "unclear", None),
        (value(0.1, "at_floor"), value(10, "at_ceiling"), "raised", None),
        # ranges
        (span(1, 5), span(2, 5), "raised", None),
        (span(1, 5), span(1, 4), "lowered", None),
        (span(1, 5), span(2, 4), "unclear", None),
        (span(1, 5, "at_ceiling"), span(1, 6, "at_ceiling"), "unclear", None),
        (value(5, hosting_capacity_min_mw=2), value(5, hosting_capacity_min_mw=1), "lowered", 0.0),
        (value(5, hosting_capacity_min_mw=2), value(6, hosting_capacity_min_mw=1), "raised", 1.0),
        # what is left, where only that is published
        ({"remaining_capacity_mw": 3.0}, {"remaining_capacity_mw": 4.0}, "raised", 1.0),
        # a value that comes, goes, or is another kind of value; nothing is not zero
        (value(None, value_status="redacted"), value(0), "status_changed", None),
        (value(0), value(None, value_status="not_published"), "status_changed", None),
        (value(None, value_status="redacted"), value(None, value_status="pending"), "status_changed", None),
        (value(5), span(1, 5), "status_changed", None),
        (value(5, queued_dg_mw=1), value(5, queued_dg_mw=2), "dg_changed", None),
        (value(5), value(5, installed_dg_mw=2), "dg_changed", None),
        (value(5, queued_dg_mw=1), value(6, queued_dg_mw=2), "raised", 1.0),
        (value(5), value(9, capacity_basis="net_of_existing"), "not_comparable", None),
        (value(5), value(9, grain="section"), "not_comparable", None),
    ],
)  # fmt: skip
def test_each_change_has_its_word(
    before: dict[str, Any], after: dict[str, Any], word: str | None, change_mw: float | None
) -> None:
    found = compare([before], [after])
    assert found["change"].to_list() == ([word] if word else [])
    if word:
        assert found["change_mw"].to_list() == [change_mw]


def test_new_and_gone_carry_their_values_and_a_resource_that_is_not_there_is_not_compared() -> None:
    before = [
        value(1, feeder_id_external="stays"),
        value(2, feeder_id_external="goes", feeder_name="Elm"),
        value(7, feeder_id_external="goes", resource="load"),
    ]
    after = [value(1, feeder_id_external="stays"), value(3, feeder_id_external="comes")]
    found = compare(before, after)
    shown = [
        "feeder_id_external",
        "resource",
        "change",
        "previous_hosting_capacity_mw",
        "hosting_capacity_mw",
    ]
    assert found.select(shown).rows() == [
        ("comes", "generation", "new", None, 3.0),
        ("goes", "generation", "gone", 2.0, None),
    ]
    assert found.select("utility_code", "snapshot", "previous_snapshot").unique().rows() == [
        ("u", "2026-10", "2026-09")
    ]
    assert found["feeder_name"].to_list() == [None, "Elm"]
    assert found.schema == pl.Schema(FEEDER_CHANGES.schema)


def test_the_month_in_sum_tells_nothing_known_from_zero() -> None:
    pairs = pl.DataFrame(
        {
            "utility_code": ["u", "u"],
            "resource": ["generation", "load"],
            "snapshot": ["2026-10", "2026-10"],
            "previous_snapshot": ["2026-09", "2026-09"],
            "config_changed": [True, True],
        }
    )
    before, after = (value(1), value(5), value(8)), (value(3), value(4), value(10, "at_ceiling"))
    found = compare(
        *([{**row, "feeder_id_external": str(n)} for n, row in enumerate(x)] for x in (before, after))
    )
    generation, load = monthly(found.lazy(), pairs).iter_rows(named=True)
    assert (generation["raised"], generation["raised_mw"]) == (2, 2.0)  # by how much the third: at least 2
    assert (generation["lowered"], generation["lowered_mw"]) == (1, -1.0)
    assert (generation["new"], generation["new_mw"]) == (0, None)
    assert (load["raised"], load["raised_mw"], load["config_changed"]) == (0, None, True)
    assert set(generation) == set(MONTHLY_CHANGES.names)


megawatts = st.none() | st.sampled_from([0.0, 0.0004, 0.5, 1.0, 1.0015, 7.25]) | st.floats(-1, 500)
record = st.fixed_dictionaries(
    {
        "resource": st.sampled_from(["generation", "load"]),
        "feeder_id_external": st.sampled_from(["01", "1", "a", "b", "c"]),
        "grain": st.sampled_from(["feeder", "tile"]),
        "censored": st.sampled_from(["none", "at_ceiling", "at_floor"]),
        "value_status": st.sampled_from(["published", "redacted"]),
        "capacity_basis": st.sampled_from([None, "gross", "net_of_existing"]),
        **dict.fromkeys(VALUES, megawatts),
    }
)
snapshots = st.lists(record, max_size=8, unique_by=lambda r: (r["resource"], r["feeder_id_external"]))


@law(150)
@given(snapshots, snapshots)
def test_the_changes_applied_to_the_old_snapshot_give_the_new_one(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    compared = {r["resource"] for r in after}
    state = {(r["resource"], r["feeder_id_external"]): r for r in before if r["resource"] in compared}
    for row in compare(before, after).iter_rows(named=True):
        key = (row["resource"], row["feeder_id_external"])
        assert (key in state) == (row["change"] != "new")
        if row["change"] == "gone":
            del state[key]
        else:
            state[key] = row
    wanted = {(r["resource"], r["feeder_id_external"]): r for r in after}
    assert state.keys() == wanted.keys()
    for key, row in wanted.items():
        for column in TRACKED:
            if isinstance(row[column], float) and isinstance(state[key][column], float):
                assert abs(row[column] - state[key][column]) <= MOVED_MW * 1.0001, (key, column)
            else:
                assert row[column] == state[key][column], (key, column)


MIRRORED = {"new": "gone", "gone": "new", "raised": "lowered", "lowered": "raised"}


@law(100)
@given(snapshots, snapshots)
def test_looking_back_everything_is_turned_round(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    both = {r["resource"] for r in before} & {r["resource"] for r in after}
    before, after = ([r for r in rows if r["resource"] in both] for rows in (before, after))
    there, back = (
        {(r["resource"], r["feeder_id_external"]): r for r in found.iter_rows(named=True)}
        for found in (compare(before, after), compare(after, before))
    )
    assert there.keys() == back.keys()
    for record, row in there.items():
        assert back[record]["change"] == MIRRORED.get(row["change"], row["change"])
        assert back[record]["change_mw"] == (None if row["change_mw"] is None else -row["change_mw"])
