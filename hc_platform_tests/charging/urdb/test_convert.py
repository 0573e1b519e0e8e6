"""One rate as a version: what is refused and why, which hours are how dear, and that the words mean the matrices."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from hc_platform.charging.tariffs.loading import load_tariff_file
from hc_platform.charging.tariffs.urdb import Converted, Refused, UrdbError, convert, read_urdb
from hc_platform.charging.tariffs.urdb_import import plan_import
from hc_platform.charging.tariffs.writing import dump_tariff_file
from hc_platform_tests.charging.urdb.making import MONTHS, ON, oracle, peak, rate, stamp
from hc_platform_tests.charging.urdb.same import assert_hours_as_in
from hc_platform_tests.laws import law


def converted(**changes: Any) -> Converted:
    done = convert(rate(**changes), timezone="America/Denver")
    assert isinstance(done, Converted), done
    return done


def periods(**changes: Any) -> list[str]:
    return [str(period) for period in converted(**changes).version.periods]


def prices(*values: float) -> list[list[dict[str, float]]]:
    return [[{"rate": value}] for value in values]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"enddate": stamp("2019-12-31")}, "enddate 2019-12-31 is before startdate 2020-01-01"),
        ({"approved": False}, "approved: false"),
        ({"utility": None}, "no utility in it"),
        ({"name": None}, "no name in it"),
        ({"startdate": None}, "no startdate in it"),
        ({"startdate": "soon"}, "startdate 'soon' is not a time"),
        ({"startdate": 1e18}, "startdate 1e+18 is not a time"),
        (
            {"energyweekdayschedule": [[0] * 96] * 12},
            "energyweekdayschedule is 12x96 (sub-hourly), not 12x24",
        ),
        ({"energyweekendschedule": [[0] * 24] * 11}, "energyweekendschedule is 11x24, not 12x24"),
        (
            {"energyweekdayschedule": [[0] * 24] * 11 + [[0] * 23]},
            "energyweekdayschedule is 12x23/24, not 12x24",
        ),
        (
            {"energyweekdayschedule": [[0.5] * 24] * 12},
            "energyweekdayschedule has period 0.5, not a whole number",
        ),
        ({"energyweekdayschedule": [[True] * 24] * 12}, "energyweekdayschedule has period True, not a whole"),
        ({"energyweekdayschedule": peak(1, 2, period=2)}, "has period 2, but energyratestructure has 2"),
        ({"energyweekdayschedule": peak(1, 2, period=-1)}, "has period -1, but energyratestructure has 2"),
        ({"energyweekendschedule": None}, "no energyweekendschedule in it"),
        ({"energyratestructure": None}, "no energyratestructure in it"),
        ({"energyratestructure": [[{"rate": 0.1}], []]}, "period 1 of energyratestructure is no list"),
        ({"energyratestructure": [[{"rate": 0.1}], [{"unit": "kWh"}]]}, "period 1 has no price"),
        ({"energyratestructure": prices(0.1, float("nan"))}, "period 1 has a price that is no number"),
        (
            {"energyratestructure": None, "energyweekdayschedule": None, "energyweekendschedule": None},
            "an index row: no schedule in it",
        ),
    ],
)
def test_case_46_a_rate_that_cannot_be_trusted_is_refused(changes: dict[str, Any], reason: str) -> None:
    done = convert(rate(**changes), timezone="America/Denver")
    assert isinstance(done, Refused)
    assert reason in done.reason


def test_case_46_without_a_timezone_a_rate_is_refused() -> None:
    done = convert(rate(), timezone=None)
    assert isinstance(done, Refused)
    assert "--timezone" in done.reason


@pytest.mark.parametrize("hour", [0, 1, 6, 7, 8, 13])
def test_a_stamp_is_the_utc_day_an_hour_later(hour: int) -> None:
    version = converted(startdate=stamp("2021-03-01", hour), enddate=stamp("2021-12-31", hour)).version
    assert (version.effective_from, version.effective_to) == (dt.date(2021, 3, 1), dt.date(2021, 12, 31))


def test_a_stamp_at_23_hours_is_the_next_day() -> None:
    """Midnight on Puerto Rico's or a summer time's clock less an hour."""
    assert converted(startdate=stamp("2021-02-28", 23)).version.effective_from == dt.date(2021, 3, 1)


def test_what_a_rate_lacks_can_be_given() -> None:
    bare = rate(utility=None, name=None, startdate=None, label=None, uri=None)
    given_from = dt.date(2024, 5, 1)
    done = convert(
        bare, timezone="America/Denver", utility_id="my_co", rate_plan="tou", effective_from=given_from
    )
    assert isinstance(done, Converted)
    assert (done.utility_id, done.rate_plan, done.version.effective_from) == ("my_co", "tou", given_from)


def test_a_winter_peak_is_a_peak_though_the_summers_is_dearer() -> None:
    winter = peak(17, 20, months=(0, 1, 2, 3, 4, 9, 10, 11), period=1)
    summer = peak(14, 19, months=(5, 6, 7, 8), period=2)
    weekdays = [[w or s for w, s in zip(*rows, strict=True)] for rows in zip(winter, summer, strict=True)]
    assert periods(energyratestructure=prices(0.1, 0.13, 0.4), energyweekdayschedule=weekdays) == [
        "on_peak 17:00-20:00 weekdays winter",
        "on_peak 14:00-19:00 weekdays summer",
    ]


def test_a_rider_of_less_than_5_percent_makes_no_peak() -> None:
    assert converted(energyratestructure=prices(0.1, 0.105)).version.is_flat
    assert not converted(energyratestructure=prices(0.1, 0.1053)).version.is_flat


def test_prices_that_change_with_the_season_alone_are_flat() -> None:
    both = peak(0, 24, months=(5, 6, 7))
    version = converted(energyweekdayschedule=both, energyweekendschedule=both).version
    assert (version.is_flat, version.tiers, version.seasons) == (True, {"flat": 1}, {})


def test_three_prices_are_cheaper_base_and_peak() -> None:
    rows = [[2] * 6 + [0] * 10 + [1] * 5 + [0] * 3] * 12
    changes = {"energyratestructure": prices(0.2, 0.5, 0.1), "energyweekdayschedule": rows}
    assert periods(**changes, energyweekendschedule=rows) == [
        "super_off_peak 00:00-06:00 all",
        "on_peak 16:00-21:00 all",
    ]


def test_the_base_has_the_most_hours_of_a_week_not_of_a_kind_of_day() -> None:
    weekdays, weekends = [[2] * 7 + [0] * 12 + [1] * 5] * 12, [[2] * 12 + [1] * 12] * 12
    version = converted(
        energyratestructure=prices(0.1, 0.3, 0.05),
        energyweekdayschedule=weekdays,  # a week has 60 hours of period 0 and 59 of period 2
        energyweekendschedule=weekends,
    ).version
    assert version.tiers == {"super_off_peak": 0, "off_peak": 1, "on_peak": 3}


def test_a_peak_of_most_hours_is_still_the_peak() -> None:
    """Con Edison: 8 to midnight every day."""
    rows = peak(8, 24)
    assert periods(energyweekdayschedule=rows, energyweekendschedule=rows) == ["on_peak 08:00-24:00 all"]


def test_one_price_means_one_thing_where_a_season_lacks_the_peak() -> None:
    """Super-off-peak nights all year, a peak in summer: winter days are off-peak, not peak."""
    rows = [[2] * 7 + [0] * 7 + ([1] * 5 if 5 <= m <= 8 else [0] * 5) + [0] * 5 for m in MONTHS]
    changes = {"energyratestructure": prices(0.1, 0.3, 0.05), "energyweekdayschedule": rows}
    assert periods(**changes, energyweekendschedule=peak(0, 0)) == [
        "super_off_peak 00:00-07:00 weekdays",
        "on_peak 14:00-19:00 weekdays summer",
    ]


def test_months_apart_are_several_seasons() -> None:
    version = converted(energyweekdayschedule=peak(16, 21, months=(1, 5, 6, 11, 0))).version
    assert version.seasons == {"dec_feb": ("12-01", "02-29"), "jun_jul": ("06-01", "07-31")}
    assert [str(period) for period in version.periods] == ["on_peak 16:00-21:00 weekdays jun_jul dec_feb"]


def test_the_note_tells_what_usurdb_cannot_say_and_where_usage_tiers_disagree() -> None:
    tiers = [[{"rate": 0.1}, {"rate": 0.5}], [{"rate": 0.2}]]
    note = converted(energyratestructure=tiers, demandweekdayschedule=peak(12, 18)).version.note
    assert note == (
        f"USURDB {'a' * 24}: USURDB has no holidays; hours are ranked by the first usage tier's price, tier 2 ranks "
        "them otherwise; demand charges by time of use are not in it"
    )


@pytest.mark.parametrize("text", ["{", "[]", '{"items": []}', '"{}"', "7"])
def test_a_file_without_rates_is_told_with_its_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    path.write_text(text)
    with pytest.raises(UrdbError, match=r"rates\.json: (not JSON|no USURDB rate in it)"):
        read_urdb(path)


@st.composite
def rates(draw: st.DrawFn) -> dict[str, Any]:
    """Few periods, few kinds of days, any months: as real matrices are."""
    cents = draw(st.lists(st.integers(-5, 60), min_size=1, max_size=4))
    period = st.integers(0, len(cents) - 1)
    row = st.lists(st.tuples(period, st.integers(1, 24)), min_size=1, max_size=5).map(
        lambda runs: ([p for p, hours in runs for _ in range(hours)] * 24)[:24]
    )
    kinds = draw(st.lists(row, min_size=1, max_size=4))
    matrix = st.lists(st.sampled_from(kinds), min_size=12, max_size=12)
    return rate(
        energyratestructure=prices(*(c / 100 for c in cents)),
        energyweekdayschedule=draw(matrix),
        energyweekendschedule=draw(matrix),
    )


@law(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=rates())
def test_any_matrix_comes_back_hour_by_hour_and_loads_without_a_problem(
    made: dict[str, Any], tmp_path: Path
) -> None:
    plan = plan_import(None, [made], on=ON, timezone="America/New_York")
    assert [outcome.status for outcome in plan.outcomes] == ["imported"]
    assert plan.file is not None
    path = tmp_path / "example_power_co.yaml"
    path.write_text(dump_tariff_file(plan.file))
    assert load_tariff_file(path) == plan.file
    assert_hours_as_in(made, plan.file)
    again = plan_import(plan.file, [made], on=ON)
    assert (again.changed, again.diff) == (False, ())


@given(made=rates())
def test_within_a_month_a_dearer_hour_never_ranks_lower(made: dict[str, Any]) -> None:
    """A law of the rule itself, for the oracle that the importer is held against."""
    ranks = oracle(made)
    for m in MONTHS:
        hours = [
            (made["energyratestructure"][made[key][m][h]][0]["rate"], ranks[m + 1, weekend, h])
            for weekend, key in ((False, "energyweekdayschedule"), (True, "energyweekendschedule"))
            for h in range(24)
        ]
        in_order = [rank for _, rank in sorted(hours)]
        assert in_order == sorted(in_order)
