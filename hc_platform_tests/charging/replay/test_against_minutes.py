"""A replay skips all instants at which nothing can change: it comes to the same as a decision every minute."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from hc_platform.charging.decision import decide
from hc_platform.charging.models import Control, Policy
from hc_platform.charging.tariffs.model import Tariff
from hc_platform.charging.timeline import timeline_between
from hc_platform_tests.charging.decision import strategies
from hc_platform_tests.charging.decision.making import Row, fleet
from hc_platform_tests.charging.replay.making import every_five_minutes, replayed
from hc_platform_tests.laws import law

_CONTROL = [name for name in Control.model_fields if name != "device_id"]
_TOLD = ["device_id", "desired", "window_start", "window_end", "as_of"]
LENGTH = timedelta(hours=4)


def minute_by_minute(
    rows: list[Row],
    start: datetime,
    tariffs: dict[str, Tariff],
    policies: dict[str, Policy],
    readings: pl.DataFrame,
) -> tuple[pl.DataFrame, dict[str, list[bool]]]:
    """All commands, and for every device whether it waits, minute by minute."""
    line = timeline_between(tariffs, start - timedelta(days=8), start + LENGTH + timedelta(days=30))
    state, commands, waits = fleet(rows), [], []
    for n in range(LENGTH // timedelta(minutes=1)):
        at = start + timedelta(minutes=n)
        known = readings.filter(pl.col("point_time") <= at).sort("point_time").unique("region", keep="last")
        frame = decide(
            state,
            at,
            tariffs=line,
            utilities={tariff.utility_id for tariff in tariffs.values()},
            policies=policies,
            readings=known.with_columns(failure=pl.lit(None, pl.String)),
        )
        state = state.with_columns(frame[name] for name in _CONTROL)
        commands.append(frame.filter("commanded").with_columns(as_of=pl.lit(at, pl.Datetime("us", "UTC"))))
        paused = (pl.col("desired") == "pause") & (pl.col("window_start") <= at) & (at < pl.col("window_end"))
        waits.append(frame.select("device_id", waits=paused.fill_null(False)))
    by_device = pl.concat(waits).group_by("device_id", maintain_order=True).agg("waits")
    return pl.concat(commands).select(_TOLD), dict(by_device.rows())


def waiting(pauses: pl.DataFrame, device_id: str, start: datetime) -> list[bool]:
    own = pauses.filter(pl.col("device_id") == device_id).select("paused_from", "paused_until").rows()
    instants = (start + timedelta(minutes=n) for n in range(LENGTH // timedelta(minutes=1)))
    return [any(begin <= at < end for begin, end in own) for at in instants]


@st.composite
def walks(draw: st.DrawFn) -> list[float | None]:
    """A percentile every five minutes that stays a while where it is; sometimes there is none."""
    values: list[Any] = []
    while len(values) < LENGTH // timedelta(minutes=5) + 1:
        values += [draw(st.sampled_from((*strategies.VALUES, None)))] * draw(st.integers(1, 12))
    return values


@law(6)
@given(st.data())
def test_a_replay_is_a_decision_every_minute(data: st.DataObject) -> None:
    start = data.draw(st.sampled_from(strategies.STARTS)) + timedelta(hours=data.draw(st.integers(0, 36)))
    tariffs, policies = data.draw(strategies.tariffs(start)), data.draw(strategies.policy_sets())
    rows = [data.draw(strategies.moved(data.draw(strategies.devices(f"d{n}")), start)) for n in range(8)]
    points = [every_five_minutes(start, data.draw(walks()), region) for region in strategies.REGIONS]
    missing = data.draw(st.integers(0, 40))  # a gap of five points
    readings = pl.concat(
        [*(frame[:missing] for frame in points), *(frame[missing + 5 :] for frame in points)]
    )
    found = replayed(rows, start, start + LENGTH, tariffs=tariffs, policies=policies, readings=readings)
    commands, waits = minute_by_minute(rows, start, tariffs, policies, readings)
    order = ["device_id", "as_of"]
    told = found.decisions.filter("commanded").select(_TOLD)
    assert told.sort(order).rows() == commands.sort(order).rows()
    for device_id, each_minute in waits.items():
        assert waiting(found.pauses, device_id, start) == each_minute, device_id
