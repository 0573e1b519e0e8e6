"""Each check passes at its threshold and fails beyond it, and its message says what to look at."""

from pathlib import Path

import polars as pl
import pytest

from hc_platform.hosting_capacity import checks
from hc_platform.hosting_capacity.tables import RAW_FEATURES, SECTIONS
from hc_platform.lake.store import open_lake
from hc_platform.pipeline.normalize import prepared_sections, previous_sections
from hc_platform_tests.hosting_capacity.making import SNAPSHOT, config, put, raw


@pytest.mark.parametrize(
    ("numbers", "passed"),
    [
        ((10, 10, 7, 3), True),
        ((10, 9, 7, 2), False),
        ((10, 10, 7, 2), False),
        ((9, 10, 7, 3), False),
        ((0, 0, 0, 0), True),
    ],
)
def test_accounted_for(numbers: tuple[int, int, int, int], passed: bool) -> None:
    assert checks.accounted_for(*numbers).passed is passed


def test_keys_unique() -> None:
    assert checks.keys_unique(5, 5, 2).passed
    assert not checks.keys_unique(5, 4, 0).passed


@pytest.mark.parametrize(
    ("rows", "nulls", "unreadable", "passed"),
    [
        (1000, 10, 10, True),
        (1000, 11, 11, False),
        (1000, 901, 1, True),  # 900 rows publish nothing, 100 do, one of these cannot be read
        (1000, 902, 1, False),
        (1000, 1000, 0, True),
        (0, 0, 0, True),
    ],
)
def test_values_readable(rows: int, nulls: int, unreadable: int, passed: bool) -> None:
    """An unreadable value is counted among the nulls, too."""
    field = {"field": "Cap", "column": "hosting_capacity_mw", "sample": "oops"}
    check = checks.values_readable(
        pl.DataFrame([{**field, "rows": rows, "nulls": nulls, "unreadable": unreadable, "withheld": 0}])
    )
    assert check.passed is passed
    assert unreadable == 0 or ("Cap" in check.message and "'oops'" in check.message)


def test_values_withheld_are_told_and_no_fault() -> None:
    field = {
        "field": "ids",
        "column": "feeder_id_external",
        "rows": 9,
        "nulls": 4,
        "unreadable": 0,
        "sample": None,
    }
    check = checks.values_readable(
        pl.DataFrame([{**field, "withheld": 3}], schema_overrides={"sample": pl.String})
    )
    assert check.passed
    assert "ids (feeder_id_external): 3 of 9 have no one meaning" in check.message


@pytest.mark.parametrize(
    ("now", "before", "passed"),
    [
        (100, None, True),
        (150, 100, True),
        (151, 100, False),
        (50, 100, True),
        (49, 100, False),
        (10, 0, True),
    ],
)
def test_row_count_stable(now: int, before: int | None, passed: bool) -> None:
    assert checks.row_count_stable({"a": now}, None if before is None else {"a": before}).passed is passed


def test_rows_are_compared_layer_by_layer_and_a_person_may_accept() -> None:
    before = {"a": 100, "gone": 5}
    assert checks.row_count_stable({"a": 100, "new": 1000}, before).passed
    assert not checks.row_count_stable({"a": 10, "new": 1000}, before).passed
    accepted = checks.row_count_stable({"a": 10}, before, accepted=True)
    assert accepted.passed
    assert accepted.metadata == {"accepted by hand": True}


@pytest.mark.parametrize(
    ("now", "before", "passed", "stops"),
    [
        (0.9, None, True, False),
        (0.5, 0.25, True, False),
        (0.51, 0.25, False, False),
        (0.0, 0.9, True, False),
        (1.0, 0.0, False, True),  # a column that is wholly empty all at once
    ],
)
def test_null_rate_stable(now: float, before: float | None, passed: bool, stops: bool) -> None:
    check = checks.null_rate_stable(now, before)
    assert (check.passed, check.blocking and not check.passed) == (passed, stops)
    accepted = checks.null_rate_stable(now, before, accepted=True)
    assert accepted.passed or not accepted.blocking


def test_constraints_known() -> None:
    unknown = pl.DataFrame({"text": ["Moon phase"], "count": [3]})
    assert "'Moon phase' (3)" in checks.constraints_known(unknown).message
    assert checks.constraints_known(unknown.clear()).passed


def test_a_report_gives_every_check_and_finds_what_is_wrong(tmp_path: Path) -> None:
    """One snapshot good, the next in kW under a config that says MW, half of it unreadable, and shrunk."""
    fields = {"Id": "feeder_id_external", "C": "hosting_capacity_mw", "Why": "constraining_metric"}
    made = config({"field_map": fields}, capacity_unit="mw")
    lake = open_lake(str(tmp_path))
    put(lake, made, [raw(made, [{"Id": str(i), "C": 2.5, "Why": "Thermal"} for i in range(40)])])
    with prepared_sections(made, SNAPSHOT, lake) as prepared:
        prepared.commit(lake)
        found = prepared.report.checks(previous_sections(lake, "test", SNAPSHOT))
    assert [c.name for c in found] == list(checks.SECTION_CHECKS)
    assert [c.blocking for c in found] == [blocks for blocks, _ in checks.SECTION_CHECKS.values()]
    assert all(c.passed for c in found)

    rows = [{"Id": "1", "C": 2500, "Why": "Moon phase"}, {"Id": "2", "C": "oops x"}, {"Id": "3", "C": None}]
    put(lake, made, [raw(made, rows, snapshot="2026-06")], "2026-06")
    with prepared_sections(made, "2026-06", lake) as prepared:
        before = previous_sections(lake, "test", "2026-06")
        assert before is not None
        assert (before.rows, before.null_rate) == ({"layer 0": 40}, 0.0)
        failed = {c.name for c in prepared.report.checks(before) if not c.passed}
    assert failed == set(checks.SECTION_CHECKS) - {
        "all_features_accounted_for",
        "record_keys_are_unique",
        "feeders_are_known",
    }
    assert not lake.has(SECTIONS, snapshot="2026-06")  # looking at a report commits nothing


def test_fewer_features_than_the_server_counted_are_seen(tmp_path: Path) -> None:
    made = config({"field_map": {"Id": "feeder_id_external"}})
    lake = open_lake(str(tmp_path))
    whole = raw(made, [{"Id": "1"}, {"Id": "2"}])
    put(lake, made, [whole])
    lake.replace(RAW_FEATURES, {"utility_code": "test", "snapshot": SNAPSHOT}, whole[:1])
    with prepared_sections(made, SNAPSHOT, lake) as prepared:
        assert not prepared.report.checks(None)[0].passed
