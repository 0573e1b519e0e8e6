"""Dates in the names of publications: every spelling that was seen, and laws that hold for all dates."""

from calendar import month_name, monthrange
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hc_platform.sources.discovery import Candidate, newest_first
from hc_platform.sources.vintage import Period, vintage_of
from hc_platform_tests.laws import law

DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))
MONTHS = [
    "X_{b}{y}", "{b}{y}", "HC_{B}_{y}", "Hosting{Bt}{y}_popUps", "X_{m}{y}", "X_{y}{m}", "X_{y}_{m}_v", "{m}_{y}",
    "{y}_{B}", "{y} {b} map", "Map {Bt}, {y}", "{bl}{y}_grid",
]  # fmt: skip
EXACT = [
    "X_{b}{d}{y}",
    "X_{b}_{d}_{y}",
    "X_{m}{d}{yy}",
    "X_{y}{m}{d}",
    "X_{m}{d}{y}",
    "{y}-{m}-{d}",
    "Map_{Bt} {d}, {y}",
]


def spelled(pattern: str, day: date) -> str:
    name = month_name[day.month]
    return pattern.format(
        b=name[:3].upper(), bl=name[:3].lower(), B=name, Bt=name[:3], y=day.year, yy=f"{day.year % 100:02d}",
        m=f"{day.month:02d}", d=f"{day.day:02d}",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "vintage"),
    [
        ("ComEd_PV_Hosting_Capacity_JUN2024", "2024-06"),
        ("ComEd_PV_Hosting_Capacity_MAR2026", "2026-03"),
        ("ComEd_BESS_Hosting_Capacity_032026", "2026-03"),
        ("HCA_NSP_Popup_202509", "2025-09"),
        ("NSPM_may2025_popUps", "2025-05"),
        ("NSP_HCA_Popup_Nov2025", "2025-11"),
        ("HCA_NSP_Popup_Layer_February_2026", "2026-02"),
        ("NSP_HCA_Popup_June_2026", "2026-06"),
        ("PSCO_GEN_Popup_Layer_Feb_2026", "2026-02"),
        ("Generation_Hosting_Capacity_November_2025", "2025-11"),
        ("RI_Hosting_Capacity_2025", "2025"),
        ("SMECO_2024_CIRCUITS_101024", "2024-10-10"),
        ("HostingCapacity_DCirc_NYSEG_RGE_APR272018", "2018-04-27"),
        ("HC_Sept2025", "2025-09"),
        ("Generation_Map_Publishing", None),
        ("PSCO22Final", None),
        ("HC_view_0f202509aa1b2c3d4e5f60718293a4b5", None),  # an item's id
        ("HC_JUN2024_to_MAR2026", None),  # which of them is it?
        ("Grid_310124", None),  # no month is 31
        ("SUMMAR2026", "2026"),  # no month begins inside of a word
        ("HC_13_2026", "2026"),
    ],
)
def test_spellings_that_were_seen(name: str, vintage: str | None) -> None:
    found = vintage_of(name)
    assert (str(found) if found else None) == vintage


@law(200)
@given(DAYS, st.sampled_from(MONTHS))
def test_every_month_is_read_in_every_spelling(day: date, pattern: str) -> None:
    assert vintage_of(spelled(pattern, day)) == Period.of(day.year, day.month), spelled(pattern, day)


@law(200)
@given(DAYS, st.sampled_from(EXACT))
def test_a_day_is_read_or_at_least_its_month(day: date, pattern: str) -> None:
    """032026 may be March 2026 or the 20th of March 26: it is read as the month, which holds both."""
    found = vintage_of(spelled(pattern, day))
    assert found is not None
    assert found.holds(Period(day, day)), spelled(pattern, day)
    assert found == Period(day, day) or (day.day == 20 and "{yy}" in pattern)


@law(200)
@given(st.text(st.characters(categories=["Lu", "Ll", "Nd", "Pc", "Pd"]), max_size=40))
def test_whatever_is_read_is_a_day_a_month_or_a_year(name: str) -> None:
    found = vintage_of(name)
    if found is not None:
        assert 2000 <= found.first.year == found.last.year <= 2099
        assert len(str(found)) in (4, 7, 10)


@law(100)
@given(st.lists(st.tuples(DAYS, st.sampled_from(MONTHS)), min_size=2, max_size=8))
def test_the_newest_month_comes_first_however_it_is_spelled(days: list[tuple[date, str]]) -> None:
    names = [spelled(pattern, day) for day, pattern in days]
    made = [Candidate(name, f"http://x/{i}", vintage_of(name)) for i, name in enumerate(names)]
    undated = Candidate("Final", "http://x/undated")
    order = newest_first([undated, *made])
    months = [c.vintage.first for c in order if c.vintage]
    assert months == sorted(months, reverse=True)
    assert order[-1] is undated


def test_periods_of_snapshots() -> None:
    quarter = Period.of(2026, 4, months=3)
    assert str(quarter) == "2026-04-01 to 2026-06-30"
    assert quarter.holds(Period.of(2026, 6))
    assert quarter.holds(Period.of(2026, 5, 31))
    assert not quarter.holds(Period.of(2026, 7))
    assert not quarter.holds(Period.of(2026))  # a year may be of any month
    assert Period.of(2026).holds(quarter)
    assert Period.of(2028, 2).last.day == monthrange(2028, 2)[1] == 29
