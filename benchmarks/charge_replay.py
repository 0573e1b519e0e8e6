"""Replay a year for a thousand devices on real MOER: what hysteresis, dwell and cap are worth.

    python -m benchmarks.charge_replay [--devices 1000] [--days 365] [--moer ../shared/data/charge/moer]

Needs WattTime's published SGIP months (SGIP_CAISO_{PGE,SCE}_yyyy-mm.csv.gz). Six of them lie there; a year is made so: a
month of 2026 takes the days of the same month, or of the nearest that there is, over and over until it is full. Times
of day stay as they are, in UTC.
"""

import argparse
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Final

import polars as pl

from hc_platform.charging.models import Policy
from hc_platform.charging.moer.readings import percentiles_from_moer
from hc_platform.charging.registry.rows import spread
from hc_platform.charging.replay import Replay, replay, unsteady
from hc_platform.charging.tables import FLEET
from hc_platform.charging.tariffs.loading import load_tariffs
from hc_platform.charging.timeline import timeline_between
from hc_platform.settings import PROJECT_DIR

YEAR: Final = datetime(2026, 1, 1, tzinfo=UTC)
PLANS: Final = {
    ("pge", "e_elec"): "SGIP_CAISO_PGE",
    ("pge", "ev2_a"): "SGIP_CAISO_PGE",
    ("sce", "tou_d_4_9pm"): "SGIP_CAISO_SCE",
    ("sce", "tou_d_prime"): "SGIP_CAISO_SCE",
    ("sdge", "ev_tou_5"): "SGIP_CAISO_SCE",  # the nearer of the two
}
DEFAULT: Final = Policy()
WAYS: Final[Mapping[str, Policy]] = {
    "tariff only": DEFAULT.model_copy(update={"use_moer": False}),
    "MOER above 70, nothing else": unsteady(DEFAULT),
    "MOER 70/60, dwell 30 min, cap 4 h": DEFAULT,
}


def california(devices: int, *, legacy: bool = False) -> pl.DataFrame:
    """Devices in turn on California's shipped tariffs with time of use."""
    rows = []
    for number, ((utility_id, rate_plan), region) in zip(range(devices), cycle(PLANS.items())):
        name = f"evse-{number:05}"
        given = {
            "device_id": name,
            "status": "active",
            "protocol": "legacy" if legacy else "window",
            "utility_id": utility_id,
            "rate_plan": rate_plan,
            "watttime_region": region,
            "policy_id": "default",
            "spread": spread(name),
        }
        rows.append(dict.fromkeys(FLEET) | given)
    return pl.DataFrame(rows, schema=FLEET, orient="row")


def percentiles(folder: Path, region: str) -> pl.DataFrame:
    """All points of a region that have a percentile: time, percentile.

    Raises FileNotFoundError where the folder holds no month of it.
    """
    paths = sorted(folder.glob(f"{region}_*.csv.gz"))
    if not paths:
        raise FileNotFoundError(
            f"{folder} holds no {region}_yyyy-mm.csv.gz: fetch them from WattTime's SGIP archive"
        )
    raw = pl.concat(pl.read_csv(p, columns=["time", "moer"], try_parse_dates=False) for p in paths)
    at = pl.col("time").str.to_datetime("%Y-%m-%d %H:%M:%S%:z", time_zone="UTC", time_unit="us")
    return percentiles_from_moer(
        raw.with_columns(at).unique("time", keep="first")
    ).drop_nulls()  # months overlap by a point


def a_year(folder: Path) -> pl.DataFrame:
    """Readings (region, point_time, percentile) of 2026, made of the months that there are."""
    frames = []
    for region in sorted(set(PLANS.values())):
        dated = percentiles(folder, region).with_columns(day=pl.col("time").dt.date())
        days = dated.partition_by("day", as_dict=True, include_key=False)
        whole = {key[0]: rows for key, rows in days.items() if rows.height == 288}
        frames += [_moved(whole[source], day, region) for day, source in _sources(list(whole)).items()]
    return pl.concat(frames)


def _sources(days: list[date]) -> dict[date, date]:
    """For each day of the year the day that it takes its values from."""
    months = sorted({day.month for day in days})
    taken = {}
    for number in range(365):
        day = YEAR.date() + timedelta(days=number)
        near = min(months, key=lambda m: min((m - day.month) % 12, (day.month - m) % 12))
        own = [d for d in days if d.month == near]
        taken[day] = own[(day.day - 1) % len(own)]
    return taken


def _moved(rows: pl.DataFrame, day: date, region: str) -> pl.DataFrame:
    at = (
        pl.col("time")
        - pl.col("time").dt.truncate("1d")
        + pl.lit(datetime(day.year, day.month, day.day, tzinfo=UTC))
    )
    return rows.select(region=pl.lit(region), point_time=at.dt.cast_time_unit("us"), percentile="percentile")


def run(fleet: pl.DataFrame, readings: pl.DataFrame, policy: Policy, days: int) -> Replay:
    """The fleet under one policy, over the first days of the year."""
    tariffs = load_tariffs(PROJECT_DIR / "tou_schedules")
    end = YEAR + timedelta(days=days)
    return replay(
        fleet,
        YEAR,
        end,
        tariffs=timeline_between(tariffs, YEAR - timedelta(days=8), end + timedelta(days=30)),
        utilities=tariffs.utilities,
        policies={"default": policy},
        readings=readings if policy.use_moer else None,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument(
        "--moer", type=Path, default=PROJECT_DIR.parent / "shared" / "data" / "charge" / "moer"
    )
    given = parser.parse_args()
    if not given.moer.is_dir():
        print(f"skipped: {given.moer} holds no MOER months")
        return
    readings, fleet = a_year(given.moer), california(given.devices)
    print(f"{'':36}{'flips/day':>10}{'longest':>12}{'paused':>8}{'commands/day':>14}{'instants':>10}{'s':>7}")
    for title, policy in WAYS.items():
        clock = time.perf_counter()
        got = run(fleet, readings, policy, given.days)
        seconds = time.perf_counter() - clock
        commands = got.commands / got.devices / got.days
        hours = got.longest_pause / timedelta(hours=1)
        share = f"{got.flips_per_day:>10.2f}{hours:>10.2f} h{got.paused_share:>8.1%}"
        print(f"{title:36}{share}{commands:>14.2f}{got.instants:>10,}{seconds:>7.0f}", flush=True)


if __name__ == "__main__":
    main()
