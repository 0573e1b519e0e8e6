"""What holds for every shipped tariff, whichever it is."""

import datetime as dt
from pathlib import Path

from hc_platform.charging.tariffs.compiled import compile_tariffs, tier_at
from hc_platform.charging.tariffs.loading import Tariffs

DOCS = Path(__file__).resolve().parents[3] / "docs" / "tariffs.md"


def test_all_files_load(shipped: Tariffs) -> None:
    assert set(shipped) == {
        "xcel_co/re_tou",
        "xcel_co/r",
        "csu/energy_wise",
        "csu/energy_wise_plus",
        "csu/seasonal_fixed",
        "pge/e_elec",
        "pge/ev2_a",
        "pge/e_1",
        "sce/tou_d_prime",
        "sce/tou_d_4_9pm",
        "sdge/ev_tou_5",
        "aps/r_tou_e",
        "coned/sc1_rate_iii",
    }


def test_the_docs_table_names_every_plan_with_its_first_day_and_verification(shipped: Tariffs) -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCS.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    assert {row[0].strip("`"): (row[-2], row[-1]) for row in rows} == {
        schedule: (
            str(min(version.effective_from for version in tariff.plan.versions)),
            tariff.plan.verification.status,
        )
        for schedule, tariff in shipped.items()
    }


def test_nothing_is_said_to_be_checked_against_a_tariff_that_nobody_could_read(shipped: Tariffs) -> None:
    """A plan is `checked_against_tariff` only with the hash of the document that was read."""
    for schedule, tariff in shipped.items():
        if tariff.plan.verification.status == "checked_against_tariff":
            assert all(version.source_sha256 for version in tariff.plan.versions), schedule


def test_plans_that_vary_by_hour_name_the_source_of_every_version(shipped: Tariffs) -> None:
    for schedule, tariff in shipped.items():
        for version in tariff.plan.versions:
            assert version.is_flat or version.source_url, schedule


def test_a_plan_that_varies_by_hour_has_a_base_and_a_peak(shipped: Tariffs) -> None:
    """Else a policy that pauses at rank 3 would pause always, or never."""
    for schedule, tariff in shipped.items():
        for version in tariff.plan.versions:
            ranks = set(version.tiers.values())
            assert ranks == {1} if version.is_flat else {1, 3} <= ranks, schedule
            assert version.base_tier is not None, schedule
            assert version.tiers[version.base_tier] == 1, schedule


def test_every_tier_comes_up_within_a_year_of_its_version(shipped: Tariffs) -> None:
    """A tier that never does is a misspelt season or a window that another one hides."""
    for schedule, tariff in shipped.items():
        rows = compile_tariffs({schedule: tariff}, *_years(2022, 2028))
        for version in tariff.plan.versions:
            met = set(rows.filter(rows["version"] == version.effective_from)["tier"])
            assert met == set(version.tiers), schedule


def test_compiled_rows_say_what_the_wall_clock_says(shipped: Tariffs) -> None:
    """At the first and the last instant of every row of 2026, both clock changes included."""
    start, end = _years(2026, 2027)
    rows = compile_tariffs(shipped, start, end)
    for schedule, tariff in shipped.items():
        of = rows.filter(rows["schedule"] == schedule)
        assert of["starts_at"][0] == start
        assert of["ends_at"][-1] == end
        assert of["starts_at"][1:].to_list() == of["ends_at"][:-1].to_list()
        for begin, until, name in of.select("starts_at", "ends_at", "tier").iter_rows():
            last = until - dt.timedelta(seconds=1)
            assert (tier_at(tariff, begin).tier, tier_at(tariff, last).tier) == (name, name), (
                schedule,
                begin,
            )


def _years(first: int, end: int) -> tuple[dt.datetime, dt.datetime]:
    return dt.datetime(first, 1, 1, tzinfo=dt.UTC), dt.datetime(end, 1, 1, tzinfo=dt.UTC)
