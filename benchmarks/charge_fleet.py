"""A made-up fleet: any number of devices on 60 schedules, in 66 regions, under 8 policies.

What belongs here: the inputs of benchmarks/charge.py. What does not: measuring.
"""

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import cycle, groupby, islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import yaml

from hc_platform.charging.decision import decide
from hc_platform.charging.models import Control, Device, Policy
from hc_platform.charging.registry.rows import FIELDS
from hc_platform.charging.registry.sqlite import SqliteRegistry
from hc_platform.charging.registry.sqlite_schema import connect
from hc_platform.charging.tables import FLEET
from hc_platform.charging.tariffs.loading import load_tariffs
from hc_platform.charging.tariffs.model import Tariff, TariffFile
from hc_platform.charging.tariffs.writing import dump_tariff_file
from hc_platform.charging.timeline import Timeline
from hc_platform.settings import PROJECT_DIR

AS_OF: Final = datetime(2026, 7, 6, 23, tzinfo=UTC)  # a Monday: 19:00 in New York, 16:00 in Los Angeles
SCHEDULES, REGIONS = 60, 66
POLICIES: Final = {
    "default": Policy(),
    "brisk": Policy(jitter_s=0, lead_s=0, dwell_s=600),
    "slow": Policy(jitter_s=1_800, lead_s=14_400, dwell_s=3_600),
    "shoulder": Policy(pause_rank=2),
    "tariff_only": Policy(use_moer=False),
    "steady": Policy(moer_on=80, moer_off=50, max_pause_s=7_200),
    "holding": Policy(fail_safe="hold"),
    "beating": Policy(heartbeat_s=3_600, lead_s=7_200),
}
_ZONES = ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Phoenix")
_CONTROL: Final = [name for name in Control.model_fields if name != "device_id"]


def sixty_tariffs() -> dict[str, Tariff]:
    """The shipped tariffs with time of use, in other zones and with their windows some half hours later."""
    shipped = [t for t in load_tariffs(PROJECT_DIR / "tou_schedules").values() if _has_peak(t)]
    made: dict[str, Tariff] = {}
    for number, tariff in enumerate(islice(cycle(shipped), SCHEDULES)):
        rounds = number // len(shipped)
        fields = tariff.model_dump() | {"utility_id": f"u{number % 40:02}", "rate_plan": f"p{number:02}"}
        if rounds:
            fields["timezone"] = _ZONES[number % len(_ZONES)]
        for version in fields["plan"]["versions"]:
            for period in version["periods"]:
                period |= {side: _later(period[side], 30 * rounds) for side in ("start", "end")}
        new = Tariff.model_validate(fields)
        made[new.schedule] = new
    return made


def _has_peak(tariff: Tariff) -> bool:
    return any(not v.is_flat and max(v.tiers.values()) >= 3 for v in tariff.plan.versions)


def _later(time: str, minutes: int) -> str:
    if minutes == 0 or time == "24:00":
        return time
    moved = (int(time[:2]) * 60 + int(time[3:]) + minutes) % 1440
    return f"{moved // 60:02}:{moved % 60:02}"


def readings(as_of: datetime) -> pl.DataFrame:
    """One reading a region: most are good, two failed, two are too old."""
    rng = np.random.default_rng(7)
    rows = []
    for number in range(REGIONS):
        age = timedelta(seconds=2_000 if number < 2 else int(rng.integers(0, 300)))
        row: dict[str, Any] = {"region": f"REGION_{number:02}", "point_time": as_of - age}
        failed = number in (2, 3)
        rows.append(
            row
            | {
                "percentile": None if failed else float(rng.uniform(0, 100)),
                "failure": "http 503" if failed else None,
            }
        )
    schema = {
        "region": pl.String(),
        "point_time": pl.Datetime("us", "UTC"),
        "percentile": pl.Float64(),
        "failure": pl.String(),
    }
    return pl.DataFrame(rows, schema=schema)


def undecided(devices: int, tariffs: Mapping[str, Tariff]) -> pl.DataFrame:
    """The fleet (columns of FLEET) before its first decision."""
    rng = np.random.default_rng(1)
    plans = pl.DataFrame(
        [(t.utility_id, t.rate_plan) for t in tariffs.values()], schema=["u", "p"], orient="row"
    )
    which = rng.integers(0, plans.height, devices)
    some = rng.random(devices)
    at = pl.lit(AS_OF, pl.Datetime("us", "UTC"))
    number = pl.int_range(pl.len(), dtype=pl.Int64)
    frame = (
        pl.DataFrame(
            {
                "device_id": np.char.mod("evse-%07d", np.arange(devices)),
                "spread": rng.integers(0, 2**32, devices),
                "utility_id": plans["u"].gather(which),
                "rate_plan": plans["p"].gather(which),
                "watttime_region": np.char.mod("REGION_%02d", rng.integers(0, REGIONS, devices)),
                "policy_id": np.array(list(POLICIES))[rng.integers(0, len(POLICIES), devices)],
                "some": some,
                "ahead": rng.integers(-3_600, 36_000, devices),
            }
        )
        .with_columns(
            wireless_device_id=pl.lit("w-") + pl.col("device_id"),
            status=pl.when(pl.col("some") < 0.01).then(pl.lit("inactive")).otherwise(pl.lit("active")),
            protocol=pl.when(number % 5 == 0).then(pl.lit("legacy")).otherwise(pl.lit("window")),
            utility_id=pl.when(pl.col("some").is_between(0.01, 0.02)).then(pl.lit("nobody")).otherwise("utility_id"),
            rate_plan=pl.when(pl.col("some").is_between(0.02, 0.04)).then(None).otherwise("rate_plan"),
            override_until=pl.when(pl.col("some").is_between(0.04, 0.07)).then(at + pl.duration(seconds="ahead")),
            deadline=pl.when(pl.col("some").is_between(0.07, 0.12)).then(at + pl.duration(seconds="ahead")),
            need_s=pl.when(pl.col("some").is_between(0.07, 0.12)).then(pl.lit(7_200, pl.Int64)),
        )
    )  # fmt: skip
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in FLEET.items()
    )


def decided(fleet: pl.DataFrame, decision: pl.DataFrame) -> pl.DataFrame:
    """The fleet with the decision written back."""
    return fleet.with_columns(decision[name] for name in _CONTROL)


def an_hour_in(devices: int, tariffs: Mapping[str, Tariff], line: Timeline) -> pl.DataFrame:
    """The fleet as a decision an hour before AS_OF left it."""
    fleet, before = undecided(devices, tariffs), AS_OF - timedelta(hours=1)
    known = {t.utility_id for t in tariffs.values()}
    first = decide(fleet, before, tariffs=line, utilities=known, policies=POLICIES, readings=readings(before))
    return decided(fleet, first)


def tariff_files(folder: Path, tariffs: Mapping[str, Tariff]) -> None:
    """The tariffs as files of tou_schedules/, and the policies as charge_policies.yaml."""
    (folder / "tou_schedules").mkdir()
    for utility_id, group in groupby(
        sorted(tariffs.values(), key=lambda t: t.utility_id), lambda t: t.utility_id
    ):
        own = list(group)
        plans = {t.rate_plan: t.plan.model_copy(update={"timezone": t.timezone}) for t in own}
        file = TariffFile(
            utility_id=utility_id, utility_name=utility_id, timezone=own[0].timezone, rate_plans=plans
        )
        (folder / "tou_schedules" / f"{utility_id}.yaml").write_text(dump_tariff_file(file))
    policies = {name: policy.model_dump() for name, policy in POLICIES.items()}
    (folder / "charge_policies.yaml").write_text(yaml.safe_dump({"policies": policies}))


def fill_registry(path: Path, fleet: pl.DataFrame) -> None:
    """A SQLite registry that holds the fleet with its control: row by row through the interface would take hours."""
    SqliteRegistry(path).close()
    plain = fleet.with_columns(
        pl.col(pl.Datetime).to_physical(),
        active=(pl.col("status") == "active").cast(pl.Int64),
        registry_version=1,
    )
    tables = {"devices": [*FIELDS[Device], "spread"], "controls": [*FIELDS[Control], "active"]}
    with closing(connect(path)) as db:
        db.execute("BEGIN")
        for table, names in tables.items():
            own = [name for name in names if name in plain.columns]
            marks = ", ".join("?" * len(own))
            rows = plain.select(own).iter_rows()
            db.executemany(f"INSERT INTO {table} ({', '.join(own)}) VALUES ({marks})", rows)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
