"""What a run leaves in the lake: devices, compiled schedules, readings, decisions, commands, the run itself.

What belongs here: turning a run's results into rows, once each. What does not: the results (`steps`, `delivery`).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from hc_platform.charging.models import Command, Reason
from hc_platform.charging.schedules import Schedules
from hc_platform.charging.site import Site
from hc_platform.charging.steps import Decided, Moer, close_record, readings_frame, record_is_behind
from hc_platform.charging.tables import (
    CHARGE_COMMANDS,
    CHARGE_DECISIONS,
    CHARGE_RUNS,
    DEVICES,
    MOER_READINGS,
    TOU_SCHEDULES,
)
from hc_platform.charging.tariffs.compiled import compile_tariffs

_OVERLAP = timedelta(minutes=2)


@dataclass(frozen=True)
class RunRow:
    """What charge_runs says of a run beside its counts."""

    run_id: str
    cause: str
    started_at: datetime
    lost_races: int = 0
    delivered: Mapping[str, int] = field(default_factory=dict)


def record_devices(site: Site) -> int | None:
    """Replace `devices` by the registry's state; None if it has not changed since it was last recorded."""
    version = str(site.registry.version())
    if site.registry.recall("recorded/devices") == version and site.lake.version(DEVICES) >= 0:
        return None
    written = site.lake.replace(DEVICES, {}, site.registry.registered())
    site.registry.remember("recorded/devices", version)
    return written


def record_schedules(site: Site, schedules: Schedules, now: datetime) -> int | None:
    """Replace `tou_schedules` by the compiled tariffs, last year to next; None if nothing has changed or can be read."""
    if schedules.tariffs is None:
        return None
    mark = f"{now.year}|{schedules.tariffs.hash}"
    if site.registry.recall("recorded/tou_schedules") == mark and site.lake.version(TOU_SCHEDULES) >= 0:
        return None
    start, end = datetime(now.year - 1, 1, 1, tzinfo=UTC), datetime(now.year + 2, 1, 1, tzinfo=UTC)
    written = site.lake.replace(TOU_SCHEDULES, {}, compile_tariffs(schedules.tariffs, start, end))
    site.registry.remember("recorded/tou_schedules", mark)
    return written


def record_readings(site: Site, moer: Moer, run_id: str) -> int:
    """Append the readings that no run has recorded yet."""
    marks = json.loads(site.registry.recall("recorded/moer") or "{}")
    fresh = [r for r in moer.readings if marks.get(r.region) != r.fetched_at.isoformat()]
    if not fresh:
        return 0
    frame = MOER_READINGS.conform(readings_frame(fresh).with_columns(run_id=pl.lit(run_id)))
    key = ["region", "fetched_at"]

    def missing(there: pl.LazyFrame) -> pl.DataFrame:
        near = there.filter(pl.col("fetched_at") >= frame["fetched_at"].min()).select(key).collect()
        return frame.join(near, on=key, how="anti")

    written = site.lake.append_missing(MOER_READINGS, missing, run_id=run_id).height
    marks |= {r.region: r.fetched_at.isoformat() for r in fresh}
    site.registry.remember("recorded/moer", json.dumps(marks))
    return written


def decision_rows(
    decided: Decided, run_id: str, lost: Iterable[str] = (), *, every: bool = False
) -> pl.DataFrame:
    """The decisions that differ from the ones before (or all), as rows of charge_decisions; none that lost a race."""
    wanted = pl.lit(True) if every else pl.col("differs")
    frame = decided.frame.filter(wanted & ~pl.col("device_id").is_in(list(lost)))
    return CHARGE_DECISIONS.conform(
        with_reason_names(frame)
        .with_columns(
            as_of=pl.lit(decided.as_of),
            mode=pl.lit(decided.mode),
            inputs_hash=pl.lit(decided.inputs_hash),
            run_id=pl.lit(run_id),
        )
        .select(n for n in CHARGE_DECISIONS.names)
    )


def with_reason_names(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with its `reasons` bits turned into lists of names."""
    bits = frame["reasons"].unique().to_list()
    names = pl.DataFrame(
        {"reasons": bits, "named": [Reason(b).names for b in bits]},
        schema={"reasons": pl.Int64(), "named": pl.List(pl.String())},
    )
    return (
        frame.join(names, on="reasons", how="left", maintain_order="left")
        .drop("reasons")
        .rename({"named": "reasons"})
    )


def reason_counts(frame: pl.DataFrame) -> dict[str, int]:
    """Devices by reason; `none` for those that nothing bears on."""
    counts = frame.group_by("reasons").len().rows()
    by_name: dict[str, int] = {}
    for bits, devices in counts:
        for name in Reason(bits).names or ["none"]:
            by_name[name] = by_name.get(name, 0) + devices
    return dict(sorted(by_name.items(), key=lambda item: -item[1]))


def _run_row(decided: Decided, run: RunRow, ended_at: datetime) -> dict[str, Any]:
    """The row of charge_runs."""
    frame = decided.frame
    paused = (pl.col("desired") == "pause") & (pl.col("window_start") <= decided.as_of)
    told = run.delivered
    return {
        "run_id": run.run_id,
        "as_of": decided.as_of,
        "mode": decided.mode,
        "cause": run.cause,
        "started_at": run.started_at,
        "ended_at": ended_at,
        "devices": frame.height,
        "paused": frame.filter(paused).height,
        "changed": frame.filter("differs").height,
        "commanded": frame.filter("commanded").height - run.lost_races if decided.mode == "live" else 0,
        "lost_races": run.lost_races,
        "sent": told.get("sent", 0),
        "failed": told.get("retried", 0) + told.get("throttled", 0),
        "dead": told.get("dead", 0),
        "dropped": told.get("dropped", 0),
        "reasons": json.dumps(reason_counts(frame)),
        "inputs_hash": decided.inputs_hash,
    }


def record_run(
    site: Site, decided: Decided, run: RunRow, lost: Iterable[str] = ()
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Append the decisions that differ, and the run; returns the decisions' rows and the run's.

    A run that died between enqueueing and here left decisions in force that no table has: the next one records every
    decision that stands. So each is in the table at least once.
    """
    rows = decision_rows(decided, run.run_id, lost, every=record_is_behind(site, decided))
    if rows.height:
        site.lake.append(CHARGE_DECISIONS, rows, run_id=run.run_id)
    close_record(site, decided)
    row = _run_row(decided, run, site.now())
    frame = pl.DataFrame([row], schema=CHARGE_RUNS.schema, orient="row")
    site.lake.append(CHARGE_RUNS, frame, run_id=run.run_id)
    return rows, row


def record_commands(site: Site, run_id: str) -> pl.DataFrame:
    """Append every state of a command that no run has recorded yet; returns these rows."""
    mark = site.registry.recall("recorded/commands")
    since = datetime.fromisoformat(mark) if mark else None
    # a writer may commit a little later than its rows say
    look_from = since - _OVERLAP if since else None
    found = [c for page in site.registry.commands(since=look_from) for c in page]
    if not found:
        return CHARGE_COMMANDS.empty()
    frame = _command_rows(found, run_id)
    key = ["command_id", "status", "attempts", "updated_at"]

    def missing(there: pl.LazyFrame) -> pl.DataFrame:
        near = there.filter(pl.col("updated_at") >= look_from) if look_from else there
        return frame.join(near.select(key).collect(), on=key, how="anti")

    fresh = site.lake.append_missing(CHARGE_COMMANDS, missing, run_id=run_id)
    # never ahead of now: a clock that was wrong for one run must not hide what others write
    newest = min(max(c.updated_at for c in found), site.now())
    site.registry.remember("recorded/commands", newest.isoformat())
    return fresh


def _command_rows(commands: Iterable[Command], run_id: str) -> pl.DataFrame:
    own = [n for n in CHARGE_COMMANDS.names if n not in ("run_id", "reasons")]
    rows = [{n: getattr(c, n) for n in own} | {"reasons": Reason(c.reasons).names} for c in commands]
    schema = {n: t for n, t in CHARGE_COMMANDS.schema.items() if n != "run_id"}
    return CHARGE_COMMANDS.conform(
        pl.DataFrame(rows, schema=schema, orient="row").with_columns(run_id=pl.lit(run_id))
    )
