"""A fleet of chargers over one simulated day: five tariffs, five WattTime regions, and much that goes wrong.

What belongs here: who is in the fleet, the stage, and the day, step by step as the sensor takes it. What does not: what
befalls whom (`fleet_trouble`), the counts and how they are shown (`fleet_report`). Registry, decisions, outbox, downlink
client, WattTime client and sensor are the platform's own; only the clock, the network, WattTime and the chargers are
stand-ins.
"""

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import boto3
import polars as pl

from hc_platform.charging.downlinks.base import Delivery, Uplink
from hc_platform.charging.downlinks.events import parse_event
from hc_platform.charging.downlinks.sidewalk import SidewalkDownlink
from hc_platform.charging.models import Device
from hc_platform.charging.moer.watttime import WattTime
from hc_platform.charging.overrides import charge_now
from hc_platform.charging.registry.base import Registry
from hc_platform.charging.registry.sqlite import SqliteRegistry
from hc_platform.charging.site import Site
from hc_platform.charging.tables import LAKE_TABLES
from hc_platform.charging.tick import Ticked, tick
from hc_platform.charging.wake import look
from hc_platform.demo.chargers import Charger, Fleet
from hc_platform.demo.fleet_trouble import (
    END,
    FORBIDDEN,
    PLANS,
    SEED,
    START,
    STEP,
    Clock,
    Trouble,
    at_utc,
    bad_hour,
    percentile,
    set_wrong_clock,
)
from hc_platform.demo.iot_wireless import IotWireless
from hc_platform.demo.watttime import PASSWORD, USERNAME, DemoWattTime, serve_watttime
from hc_platform.lake.store import Lake
from hc_platform.settings import PROJECT_DIR
from hc_platform.tables import Table

_SETTLES: Final = timedelta(hours=2)
_HELD: Final = timedelta(minutes=5)  # so long the network tries before it says that a device was not reached
_MARK: Final = "demo/fleet"


_ODD: Final[tuple[dict[str, Any], ...]] = (
    {"utility_id": "utility_of_nowhere", "rate_plan": "any"},
    {"rate_plan": None},
    {"rate_plan": "r"},  # flat
    {"rate_plan": "from_next_year"},
    {"watttime_region": None},
    {"policy_id": "gone"},
)
"""The first devices, all but for this as the first plan's: what a registry also holds."""


class Inbox:
    """Delivery events and uplinks as a queue gives them: they wake nobody, and are read at the next run."""

    def __init__(self) -> None:
        self.rejected = self.ignored = 0
        self._texts: list[str] = []

    def put(self, event: object) -> None:
        """A device or the network says something."""
        self._texts.append(json.dumps(event))

    def waiting(self) -> bool:
        """See Events: a queue says no."""
        return False

    def receive(self) -> list[Delivery | Uplink]:
        """See Events."""
        return [event for event in map(parse_event, self._texts) if event is not None]

    def done(self) -> None:
        """See Events."""
        self._texts.clear()


@dataclass(frozen=True)
class PatientLake(Lake):
    """A lake that commits what was appended when the day is over.

    Some hundred runs in seconds would else make some hundred commits, which is Delta's slowest way.
    """

    held: dict[str, list[pl.DataFrame]] = field(default_factory=dict)

    def append(self, table: Table, rows: pl.DataFrame, *, run_id: str | None = None) -> int:
        """Keep rows for `flush`; they carry their run's id themselves."""
        self.held.setdefault(table.name, []).append(table.conform(rows))
        return rows.height

    def scan(self, table: Table, **partition: str) -> pl.LazyFrame:
        """The rows, those that are not yet committed too."""
        return pl.concat(
            [super().scan(table, **partition), *(f.lazy() for f in self.held.get(table.name, ()))]
        )

    def flush(self) -> None:
        """Commit."""
        for table in LAKE_TABLES:
            if frames := self.held.pop(table.name, None):
                super().append(table, pl.concat(frames))


class HastyRegistry(SqliteRegistry):
    """The registry, not synced to disk at each write: a demo's may be lost with the power."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._db.execute("PRAGMA synchronous = OFF")


@dataclass
class Day:
    """The stage of one day, and what was noted while it went by."""

    site: Site
    lake: PatientLake
    clock: Clock
    fleet: Fleet
    aws: IotWireless
    watttime: DemoWattTime
    inbox: Inbox
    plans: dict[str, str]
    """device_id -> the plan's schedule, or 'other'."""
    trouble: Trouble
    start: datetime
    end: datetime
    looks: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    """Runs by what caused them; a run may have several causes."""
    runs: int = 0
    alerts: Counter[str] = field(default_factory=Counter)
    charge_now: list[str] = field(default_factory=list)

    @property
    def unheard(self) -> set[str]:
        """Devices that no command can reach."""
        known = self.aws.devices
        return {c.device_id for c in self.fleet.chargers.values() if c.wireless_device_id not in known}


def clear(data_dir: Path, lake: Lake) -> None:
    """Remove what an earlier demo left. Raises FileExistsError where the registry or the tables are not a demo's."""
    file = data_dir / "registry.sqlite"
    tables = [Path(lake.uri(table)) for table in LAKE_TABLES if Path(lake.uri(table)).exists()]
    if file.exists():
        registry = SqliteRegistry(file)
        ours = registry.recall(_MARK) is not None
        registry.close()
    else:
        ours = not tables
    if not ours:
        raise FileExistsError(
            f"{data_dir} holds charge control that is no demo's; give the demo a folder of its own with --data-dir"
        )
    for path in data_dir.glob("registry.sqlite*"):
        path.unlink()
    for folder in tables:
        shutil.rmtree(folder)


def _devices(count: int, rng: random.Random) -> list[Device]:
    """The fleet: the odd ones first, then the plans in turn."""
    found = []
    for n in range(count):
        plan = PLANS[0] if n < len(_ODD) else PLANS[n % len(PLANS)]
        utility, rate_plan = plan.schedule.split("/")
        fields = {
            "device_id": f"{utility}-{n:04d}",
            "wireless_device_id": f"w-{n:04d}",
            "protocol": "legacy" if rng.random() < 0.1 else "window",
            "utility_id": utility,
            "rate_plan": rate_plan,
            "plan_confirmed_by": "demo",
            "watttime_region": plan.region,
            "policy_id": rng.choices(("default", "tariff_only", "reminding", "shoulder_too"), (45, 45, 5, 5))[
                0
            ],
        }
        if n < len(_ODD):
            fields |= {"device_id": f"odd-{n:04d}", "protocol": "window", "policy_id": "default"} | _ODD[n]
        found.append(Device.model_validate(fields))
    return found


@contextmanager
def stage(
    data_dir: Path, *, devices: int = 500, start: datetime = START, end: datetime = END
) -> Iterator[Day]:
    """Everything for a day, open as long as the context: replaces what an earlier demo left in that folder.

    Raises FileExistsError where that was no demo.
    """
    lake = PatientLake(str((data_dir / "lake").resolve()))
    clear(data_dir, lake)
    rng, clock = random.Random(SEED), Clock(start)  # noqa: S311 - a simulation
    registered = _devices(devices, rng)
    chargers = [Charger(d.device_id, d.wireless_device_id) for d in registered]
    fleet = Fleet(chargers)
    trouble = Trouble(clock, fleet, rng, [d.device_id for d in registered[len(_ODD) :]])
    for charger in chargers:
        charger.stuck = "allow" if charger.device_id in trouble.stuck else None
    known = [c.wireless_device_id for c in chargers if c.device_id not in trouble.unknown]
    with ExitStack() as open_:
        server = open_.enter_context(
            serve_watttime(index=percentile, now=clock.now, denied=[FORBIDDEN], trouble=bad_hour)
        )
        aws = open_.enter_context(
            IotWireless(
                known,
                deliver=trouble.deliver,
                trouble=trouble.refuse,
                rate=1e6,
                burst=1e6,
                clock=clock.now,
            )
        )
        watttime = open_.enter_context(
            WattTime(
                USERNAME,
                PASSWORD,
                base_url=server.url,
                clock=clock.now,
                monotonic=lambda: clock.at.timestamp(),
                sleep=lambda _seconds: None,
            )
        )
        registry = HastyRegistry(data_dir / "registry.sqlite")
        open_.callback(registry.close)
        inbox = Inbox()
        site = Site(
            registry=registry,
            lake=lake,
            tariff_dir=PROJECT_DIR / "tou_schedules",
            policy_file=PROJECT_DIR / "charge_policies.yaml",
            downlink=SidewalkDownlink(
                endpoint_url=aws.url,
                clock=clock.now,
                session=boto3.Session(aws_access_key_id="demo", aws_secret_access_key="demo"),  # noqa: S106
            ),
            events=inbox,
            watttime=watttime,
            now=clock.now,
            sleep=clock.sleep,
        )
        _register(registry, registered, trouble, start)
        plans = {
            d.device_id: "other" if d.device_id.startswith("odd") else f"{d.utility_id}/{d.rate_plan}"
            for d in registered
        }
        yield Day(site, lake, clock, fleet, aws, server, inbox, plans, trouble, start, end)


def _register(registry: Registry, devices: list[Device], trouble: Trouble, now: datetime) -> None:
    registry.remember(_MARK, "a demo's, replaced by the next one")
    registry.put_schedule_row(
        {
            "utility_id": "xcel_co",
            "rate_plan": "from_next_year",
            "timezone": "America/Denver",
            "peak_weekdays": [0, 1, 2, 3, 4],
            "peak_start_hour": 17,
            "peak_end_hour": 21,
            "effective_date": "2027-01-01",
        }
    )
    for device in devices:
        if device.device_id in trouble.leaving:
            plan = next(p for p in PLANS if p.schedule == device.schedule)
            leaves = {"deadline": plan.at(21, 30), "need_s": 9_000}
            device = device.model_copy(update=leaves)
        registry.put_device(device, now=now)


def live(day: Day, watch: Callable[[datetime], None], heard: Callable[[Ticked], None]) -> None:
    """Let the day go by, then what is still under way settle, for two hours at most.

    `watch` is called after each minute, `heard` after each run.
    """
    state = random.getstate()
    random.seed(SEED)  # the backoff of retries
    polled: datetime | None = None
    held: list[tuple[datetime, dict[str, Any]]] = []
    try:
        at = day.start
        while at < day.end or (at < day.end + _SETTLES and _is_open(day, at)):
            day.clock.at = max(at, day.clock.at)
            set_wrong_clock(day.watttime, at)
            held = _befall(day, at, held)
            wake = look(day.site, day.clock.at, polled)
            polled = wake.polled_at
            day.looks += 1
            if wake.causes:
                ticked = tick(day.site, wake.as_of, cause="+".join(wake.causes))
                day.runs += 1
                day.causes.update({cause.split(" ")[0] for cause in wake.causes})
                day.alerts.update(ticked.alerts)
                heard(ticked)
            watch(day.clock.at)
            at += STEP
    finally:
        random.setstate(state)
    day.lake.flush()


def _is_open(day: Day, at: datetime) -> bool:
    """Whether a command waits that has not been given up."""
    due = day.site.registry.next_due().command
    return due is not None and due < at + _SETTLES


def _befall(
    day: Day, at: datetime, held: list[tuple[datetime, dict[str, Any]]]
) -> list[tuple[datetime, dict[str, Any]]]:
    """What drivers, devices and the network do in this minute; returns the network's news that is still to come."""
    registry, trouble = day.site.registry, day.trouble
    for charger in day.fleet.chargers.values():
        trouble.power(charger, at)
        if charger.reachable and trouble.says_so(charger, at):
            day.inbox.put(charger.uplink(at))
    for n, device_id in enumerate(trouble.pressing):
        if at == at_utc(23, 45) + n * STEP:
            with_pause = registry.control(device_id)
            if with_pause and with_pause.desired == "pause":
                charge_now(registry, device_id, now=at)
                day.charge_now.append(device_id)
    if at == START + timedelta(hours=18, minutes=20):
        device = registry.device(trouble.deactivated)
        if device:
            registry.put_device(device.model_copy(update={"status": "inactive"}), now=at)
    for event in sorted(day.aws.events(), key=lambda e: (e["WirelessDeviceId"], e["Sidewalk"]["Seq"])):
        held.append((at + (_HELD if event["eventType"] == "error" else STEP * 0), event))
    for due, event in held:
        if due <= at:
            day.inbox.put(event)
    return [(due, event) for due, event in held if due > at]
