"""What became of the fleet's day: counts by tariff, a line for each reason, what is left wrong.

What belongs here: watching the day from outside, counting, showing. What does not: the day (`fleet`).
"""

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from hc_platform.charging.delivery import expected_state
from hc_platform.charging.explain import explain, newest_command
from hc_platform.charging.models import Command, Reason
from hc_platform.charging.schedules import load_schedules
from hc_platform.charging.tables import CHARGE_COMMANDS, CHARGE_DECISIONS
from hc_platform.charging.tick import Ticked
from hc_platform.demo.fleet import Day, live, stage
from hc_platform.demo.fleet_trouble import END, PLANS, START

_PEAK: Final = 3
_TARIFF: Final = Reason.TOU_PEAK | Reason.TOU_JITTER | Reason.TOU_AHEAD | Reason.FLAT_PLAN | Reason.NO_PLAN
_PLACE: Final = _TARIFF | Reason.NO_VERSION | Reason.UNKNOWN_UTILITY | Reason.INACTIVE
_MOER: Final = (
    Reason.MOER_HIGH
    | Reason.MOER_HOLD
    | Reason.MOER_CAPPED
    | Reason.MOER_MISSING
    | Reason.MOER_INVALID
    | Reason.MOER_STALE
    | Reason.MOER_FUTURE
    | Reason.NO_REGION
)
_OF_COMMANDS: Final = Reason.HEARTBEAT | Reason.DIVERGED
"""Reasons that commands have, and decisions have not."""
_ALLOWS: Final = {
    Reason.OVERRIDE: "Charge Now",
    Reason.DEADLINE: "departure",
    Reason.INACTIVE: "deactivated",
}
UNEXPLAINED: Final = "unexplained"
COLUMNS: Final = (
    "tariff", "devices", "pauses", "on-peak charging", "commands", "sent", "acked", "retried", "superseded",
    "dead", "dropped", "open",
)  # fmt: skip


@dataclass
class Told:
    """The day in numbers."""

    day: Day
    tariffs: list[dict[str, Any]] = field(default_factory=list)
    """A row a tariff: COLUMNS."""
    on_peak: Counter[str] = field(default_factory=Counter)
    """Device-minutes inside peaks in which a charger let its car charge, by why."""
    peak_minutes: Counter[str] = field(default_factory=Counter)
    """Device-minutes inside peaks, by tariff."""
    pauses: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, int] = field(default_factory=dict)
    """Decisions (for heartbeat and diverged: commands) by reason."""
    examples: dict[str, str] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    """Commands by where they stand in the end."""
    retried: int = 0
    wrong: list[str] = field(default_factory=list)
    """Reachable, sound chargers that do another thing in the end than they should."""
    judged: int = 0


class _Watch:
    """Notes what the chargers do in each minute, and an example of each reason."""

    def __init__(self, day: Day) -> None:
        self.day, self.told = day, Told(day)
        schedules = load_schedules(day.site, day.start)
        self._policies = schedules.policies
        self._tariffs = dict(schedules.tariffs or {})
        self._peaks = {
            name: [_span(a, b) for a, b in zip(*windows, strict=True)]
            for name, windows in schedules.timeline.windows(_PEAK).items()
        }
        self._charged: Counter[str] = Counter()
        self._was: dict[str, str] = {}

    def minute(self, at: datetime) -> None:
        """See what every charger does now."""
        told, counted = self.told, at < self.day.end
        peak = {n: any(a <= at < b for a, b in spans) for n, spans in self._peaks.items()}
        for charger in self.day.fleet.chargers.values():
            name, state = charger.device_id, charger.state(at)
            plan = self.day.plans[name]
            if state == "pause" and self._was.get(name) != "pause":
                told.pauses[plan] += 1
            self._was[name] = state
            if counted and peak.get(plan):
                told.peak_minutes[plan] += 1
                if state == "allow":
                    self._charged[plan] += 1
                    told.on_peak[self._why(name, at)] += 1

    def run(self, ticked: Ticked) -> None:
        """Keep a sentence for each reason that was not seen before, of the device that has the fewest others."""
        frame = ticked.decided.frame.filter("differs")
        for bits in sorted(frame["reasons"].unique().to_list(), key=lambda b: (len(Reason(b).names), b)):
            for reason in (r for r in Reason(~0) if r in Reason(bits) and r.name):
                name = Reason(reason).names[0]
                if name not in self.told.examples:
                    device_id = frame.filter(pl.col("reasons") == bits)["device_id"].min()
                    self.told.examples[name] = self._sentence(ticked, str(device_id), reason)

    def _sentence(self, ticked: Ticked, device_id: str, reason: Reason) -> str:
        device = self.day.site.registry.device(device_id)
        if device is None:
            return device_id
        words = explain(
            ticked.decided,
            device,
            tariff=self._tariffs.get(device.schedule or ""),
            policies=self._policies,
            moer=ticked.moer,
        )
        # all is of one day, and to the minute
        short = re.sub(r"(?:\d{4}-\d\d-\d\d )?(\d\d:\d\d):00", r"\1", words)
        sentences = re.split(r"(?<=\.) (?=[A-Za-z])", short)
        which = 1 if reason in _PLACE else 2 if reason in _MOER else 3
        return f"{sentences[0]} {sentences[min(which, len(sentences) - 1)]}"

    def _why(self, device_id: str, at: datetime) -> str:
        """Why a car charges inside the peak."""
        trouble, registry = self.day.trouble, self.day.site.registry
        if device_id in trouble.unknown:
            return "unknown to the network"
        if device_id in trouble.stuck:
            return "relay stuck"
        control, newest = registry.control(device_id), newest_command(self.day.site, device_id)
        if control is None or newest is None:
            return UNEXPLAINED
        if expected_state(control, newest.protocol, at) == "allow":
            return next((w for r, w in _ALLOWS.items() if r in Reason(control.reasons)), UNEXPLAINED)
        if device_id in trouble.dark and at >= trouble.dark[device_id]:
            return "power failed"
        return UNEXPLAINED if newest.status == "acked" else "message lost or late"

    def end(self) -> Told:
        """Count what the registry, the lake and the network hold in the end."""
        day, told, at = self.day, self.told, self.day.clock.at
        for charger in day.fleet.chargers.values():
            control = day.site.registry.control(charger.device_id)
            device = day.site.registry.device(charger.device_id)
            sound = charger.reachable and charger.device_id not in day.trouble.unknown | day.trouble.stuck
            if sound and control and device:
                told.judged += 1
                if charger.state(at) != expected_state(control, device.protocol, at):
                    told.wrong.append(charger.device_id)
        told.reasons = self._reasons()
        commands = [c for page in day.site.registry.commands() for c in page]
        told.statuses = Counter(c.status for c in commands)
        told.retried = sum(self._retried(c) for c in commands)
        for name in (*(plan.schedule for plan in PLANS), "other"):
            told.tariffs.append(self._row(name, [c for c in commands if day.plans[c.device_id] == name]))
        return told

    def _retried(self, command: Command) -> bool:
        return self.day.trouble.tries[command.wireless_device_id or "", command.ver] > 1

    def _row(self, plan: str, commands: list[Command]) -> dict[str, Any]:
        status = Counter(c.status for c in commands)
        minutes = self.told.peak_minutes[plan]
        values = (
            plan,
            list(self.day.plans.values()).count(plan),
            self.told.pauses[plan],
            f"{self._charged[plan] / minutes:.1%}" if minutes else "",
            len(commands),
            sum(c.sent_at is not None for c in commands),
            status["acked"],
            sum(map(self._retried, commands)),
            *(status[s] for s in ("superseded", "dead", "dropped")),
            status["pending"] + status["sending"] + status["sent"],
        )
        return dict(zip(COLUMNS, values, strict=True))

    def _reasons(self) -> dict[str, int]:
        lake = self.day.lake
        decided = lake.scan(CHARGE_DECISIONS).select(pl.col("reasons").explode()).collect()["reasons"]
        commands = lake.scan(CHARGE_COMMANDS).select("device_id", "command_id", "reasons").collect()
        counts: dict[str, int] = dict(decided.drop_nulls().value_counts().iter_rows())
        for name in _OF_COMMANDS.names:
            having = commands.filter(pl.col("reasons").list.contains(name))
            if having.height:
                counts[name] = having["command_id"].n_unique()
                told = (
                    "its window was said again"
                    if name == "heartbeat"
                    else "it said otherwise, and was told again"
                )
                self.told.examples[name] = f"{having['device_id'].sort()[0]}: {told}."
        return {name: counts[name] for name in Reason(~0).names if name in counts}


def live_fleet(data_dir: Path, *, devices: int = 500, start: datetime = START, end: datetime = END) -> Told:
    """Simulate the day in that folder, replacing an earlier demo's, and tell what came of it.

    Raises FileExistsError where the folder holds charge control that is no demo's.
    """
    with stage(data_dir, devices=devices, start=start, end=end) as day:
        watch = _Watch(day)
        live(day, watch.minute, watch.run)
        return watch.end()


def show(
    told: Told,
    table: Callable[[str, Iterable[str], Iterable[Any]], None],
    say: Callable[[str], None],
) -> None:
    """Print it."""
    day = told.day
    say(
        f"fleet: {len(day.plans)} simulated chargers in {len(PLANS)} tariffs, {day.start:%A %Y-%m-%d %H:%M}Z to "
        f"{day.end:%A %H:%M}Z; WattTime, AWS IoT Wireless and the chargers are stand-ins on the loopback"
    )
    table("Charge control by tariff", COLUMNS, [list(row.values()) for row in told.tariffs])
    minutes, charged = sum(told.peak_minutes.values()), sum(told.on_peak.values())
    why = ", ".join(f"{name} {n / charged:.0%}" for name, n in told.on_peak.most_common())
    say(f"cars that charged on-peak: {charged / max(minutes, 1):.2%} of the time; why: {why or 'none did'}")
    answers = ", ".join(f"{n:,} x {status}" for status, n in sorted(day.aws.answers.items()))
    say(f"network: {answers}; {day.trouble.lost} accepted and lost, {told.retried} commands tried again")
    causes = ", ".join(f"{cause} {n}" for cause, n in day.causes.most_common())
    say(
        f"sensor: looked {day.looks:,} times, launched {day.runs} runs ({causes}), skipped {day.looks - day.runs:,}"
    )
    say("reasons, with the decisions (commands for the last two) that they bore on, and one of them:")
    for name, count in told.reasons.items():
        say(f"  {name:15} {count:6,}  {told.examples.get(name, '')}")
    say("a person should look at:")
    for line in _alert_lines(day):
        say(line)
    left = f": {', '.join(told.wrong)}" if told.wrong else ""
    say(f"in the end {len(told.wrong)} of {told.judged} reachable chargers are in a wrong state{left}")


def _alert_lines(day: Day) -> list[str]:
    """The alerts, those that say the same of several devices on one line."""
    times: Counter[str] = Counter()
    devices: dict[str, set[str]] = {}
    for alert, count in day.alerts.items():
        name, _, what = alert.partition(": ")
        said = what.replace(f"{name} ", "").split(":", 1) if name in day.plans else [alert]
        times[said[0]] += count
        devices.setdefault(said[0], set()).update({name} & day.plans.keys())
    lines = []
    for what, count in sorted(times.items(), key=lambda item: (-item[1], item[0])):
        who = f"{', '.join(sorted(devices[what]))}: " if devices[what] else ""
        lines.append(f"  {count:4,} x {textwrap.shorten(who + what, 140, placeholder=' ...')}")
    return lines


def _span(start: int, end: int) -> tuple[datetime, datetime]:
    return datetime.fromtimestamp(start / 1e6, UTC), datetime.fromtimestamp(end / 1e6, UTC)
