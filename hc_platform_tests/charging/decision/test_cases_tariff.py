"""The cases of the research table that are about tariffs, at the decision; instants counted by hand, in UTC."""

import pytest

from hc_platform.charging.models import Policy
from hc_platform_tests.charging.decision.making import (
    PROMPT,
    World,
    brief,
    device,
    flat_file,
    names,
    peak_version,
    utc,
)


def desired(row: dict[str, object], at: str, world: World | None = None) -> str:
    return str((world or World()).decide([row], utc(at))[0]["desired"])


XCEL = {"utility_id": "xcel_co", "rate_plan": "re_tou"}


@pytest.mark.parametrize(
    ("at", "state"),
    [
        ("2026-07-06 22:59:59", "allow"),  # Monday 16:59:59 MDT
        ("2026-07-06 23:00:00", "pause"),
        ("2026-07-07 02:59:59", "pause"),
        ("2026-07-07 03:00:00", "allow"),
    ],
)
def test_case_01_the_peak_is_half_open(at: str, state: str) -> None:
    assert desired(device(**XCEL), at) == state


def test_case_02_thanksgiving_is_allowed_and_the_next_friday_pauses() -> None:
    assert desired(device(**XCEL), "2026-11-27 01:00") == "allow"  # Thursday 18:00 MST
    assert desired(device(**XCEL), "2026-11-28 01:00") == "pause"


def test_case_03_independence_day_on_a_saturday_moves_only_where_the_utility_says_so() -> None:
    assert desired(device(**XCEL), "2026-07-04 00:00") == "pause"  # Friday July 3rd, 18:00 MDT
    observed = peak_version(
        "17:00", "21:00", "weekdays", holidays={"names": ["Independence Day"], "observed": "nearest_weekday"}
    )
    world = World(flat_file("rmp", timezone="America/Denver", tou=[observed]))
    assert desired(device(utility_id="rmp", rate_plan="tou"), "2026-07-04 00:00", world) == "allow"


def test_case_04_a_holiday_on_a_sunday_gives_the_monday() -> None:
    version = peak_version(
        "16:00", "21:00", "weekdays", holidays={"names": ["Independence Day"], "observed": "sunday_to_monday"}
    )
    world = World(
        flat_file("u", timezone="America/Los_Angeles", tou=[version]), around=utc("2027-07-01 00:00")
    )
    row = device(utility_id="u", rate_plan="tou")
    assert desired(row, "2027-07-06 00:00", world) == "allow"  # Monday July 5th, 17:00 PDT
    assert desired(row, "2027-07-07 00:00", world) == "pause"


def test_case_07_and_08_a_window_past_midnight_belongs_to_the_day_it_starts() -> None:
    world = World(flat_file("u", tou=[peak_version("22:00", "02:30", "weekdays")]))
    row = device(utility_id="u", rate_plan="tou")
    assert desired(row, "2026-07-11 07:00", world) == "pause"  # Saturday 01:00 MDT, Friday's
    assert desired(row, "2026-07-13 07:00", world) == "allow"  # Monday 01:00: Sunday started none
    window = world.decide([row], utc("2026-07-11 07:00"))[0]
    assert (window["window_start"], window["window_end"]) == (
        utc("2026-07-11 04:00"),
        utc("2026-07-11 08:30"),
    )


def test_case_09_the_season_changes_at_local_midnight() -> None:
    version = peak_version("00:00", "24:00") | {
        "seasons": {"winter": ["10-01", "05-31"]},
        "periods": [{"tier": "on", "seasons": ["winter"], "start": "20:00", "end": "24:00"}],
    }
    world = World(flat_file("u", tou=[version]), around=utc("2026-06-01 00:00"))
    row = device(utility_id="u", rate_plan="tou")
    assert desired(row, "2026-06-01 05:59:59", world) == "pause"  # May 31st 23:59:59
    assert desired(row, "2026-06-01 06:00", world) == "allow"
    assert desired(row, "2026-06-02 04:00", world) == "allow"  # June 1st 22:00


def test_case_11_the_greater_priority_wins() -> None:
    version = peak_version("12:00", "20:00") | {"tiers": {"off": 1, "on": 3, "super": 4}}
    version["periods"] += [{"tier": "super", "days": "all", "start": "14:00", "end": "18:00", "priority": 1}]
    tariffs = flat_file("u", timezone="UTC", tou=[version])
    world = World(tariffs, {"default": PROMPT, "super": PROMPT.model_copy(update={"pause_rank": 4})})
    row = device(utility_id="u", rate_plan="tou")
    assert desired(row, "2026-07-06 13:00", world) == "pause"
    assert desired(row | {"policy_id": "super"}, "2026-07-06 13:59:59", world) == "allow"
    assert desired(row | {"policy_id": "super"}, "2026-07-06 14:00", world) == "pause"
    whole = world.decide([row], utc("2026-07-06 15:00"))[0]
    assert (whole["window_start"], whole["window_end"]) == (utc("2026-07-06 12:00"), utc("2026-07-06 20:00"))


def test_case_12_an_end_at_24_00() -> None:
    world = World(flat_file("u", tou=[peak_version("20:00", "24:00")]))
    row = device(utility_id="u", rate_plan="tou")
    assert desired(row, "2026-08-01 05:59:59", world) == "pause"  # July 31st
    assert desired(row, "2026-08-01 06:00", world) == "allow"


def _window(start: str, end: str, at: str) -> tuple[object, object]:
    world = World(flat_file("u", tou=[peak_version(start, end)]), around=utc(at))
    got = world.decide([device(utility_id="u", rate_plan="tou")], utc(at))[0]
    return got["window_start"], got["window_end"]


def test_case_13_spring_shortens_a_window() -> None:
    at = "2026-03-08 08:30"  # 01:30 MST; 02:00 becomes 03:00
    assert _window("01:00", "02:30", at) == (utc("2026-03-08 08:00"), utc("2026-03-08 09:00"))
    assert _window("02:00", "03:00", at) == (None, None)


def test_case_14_fall_repeats_a_window() -> None:
    at = "2026-11-01 07:15"  # 01:15 MDT, before the second 01:00
    assert _window("01:00", "02:00", at) == (utc("2026-11-01 07:00"), utc("2026-11-01 09:00"))
    assert _window("00:30", "01:30", at) == (utc("2026-11-01 06:30"), utc("2026-11-01 07:30"))
    assert _window("00:30", "01:30", "2026-11-01 08:15") == (utc("2026-11-01 08:00"), utc("2026-11-01 08:30"))


def test_case_15_phoenix_keeps_its_clock_and_denver_does_not() -> None:
    for zone, summer, winter in (("America/Phoenix", 0, 0), ("America/Denver", -1, 0)):
        for month, shift in (("07", summer), ("01", winter)):
            world = World(
                flat_file("u", timezone=zone, tou=[peak_version("16:00", "17:00")]),
                around=utc(f"2026-{month}-05 00:00"),
            )
            row = device(utility_id="u", rate_plan="tou")
            assert desired(row, f"2026-{month}-07 {23 + shift}:00", world) == "pause"
            assert desired(row, f"2026-{month}-07 {22 + shift}:59:59", world) == "allow"


def test_case_16_the_weekday_is_the_local_one() -> None:
    assert desired(device(**XCEL), "2026-07-11 00:30") == "pause"  # Friday 18:30 MDT
    assert desired(device(**XCEL), "2026-07-13 00:30") == "allow"  # Sunday 18:30 MDT


def test_case_17_a_version_holds_to_local_midnight_of_its_last_day() -> None:
    world = World(around=utc("2025-10-31 00:00"))
    assert desired(device(**XCEL), "2025-10-31 21:00", world) == "pause"  # Friday 15:00 MDT: the old one
    assert (
        desired(device(**XCEL), "2025-11-01 02:00", world) == "allow"
    )  # 20:00: the new one begins at midnight
    assert desired(device(**XCEL), "2025-11-03 22:30", world) == "allow"  # Monday 15:30 MST
    assert desired(device(**XCEL), "2025-11-04 00:00", world) == "pause"  # Monday 17:00 MST


def test_case_18_a_version_that_changes_while_paused_sends_its_own_window() -> None:
    old = peak_version("20:00", "24:00") | {"effective_to": "2026-07-06"}
    new = peak_version("00:00", "02:00") | {"effective_from": "2026-07-07"}
    row = device(utility_id="u", rate_plan="tou")
    world = World(flat_file("u", tou=[old]))
    first = world.one(row, utc("2026-07-07 03:00"))  # 21:00 MDT
    assert (first["window_end"], str(first["version"])) == (utc("2026-07-07 06:00"), "2020-01-01")
    world.tariffs = dict(flat_file("u", tou=[old, new]))  # the new version is known an hour later
    then = world.one(row, utc("2026-07-07 04:00"))
    assert then["commanded"]
    assert (then["window_end"], then["ver"]) == (utc("2026-07-07 08:00"), 2)
    after = world.one(row, utc("2026-07-07 06:00"))
    assert (brief(after), str(after["version"])) == (("pause", False), "2026-07-07")


def test_case_18_a_version_that_does_not_pause_releases() -> None:
    row = device(utility_id="u", rate_plan="tou")
    world = World(flat_file("u", tou=[peak_version("17:00", "21:00")]))
    assert brief(world.one(row, utc("2026-07-07 00:00"))) == ("pause", True)
    world.tariffs = dict(flat_file("u", tou=[peak_version("10:00", "11:00")]))
    assert brief(world.one(row, utc("2026-07-07 00:05"))) == ("allow", True)


def test_case_19_no_version_no_pause() -> None:
    version = peak_version("17:00", "21:00") | {"effective_from": "2026-07-07", "effective_to": "2026-07-08"}
    world = World(flat_file("u", timezone="UTC", tou=[version]))
    row = device(utility_id="u", rate_plan="tou")
    for at, state, lacks in (("06", "allow", True), ("07", "pause", False), ("09", "allow", True)):
        got = world.decide([row], utc(f"2026-07-{at} 18:00"))[0]
        assert (got["desired"], "no_version" in names(got)) == (state, lacks)


@pytest.mark.parametrize("pause_rank", [0, 1, 3])
def test_case_20_a_flat_or_missing_plan_leaves_moer_alone(pause_rank: int) -> None:
    policy = Policy(pause_rank=pause_rank, dwell_s=0)
    tariffs = flat_file("u", flat=[{"effective_from": "2020-01-01", "tiers": {"flat": 1}}])
    world = World(tariffs, {"default": policy})
    for plan, reason in (("flat", "flat_plan"), (None, "no_plan"), ("lost", "no_plan")):
        row = device(utility_id="u", rate_plan=plan)
        quiet = world.one(row, utc("2026-07-06 23:30"), 50.0)
        assert quiet["desired"] == "allow"
        assert reason in names(quiet)
        assert world.one(row, utc("2026-07-06 23:35"), 90.0)["desired"] == "pause"


@pytest.mark.parametrize("utility", ["nowhere", None])
def test_case_21_an_unknown_utility_is_always_allowed(utility: str | None) -> None:
    world = World()
    row = device(utility_id=utility)
    got = world.one(row, utc("2026-07-06 23:30"), 99.0)
    assert brief(got) == ("allow", True)  # told once: its state is not known
    assert "unknown_utility" in names(got)
    assert brief(world.one(row, utc("2026-07-06 23:35"), 99.0)) == ("allow", False)


def test_case_23_a_device_that_moves_utility_follows_the_new_tariff_at_once() -> None:
    late = flat_file("other", timezone="America/Denver", tou=[peak_version("20:00", "23:00")])
    world = World()
    world.tariffs |= late
    row = device(**XCEL)
    assert brief(world.one(row, utc("2026-07-07 00:00"))) == ("pause", True)
    row |= {"utility_id": "other", "rate_plan": "tou"}
    moved = world.one(row, utc("2026-07-07 00:10"))
    assert (brief(moved), moved["window_end"]) == (("allow", True), None)
    later = world.one(row, utc("2026-07-07 02:00"))
    assert (brief(later), later["window_end"]) == (("pause", True), utc("2026-07-07 05:00"))
