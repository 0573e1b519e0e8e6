"""The flat rows of the older table: read without loss, written where they can say it, refused with a reason."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hc_platform.charging.tariffs import compile_tariffs, is_tou_peak, load_tariffs
from hc_platform.charging.tariffs.rows import (
    RowError,
    row_from_tariff,
    tariff_files_from_rows,
    tariff_from_row,
)
from hc_platform.charging.tariffs.writing import dump_tariff_file
from hc_platform_tests.charging.tariffs.making import PEAK, tariff_of, utc, version

ROW: dict[str, Any] = {
    "utility_id": "xcel_co",
    "rate_plan": "re_tou",
    "timezone": "America/Denver",
    "peak_weekdays": [0, 1, 2, 3, 4],
    "peak_start_hour": 17,
    "peak_end_hour": 21,
    "peak_months": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    "effective_date": "2024-10-01",
    "source_url": "https://example.org/tariff",
    "watttime_region": "PSCO",
}
ON = dt.date(2026, 7, 1)


def without(*keys: str, **changed: Any) -> dict[str, Any]:
    return {key: value for key, value in ROW.items() if key not in keys} | changed


def test_the_row_of_the_older_table_is_a_tariff_with_its_peak() -> None:
    tariff = tariff_from_row(ROW, ON)
    assert tariff.schedule == "xcel_co/re_tou"
    rows = compile_tariffs({"x": tariff}, utc("2026-02-06T12:00"), utc("2026-02-10T12:00")).filter(rank=3)
    assert rows.select("starts_at", "ends_at").rows() == [
        (utc("2026-02-07T00:00"), utc("2026-02-07T04:00")),
        (utc("2026-02-10T00:00"), utc("2026-02-10T04:00")),
    ]
    verification = tariff.plan.verification
    assert (verification.status, verification.sources) == ("imported", ("https://example.org/tariff",))
    assert "PSCO" in str(verification.note), "the region is not lost without a word"


def test_dynamodbs_decimals_and_sets_are_numbers_and_lists() -> None:
    row = without(
        peak_weekdays={Decimal(n) for n in range(5)},
        peak_start_hour=Decimal(17),
        peak_end_hour=Decimal("21"),
        peak_months=[Decimal(n) for n in range(1, 13)],
    )
    assert tariff_from_row(row, ON) == tariff_from_row(ROW, ON)


def test_what_is_left_out_of_a_row_means_always() -> None:
    tariff = tariff_from_row(without("peak_months", "effective_date", "source_url", "watttime_region"), ON)
    assert is_tou_peak(utc("2026-02-07T00:00"), tariff)
    assert tariff.plan.versions[0].effective_from == dt.date(1970, 1, 1)
    assert tariff.plan.verification.sources == ("a row of the TOU table",)


@pytest.mark.parametrize("flat", [without("peak_weekdays", "peak_start_hour", "peak_end_hour", "peak_months"),
                                  without("peak_start_hour", "peak_end_hour", peak_weekdays=[])])  # fmt: skip
def test_case_20_a_row_without_a_peak_is_a_flat_plan(flat: dict[str, Any]) -> None:
    [version] = tariff_from_row(flat, ON).plan.versions
    assert version.is_flat


def test_months_over_the_new_year_and_hours_past_midnight() -> None:
    tariff = tariff_from_row(without(peak_months=[12, 1, 6], peak_start_hour=22, peak_end_hour=2), ON)
    rows = compile_tariffs({"x": tariff}, utc("2026-01-30T12:00"), utc("2026-02-03T12:00")).filter(rank=3)
    assert rows.select("starts_at", "ends_at").rows() == [(utc("2026-01-31T05:00"), utc("2026-01-31T09:00"))]
    assert set(tariff.plan.versions[0].seasons.values()) == {("12-01", "01-31"), ("06-01", "06-30")}


@pytest.mark.parametrize(
    ("row", "key", "words"),
    [
        (without("timezone"), "timezone", "required"),
        (without("peak_weekdays"), "peak_weekdays", "missing beside the rest"),
        (without("peak_end_hour"), "peak_end_hour", "flat plan"),
        (without(peak_weekdays=[0, 7]), "peak_weekdays", "less than or equal to 6"),
        (without(peak_end_hour=Decimal(25)), "peak_end_hour", "less than or equal to 24"),
        (without(peak_start_hour=Decimal("17.5")), "peak_start_hour", "fractional"),
        (without(peak_start_hour=24), "peak_start_hour", "less than or equal to 23"),
        (without(peak_months=[0]), "peak_months", "greater than or equal to 1"),
        (without(peak_months=[]), "peak_months", "never come"),
        (without(effective_date="10/01/2024"), "effective_date", "date"),
        (without(timezone="America/Denvr"), "timezone", "no time zone is called"),
        (without(utility_id="Xcel CO"), "utility_id", "pattern"),
        (without(peak_hours=[1]), "peak_hours", "is no key of a row"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_key(row: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(RowError) as caught:
        tariff_from_row(row, ON)
    message = str(caught.value)
    assert f" {key}: " in message
    assert words in message
    assert "Mend: " in message


def test_the_mistakes_of_all_rows_are_told_at_once() -> None:
    with pytest.raises(RowError) as caught:
        tariff_files_from_rows([without(peak_end_hour=25), ROW, without(rate_plan="b", peak_months=[13])], ON)
    assert [line.split(": ")[:2] for line in str(caught.value).splitlines()] == [
        ["xcel_co/re_tou", "peak_end_hour"],
        ["xcel_co/b", "peak_months"],
    ]


def test_a_table_of_rows_becomes_files_whose_versions_follow_each_other(tmp_path: Path) -> None:
    rows = [
        without(effective_date="2025-11-01"),
        without(effective_date="2022-03-01", peak_start_hour=15, peak_end_hour=19),
        without(utility_id="aps", rate_plan="saver", timezone="America/Phoenix"),
    ]
    files = tariff_files_from_rows(rows, ON)
    for file in files:
        (tmp_path / f"{file.utility_id}.yaml").write_text(dump_tariff_file(file), encoding="utf-8")
    tariffs = load_tariffs(tmp_path)
    assert dict(tariffs.files) == {file.utility_id: file for file in files}
    assert list(tariffs) == ["aps/saver", "xcel_co/re_tou"]
    old, new = tariffs["xcel_co/re_tou"].plan.versions
    assert (old.effective_to, new.effective_to) == (dt.date(2025, 10, 31), None)
    assert row_from_tariff(tariffs["xcel_co/re_tou"], dt.date(2025, 10, 31))["peak_start_hour"] == 15
    assert row_from_tariff(tariffs["xcel_co/re_tou"], dt.date(2025, 11, 1))["peak_start_hour"] == 17
    with pytest.raises(RowError, match="xcel_co/re_tou: effective_date: two rows hold from 2024-10-01"):
        tariff_files_from_rows([ROW, ROW], ON)


@pytest.mark.parametrize(
    ("versions", "reason"),
    [
        ((version(PEAK, effective_from=dt.date(2027, 1, 1)),), "no version covers"),
        ((version(PEAK, effective_to=dt.date(2026, 12, 31)),), "ends on 2026-12-31 and nothing follows"),
        ((version(PEAK, {**PEAK, "start": "06:00", "end": "09:00"}),), "2 windows"),
        ((version(PEAK, holidays={"names": ["Labor Day"]}),), "holidays"),
        ((version(PEAK, tiers={"off_peak": 1, "on_peak": 3, "mid_peak": 2}),), "mid_peak 2"),
        ((version(PEAK, tiers={"off_peak": 0, "on_peak": 3}),), "off_peak 0"),
        ((version({**PEAK, "start": "17:30"}),), "whole hours"),
        ((version({**PEAK, "seasons": ["s"]}, seasons={"s": ("06-15", "09-30")}),), "whole months"),
        ((version({**PEAK, "days": "holidays"}),), "holidays only"),
    ],
)
def test_what_a_row_cannot_say_is_refused_with_the_reason(versions: Any, reason: str) -> None:
    with pytest.raises(RowError) as caught:
        row_from_tariff(tariff_of(*versions), ON)
    assert reason in str(caught.value)
    with pytest.raises(RowError, match="standard time"):
        row_from_tariff(tariff_of(version(PEAK), clock="standard"), ON)


@given(
    weekdays=st.sets(st.integers(0, 6)),
    months=st.sets(st.integers(1, 12), min_size=1),
    start=st.integers(0, 23),
    end=st.integers(0, 24),
    day=st.dates(dt.date(2000, 1, 1), dt.date(2026, 7, 1)),
)
def test_a_row_comes_back_as_it_was(
    weekdays: set[int], months: set[int], start: int, end: int, day: dt.date
) -> None:
    row = without(effective_date=day.isoformat(), peak_weekdays=sorted(weekdays), peak_months=sorted(months))
    row |= {"peak_start_hour": start, "peak_end_hour": end}
    if not weekdays:
        row = {key: row[key] for key in row if key not in ("peak_months", "peak_start_hour", "peak_end_hour")}
    tariff = tariff_from_row(row, ON)
    assert row_from_tariff(tariff, ON, watttime_region="PSCO") == row
    # And hour by hour it means what the older scheduler read from it, the tail past midnight apart.
    if weekdays and start < end:
        for hour in range(48):
            local = dt.datetime(2026, 6, 30, tzinfo=dt.timezone(-dt.timedelta(hours=6))) + dt.timedelta(
                hours=hour
            )
            expected = local.weekday() in weekdays and local.month in months and start <= local.hour < end
            assert is_tou_peak(local.astimezone(dt.UTC), tariff) is expected
