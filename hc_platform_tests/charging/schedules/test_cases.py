"""The tricky cases that the shipped schedules themselves must get right, named by their number in the research."""

import datetime as dt

import pytest

from hc_platform.charging.tariffs.compiled import compile_tariffs, tier_at
from hc_platform.charging.tariffs.loading import Tariffs
from hc_platform_tests.charging.schedules.days import at, tier


def _utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_case_02_xcel_charges_on_thanksgiving_evening_and_pauses_on_the_next(shipped: Tariffs) -> None:
    xcel = shipped["xcel_co/re_tou"]
    assert at(xcel, "2026-11-26", "18:00") == "off_peak"
    assert at(xcel, "2026-11-27", "18:00") == "on_peak"


@pytest.mark.parametrize("schedule", ["xcel_co/re_tou", "sce/tou_d_prime", "sce/tou_d_4_9pm"])
def test_case_03_the_friday_before_a_saturdays_july_4_is_a_peak_day(shipped: Tariffs, schedule: str) -> None:
    assert at(shipped[schedule], "2026-07-03", "18:00") == "on_peak"


@pytest.mark.parametrize("schedule", ["sce/tou_d_prime", "sce/tou_d_4_9pm"])
def test_case_04_sce_gives_the_monday_after_a_sundays_july_4_the_weekend_tier(
    shipped: Tariffs, schedule: str
) -> None:
    found = {day: at(shipped[schedule], day, "18:00") for day in ("2027-07-04", "2027-07-05", "2027-07-06")}
    assert found == {"2027-07-04": "mid_peak", "2027-07-05": "mid_peak", "2027-07-06": "on_peak"}


def test_case_09_seasons_wrap_over_new_year_and_turn_at_local_midnight(shipped: Tariffs) -> None:
    sce, coned = shipped["sce/tou_d_prime"], shipped["coned/sc1_rate_iii"]
    assert at(sce, "2026-12-31", "10:00") == at(sce, "2027-01-01", "10:00") == "super_off_peak"
    assert (at(sce, "2026-05-31", "10:00"), at(sce, "2026-06-01", "10:00")) == ("super_off_peak", "off_peak")
    assert (at(coned, "2026-09-30", "17:59"), at(coned, "2026-10-01", "14:00")) == ("super_peak", "peak")


def test_case_10_march_and_april_keep_what_winter_has(shipped: Tariffs) -> None:
    sdge = shipped["sdge/ev_tou_5"]
    tuesday = "2026-03-10"
    assert at(sdge, tuesday, "11:00") == "super_off_peak"  # by march_april
    assert at(sdge, tuesday, "17:00") == "on_peak"  # by winter
    assert at(sdge, "2026-02-10", "11:00") == "off_peak"


def test_case_11_super_peak_wins_within_peak_by_its_priority(shipped: Tariffs) -> None:
    coned = shipped["coned/sc1_rate_iii"]
    tuesday = ("13:59", "14:00", "17:59", "18:00")
    found = [at(coned, "2026-07-14", clock) for clock in tuesday]
    assert found == ["peak", "super_peak", "super_peak", "peak"]
    version = coned.version_on(dt.date(2026, 7, 14))
    assert version is not None
    assert version.tiers == {"off_peak": 1, "peak": 3, "super_peak": 4}


def test_case_12_peak_until_24_00_ends_with_the_day(shipped: Tariffs) -> None:
    coned = shipped["coned/sc1_rate_iii"]
    assert (at(coned, "2026-01-31", "23:59:59"), at(coned, "2026-02-01", "00:00")) == ("peak", "off_peak")


@pytest.mark.parametrize(
    ("schedule", "starts"),
    [
        ("aps/r_tou_e", ["2026-01-14T23:00", "2026-07-15T23:00"]),  # 16:00, no daylight saving time
        ("csu/energy_wise", ["2026-01-15T00:00", "2026-07-15T23:00"]),  # 17:00 MST, 17:00 MDT
    ],
)
def test_case_15_phoenix_keeps_its_utc_hour_and_denver_does_not(
    shipped: Tariffs, schedule: str, starts: list[str]
) -> None:
    for start in map(_utc, starts):
        before = start - dt.timedelta(seconds=1)
        assert (tier(shipped[schedule], before), tier(shipped[schedule], start)) == ("off_peak", "on_peak")


def test_case_16_friday_evening_in_denver_is_saturday_in_utc_and_still_a_weekday(shipped: Tariffs) -> None:
    assert tier(shipped["xcel_co/re_tou"], _utc("2026-01-17T00:30")) == "on_peak"
    assert tier(shipped["xcel_co/re_tou"], _utc("2026-01-18T00:30")) == "off_peak"


def test_case_17_xcels_old_hours_hold_until_local_midnight(shipped: Tariffs) -> None:
    xcel = shipped["xcel_co/re_tou"]
    midnight = _utc("2025-11-01T06:00")  # MDT
    before, after = tier_at(xcel, midnight - dt.timedelta(seconds=1)), tier_at(xcel, midnight)
    assert (before.version, after.version) == (dt.date(2022, 3, 1), dt.date(2025, 11, 1))
    rows = compile_tariffs({xcel.schedule: xcel}, _utc("2025-10-31T06:00"), _utc("2025-11-05T06:00"))
    changed = rows.filter(rows["version"] == dt.date(2025, 11, 1))
    assert changed["starts_at"][0] == midnight
    assert rows.filter(rows["tier"] == "on_peak")["starts_local"].to_list() == [
        "2025-10-31T15:00:00-06:00",
        "2025-11-03T17:00:00-07:00",
        "2025-11-04T17:00:00-07:00",
    ]


def test_case_17_sdges_midday_hours_go_on_from_april_into_the_new_version(shipped: Tariffs) -> None:
    sdge = shipped["sdge/ev_tou_5"]
    assert [at(sdge, day, "11:00") for day in ("2025-05-01", "2026-04-30", "2026-05-01")] == [
        "off_peak",
        "super_off_peak",
        "super_off_peak",
    ]


def test_case_19_before_its_first_version_a_plan_says_nothing(shipped: Tariffs) -> None:
    for tariff in shipped.values():
        first = min(version.effective_from for version in tariff.plan.versions)
        assert at(tariff, str(first - dt.timedelta(days=1)), "23:59:59") is None, tariff.schedule
        assert at(tariff, str(first), "00:00") is not None, tariff.schedule


def test_case_20_flat_plans_are_known_as_flat(shipped: Tariffs) -> None:
    flat = {schedule for schedule, tariff in shipped.items() if all(v.is_flat for v in tariff.plan.versions)}
    assert flat == {"xcel_co/r", "csu/seasonal_fixed", "pge/e_1"}
