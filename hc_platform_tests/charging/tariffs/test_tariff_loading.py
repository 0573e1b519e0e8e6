# ruff: noqa: E501 - one broken file a row
"""Reading tariff files: each mistake is told with its file, line, key and mend."""

import datetime as dt
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hc_platform.charging.tariffs import Tariff, load_tariff_file, load_tariffs
from hc_platform.charging.tariffs.calendars import day_of
from hc_platform.charging.tariffs.compiled import windows
from hc_platform.charging.tariffs.model import TariffVersion
from hc_platform.charging.tariffs.writing import dump_tariff_file
from hc_platform.documents import ConfigError, Problem
from hc_platform_tests.charging.tariffs.making import NAMES, file_of, tariff_of, tariffs, version, versions
from hc_platform_tests.laws import law

GOOD = """\
utility_id: demo
utility_name: Demo Electric
timezone: America/Denver
rate_plans:
  tou:
    name: Time of use
    verification: {status: documented, on: 2026-11-01, sources: [a page]}
    versions:
      - effective_from: 2024-01-01
        effective_to: 2024-12-31
        tiers: {flat: 1}
      - effective_from: 2025-01-01
        default_tier: off_peak
        tiers: {off_peak: 1, mid_peak: 2, on_peak: 3}
        seasons:
          summer: [06-01, 09-30]
          winter: [10-01, 05-31]
        holidays:
          names: [New Year's Day, thanksgiving day]
          observed: sunday_to_monday
        periods:
          - {tier: on_peak, days: weekdays, start: 17:00, end: 21:00}
          - {tier: mid_peak, days: [sat, sun], seasons: [summer], start: 22:00, end: 02:30}
"""


def problems(tmp_path: Path, text: str, name: str = "demo.yaml") -> list[Problem]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_tariff_file(path)
    found = caught.value.problems
    assert str(caught.value).splitlines() == [
        f"{path}:{p.line}: {p.key}: {p.message}. Mend: {p.mend}" for p in found
    ]
    return found


def test_the_good_file_loads_with_times_that_need_no_quotes(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text(GOOD, encoding="utf-8")
    tariffs = load_tariffs(tmp_path)
    assert (list(tariffs), tariffs.utilities) == (["demo/tou"], {"demo"})
    peak, late = tariffs["demo/tou"].plan.versions[1].periods
    assert (peak.start, peak.end, peak.days) == ("17:00", "21:00", ("weekdays",))
    assert (late.start_minute, late.end_minute) == (1320, 1590)


BROKEN = [
    # id, (old, new), line, key, words of the message, words of the mend
    ("unknown_key", ("days: weekdays", "dais: weekdays"), 22, "periods.0.dais", "not permitted", "did you mean days?"),
    ("unknown_version_key", ("default_tier:", "defalt_tier:"), 13, "versions.1.defalt_tier", "not permitted", "did you mean default_tier?"),
    ("duplicate_key", ("        tiers: {flat: 1}", "        tiers: {flat: 1}\n        tiers: {flat: 3}"), 12, "-", "twice", "this line"),
    ("zone", ("America/Denver", "America/Denvr"), 3, "timezone", "no time zone is called 'America/Denvr'", ""),
    ("offset_for_zone", ("America/Denver", "UTC-07:00"), 3, "timezone", "no time zone", ""),
    ("missing_verification", ("    verification: {status: documented, on: 2026-11-01, sources: [a page]}\n", ""), 5, "verification", "required", "add verification:"),
    ("status", ("status: documented", "status: documentd"), 7, "verification.status", "", "did you mean documented?"),
    ("day_kind", ("days: weekdays", "days: weekday"), 22, "periods.0.days.0", "", "did you mean weekdays?"),
    ("time", ("start: 17:00", "start: 17:60"), 22, "periods.0.start", "pattern", ""),
    ("start_at_24", ("start: 17:00", "start: 24:00"), 22, "periods.0.start", "pattern", ""),
    ("rank", ("on_peak: 3", "on_peak: 5"), 14, "tiers.on_peak", "less than or equal to 4", ""),
    ("month_day", ("[06-01, 09-30]", "[06-01, 09-31]"), 16, "seasons.summer.1", "'09-31' is no day of the year", ""),
    ("february_30", ("[06-01, 09-30]", "[02-30, 09-30]"), 16, "seasons.summer.0", "'02-30' is no day of the year", ""),
    ("leap_day_left_out", ("[06-01, 09-30]\n          winter: [10-01, 05-31]", "[03-01, 09-30]\n          winter: [10-01, 02-28]"), 17, "seasons.winter", "29 February", "write 02-29"),
    ("tier", ("tier: on_peak", "tier: onpeak"), 22, "periods.0.tier", "no tier is called 'onpeak'", "did you mean on_peak?"),
    ("default_tier", ("default_tier: off_peak", "default_tier: base"), 13, "default_tier", "no tier is called 'base'", "use one of: off_peak, mid_peak, on_peak"),
    ("season", ("seasons: [summer]", "seasons: [sumer]"), 23, "periods.1.seasons.0", "no season is called 'sumer'", "did you mean summer?"),
    ("holiday", ("thanksgiving day", "Thanksgiving"), 19, "holidays.names.1", "no holiday is called 'Thanksgiving' for the US", "did you mean 'Thanksgiving Day'?"),
    ("states_holiday", ("thanksgiving day", "Pioneer Day"), 19, "holidays.names.1", "for the US (without a state)", ""),
    ("state", ("observed: sunday", "state: XX\n          observed: sunday"), 20, "holidays.state", "XX is no state", "UT"),
    ("observed", ("sunday_to_monday", "sunday_monday"), 20, "holidays.observed", "", "did you mean sunday_to_monday?"),
    ("versions_overlap", ("effective_to: 2024-12-31", "effective_to: 2025-01-01"), 12, "versions.1.effective_from", "lies in the version before it, which holds until 2025-01-01", "effective_to: 2024-12-31"),
    ("first_without_end", ("        effective_to: 2024-12-31\n", ""), 11, "versions.1.effective_from", "until further notice", "effective_to: 2024-12-31"),
    ("versions_out_of_order", ("effective_from: 2025-01-01", "effective_from: 2023-01-01"), 12, "versions.1.effective_from", "is not after", "order of time"),
    ("ends_before_it_begins", ("effective_to: 2024-12-31", "effective_to: 2023-12-31"), 10, "versions.0.effective_to", "is before effective_from 2024-01-01", "exchange"),
    ("flat_with_periods", ("tiers: {flat: 1}", "tiers: {flat: 1}\n        periods: [{tier: flat}]"), 12, "versions.0.periods", "flat plan", "remove the periods"),
    ("flat_and_dear", ("tiers: {flat: 1}", "tiers: {flat: 3}"), 11, "versions.0.tiers.flat", "is 3 in a flat plan", "rank 1"),
    ("gap", ("        default_tier: off_peak\n", ""), 20, "versions.1.periods", "leave a gap without any tier on Wednesday 2025-01-01, a holiday, at 00:00", "add default_tier:"),
    ("overlap", ("start: 22:00, end: 02:30", "start: 20:00, end: 02:30"), None, "", "", ""),
    ("tail_on_monday", ("start: 17:00, end: 21:00", "start: 02:00, end: 21:00"), 23, "versions.1.periods.1", "mid_peak 22:00-02:30 sat sun summer) and the period of line 22 (on_peak 02:00-21:00 weekdays) both hold on Monday 2025-06-02 at 02:00 with the priority 0", "greater priority"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "line", "key", "message", "mend"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_each_mistake_names_line_key_and_mend(
    tmp_path: Path, change: tuple[str, str], line: int | None, key: str, message: str, mend: str
) -> None:
    assert change[0] in GOOD
    text = GOOD.replace(*change, 1)
    if line is None:  # a change that is none: other days
        (tmp_path / "demo.yaml").write_text(text, encoding="utf-8")
        assert load_tariff_file(tmp_path / "demo.yaml")
        return
    [problem] = problems(tmp_path, text)
    assert (problem.line, problem.key.endswith(key)) == (line, True), problem
    assert message in problem.message
    assert mend in problem.mend
    assert problem.mend


def test_a_misspelt_zone_gets_a_hint(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, GOOD.replace("America/Denver", "America/Denvr"))
    assert "did you mean America/Denver?" in problem.message


def test_a_greater_priority_settles_an_overlap(tmp_path: Path) -> None:
    text = GOOD.replace("start: 17:00, end: 21:00", "start: 02:00, end: 21:00, priority: 1")
    (tmp_path / "demo.yaml").write_text(text, encoding="utf-8")
    assert load_tariff_file(tmp_path / "demo.yaml")


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text(
        GOOD.replace("tier: on_peak", "tier: x").replace("[summer]", "[y]"), encoding="utf-8"
    )
    (tmp_path / "other.yaml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_tariffs(tmp_path)
    assert [(Path(p.file).name, p.line, p.key.split(".")[-1]) for p in caught.value.problems] == [
        ("demo.yaml", 22, "tier"),
        ("demo.yaml", 23, "0"),
        ("other.yaml", 1, "utility_id"),
    ]
    assert "rename the file to demo.yaml" in caught.value.problems[-1].mend


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no tariff file"):
        load_tariffs(tmp_path)


def test_the_hash_tells_meaning_and_not_layout(tmp_path: Path) -> None:
    def hashed(text: str) -> str:
        (tmp_path / "demo.yaml").write_text(text, encoding="utf-8")
        return load_tariffs(tmp_path).hash

    same = GOOD.replace("timezone: America/Denver\n", "") + "timezone: 'America/Denver'  # the clock\n"
    assert hashed(GOOD) == hashed(same.replace("17:00", '"17:00"'))
    assert hashed(GOOD) != hashed(GOOD.replace("17:00", "16:00"))


@given(tariff=tariffs(), name=st.text(min_size=1).filter(lambda s: s.isprintable()))
@law(60)
def test_a_written_file_loads_back_to_an_equal_one(tariff: Tariff, name: str) -> None:
    plan = tariff.plan.model_copy(update={"name": name})
    file = file_of(version()).model_copy(update={"rate_plans": {"any": plan}, "states": ("NO", "CO")})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo.yaml"
        path.write_text(dump_tariff_file(file), encoding="utf-8")
        assert load_tariff_file(path) == file


def test_a_written_file_reads_like_one_written_by_hand() -> None:
    text = dump_tariff_file(
        file_of(
            version(
                {
                    "tier": "on_peak",
                    "days": "weekdays",
                    "seasons": ["summer"],
                    "start": "17:00",
                    "end": "21:00",
                },
                seasons={"summer": ("06-01", "09-30")},
                holidays={"names": NAMES[:2], "observed": "none"},
            )
        )
    )
    assert (
        text
        == """\
utility_id: demo
utility_name: Demo
timezone: America/Denver
rate_plans:
  plan:
    name: Demo plan
    verification:
      status: documented
      on: 2026-11-01
      sources:
        - a page
    versions:
      - effective_from: 2020-01-01
        default_tier: off_peak
        tiers: {off_peak: 1, on_peak: 3}
        seasons:
          summer: [06-01, 09-30]
        holidays:
          names: [New Year's Day, Independence Day]
        periods:
          - {tier: on_peak, days: weekdays, seasons: [summer], start: '17:00', end: '21:00'}
"""
    )


EXAMPLE = re.compile(r"on \w+ (\d{4}-\d\d-\d\d)(?:, a holiday,)? at (\d\d):(\d\d)")


@given(
    held=versions(dt.date(2026, 1, 1), dt.date(2027, 12, 31), ranked=False)
    | versions(dt.date(2026, 6, 1), dt.date(2026, 6, 20), ranked=False)
)
@law(120)
def test_what_is_told_of_overlaps_and_gaps_is_true_and_complete(held: TariffVersion) -> None:
    file = file_of(held.model_dump())
    told: list[Problem] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo.yaml"
        path.write_text(dump_tariff_file(file), encoding="utf-8")
        try:
            load_tariff_file(path)
        except ConfigError as error:
            told = error.problems
    [found] = tariff_of(held.model_dump()).plan.versions
    clashes, gap = _looked_at_one_by_one(found)
    assert any("leave a gap" in p.message for p in told) == gap
    assert {int(p.key.split(".")[-1]) for p in told if "both hold" in p.message} == {b for _, b in clashes}
    for problem in told:
        day, hour, minute = EXAMPLE.search(problem.message).groups()  # type: ignore[union-attr]
        there = _there(found, dt.date.fromisoformat(day), int(hour) * 60 + int(minute))
        assert (len(there) > 1) if "both hold" in problem.message else not there


def _there(held: TariffVersion, day: dt.date, minute: int) -> list[int]:
    of_day = windows(held, day_of(held, day), day_of(held, day - dt.timedelta(days=1)))
    return [
        next(i for i, p in enumerate(held.periods) if p is w.period)
        for w in of_day
        if w.start <= minute < w.end
    ]


def _looked_at_one_by_one(held: TariffVersion) -> tuple[set[tuple[int, int]], bool]:
    """Every quarter of an hour of every day while the version holds."""
    clashes: set[tuple[int, int]] = set()
    gap = False
    assert held.effective_to
    seen: set[object] = set()
    for n in range((held.effective_to - held.effective_from).days + 1):
        day = held.effective_from + dt.timedelta(days=n)
        key = (day_of(held, day), day_of(held, day - dt.timedelta(days=1)))
        if key in seen:
            continue
        seen.add(key)
        for minute in range(0, 1440, 15):
            there = _there(held, day, minute)
            gap |= not there and held.base_tier is None
            clashes |= {
                (a, b)
                for a in there
                for b in there
                if a < b and held.periods[a].priority == held.periods[b].priority
            }
    return clashes, gap


def test_the_night_from_february_28_to_march_1_is_looked_at_too(tmp_path: Path) -> None:
    """In a leap year the window of February 29 covers what nothing covers in the others."""
    held = version(
        {"tier": "off_peak", "seasons": ["rest"], "start": "02:00", "end": "02:00"},
        {"tier": "on_peak", "seasons": ["begin"], "priority": 1},
        seasons={"begin": ("01-01", "02-29"), "rest": ("02-29", "12-31")},
        default_tier=None,
    )
    [problem] = problems(tmp_path, dump_tariff_file(file_of(held)))
    assert "without any tier on Sunday 2020-03-01" not in problem.message
    assert "without any tier on Monday 2021-03-01 at 00:00" in problem.message
    leap_year_only = held | {"effective_to": dt.date(2020, 12, 31)}
    (tmp_path / "demo.yaml").write_text(dump_tariff_file(file_of(leap_year_only)), encoding="utf-8")
    assert load_tariff_file(tmp_path / "demo.yaml")
