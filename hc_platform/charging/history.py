"""The past of a site: its fleet, tariffs and recorded readings, replayed.

What belongs here: bringing these together for a stretch of time, and the rows of charge_replays. What does not: stepping
through it (`replay`).
"""

from datetime import UTC, date, datetime, timedelta

import polars as pl

from hc_platform.charging.moer.readings import percentiles_from_moer
from hc_platform.charging.moer.watttime import WattTime, WattTimeError
from hc_platform.charging.recording import with_reason_names
from hc_platform.charging.replay import Replay, replay
from hc_platform.charging.schedules import load_schedules
from hc_platform.charging.site import Site
from hc_platform.charging.steps import regions_in_use
from hc_platform.charging.tables import CHARGE_REPLAYS, MOER_READINGS
from hc_platform.charging.timeline import timeline_between

_BEFORE, _AFTER = timedelta(days=8), timedelta(days=60)


def replay_site(site: Site, start: datetime, end: datetime) -> tuple[Replay, list[str]]:
    """What would have been decided over [start, end) with today's active devices, tariffs and policies.

    MOER as runs recorded it; for regions of which none did, as WattTime's history tells it. Returns also what a person
    should know of it. Raises LookupError where no device is active.
    """
    schedules = load_schedules(site, start)
    notes = [f"the last good schedules are used: {schedules.problem}"] if schedules.problem else []
    fleet = site.registry.fleet().filter(pl.col("status") == "active")
    if fleet.is_empty():
        raise LookupError("no active device is registered; see `hc devices add`")
    line = schedules.timeline
    if schedules.tariffs:
        line = timeline_between(schedules.tariffs, start - _BEFORE, end + _AFTER)
    readings, told = _readings(site, regions_in_use(fleet, schedules.policies), start, end)
    told_of = replay(
        fleet,
        start,
        end,
        tariffs=line,
        utilities=schedules.utilities,
        policies=schedules.policies,
        readings=readings,
    )
    return told_of, [*notes, *told]


def replay_day(site: Site, day: date, run_id: str) -> Replay:
    """Replay one UTC day and replace its rows in charge_replays. Raises LookupError where no device is active."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    told, _ = replay_site(site, start, start + timedelta(days=1))
    rows = with_reason_names(told.decisions).with_columns(
        day=pl.lit(day.isoformat()), mode=pl.lit("backfill"), run_id=pl.lit(run_id)
    )
    site.lake.replace(
        CHARGE_REPLAYS, {"day": day.isoformat()}, rows.select(CHARGE_REPLAYS.names), run_id=run_id
    )
    return told


def _readings(
    site: Site, regions: list[str], start: datetime, end: datetime
) -> tuple[pl.DataFrame | None, list[str]]:
    """Every point of the regions over the stretch, and what is missing."""
    scan = site.lake.scan(MOER_READINGS).filter(
        pl.col("failure").is_null()
        & pl.col("region").is_in(regions)
        & pl.col("point_time").is_between(start - timedelta(hours=1), end)
    )
    found = [scan.select("region", "point_time", "percentile").unique().collect()]
    notes = []
    for region in sorted(set(regions) - set(found[0]["region"].unique())):
        points = _history(site.watttime, region, start, end)
        if isinstance(points, str):
            notes.append(f"no MOER of {region}: {points}")
        else:
            found.append(points)
    frame = pl.concat(found)
    return (frame if frame.height else None), notes


def _history(client: WattTime | None, region: str, start: datetime, end: datetime) -> pl.DataFrame | str:
    """Percentiles out of WattTime's past MOER values, or why there are none."""
    if client is None:
        return "no run recorded any, and no WattTime account is set"
    try:
        moer = client.historical(region, start - timedelta(hours=1), end + timedelta(hours=24))
    except WattTimeError as error:
        return str(error)
    points = percentiles_from_moer(moer).rename({"time": "point_time"})
    return points.select(pl.lit(region).alias("region"), "point_time", "percentile")
