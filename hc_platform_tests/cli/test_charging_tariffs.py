"""`hc tariffs`: what is shown, what an import changes, what is handed over and what is refused."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hc_platform.charging.registry.sqlite import SqliteRegistry
from hc_platform_tests.charging.endtoend.world import ROOT
from hc_platform_tests.charging.urdb.making import peak, rate
from hc_platform_tests.orchestration.charging_site import Hc

ROW: dict[str, Any] = {
    "utility_id": "example",
    "rate_plan": "tou",
    "timezone": "America/Denver",
    "peak_weekdays": [0, 1, 2, 3, 4],
    "peak_start_hour": 17,
    "peak_end_hour": 21,
    "peak_months": list(range(1, 13)),
    "effective_date": "2026-01-01",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped tariffs, to be changed."""
    return Path(shutil.copytree(ROOT / "tou_schedules", tmp_path / "tou_schedules"))


@pytest.fixture
def hc(tmp_path: Path, folder: Path) -> Hc:
    return Hc(tmp_path / "data", {"HC_TARIFF_DIR": str(folder)})


def given(folder: Path, *rates: dict[str, Any]) -> str:
    path = folder.parent / "rates.json"
    path.write_text(json.dumps({"items": list(rates)}))
    return str(path)


def test_list_show_and_lint(hc: Hc, folder: Path) -> None:
    listed = hc("tariffs", "list").out
    for file in folder.glob("*.yaml"):
        assert f"{file.stem}/" in listed
    shown = hc("tariffs", "show", "xcel_co/re_tou", "--on", "2026-07-08").out
    assert "version:  2025-11-01 until further notice" in shown
    assert "17:00-21:00  on_peak" in shown
    assert "Wednesday 2026-07-08, weekday" in shown
    assert "15:00-19:00  on_peak" in hc("tariffs", "show", "xcel_co/re_tou", "--on", "2025-10-08").out
    assert f"of {len(list(folder.glob('*.yaml')))} utilities" in hc("tariffs", "lint").out


def test_without_a_day_it_is_today_on_the_tariffs_own_clock(hc: Hc) -> None:
    days = [f"{datetime.now(ZoneInfo('America/Denver')):%A %Y-%m-%d}"]
    shown = hc("tariffs", "show", "xcel_co/re_tou").out
    days.append(f"{datetime.now(ZoneInfo('America/Denver')):%A %Y-%m-%d}")
    assert any(day in shown for day in days)


def test_a_tariff_or_a_day_that_is_none_is_one_line(hc: Hc) -> None:
    for command in ("show", "export-row"):
        hc.refuses("did you mean xcel_co/re_tou?", "tariffs", command, "xcel_co/re-tou")
        hc.refuses("'July 3' is no day", "tariffs", command, "xcel_co/re_tou", "--on", "July 3")
    hc.refuses("is no day", "tariffs", "import-urdb", "x.json", "--effective-from", "soon")


def test_lint_tells_every_mistake_with_its_line(hc: Hc, folder: Path) -> None:
    path = folder / "xcel_co.yaml"
    path.write_text(
        path.read_text().replace("days: weekdays", "days: weekday", 1).replace("eia_id", "eia_di", 1)
    )
    said = hc.refuses("did you mean weekdays?", "tariffs", "lint")
    assert "xcel_co.yaml:3: eia_di" in said.err
    assert hc("tariffs", "list", code=2).err


def test_case_46_an_import_writes_what_diff_said_and_nothing_else(hc: Hc, folder: Path) -> None:
    source = given(folder, rate())
    before = {p.name: p.read_bytes() for p in folder.glob("*.yaml")}
    told = hc(
        "tariffs", "import-urdb", source, "--timezone", "America/Denver", "--utility", "example", "--diff"
    )
    assert "example/time_of_use" in told.out
    assert {p.name: p.read_bytes() for p in folder.glob("*.yaml")} == before
    done = hc("tariffs", "import-urdb", source, "--timezone", "America/Denver", "--utility", "example")
    assert "imported" in done.out
    assert "16:00-21:00" in hc("tariffs", "show", "example/time_of_use", "--on", "2026-07-08").out
    again = hc("tariffs", "import-urdb", source)
    assert "example: nothing changes" in again.out
    moved = given(folder, rate(energyweekdayschedule=peak(17, 20)))
    differs = hc("tariffs", "import-urdb", moved, "--diff")
    assert "16:00" in differs.out
    assert "17:00" in differs.out


def test_case_46_a_rate_that_cannot_be_trusted_is_refused_and_the_old_stays(hc: Hc, folder: Path) -> None:
    hc(
        "tariffs",
        "import-urdb",
        given(folder, rate()),
        "--timezone",
        "America/Denver",
        "--utility",
        "example",
    )
    before = (folder / "example.yaml").read_bytes()
    short = given(folder, rate(energyweekdayschedule=peak(16, 21)[:11]))
    said = hc("tariffs", "import-urdb", short, code=1)
    assert "refused" in said.out
    assert (folder / "example.yaml").read_bytes() == before
    hc.refuses("gone.json", "tariffs", "import-urdb", "gone.json")
    broken = folder.parent / "broken.json"
    broken.write_text("{")
    hc.refuses("broken.json", "tariffs", "import-urdb", str(broken))
    hc.refuses("no time zone is called", "tariffs", "import-urdb", short, "--timezone", "Mars/Olympus")
    hc.refuses(
        "OPENEI_API_KEY is not set",
        *("tariffs", "import-urdb", "https://api.openei.org/utility_rates?getpage=x"),
        exit_code=1,
    )


def test_rows_come_in_and_go_out_as_they_were(hc: Hc, folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "rows.json"
    source.write_text(json.dumps([ROW]))
    assert "example.yaml: tou" in hc("tariffs", "import-rows", str(source)).out
    out = json.loads(hc("tariffs", "export-row", "example/tou", "--on", "2026-07-08").out)
    assert out == ROW
    hc.refuses("exists: bring its plans together by hand", "tariffs", "import-rows", str(source))


def test_rows_of_two_utilities_are_written_both_or_not_at_all(hc: Hc, folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "rows.json"
    source.write_text(json.dumps([{**ROW, "utility_id": "aaa"}, {**ROW, "utility_id": "csu"}]))
    hc.refuses("csu.yaml exists", "tariffs", "import-rows", str(source))
    assert not (folder / "aaa.yaml").exists()


def test_rows_of_the_registry_come_in_without_a_file(hc: Hc, folder: Path) -> None:
    registry = SqliteRegistry(hc.data / "registry.sqlite")
    registry.put_schedule_row(ROW)
    registry.close()
    hc("tariffs", "import-rows")
    assert (folder / "example.yaml").is_file()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "rows.json is no JSON: "),
        ('{"utility_id": "x"}', "is no list of rows"),
        ('["x"]', "is no list of rows"),
        (json.dumps([{**ROW, "peak_start_hour": 25}]), "example/tou: peak_start_hour"),
        (json.dumps([{**ROW, "utility_id": "../example"}]), "../example: utility_id"),
    ],
)
def test_rows_that_are_none_are_one_message(hc: Hc, tmp_path: Path, content: str, words: str) -> None:
    source = tmp_path / "rows.json"
    source.write_text(content)
    hc.refuses(words, "tariffs", "import-rows", str(source))
    assert sorted(p.name for p in tmp_path.glob("**/example.yaml")) == []


def test_a_tariff_that_a_row_cannot_say_is_refused_with_the_reason(hc: Hc) -> None:
    hc.refuses("it knows holidays", "tariffs", "export-row", "xcel_co/re_tou", "--on", "2026-07-08")
    hc.refuses("no version covers that day", "tariffs", "export-row", "xcel_co/re_tou", "--on", "2020-01-01")
    assert (
        json.loads(hc("tariffs", "export-row", "xcel_co/r", "--on", "2026-07-08").out)["peak_weekdays"] == []
    )


def test_the_day_of_the_import_is_todays(hc: Hc, folder: Path) -> None:
    days = [datetime.now(UTC).date().isoformat()]
    hc(
        "tariffs",
        "import-urdb",
        given(folder, rate()),
        "--timezone",
        "America/Denver",
        "--utility",
        "example",
    )
    days.append(datetime.now(UTC).date().isoformat())
    assert any(f"imported {day}" in line for line in hc("tariffs", "list").out.splitlines() for day in days)
