"""What an import makes of the tariffs' folder: versions chained, bad rates kept out, people's own text kept."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from hc_platform.charging.tariffs.loading import load_tariff_file
from hc_platform.charging.tariffs.model import TariffFile
from hc_platform.charging.tariffs.urdb import UrdbError
from hc_platform.charging.tariffs.urdb_import import ImportPlan, import_urdb, plan_import
from hc_platform.settings import PROJECT_DIR
from hc_platform_tests.charging.urdb.making import ON, peak, rate, stamp

A, B, C = "a" * 24, "b" * 24, "c" * 24


def imported(*rates: dict[str, Any], existing: TariffFile | None = None, **options: Any) -> ImportPlan:
    options = {"timezone": "America/Denver", **options}
    return plan_import(existing, rates, on=ON, **options)


def statuses(plan: ImportPlan) -> dict[str | None, str]:
    return {outcome.label: outcome.status for outcome in plan.outcomes}


def days(plan: ImportPlan, key: str = "time_of_use") -> list[str]:
    assert plan.file is not None
    versions = plan.file.rate_plans[key].versions
    return [f"{v.effective_from}..{v.effective_to or ''}" for v in versions]


def reasons(plan: ImportPlan) -> str:
    return "\n".join(outcome.reason or "" for outcome in plan.outcomes)


FIRST = rate(A, enddate=stamp("2020-12-31"))
SECOND = rate(B, startdate=stamp("2021-01-01"), energyweekdayschedule=peak(17, 21))


def test_dated_rates_chain_whatever_their_order() -> None:
    plan = imported(SECOND, FIRST)
    assert days(plan) == ["2020-01-01..2020-12-31", "2021-01-01.."]
    assert statuses(plan) == {A: "imported", B: "imported"}
    assert plan.file is not None
    sources = plan.file.rate_plans["time_of_use"].verification.sources
    assert [source[-24:] for source in sources] == [A, B]


def test_an_open_rate_ends_the_day_before_its_successor_even_under_another_name() -> None:
    open_first, heir = rate(A), {**SECOND, "supersedes": A, "name": "Time of Use (2021)"}
    assert days(imported(open_first, heir), "time_of_use_2021") == ["2020-01-01..2020-12-31", "2021-01-01.."]


def test_a_later_import_of_the_successor_ends_the_version_that_stands() -> None:
    before = imported(rate(A))
    after = imported({**SECOND, "supersedes": A, "name": "Renamed"}, existing=before.file)
    assert days(after) == ["2020-01-01..2020-12-31", "2021-01-01.."]
    assert after.diff[0] == (
        "example_power_co/time_of_use: version 2020-01-01..: ends on 2020-12-31 (had none)"
    )
    again = imported(rate(A), existing=after.file)
    assert (again.changed, again.diff, statuses(again)) == (False, (), {A: "unchanged"})


def test_a_rate_with_several_heirs_ends_no_version() -> None:
    heirs = [
        rate(label, startdate=stamp("2021-01-01"), supersedes=A, name=f"Plan {label[0]}") for label in (B, C)
    ]
    plan = imported(rate(A), *heirs)
    assert plan.file is not None
    assert set(plan.file.rate_plans) == {"time_of_use", "plan_b", "plan_c"}


def test_case_46_overlapping_rates_are_both_refused() -> None:
    plan = imported(FIRST, rate(B, startdate=stamp("2020-07-01")))
    assert statuses(plan) == {A: "refused", B: "refused"}
    assert (plan.file, plan.changed) == (None, False)
    assert f"overlaps 2020-07-01.. ({B})" in reasons(plan)


def test_case_46_a_rate_that_overlaps_what_stands_is_refused_and_that_stays() -> None:
    before = imported(FIRST)
    plan = imported(rate(B, startdate=stamp("2020-07-01")), SECOND | {"label": C}, existing=before.file)
    assert statuses(plan) == {B: "refused", C: "imported"}
    assert days(plan) == ["2020-01-01..2020-12-31", "2021-01-01.."]
    plan = imported(
        FIRST, rate(B, startdate=stamp("2020-07-01"), enddate=stamp("2020-08-01")), existing=before.file
    )
    assert statuses(plan) == {A: "refused", B: "refused"}
    assert plan.file is before.file


@pytest.mark.parametrize(
    "bad",
    [
        {"enddate": stamp("2019-12-31")},
        {"energyweekdayschedule": [[1] * 96] * 12},
        {"energyweekdayschedule": peak(0, 24, period=7)},
        {"approved": False},
    ],
)
def test_case_46_a_rate_gone_bad_leaves_the_version_that_it_gave(bad: dict[str, Any]) -> None:
    before = imported(FIRST, SECOND)
    plan = imported({**FIRST, **bad}, SECOND, existing=before.file)
    assert plan.file is before.file
    assert statuses(plan) == {A: "refused", B: "unchanged"}


def test_case_46_a_label_on_several_utilities_is_refused_for_each(tmp_path: Path) -> None:
    source = tmp_path / "rates.json"
    other = rate(A, utility="Other Co", eiaid=11111)
    source.write_text(
        json.dumps({"items": [rate(A), other, rate(B, name="Fine", startdate=stamp("2022-01-01"))]})
    )
    plans = import_urdb(source, folder=tmp_path, on=ON, timezone="America/Denver")
    told = [o for plan in plans for o in plan.outcomes if o.status == "refused"]
    assert len(told) == 2
    assert {o.reason for o in told} == {f"label {A} stands for 2 utilities: Example Power Co, Other Co"}
    assert [path.name for path in tmp_path.glob("*.yaml")] == ["example_power_co.yaml"]


def test_case_46_a_label_that_another_utilitys_file_has_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "rates.json"
    source.write_text(json.dumps(rate(A)))
    import_urdb(source, folder=tmp_path, on=ON, timezone="America/Denver")
    source.write_text(json.dumps(rate(A, utility="Other Co", eiaid=11111)))
    [plan] = import_urdb(source, folder=tmp_path, on=ON, timezone="America/Denver")
    assert f"label {A} is a rate of example_power_co in the tariffs already" in reasons(plan)


def test_case_46_a_label_twice_with_different_contents_is_refused() -> None:
    plan = imported(rate(A), rate(A, energyweekdayschedule=peak(1, 2)))
    assert statuses(plan) == {A: "refused"}
    assert "comes twice with different contents" in reasons(plan)
    assert statuses(imported(rate(A), rate(A))) == {A: "imported"}


def test_rates_of_two_utilities_do_not_land_in_one_file() -> None:
    plan = imported(rate(A), rate(B, utility="Other Co", eiaid=11111), utility_id="mine")
    assert statuses(plan) == {A: "refused", B: "refused"}
    before = imported(rate(A))
    plan = imported(rate(B, utility="Other Co", eiaid=11111, name="New"), existing=before.file)
    assert "EIA id 11111 (Other Co) is not that of example_power_co (99999)" in reasons(plan)


def test_the_timezone_comes_from_the_file_of_the_same_eia_id(tmp_path: Path) -> None:
    source = tmp_path / "rates.json"
    source.write_text(json.dumps(FIRST))
    import_urdb(source, folder=tmp_path, on=ON, timezone="America/Phoenix", utility_id="mine")
    source.write_text(json.dumps([rate(B, name="Another", utility="Example Power Company")]))
    [plan] = import_urdb(source, folder=tmp_path, on=ON)
    file = load_tariff_file(tmp_path / "mine.yaml")
    assert plan.utility_id == "mine"
    assert (file.timezone, sorted(file.rate_plans)) == ("America/Phoenix", ["another", "time_of_use"])
    [plan] = import_urdb(source, folder=tmp_path, on=ON, timezone="America/Denver")
    assert "the plan is on America/Phoenix, not on America/Denver" in reasons(plan)


@pytest.mark.parametrize("options", [{"timezone": "Denver"}, {"utility_id": "My Co"}, {"rate_plan": "../x"}])
def test_a_timezone_or_id_that_none_is_stops_the_import(options: dict[str, str], tmp_path: Path) -> None:
    source = tmp_path / "rates.json"
    source.write_text(json.dumps(rate()))
    with pytest.raises(UrdbError, match=r"Denver|My Co|\.\./x"):
        import_urdb(source, folder=tmp_path, on=ON, **{"timezone": "America/Denver", **options})  # type: ignore[arg-type]
    assert list(tmp_path.glob("*.yaml")) == []


BY_HAND = f"""\
# Read by people.
utility_id: example_power_co
utility_name: Example Power
eia_id: 99999
timezone: America/Denver
rate_plans:
  # the one that most customers have
  by_hand:
    name: Time of Use
    verification: {{status: documented, on: 2026-01-01, sources: ["https://example.org"]}}
    versions:
      - effective_from: 2020-01-01
        source_url: https://apps.openei.org/USURDB/rate/view/{A}
        default_tier: low
        tiers: {{low: 1, high: 3}} # two of them
        periods:
          - {{tier: high, days: weekdays, start: "17:00", end: "21:00"}}
# the end
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tariffs"
    path.mkdir()
    (path / "example_power_co.yaml").write_text(BY_HAND)
    return path


def run(folder: Path, *rates: dict[str, Any], write: bool = True) -> ImportPlan:
    source = folder.parent / "rates.json"
    source.write_text(json.dumps({"items": rates}))
    [plan] = import_urdb(source, folder=folder, on=ON, write=write)
    return plan


def test_a_plan_checked_by_hand_is_never_overwritten_but_compared(folder: Path) -> None:
    plan = run(folder, rate(A))
    assert statuses(plan) == {A: "refused"}
    assert "documented by hand and never overwritten" in reasons(plan)
    assert plan.diff == (
        "example_power_co/by_hand: version 2020-01-01..: weekdays 16:00-17:00: low -> on_peak (262 h a year)",
    )
    assert (folder / "example_power_co.yaml").read_text() == BY_HAND
    plan = run(folder, rate(A, energyweekdayschedule=peak(17, 21)))
    assert (statuses(plan), plan.diff) == ({A: "unchanged"}, ())


def test_an_import_beside_people_keeps_their_text(folder: Path) -> None:
    path = folder / "example_power_co.yaml"
    run(folder, rate(B, name="Imported"))
    text = path.read_text()
    assert all(line in text for line in BY_HAND.splitlines())
    assert list(load_tariff_file(path).rate_plans) == ["by_hand", "imported"]
    path.write_text(text.replace("  imported:\n", "  # mine to explain\n  imported:\n"))
    plan = run(folder, rate(B, name="Imported", energyweekdayschedule=peak(15, 21)))
    text = path.read_text()
    assert all(line in text for line in [*BY_HAND.splitlines(), "  # mine to explain"])
    assert load_tariff_file(path) == plan.file
    assert [p.name for p in folder.iterdir()] == ["example_power_co.yaml"], "nothing half-written is left"


def test_a_text_that_cannot_be_added_to_stays_as_it_is(folder: Path) -> None:
    path = folder / "example_power_co.yaml"
    wide = BY_HAND.replace("\n  ", "\n    ")
    path.write_text(wide)
    load_tariff_file(path)
    with pytest.raises(UrdbError, match=r"example_power_co\.yaml"):
        run(folder, rate(B, name="Imported"))
    assert path.read_text() == wide
    assert [p.name for p in folder.iterdir()] == ["example_power_co.yaml"]


def test_showing_the_difference_writes_nothing(folder: Path) -> None:
    plan = run(folder, rate(B, name="Imported"), write=False)
    assert plan.changed
    assert plan.diff == (
        "example_power_co/imported: version 2020-01-01..: added, on_peak 16:00-21:00 weekdays",
    )
    assert (folder / "example_power_co.yaml").read_text() == BY_HAND


def test_a_rate_without_a_label_replaces_itself() -> None:
    bare = rate(label=None, uri=None)
    before = imported(bare)
    assert not imported(bare, existing=before.file).changed
    after = imported({**bare, "energyweekdayschedule": peak(15, 21)}, existing=before.file)
    assert days(after) == ["2020-01-01.."]
    assert after.diff == (
        "example_power_co/time_of_use: version 2020-01-01..: weekdays 15:00-16:00: off_peak -> on_peak (262 h a year)",
    )


def test_the_day_of_the_import_is_on_the_plans_that_changed_only() -> None:
    before = imported(rate(A), rate(B, name="Other"))
    later = dt.date(2027, 1, 1)
    after = plan_import(
        before.file, [rate(A), rate(B, name="Other", energyweekdayschedule=peak(1, 3))], on=later
    )
    assert after.file is not None
    assert {key: p.verification.on for key, p in after.file.rate_plans.items()} == {
        "time_of_use": ON,
        "other": later,
    }


@pytest.mark.parametrize("path", sorted((PROJECT_DIR / "tou_schedules").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_shipped_file_takes_an_imported_plan_and_keeps_its_text(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    copy.write_text(path.read_text())
    before = load_tariff_file(copy)
    source = tmp_path / "rates.json"
    source.write_text(json.dumps(rate(A, eiaid=before.eia_id, name="Imported from USURDB")))
    [plan] = import_urdb(source, folder=tmp_path, on=ON, utility_id=before.utility_id)
    assert copy.read_text().startswith(path.read_text().rstrip())
    after = load_tariff_file(copy)
    assert after == plan.file
    assert dict(after.rate_plans) == {
        **before.rate_plans,
        "imported_from_usurdb": after.rate_plans["imported_from_usurdb"],
    }
