"""The steps of a run: load devices and MOER, decide, enqueue, repeat what must be said again.

What belongs here: each step as a function over a `Site`, for the Dagster job, the command line and tests alike. What
does not: the rules (`decision`), the sender (`delivery`), the tables (`recording`), when to run (`wake`).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import polars as pl

from hc_platform.charging.decision import decide
from hc_platform.charging.models import Change, Command, Control, Policy, Reading, Reason, command_id
from hc_platform.charging.moer.readings import alerts, clock_trusted, moer_class
from hc_platform.charging.moer.watttime import read_regions
from hc_platform.charging.schedules import Schedules
from hc_platform.charging.site import Site
from hc_platform.charging.tables import CHARGE_DECISIONS, MOER_READINGS

Mode = Literal["live", "backfill"]
PAST: Final = timedelta(minutes=10)
"""An instant further back than this is history: decided, never commanded (case 45)."""
_AHEAD = timedelta(minutes=1)
_POLL_S = 300
_CLOCK = "clock"
_MOER_BUDGET_S = 20.0
_DISABLED_FOR = timedelta(hours=24)
_UNRECORDED, _BEHIND = "unrecorded/decisions", "behind "


@dataclass(frozen=True)
class Moer:
    """The regions' readings. `usable` None: MOER is not in use."""

    readings: list[Reading] = field(default_factory=list)
    usable: pl.DataFrame | None = None
    clock_trusted: bool = True
    alerts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Decided:
    """What was decided for an instant, and what for."""

    frame: pl.DataFrame
    as_of: datetime
    mode: Mode
    inputs_hash: str


def whole_second(at: datetime) -> datetime:
    """The instant in UTC without its fraction: windows and commands are in whole seconds."""
    return at.astimezone(UTC).replace(microsecond=0)


def mode_at(as_of: datetime, now: datetime) -> Mode:
    """Whether commands may follow from a decision for that instant."""
    return "backfill" if now - as_of > PAST else "live"


def instant_of(asked: datetime | None, now: datetime) -> tuple[datetime, Mode]:
    """The instant that a run decides for: its own, or one of the past for the record only.

    A run that was asked for a little while ago decides for now: what was so then may be undone already. Raises
    ValueError for the future: commands for it would be obeyed today.
    """
    if asked is None:
        return whole_second(now), "live"
    if asked - now > _AHEAD:
        raise ValueError(
            f"{asked.isoformat()} is to come: nothing is sent ahead of its time; ask with --dry-run"
        )
    mode = mode_at(asked, now)
    return whole_second(now if mode == "live" else asked), mode


def regions_in_use(fleet: pl.DataFrame, policies: Mapping[str, Policy]) -> list[str]:
    """The regions of active devices whose policy heeds MOER."""
    heedless = [name for name, policy in policies.items() if not policy.use_moer]
    rows = fleet.filter((pl.col("status") == "active") & ~pl.col("policy_id").is_in(heedless))
    return rows["watttime_region"].drop_nulls().unique().sort().to_list()


def utilities_of(fleet: pl.DataFrame) -> list[str]:
    """The utilities that its devices have."""
    return fleet["utility_id"].drop_nulls().unique().sort().to_list()


def read_moer(site: Site, regions: Iterable[str], now: datetime, *, keep: bool = True) -> Moer:
    """Each region's reading: the one of the last five minutes if there is one, else asked for, once.

    A failure leaves the last good reading in force for as long as its policy's time to live; a region that the account
    may not read is not asked again for a day. Without `keep` the next run asks anew: nothing is written.
    """
    if site.watttime is None:
        return Moer()
    kept = {region: _recalled(site, region) for region in regions}
    due = [r for r, (last, _) in kept.items() if not _is_fresh(last, now)]
    fetched = read_regions(site.watttime, due, now=now, budget_s=_MOER_BUDGET_S)
    for reading in fetched:
        good = reading if reading.failure is None else kept[reading.region][1]
        kept[reading.region] = (reading, good)
        if keep:
            _remember(site, reading, good)
    last = [reading for reading, _ in kept.values() if reading is not None]
    offset = _clock_offset(site, now, keep=keep)
    usable = [good or newest for newest, good in kept.values()]
    return Moer(last, readings_frame(usable), clock_trusted(offset), alerts(last, offset))


def _clock_offset(site: Site, now: datetime, *, keep: bool) -> float | None:
    """This host's clock less WattTime's in seconds: as measured just now, else as another process of it has measured.

    The sensor polls in a process of its own, and a run then finds readings that are fresh and asks nothing.
    """
    measured = site.watttime.clock_offset_s if site.watttime else None
    if measured is not None:
        if keep:
            site.registry.remember(_CLOCK, json.dumps([now.isoformat(), measured]))
        return measured
    at, offset = json.loads(site.registry.recall(_CLOCK) or "[null, null]")
    young = at is not None and abs(now - datetime.fromisoformat(at)) < timedelta(seconds=2 * _POLL_S)
    return float(offset) if young else None


def readings_frame(readings: Iterable[Reading | None]) -> pl.DataFrame:
    """Readings as the columns of MOER_READINGS."""
    rows = [r.model_dump() for r in readings if r is not None]
    names = [n for n in MOER_READINGS.names if n != "run_id"]
    schema = {n: MOER_READINGS.schema[n] for n in names}
    return pl.DataFrame(rows, schema=schema, orient="row") if rows else pl.DataFrame(schema=schema)


def _is_fresh(reading: Reading | None, now: datetime) -> bool:
    if reading is None:
        return False
    age = now - reading.fetched_at
    return timedelta(0) <= age < (_DISABLED_FOR if reading.disabled else timedelta(seconds=_POLL_S - 5))


def _recalled(site: Site, region: str) -> tuple[Reading | None, Reading | None]:
    """The last reading and the last good one."""
    text = site.registry.recall(f"moer/{region}")
    if text is None:
        return None, None
    last, good = json.loads(text)
    return Reading.model_validate(last), Reading.model_validate(good) if good else None


def _remember(site: Site, last: Reading, good: Reading | None) -> None:
    both = [last.model_dump(mode="json"), good.model_dump(mode="json") if good else None]
    site.registry.remember(f"moer/{last.region}", json.dumps(both))


def decide_fleet(
    fleet: pl.DataFrame, schedules: Schedules, moer: Moer, as_of: datetime, mode: Mode, registry_version: int
) -> Decided:
    """Every device's decision at that instant."""
    frame = decide(
        fleet,
        as_of,
        tariffs=schedules.timeline,
        utilities=schedules.utilities,
        policies=schedules.policies,
        readings=moer.usable,
        clock_trusted=moer.clock_trusted,
    )
    points = [] if moer.usable is None else moer.usable.select("region", "point_time", "percentile").rows()
    inputs = [
        schedules.hash,
        registry_version,
        as_of.isoformat(),
        moer.clock_trusted,
        sorted(points, key=str),
    ]
    return Decided(frame, as_of, mode, hashlib.sha256(json.dumps(inputs, default=str).encode()).hexdigest())


def enqueue(site: Site, decided: Decided) -> list[str]:
    """Write every changed control, with the command that it needs, in one transaction each.

    Returns the devices that another run wrote first: its decision stands. Raises ValueError for a decision about the
    past: history makes no commands.
    """
    if decided.mode != "live":
        raise ValueError(f"{decided.as_of} is past: it is decided for the record only")
    changed = decided.frame.filter("changed")
    now = site.now()
    _open_record(site, decided)
    changes = (
        Change.model_construct(
            control=_control(row), command=_command(row, now) if row["commanded"] else None
        )
        for row in changed.iter_rows(named=True)
    )
    return [lost for batch in _batches(changes, 10_000) for lost in site.registry.commit(batch, now=now)]


def _open_record(site: Site, decided: Decided) -> None:
    """Note that decisions are about to be in force that no table has; if another run left such, that it is behind."""
    held = site.registry.recall(_UNRECORDED)
    site.registry.remember(_UNRECORDED, f"{_BEHIND if held else ''}{decided.inputs_hash}")


def record_is_behind(site: Site, decided: Decided) -> bool:
    """Whether a run before this one died, or goes on, with decisions in force that it has not recorded."""
    return site.registry.recall(_UNRECORDED) == f"{_BEHIND}{decided.inputs_hash}"


def close_record(site: Site, decided: Decided) -> None:
    """All that this run enqueued is recorded; a later one that has seen it open by now sees to itself."""
    held = site.registry.recall(_UNRECORDED) or ""
    if held.removeprefix(_BEHIND) == decided.inputs_hash:
        site.registry.remember(_UNRECORDED, "")


def _batches(changes: Iterable[Change], size: int) -> Iterable[list[Change]]:
    batch: list[Change] = []
    for change in changes:
        batch.append(change)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _control(row: Mapping[str, Any]) -> Control:
    # not validated again: the columns have the types, and a fleet has a million rows
    return Control.model_construct(**{name: row[name] for name in Control.model_fields})


def _command(row: Mapping[str, Any], now: datetime) -> Command:
    device, ver, desired = row["device_id"], row["ver"], row["desired"]
    return Command.model_construct(
        device_id=device,
        ver=ver,
        command_id=command_id(device, ver),
        wireless_device_id=row["wireless_device_id"],
        protocol=row["protocol"],
        desired=desired,
        window_start=row["window_start"],
        window_end=row["window_end"],
        reasons=row["reasons"],
        priority=0 if desired == "allow" else 1,
        next_try_at=now,
        # a release has no end: a car must never stand because a message was given up
        expires_at=row["window_end"],
        created_at=now,
        updated_at=now,
    )


def send_heartbeats(site: Site, decided: Decided, schedules: Schedules, now: datetime) -> int:
    """Say a standing window again to devices whose policy wants that; the same window, the same command_id."""
    beats = {n: timedelta(seconds=p.heartbeat_s) for n, p in schedules.policies.items() if p.heartbeat_s}
    paused = decided.frame.filter(
        pl.col("policy_id").is_in(list(beats)) & (pl.col("desired") == "pause") & ~pl.col("commanded")
    )
    due = {
        device: now - beats[policy] for device, policy in paused.select("device_id", "policy_id").iter_rows()
    }
    return site.registry.say_again(due, reasons=int(Reason.HEARTBEAT), now=now) if due else 0


def moer_classes(moer: Moer, policies: Mapping[str, Policy], as_of: datetime) -> dict[str, str]:
    """Each region's class under each pair of thresholds in use: what must change before MOER can change a decision."""
    if moer.usable is None:
        return {}
    classes = {}
    kinds = {(p.moer_on, p.moer_off, p.moer_ttl_s, p.moer_skew_s) for p in policies.values() if p.use_moer}
    for on, off, ttl, skew in sorted(kinds):
        young = pl.col("point_time").is_between(
            as_of - timedelta(seconds=ttl), as_of + timedelta(seconds=skew)
        )
        rows = moer.usable.select("region", pl.when(young).then(moer_class(pl.col("percentile"), on, off)))
        for region, kind in rows.iter_rows():
            classes[f"{region} {on:g}/{off:g}/{ttl}/{skew}"] = kind or "none"
    return classes


def readings_at(site: Site, regions: Iterable[str], as_of: datetime) -> Moer:
    """What was known at a past instant: each region's newest good reading that a run had recorded by then."""
    recorded = site.lake.scan(MOER_READINGS).drop("run_id")
    known = recorded.filter(
        pl.col("region").is_in(list(regions))
        & (pl.col("fetched_at") <= as_of + timedelta(seconds=_MOER_BUDGET_S))
        & pl.col("failure").is_null()
    )
    newest = known.sort("fetched_at").unique("region", keep="last").collect()
    return Moer(usable=newest if newest.height else None)


def fleet_at(site: Site, as_of: datetime) -> pl.DataFrame:
    """The fleet as it is registered now, with its control as the last live decision before a past instant left it.

    The registry keeps no history of its own: who has registered or changed plan since then counts as now.
    """
    names = {name: int(Reason[name.upper()]) for name in Reason(~0).names}
    bits = pl.col("reasons").list.eval(pl.element().replace_strict(names, default=0, return_dtype=pl.Int64))
    decided = (
        site.lake.scan(CHARGE_DECISIONS)
        .filter((pl.col("as_of") < as_of) & (pl.col("mode") == "live"))
        .sort("as_of")
        .unique("device_id", keep="last")
        .select(
            "device_id",
            pl.lit(1, pl.Int64).alias("rev"),
            *("ver", "desired", "window_start", "window_end", "moer", "next_check_at"),
            pl.col("window_start").alias("paused_since"),
            pl.col("as_of").alias("changed_at"),
            bits.list.sum().alias("reasons"),
        )
        .collect()
    )
    control = [name for name in decided.columns if name != "device_id"]
    fleet = site.registry.fleet().filter(pl.col("status") == "active")
    return fleet.drop(control).join(decided, on="device_id", how="left").select(fleet.columns)
