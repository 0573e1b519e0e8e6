"""The words for a difference: days, windows, hours a year; nothing where every hour is the same."""

import datetime as dt
from typing import Any

from hc_platform.charging.tariffs.model import Period, RatePlan, TariffVerification, TariffVersion
from hc_platform.charging.tariffs.urdb_diff import plan_changes, rank_changes


def version(*periods: str, start: str = "2023-01-01", **fields: Any) -> TariffVersion:
    """Periods as "tier 16:00-21:00 weekdays summer" writes them."""
    made = []
    for tier, hours, kind, *seasons in (period.split() for period in periods):
        first, last = hours.split("-")
        made.append(Period(tier=tier, start=first, end=last, days=(kind,), seasons=tuple(seasons)))  # type: ignore[arg-type]
    return TariffVersion(
        **{
            "effective_from": dt.date.fromisoformat(start),
            "default_tier": "off",
            "tiers": {"off": 1, "mid": 2, "on": 3},
            "seasons": {"summer": ("06-01", "09-30"), "winter": ("10-01", "05-31")},
            "periods": tuple(made),
            **fields,
        }
    )


def plan(*versions: TariffVersion) -> RatePlan:
    checked = TariffVerification(status="imported", on=dt.date(2026, 1, 1), sources=("-",))
    return RatePlan(name="-", verification=checked, versions=versions)


def test_a_season_and_a_kind_of_day_are_named() -> None:
    old, new = version("on 17:00-21:00 weekdays summer"), version("on 16:00-21:00 weekdays summer")
    assert rank_changes(old, new) == ["weekdays summer 16:00-17:00: off -> on (87 h a year)"]
    assert rank_changes(new, old) == ["weekdays summer 16:00-17:00: on -> off (87 h a year)"]


def test_all_days_and_half_hours() -> None:
    old, new = version("mid 16:00-21:30 all"), version("mid 16:00-21:00 all")
    assert rank_changes(old, new) == ["all days 21:00-21:30: mid -> off (182.5 h a year)"]


def test_holidays_that_one_side_lacks_are_dates() -> None:
    old = version("on 17:00-21:00 weekdays", holidays={"names": ["Independence Day", "Christmas Day"]})
    assert rank_changes(old, version("on 17:00-21:00 weekdays")) == [
        "weekdays 07-04, 12-25 17:00-21:00: off -> on (8 h a year)"
    ]


def test_days_but_for_holidays_are_told_so() -> None:
    holidays = {"names": ["Independence Day", "Labor Day", "Christmas Day"]}
    old, new = version(holidays=holidays), version("on 17:00-21:00 weekdays summer", holidays=holidays)
    assert rank_changes(old, new) == [
        "weekdays summer except 07-04, 09-04 17:00-21:00: off -> on (340 h a year)"
    ]


def test_a_season_that_no_side_names_is_a_range_of_dates() -> None:
    old = version("on 17:00-21:00 weekdays summer")
    new = version("on 17:00-21:00 weekdays summer", seasons={"summer": ("05-16", "09-30")})
    assert rank_changes(old, new) == ["weekdays 05-16..05-31 17:00-21:00: off -> on (48 h a year)"]


def test_a_window_past_midnight_is_told_per_day() -> None:
    old, new = version("on 22:00-24:00 all"), version("on 22:00-02:00 all")
    assert rank_changes(old, new) == ["all days 00:00-02:00: off -> on (730 h a year)"]


def test_names_and_ways_to_write_it_make_no_difference() -> None:
    old = version("on 17:00-21:00 weekdays summer", "on 17:00-21:00 weekdays winter")
    new = version("top 17:00-21:00 weekdays", default_tier="low", tiers={"low": 1, "top": 3}, seasons={})
    assert rank_changes(old, new) == []
    assert plan_changes(plan(old), plan(new)) == []


def test_a_tier_that_kept_its_name_but_not_its_rank_shows_both() -> None:
    old = version("on 17:00-18:00 all")
    new = version("on 17:00-18:00 all", tiers={"off": 1, "mid": 2, "on": 4})
    assert rank_changes(old, new) == ["all days 17:00-18:00: on (rank 3) -> on (rank 4) (365 h a year)"]


def test_versions_added_removed_and_ended() -> None:
    old = plan(version(start="2022-01-01", effective_to=dt.date(2022, 12, 31)), version())
    new = plan(
        version(effective_to=dt.date(2023, 6, 30)),
        version("on 17:00-21:00 weekdays summer", start="2023-07-01"),
    )
    assert plan_changes(old, new) == [
        "version 2022-01-01..2022-12-31: removed",
        "version 2023-01-01..: ends on 2023-06-30 (had none)",
        "version 2023-07-01..: added, on 17:00-21:00 weekdays summer",
    ]
    assert plan_changes(old, old) == []
    assert plan_changes(None, plan(version(tiers={"off": 1}))) == ["version 2023-01-01..: added, flat"]
