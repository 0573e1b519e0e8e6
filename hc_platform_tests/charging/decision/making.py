"""Fleets, tariffs and readings for tests of the decision, and time that passes over them.

What belongs here: building inputs, writing a decision back as the registry would, and how a device obeys. What does
not: assertions.
"""

import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from hc_platform.charging.decision import decide
from hc_platform.charging.models import Control, Policy, Reason
from hc_platform.charging.tables import FLEET
from hc_platform.charging.tariffs.loading import load_tariffs
from hc_platform.charging.tariffs.model import Tariff, TariffFile, tariffs_of
from hc_platform.charging.timeline import Timeline, timeline_between

Row = dict[str, Any]
PROMPT = Policy(jitter_s=0, lead_s=0)
"""On the tariff's minute and nothing ahead, so that instants can be counted by hand."""
SHIPPED = Path(__file__).resolve().parents[3] / "tou_schedules"


def utc(text: str) -> datetime:
    """E.g. 2026-07-06 23:00 or with seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def device(device_id: str = "a", **fields: Any) -> Row:
    """A row of `Registry.fleet` that was never decided, on Xcel's RE-TOU unless told otherwise."""
    row = dict.fromkeys(FLEET) | {
        "device_id": device_id,
        "wireless_device_id": f"w-{device_id}",
        "status": "active",
        "protocol": "window",
        "utility_id": "xcel_co",
        "rate_plan": "re_tou",
        "watttime_region": "PSCO",
        "policy_id": "default",
        "spread": zlib.crc32(device_id.encode()),
    }
    assert fields.keys() <= row.keys(), fields.keys() - row.keys()
    return row | fields


def fleet(rows: Iterable[Row]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=FLEET, orient="row")


def flat_file(
    utility_id: str, *, timezone: str = "America/Denver", **versions_of: list[Row]
) -> Mapping[str, Tariff]:
    """Tariffs of one utility: rate plan = its versions, as in a file."""
    plans = {
        name: {
            "name": name,
            "verification": {"status": "unverified", "on": "2026-01-01", "sources": ["test"]},
            "versions": versions,
        }
        for name, versions in versions_of.items()
    }
    document = {"utility_id": utility_id, "utility_name": "Test", "timezone": timezone, "rate_plans": plans}
    return tariffs_of(TariffFile.model_validate(document))


def peak_version(start: str, end: str, days: Any = "all", **fields: Any) -> Row:
    """One version with one daily peak."""
    return {
        "effective_from": "2020-01-01",
        "default_tier": "off",
        "tiers": {"off": 1, "on": 3},
        "periods": [{"tier": "on", "days": days, "start": start, "end": end}],
    } | fields


def readings_frame(readings: Mapping[str, Row] | None) -> pl.DataFrame | None:
    if readings is None:
        return None
    schema = {
        "region": pl.String(),
        "point_time": pl.Datetime("us", "UTC"),
        "percentile": pl.Float64(),
        "failure": pl.String(),
    }
    rows = [{"region": region, **reading} for region, reading in readings.items()]
    return pl.DataFrame(rows, schema=schema, orient="row")


def reading(percentile: float | None, point_time: datetime | None, failure: str | None = None) -> Row:
    return {"point_time": point_time, "percentile": percentile, "failure": failure}


class World:
    """What decisions are made from, to be changed at will between two of them."""

    def __init__(
        self,
        tariffs: Mapping[str, Tariff] | None = None,
        policies: Mapping[str, Policy] | None = None,
        *,
        around: datetime = datetime(2026, 7, 1, tzinfo=UTC),
        ahead: timedelta = timedelta(days=370),
    ) -> None:
        self.tariffs = dict(load_tariffs(SHIPPED)) if tariffs is None else dict(tariffs)
        self.policies = {"default": PROMPT} if policies is None else dict(policies)
        self.readings: dict[str, Row] | None = {}
        self.clock_trusted = True
        self._around, self._ahead = around, ahead
        self._timelines: dict[int, Timeline] = {}

    @property
    def timeline(self) -> Timeline:
        key = hash(tuple((name, id(tariff)) for name, tariff in self.tariffs.items()))
        if key not in self._timelines:
            first, last = self._around - timedelta(days=8), self._around + self._ahead
            self._timelines[key] = timeline_between(self.tariffs, first, last)
        return self._timelines[key]

    def decide(self, rows: Iterable[Row], as_of: datetime) -> list[Row]:
        return decide(
            fleet(rows),
            as_of,
            tariffs=self.timeline,
            utilities={tariff.utility_id for tariff in self.tariffs.values()},
            policies=self.policies,
            readings=readings_frame(self.readings),
            clock_trusted=self.clock_trusted,
        ).to_dicts()

    def step(self, rows: list[Row], as_of: datetime) -> list[Row]:
        """Decide and write every changed control back into `rows`, as a run does."""
        decided = self.decide(rows, as_of)
        for row, decision in zip(rows, decided, strict=True):
            written(row, decision)
        return decided

    def one(self, row: Row, as_of: datetime, percentile: float | None = None) -> Row:
        """One device's decision, written back; `percentile` is a fresh reading of its region."""
        if percentile is not None and self.readings is not None:
            self.readings[row["watttime_region"]] = reading(percentile, as_of)
        return self.step([row], as_of)[0]


def written(row: Row, decision: Row) -> None:
    """The control as the next fleet will show it."""
    if decision["changed"]:
        control = Control.model_validate({name: decision[name] for name in Control.model_fields})
        row.update({name: getattr(control, name) for name in Control.model_fields})


class Charger:
    """A window device that hears every command at once and keeps time: pauses in its window, else charges."""

    def __init__(self) -> None:
        self.window: tuple[datetime, datetime] | None = None

    def hear(self, decision: Row) -> None:
        if decision["commanded"]:
            paused = decision["desired"] == "pause"
            self.window = (decision["window_start"], decision["window_end"]) if paused else None

    def charges(self, at: datetime) -> bool:
        return self.window is None or not self.window[0] <= at < self.window[1]


def names(decision: Row) -> set[str]:
    return set(Reason(decision["reasons"]).names)


def brief(decision: Row) -> tuple[str, bool]:
    return decision["desired"], decision["commanded"]


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
