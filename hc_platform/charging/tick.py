"""One run of charge control from end to end in this process, without Dagster: what the demo and a dry run do.

What belongs here: the order of the steps. What does not: the steps. Dagster's job (`orchestration.charging_assets`)
takes the same ones in the same order.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from hc_platform.charging.delivery import Delivered, deliver, take_news
from hc_platform.charging.recording import (
    RunRow,
    record_commands,
    record_devices,
    record_readings,
    record_run,
    record_schedules,
)
from hc_platform.charging.schedules import load_schedules
from hc_platform.charging.site import Site
from hc_platform.charging.steps import (
    Decided,
    Moer,
    decide_fleet,
    enqueue,
    fleet_at,
    instant_of,
    mode_at,
    read_moer,
    readings_at,
    regions_in_use,
    send_heartbeats,
    utilities_of,
    whole_second,
)
from hc_platform.charging.wake import files_mark, remember_run


@dataclass(frozen=True)
class Ticked:
    """What one run came to."""

    decided: Decided
    moer: Moer
    lost: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    news: Delivered = field(default_factory=Delivered)
    delivered: Delivered = field(default_factory=Delivered)

    @property
    def alerts(self) -> list[str]:
        """All that a person should look at."""
        return [*self.unreadable, *self.moer.alerts, *self.news.alerts, *self.delivered.alerts]


def decide_at(site: Site, as_of: datetime) -> tuple[Decided, Moer]:
    """Decide for an instant and write nothing: a dry run, or a question about the past."""
    as_of = whole_second(as_of)
    now = site.now()
    mode = mode_at(as_of, now)
    version = site.registry.version()
    fleet = site.registry.fleet() if mode == "live" else fleet_at(site, as_of)
    schedules = load_schedules(site, as_of, needed=utilities_of(fleet), keep=False)
    regions = regions_in_use(fleet, schedules.policies)
    moer = read_moer(site, regions, now, keep=False) if mode == "live" else readings_at(site, regions, as_of)
    return decide_fleet(fleet, schedules, moer, as_of, mode, version), moer


def tick(site: Site, as_of: datetime, *, cause: str) -> Ticked:
    """Take in news, decide, enqueue, deliver, record; for an instant of the past, decide and record only.

    Raises ValueError for an instant to come.
    """
    started, run_id = site.now(), str(uuid4())
    as_of, mode = instant_of(as_of, started)
    if mode == "backfill":
        decided, moer = decide_at(site, as_of)
        record_run(site, decided, RunRow(run_id, cause, started))
        return Ticked(decided, moer)
    news = take_news(site.registry, site.events, now=started)
    version, files = site.registry.version(), files_mark(site)
    fleet = site.registry.fleet()
    unreadable = site.registry.unreadable()
    schedules = load_schedules(site, as_of, needed=utilities_of(fleet))
    moer = read_moer(site, regions_in_use(fleet, schedules.policies), started)
    decided = decide_fleet(fleet, schedules, moer, as_of, "live", version)
    lost = enqueue(site, decided)
    send_heartbeats(site, decided, schedules, started)
    delivered = deliver(
        site.registry,
        site.downlink,
        owner=run_id,
        now=site.now,
        quota=site.quota,
        key=site.payload_key,
        sleep=site.sleep,
    )
    # last of all: a lake out of reach must hold back no command
    record_devices(site)
    record_schedules(site, schedules, started)
    record_readings(site, moer, run_id)
    record_run(site, decided, RunRow(run_id, cause, started, len(lost), delivered.counts), lost)
    record_commands(site, run_id)
    remember_run(site, decided, schedules, moer, version, files)
    return Ticked(decided, moer, lost, unreadable, news, delivered)
