"""`hc tariffs`: look at, check, import and hand over tariffs.

What belongs here: options and words. What does not: the work.
"""

import json
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from hc_platform.charging.tariffs.loading import Tariffs, load_tariffs
from hc_platform.charging.tariffs.model import Tariff
from hc_platform.charging.tariffs.rows import RowError, row_from_tariff, tariff_files_from_rows
from hc_platform.charging.tariffs.show import day_lines
from hc_platform.charging.tariffs.urdb import UrdbError
from hc_platform.charging.tariffs.urdb_import import import_urdb
from hc_platform.charging.tariffs.urdb_writing import write_tariff_file
from hc_platform.commands.shared import DataDir, opened, settings_of
from hc_platform.ingesting import MistakeError
from hc_platform.terminal import print_table, say

app = typer.Typer(help="Look at, check and import tariffs (tou_schedules/).", no_args_is_help=True)
Day = Annotated[str | None, typer.Option("--on", help="A local day, YYYY-MM-DD; default today.")]
Schedule = Annotated[str, typer.Argument(help="A tariff as utility_id/rate_plan, e.g. xcel_co/re_tou.")]


@app.command("list")
def list_(data_dir: DataDir = None) -> None:
    """Every tariff with its clock, its versions and how it was checked."""
    tariffs = load_tariffs(settings_of(data_dir).tariffs)
    rows = [
        (
            schedule,
            t.plan.name,
            t.timezone,
            "; ".join(f"{v.effective_from} to {v.effective_to or '...'}" for v in t.plan.versions),
            f"{t.plan.verification.status} {t.plan.verification.on}",
        )
        for schedule, t in tariffs.items()
    ]
    print_table("Tariffs", ("tariff", "name", "clock", "versions", "verification"), rows)


@app.command()
def show(schedule: Schedule, on: Day = None, data_dir: DataDir = None) -> None:
    """One day of a tariff as a person would check it against the utility's page."""
    tariff = _known(load_tariffs(settings_of(data_dir).tariffs), schedule)
    for line in day_lines(tariff, _day_of(tariff, on)):
        say(line)


@app.command()
def lint(data_dir: DataDir = None) -> None:
    """Check tou_schedules/; every mistake with its file, line, key and mend."""
    folder = settings_of(data_dir).tariffs
    tariffs = load_tariffs(folder)
    say(f"{len(tariffs)} tariffs of {len(tariffs.utilities)} utilities in {folder}: in order")


@app.command("import-urdb")
def import_urdb_(
    source: Annotated[str, typer.Argument(help="A JSON file of OpenEI's USURDB, or an http(s) address.")],
    timezone: Annotated[str | None, typer.Option(help="IANA zone; USURDB has none.")] = None,
    utility: Annotated[
        str | None, typer.Option(help="The utility's id; default known by its EIA id.")
    ] = None,
    plan: Annotated[str | None, typer.Option(help="The plan's id; default from its name.")] = None,
    effective_from: Annotated[str | None, typer.Option(help="First day, where the rate tells none.")] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what would change; write nothing.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Turn USURDB rates into tou_schedules/; what cannot be trusted is refused, and the old version stays."""
    try:
        plans = import_urdb(
            source,
            folder=settings_of(data_dir).tariffs,
            on=datetime.now(UTC).date(),
            timezone=timezone,
            utility_id=utility,
            rate_plan=plan,
            effective_from=_day(effective_from) if effective_from else None,
            write=not diff,
        )
    except UrdbError as error:
        raise MistakeError(str(error)) from error
    for one in plans:
        for line in one.diff:
            say(line)
        if not one.diff:
            say(f"{one.utility_id}: nothing changes")
        for outcome in one.outcomes:
            say(str(outcome))
    if any(o.status == "refused" for one in plans for o in one.outcomes):
        raise typer.Exit(1)


@app.command("import-rows")
def import_rows(
    source: Annotated[
        Path | None, typer.Argument(help="JSON: a list of flat rows; default the registry's.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write flat rows of the older table (peak_weekdays, peak_start_hour, ...) as files of tou_schedules/.

    Needed only to go on editing them there: rows in the registry are in force as they are.
    """
    settings = settings_of(data_dir)
    if source is None:
        with opened(settings) as site:
            rows = site.registry.schedule_rows()
    else:
        rows = _rows_in(source)
    try:
        files = tariff_files_from_rows(rows)
    except RowError as error:
        raise MistakeError(str(error)) from error
    paths = [settings.tariffs / f"{file.utility_id}.yaml" for file in files]
    if held := [str(path) for path in paths if path.exists()]:
        raise MistakeError(f"{', '.join(held)} exists: bring its plans together by hand; nothing was written")
    for path, file in zip(paths, files, strict=True):
        write_tariff_file(path, file)
        say(f"{path}: {', '.join(file.rate_plans)}")


@app.command("export-row")
def export_row(schedule: Schedule, on: Day = None, data_dir: DataDir = None) -> None:
    """A tariff's version of a day as a flat row of the older table, JSON; refused where the row cannot say it."""
    tariff = _known(load_tariffs(settings_of(data_dir).tariffs), schedule)
    try:
        row = row_from_tariff(tariff, _day_of(tariff, on))
    except RowError as error:
        raise MistakeError(str(error)) from error
    sys.stdout.write(json.dumps(row, default=str) + "\n")


def _rows_in(source: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(source.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MistakeError(f"{source} is no JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MistakeError(f"{source} is no list of rows: write [{{...}}, ...], a row for each plan")
    return rows


def _known(tariffs: Tariffs, schedule: str) -> Tariff:
    try:
        return tariffs[schedule]
    except KeyError as error:
        raise MistakeError(str(error.args[0])) from None


def _day_of(tariff: Tariff, text: str | None) -> date:
    """The day that was asked for, else today's on the tariff's own clock."""
    return _day(text) if text else datetime.now(ZoneInfo(tariff.timezone)).date()


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise MistakeError(f"{text!r} is no day: write it like 2026-07-03") from None
