"""The run of charge control as Dagster sees it: seven steps, six tables, their checks.

What belongs here: thin ops over `charging.steps`, `delivery` and `recording`, and what a run shows of itself. What does
not: when it runs (`charging_automation`), or any rule.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from hc_platform.charging import checks
from hc_platform.charging.delivery import Delivered, deliver, take_news
from hc_platform.charging.recording import (
    RunRow,
    reason_counts,
    record_commands,
    record_devices,
    record_readings,
    record_run,
    record_schedules,
)
from hc_platform.charging.schedules import Schedules, load_schedules
from hc_platform.charging.site import Site
from hc_platform.charging.steps import (
    Decided,
    Mode,
    Moer,
    decide_fleet,
    enqueue,
    fleet_at,
    instant_of,
    read_moer,
    readings_at,
    regions_in_use,
    send_heartbeats,
    utilities_of,
)
from hc_platform.charging.tables import (
    CHARGE_COMMANDS,
    CHARGE_DECISIONS,
    CHARGE_RUNS,
    DEVICES,
    MOER_READINGS,
    TOU_SCHEDULES,
)
from hc_platform.charging.wake import files_mark, remember_run
from hc_platform.orchestration.metadata import bar, check_result, column_schema, markdown

GROUP = "charge_control"
TABLES = (DEVICES, TOU_SCHEDULES, MOER_READINGS, CHARGE_DECISIONS, CHARGE_COMMANDS, CHARGE_RUNS)
_NAMES = tuple(t.name for t in TABLES)
_DEPENDS = {
    "charge_decisions": ("devices", "tou_schedules", "moer_readings"),
    "charge_commands": ("charge_decisions",),
    "charge_runs": ("charge_commands",),
}
CHECKED = {
    "schedules_load": "tou_schedules",
    "devices_have_schedules": "devices",
    "devices_are_readable": "devices",
    "regions_are_fresh": "moer_readings",
    "no_dead_letters": "charge_commands",
    "devices_agree": "charge_commands",
}
"""Check -> the asset that it is of."""
_SHOWN = 50
_DAY = timedelta(hours=24)


class RunOptions(dg.Config):
    """Options of a run."""

    as_of: str | None = None
    """The instant to decide for, ISO 8601 with offset; none: now. One of the past makes decisions only."""


@dataclass(frozen=True)
class Loaded:
    """The fleet as it was when the run began, and what the run is for."""

    as_of: datetime
    mode: Mode
    started_at: datetime
    fleet: pl.DataFrame
    unreadable: list[str]
    registry_version: int
    files: str


@dataclass(frozen=True)
class Enqueued:
    """A decision written down, and who was first where it was not ours."""

    decided: Decided
    lost: list[str]


def charging_assets(site: Callable[[], Site]) -> dg.AssetsDefinition:  # noqa: C901 - seven ops, one after the other
    """The graph of the seven steps, whose outputs are the six tables."""

    @dg.op
    def load_devices(context: dg.OpExecutionContext, config: RunOptions) -> dg.Output[Loaded]:
        here = site()
        now = here.now()
        try:
            as_of, mode = instant_of(_instant(config.as_of) if config.as_of else None, now)
        except ValueError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        news = take_news(here.registry, here.events, now=now) if mode == "live" else Delivered()
        # the marks first: what changes while the fleet is read makes the next run
        version, files = here.registry.version(), files_mark(here)
        fleet = here.registry.fleet() if mode == "live" else fleet_at(here, as_of)
        loaded = Loaded(as_of, mode, now, fleet, here.registry.unreadable(), version, files)
        _say(context, news)
        told: dict[str, Any] = {
            "as of": as_of.isoformat(),
            "mode": mode,
            "news of devices": dict(news.counts),
        }
        return dg.Output(loaded, metadata={**told, "devices": loaded.fleet.height})

    @dg.op(name="load_schedules")
    def schedules_op(context: dg.OpExecutionContext, loaded: Loaded) -> dg.Output[Schedules]:
        here = site()
        schedules = load_schedules(here, loaded.as_of, needed=utilities_of(loaded.fleet))
        if schedules.problem:
            context.log.error(f"the last good schedules stay in force: {schedules.problem}")
        names = sorted(schedules.tariffs) if schedules.tariffs else sorted(schedules.utilities)
        return dg.Output(schedules, metadata={"tariffs": ", ".join(names)})

    @dg.op(name="read_moer")
    def moer_op(context: dg.OpExecutionContext, loaded: Loaded, schedules: Schedules) -> dg.Output[Moer]:
        here = site()
        regions = regions_in_use(loaded.fleet, schedules.policies)
        if loaded.mode == "live":
            moer = read_moer(here, regions, loaded.started_at)
        else:
            moer = readings_at(here, regions, loaded.as_of)
        for alert in moer.alerts:
            context.log.warning(alert)
        return dg.Output(moer, metadata={"alerts": "; ".join(moer.alerts) or "none"})

    @dg.op(name="decide")
    def decide_op(loaded: Loaded, schedules: Schedules, moer: Moer) -> dg.Output[Decided]:
        decided = decide_fleet(
            loaded.fleet, schedules, moer, loaded.as_of, loaded.mode, loaded.registry_version
        )
        return dg.Output(decided, metadata={"reasons": bar(reason_counts(decided.frame))})

    @dg.op(name="enqueue")
    def enqueue_op(decided: Decided, schedules: Schedules) -> dg.Output[Enqueued]:
        if decided.mode != "live":
            return dg.Output(Enqueued(decided, []), metadata={"commands": "none: the instant is past"})
        here = site()
        lost = enqueue(here, decided)
        repeated = send_heartbeats(here, decided, schedules, here.now())
        counts: dict[str, int] = {n: int(decided.frame[n].sum()) for n in ("changed", "commanded")}
        return dg.Output(
            Enqueued(decided, lost), metadata={**counts, "lost races": len(lost), "heartbeats": repeated}
        )

    @dg.op(name="deliver")
    def deliver_op(context: dg.OpExecutionContext, enqueued: Enqueued) -> dg.Output[Delivered]:
        if enqueued.decided.mode != "live":
            return dg.Output(Delivered())
        here = site()
        told = deliver(
            here.registry,
            here.downlink,
            owner=context.run.run_id,
            now=here.now,
            quota=here.quota,
            key=here.payload_key,
            sleep=here.sleep,
        )
        _say(context, told)
        return dg.Output(told, metadata={"outcomes": dict(told.counts)})

    checked = {f"{asset}_{name}": name for name, asset in CHECKED.items()}

    @dg.op(name="record", out={name: dg.Out() for name in (*_NAMES, *checked)})
    def record_op(
        context: dg.OpExecutionContext,
        loaded: Loaded,
        schedules: Schedules,
        moer: Moer,
        enqueued: Enqueued,
        delivered: Delivered,
    ) -> Iterator[Any]:
        # last of all: a lake out of reach must hold back no command
        here, decided = site(), enqueued.decided
        cause = context.run.tags.get("cause", "by hand")
        run = RunRow(context.run.run_id, cause, loaded.started_at, len(enqueued.lost), delivered.counts)
        yield from _inputs(here, loaded, schedules, moer, run.run_id)
        yield from _results(here, enqueued, delivered, run)
        if decided.mode == "live":
            remember_run(here, decided, schedules, moer, loaded.registry_version, loaded.files)
        recent = here.lake.scan(CHARGE_COMMANDS).filter(pl.col("updated_at") > loaded.started_at - _DAY)
        for check in (
            checks.schedules_load(schedules),
            checks.devices_have_schedules(decided),
            checks.devices_are_readable(loaded.unreadable),
            checks.regions_are_fresh(moer),
            checks.no_dead_letters(recent.collect(), loaded.started_at),
            checks.devices_agree(loaded.fleet),
        ):
            yield check_result(check, dg.AssetKey(CHECKED[check.name]))

    @dg.graph(name="charge_control", out={n: dg.GraphOut() for n in (*_NAMES, *checked)})
    def charge_control() -> Any:
        loaded = load_devices()
        schedules = schedules_op(loaded)
        moer = moer_op(loaded, schedules)
        decided = decide_op(loaded, schedules, moer)
        enqueued = enqueue_op(decided, schedules)
        delivered = deliver_op(enqueued)
        recorded = record_op(loaded, schedules, moer, enqueued, delivered)
        return {name: getattr(recorded, name) for name in (*_NAMES, *checked)}

    return dg.AssetsDefinition.from_graph(
        charge_control,
        keys_by_output_name={n: dg.AssetKey(n) for n in _NAMES},
        internal_asset_deps={n: {dg.AssetKey(d) for d in _DEPENDS.get(n, ())} for n in _NAMES},
        group_name=GROUP,
        descriptions_by_output_name={t.name: t.meaning for t in TABLES},
        metadata_by_output_name={t.name: {"dagster/column_schema": column_schema(t)} for t in TABLES},
        tags_by_output_name={n: {"dagster/kind/deltalake": ""} for n in _NAMES},
        check_specs=[
            dg.AssetCheckSpec(name, asset=asset, description=checks.CHECKS[name])
            for name, asset in CHECKED.items()
        ],
    )


def _inputs(
    here: Site, loaded: Loaded, schedules: Schedules, moer: Moer, run_id: str
) -> Iterator[dg.Output[None]]:
    """Record what was decided with; nothing of it is written for an instant of the past."""
    live = loaded.mode == "live"
    devices = record_devices(here) if live else None
    yield dg.Output(
        None, "devices", metadata={"written": _written(devices), "controlled": loaded.fleet.height}
    )
    stretches = record_schedules(here, schedules, loaded.started_at) if live else None
    yield dg.Output(None, "tou_schedules", metadata={"written": _written(stretches), "hash": schedules.hash})
    readings = record_readings(here, moer, run_id) if live else 0
    shown = pl.DataFrame() if moer.usable is None else moer.usable.drop("disabled")
    yield dg.Output(
        None, "moer_readings", metadata={"dagster/row_count": readings, "readings": markdown(shown, _SHOWN)}
    )


def _results(here: Site, enqueued: Enqueued, delivered: Delivered, run: RunRow) -> Iterator[dg.Output[None]]:
    """Record what came of it, and show it."""
    decided = enqueued.decided
    rows, summary = record_run(here, decided, run, enqueued.lost)
    shown = rows.select("device_id", "desired", "window_start", "window_end", "tier", "reasons", "commanded")
    yield dg.Output(
        None,
        "charge_decisions",
        metadata={
            "dagster/row_count": rows.height,
            "decisions": markdown(shown.with_columns(pl.col("reasons").list.join(", ")), _SHOWN),
            "devices by reason": bar(reason_counts(decided.frame)),
        },
    )
    commands = record_commands(here, run.run_id)
    shown = commands.select("device_id", "ver", "desired", "status", "attempts", "error")
    yield dg.Output(
        None,
        "charge_commands",
        metadata={
            "dagster/row_count": commands.height,
            "outcomes": bar(dict(delivered.counts)),
            "commands": markdown(shown, _SHOWN),
        },
    )
    told = {k: str(v) if isinstance(v, datetime) else v for k, v in summary.items()}
    yield dg.Output(None, "charge_runs", metadata=told)


def _written(rows: int | None) -> str:
    return "unchanged" if rows is None else f"{rows} rows"


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise dg.Failure(
            f"as_of {text!r} has no offset: write it like 2026-07-03T23:00:00Z", allow_retries=False
        )
    return at.astimezone(UTC)


def _say(context: dg.OpExecutionContext, told: Delivered) -> None:
    context.log.info(", ".join(f"{n} {what}" for what, n in told.counts.items()) or "nothing")
    for alert in told.alerts:
        context.log.error(alert)
