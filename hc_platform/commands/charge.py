"""`hc charge`: run, replay and explain charge control.

What belongs here: options, tables and sentences. What does not: the work.
"""

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import typer

from hc_platform.charging.explain import explain as explained
from hc_platform.charging.explain import newest_command
from hc_platform.charging.history import replay_site
from hc_platform.charging.recording import reason_counts, with_reason_names
from hc_platform.charging.schedules import load_schedules
from hc_platform.charging.steps import whole_second
from hc_platform.charging.tick import decide_at
from hc_platform.commands.shared import DataDir, instant, known, opened, settings_of
from hc_platform.documents import ConfigError
from hc_platform.ingesting import MistakeError
from hc_platform.settings import Settings
from hc_platform.terminal import err, print_table, say

app = typer.Typer(help="Decide for every charger, replay, explain.", no_args_is_help=True)
_MOST_ROWS = 40
AsOf = Annotated[str | None, typer.Option("--as-of", help="An instant with offset, ISO 8601; default now.")]


@app.command()
def tick(
    as_of: AsOf = None,
    dry_run: Annotated[bool, typer.Option(help="Decide and show; write and send nothing.")] = False,
    data_dir: DataDir = None,
) -> None:
    """One run of charge control, on the instance that the UI shows; for a past instant decisions only."""
    settings = settings_of(data_dir)
    at = whole_second(instant(as_of) if as_of else datetime.now(UTC))
    if not dry_run:
        _run(settings, at)
        return
    with opened(settings) as site:
        decided, moer = decide_at(site, at)
        _show_alerts(moer.alerts)
        say(f"{at.isoformat()}: {decided.frame.height} devices; nothing was written or sent ({decided.mode})")
        _show_reasons(reason_counts(decided.frame))
        rows = with_reason_names(decided.frame.filter("differs"))
        shown = rows.select(
            "device_id", "desired", "window_start", "window_end", "tier", "percentile", "commanded"
        )
        listed = [(*row, ", ".join(why)) for row, why in zip(shown.iter_rows(), rows["reasons"], strict=True)]
        print_table("What would change", [*shown.columns, "reasons"], listed[:_MOST_ROWS])
        if len(listed) > _MOST_ROWS:
            say(f"{len(listed) - _MOST_ROWS} more")


def _run(settings: Settings, at: datetime) -> None:
    from hc_platform.charging_definitions import build_definitions
    from hc_platform.orchestration.local_runs import local_instance, run_charge_control

    with opened(settings, sends=True) as site, local_instance(settings) as instance:
        outcome = run_charge_control(build_definitions(settings, lambda: site), instance, at)
    if not outcome.success:
        err.print(f"FAILED: {outcome.error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1)
    told = outcome.materialized["charge_runs"]
    counts = ("devices", "paused", "changed", "commanded", "lost_races", "sent", "failed", "dead", "dropped")
    say(
        f"{at.isoformat()} ({told['mode']}): " + ", ".join(f"{told[n]} {n.replace('_', ' ')}" for n in counts)
    )
    _show_alerts(outcome.warnings)


@app.command()
def replay(
    from_: Annotated[str, typer.Option("--from", help="First instant, with offset.")],
    to: Annotated[str, typer.Option("--to", help="Last instant, exclusive, with offset.")],
    data_dir: DataDir = None,
) -> None:
    """What would have been decided over a stretch of time with today's fleet, tariffs and policies; sends nothing.

    MOER as the runs of that time recorded it; where they recorded none, as WattTime's history tells it.
    """
    start, end = instant(from_), instant(to)
    if end <= start:
        raise MistakeError(f"--to {to} is not after --from {from_}")
    with opened(settings_of(data_dir)) as site:
        try:
            told, notes = replay_site(site, start, end)
        except (LookupError, ConfigError) as error:
            raise MistakeError(str(error.args[0])) from error
    print_table(
        f"{told.devices} devices, {told.days:g} days, {told.instants} instants decided",
        ("commands", "flips a device and day", "longest pause", "share of time paused"),
        [(told.commands, told.flips_per_day, str(told.longest_pause), f"{told.paused_share:.1%}")],
    )
    _show_reasons(told.reasons, "device-decisions")
    _show_alerts(notes)


@app.command()
def explain(
    device: Annotated[str, typer.Argument(help="A device's id.")],
    as_of: AsOf = None,
    data_dir: DataDir = None,
) -> None:
    """Why a device is told what it is told, in one paragraph."""
    at = whole_second(instant(as_of) if as_of else datetime.now(UTC))
    with opened(settings_of(data_dir)) as site:
        registered = known(site, device)
        schedules = load_schedules(site, at, keep=False)
        _problem(schedules.problem)
        decided, moer = decide_at(site, at)
        tariff = schedules.tariffs.get(registered.schedule or "") if schedules.tariffs else None
        say(
            explained(
                decided,
                registered,
                tariff=tariff,
                policies=schedules.policies,
                moer=moer,
                newest=newest_command(site, device),
            )
        )


def _problem(text: str | None) -> None:
    if text:
        err.print(f"the last good schedules are used: {text}", style="yellow", markup=False, soft_wrap=True)


def _show_alerts(alerts: list[str]) -> None:
    for alert in alerts:
        err.print(f"  look at {alert}", markup=False, soft_wrap=True)


def _show_reasons(counts: dict[str, int], what: str = "devices") -> None:
    print_table("By reason", ("reason", what), Counter(counts).most_common())
