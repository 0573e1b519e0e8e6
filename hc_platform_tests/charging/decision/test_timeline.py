"""The timeline: where an instant stands among a tariff's pausing windows."""

import pytest

from hc_platform.charging.timeline import Timeline, timeline_between
from hc_platform_tests.charging.decision.making import Row, flat_file, peak_version, utc


def _line(*versions: Row, zone: str = "UTC") -> Timeline:
    tariffs = flat_file("u", timezone=zone, tou=list(versions))
    return timeline_between(tariffs, utc("2026-07-01 00:00"), utc("2026-07-11 00:00"))


def _at(line: Timeline, at: str, rank: int = 3) -> Row:
    return line.at(utc(at), [rank]).to_dicts()[0]


def _span(row: Row, which: str) -> tuple[object, object]:
    return row[f"{which}_start"], row[f"{which}_end"]


def test_the_windows_around_an_instant_are_the_last_the_next_and_the_one_after() -> None:
    line = _line(peak_version("17:00", "21:00"))
    row = _at(line, "2026-07-03 18:00")
    assert (row["tier"], row["rank"], row["is_flat"]) == ("on", 3, False)
    for which, day in (("last", 2), ("next", 3), ("after", 4)):
        assert _span(row, which) == (utc(f"2026-07-0{day} 17:00"), utc(f"2026-07-0{day} 21:00"))


def test_a_window_is_the_next_until_its_end_and_the_last_from_then() -> None:
    line = _line(peak_version("17:00", "21:00"))
    assert _at(line, "2026-07-03 20:59:59")["next_start"] == utc("2026-07-03 17:00")
    row = _at(line, "2026-07-03 21:00")
    assert (row["last_start"], row["next_start"]) == (utc("2026-07-03 17:00"), utc("2026-07-04 17:00"))


def test_at_the_ends_of_the_timeline_there_is_none() -> None:
    line = _line(peak_version("17:00", "21:00"))
    assert _span(_at(line, "2026-07-01 00:00"), "last") == (None, None)
    assert _span(_at(line, "2026-07-10 22:00"), "next") == (None, None)
    assert _span(_at(line, "2026-07-10 20:00"), "after") == (None, None)


@pytest.mark.parametrize("at", ["2026-06-30 23:59:59", "2026-07-11 00:00"])
def test_outside_its_range_it_refuses(at: str) -> None:
    with pytest.raises(ValueError, match="covers 2026-07-01"):
        _line(peak_version("17:00", "21:00")).at(utc(at), [3])


def test_touching_stretches_of_two_tiers_are_one_window() -> None:
    version = peak_version("17:00", "21:00") | {"tiers": {"off": 1, "on": 3, "super": 4}}
    version["periods"] += [{"tier": "super", "days": "all", "start": "21:00", "end": "22:00"}]
    line = _line(version)
    assert _span(_at(line, "2026-07-03 18:00"), "next") == (utc("2026-07-03 17:00"), utc("2026-07-03 22:00"))
    assert _span(_at(line, "2026-07-03 18:00", 4), "next") == (
        utc("2026-07-03 21:00"),
        utc("2026-07-03 22:00"),
    )


def test_a_window_over_local_midnight_and_over_a_change_of_version_is_one() -> None:
    old = peak_version("22:00", "24:00") | {"effective_to": "2026-07-03"}
    new = peak_version("00:00", "03:00") | {"effective_from": "2026-07-04"}
    line = _line(old, new)
    assert _span(_at(line, "2026-07-03 23:00"), "next") == (utc("2026-07-03 22:00"), utc("2026-07-04 03:00"))


def test_before_the_first_version_there_is_no_tier_but_the_coming_window_is_known() -> None:
    row = _at(_line(peak_version("17:00", "21:00") | {"effective_from": "2026-07-05"}), "2026-07-02 18:00")
    assert (row["version"], row["tier"], row["rank"], row["is_flat"]) == (None, None, None, False)
    assert _span(row, "next") == (utc("2026-07-05 17:00"), utc("2026-07-05 21:00"))


@pytest.mark.parametrize("rank", [0, 1, 4])
def test_a_flat_plan_has_no_windows_at_any_rank(rank: int) -> None:
    line = _line({"effective_from": "2020-01-01", "tiers": {"flat": 3}})
    row = _at(line, "2026-07-03 18:00", rank)
    assert row["is_flat"]
    assert _span(row, "next") == (None, None)
    assert [len(edges) for edges in line.windows(rank)["u/tou"]] == [0, 0]


def test_the_next_instant_is_the_first_change_of_any_schedule_after_one() -> None:
    line = _line(peak_version("17:00", "21:00"))
    assert line.next_instant(utc("2026-07-03 16:59:59")) == utc("2026-07-03 17:00")
    assert line.next_instant(utc("2026-07-03 17:00")) == utc("2026-07-03 21:00")
    assert line.next_instant(utc("2026-07-10 21:00")) is None


def test_a_plan_that_leaves_no_cheaper_hour_for_days_pauses_nobody() -> None:
    line = _line(peak_version("17:00", "21:00"))
    assert _span(_at(line, "2026-07-03 18:00", rank=1), "next") == (None, None)
    assert _span(_at(line, "2026-07-03 18:00", rank=2), "next") == (
        utc("2026-07-03 17:00"),
        utc("2026-07-03 21:00"),
    )


@pytest.mark.parametrize(("last_day", "pauses"), [("2026-07-05", True), ("2026-07-06", False)])
def test_two_days_on_end_are_a_window_and_more_are_none(last_day: str, pauses: bool) -> None:
    """Also seen from within, where only the end tells how long it is."""
    cheap, dear = (
        {"tiers": {"off": 1, "on": 3}, "default_tier": tier, "periods": []} for tier in ("off", "on")
    )
    line = _line(
        cheap | {"effective_from": "2020-01-01", "effective_to": "2026-07-03"},
        dear | {"effective_from": "2026-07-04", "effective_to": last_day},
    )
    window = (utc("2026-07-04 00:00"), utc("2026-07-06 00:00")) if pauses else (None, None)
    assert _span(_at(line, "2026-07-03 12:00"), "next") == window
    assert _span(_at(line, "2026-07-05 12:00"), "next") == window
