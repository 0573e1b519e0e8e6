"""Which readings are believed, how they are classed, and percentiles out of real MOER."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hc_platform.charging.models import Policy, Reading, Reason
from hc_platform.charging.moer.readings import (
    alerts,
    clock_trusted,
    moer_class,
    percentile_of_forecast,
    percentiles_from_moer,
    unusable,
)
from hc_platform.tables import POLARS_TYPES

NOW = datetime(2026, 7, 3, 18, 0, tzinfo=UTC)
NAN = float("nan")


def verdict(percentile: float | None, age_s: float | None = 0, failure: str | None = None) -> Reason:
    at = None if age_s is None else NOW - timedelta(seconds=age_s)
    frame = pl.DataFrame(
        {"point_time": [at], "percentile": [percentile], "failure": [failure]},
        schema={
            "point_time": POLARS_TYPES["timestamp"],
            "percentile": POLARS_TYPES["float"],
            "failure": POLARS_TYPES["text"],
        },
    )
    policy = Policy()
    found = frame.select(unusable(NOW, pl.lit(policy.moer_ttl_s), pl.lit(policy.moer_skew_s)))
    assert found.dtypes == [pl.Int64]
    return Reason(found.item())


def classed(percentile: float | None, on: float = 70, off: float = 60) -> str | None:
    frame = pl.DataFrame({"p": [percentile]}, schema={"p": pl.Float64})
    return frame.select(moer_class(pl.col("p"), on, off)).item()


def test_case_25_the_threshold_is_strict_and_compares_floats() -> None:
    assert (classed(70.0), classed(70.9), classed(70.0000001)) == ("mid", "high", "high")


def test_case_26_between_off_and_on_is_its_own_class_and_off_itself_is_low() -> None:
    assert (classed(65), classed(60.0), classed(60.1), classed(0.0)) == ("mid", "low", "mid", "low")


@pytest.mark.parametrize("value", [NAN, -1.0, 150.0, -0.0001, 100.0001, float("inf"), float("-inf")])
def test_case_27_a_senseless_value_is_invalid_and_never_high(value: float) -> None:
    assert verdict(value) == Reason.MOER_INVALID
    assert classed(value) is None


def test_case_27_no_value_is_missing_whatever_else_is_there() -> None:
    assert verdict(None) == Reason.MOER_MISSING
    assert verdict(80.0, age_s=None) == Reason.MOER_MISSING
    assert verdict(80.0, failure="http 503") == Reason.MOER_MISSING
    assert classed(None) is None


@pytest.mark.parametrize(
    ("age_s", "reason"),
    [
        (0, Reason(0)),
        (900, Reason(0)),
        (900.000001, Reason.MOER_STALE),
        (86_400, Reason.MOER_STALE),
        (-300, Reason(0)),
        (-300.000001, Reason.MOER_FUTURE),
        (-600, Reason.MOER_FUTURE),
    ],
)
def test_case_28_stale_and_future_readings_say_nothing(age_s: float, reason: Reason) -> None:
    assert verdict(99.0, age_s) == reason


def test_each_device_has_its_own_limits_and_the_instant_may_be_in_any_zone() -> None:
    frame = pl.DataFrame(
        {
            "point_time": [NOW - timedelta(minutes=20)] * 2,
            "percentile": [99.0, 99.0],
            "failure": pl.Series([None, None], dtype=pl.String),
            "ttl": [900, 1_800],
            "skew": [300, 300],
        }
    )
    elsewhere = NOW.astimezone(ZoneInfo("America/Denver"))
    found = frame.select(unusable(elsewhere, pl.col("ttl"), pl.col("skew"))).to_series()
    assert found.to_list() == [int(Reason.MOER_STALE), 0]


@given(
    st.floats() | st.none(),
    st.integers(-100_000, 100_000) | st.none(),
    st.none() | st.just("timeout"),
)
def test_only_a_present_fresh_sensible_value_is_ever_used(
    value: float | None, age_s: int | None, failure: str | None
) -> None:
    good = failure is None and value is not None and 0 <= value <= 100
    fresh = age_s is not None and -300 <= age_s <= 900
    assert (verdict(value, age_s, failure) == 0) == (good and fresh)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100))
def test_a_class_never_contradicts_the_thresholds(value: float, one: float, other: float) -> None:
    off, on = sorted((one, other))
    kind = classed(value, on, off)
    assert (kind == "high") == (value > on)
    assert (kind == "low") == (value <= off)


def test_case_41_the_clock_may_be_two_minutes_off_and_no_more() -> None:
    assert [clock_trusted(s) for s in (None, 0, 120, -120, 120.5, -121, 86_400)] == [
        True,
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert alerts([], 119) == []
    [text] = alerts([], -3_600)
    assert "-3600 s" in text
    assert "no new pauses" in text


def test_case_29_one_alert_for_each_way_of_failing() -> None:
    def reading(region: str, failure: str | None) -> Reading:
        return Reading(region=region, fetched_at=NOW, failure=failure)

    readings = [reading(f"R{i}", "timeout") for i in range(7)] + [
        reading("PSCO", "http 403"),
        reading("X", None),
    ]
    timeouts, forbidden = alerts(readings)
    assert "7 regions: R0, R1, R2, R3, R4, ..." in timeouts
    assert "PSCO" in forbidden


def test_the_percentile_counts_what_is_strictly_cleaner() -> None:
    assert percentile_of_forecast(5, [1, 2, 3, 4, 5, 6, 7, 8]) == 50
    assert percentile_of_forecast(1, [1, 2, 3, 4]) == 0
    assert percentile_of_forecast(9, [1, 2, 3, 4]) == 100
    assert percentile_of_forecast(3, [3, 3, 3]) == 0, "a flat day pauses nobody"
    for bad in ([], [1.0, NAN]):
        with pytest.raises(ValueError, match="forecast"):
            percentile_of_forecast(1, bad)


@given(st.lists(st.integers(0, 20), min_size=290, max_size=330))
def test_a_month_at_once_is_the_same_as_one_by_one(values: list[int]) -> None:
    times = [NOW + timedelta(minutes=5 * i) for i in range(len(values))]
    found = percentiles_from_moer(pl.DataFrame({"time": times, "moer": values}))["percentile"].to_list()
    for i in range(len(values) - 288):
        assert found[i] == percentile_of_forecast(values[i], values[i + 1 : i + 289])
    assert found[-1] is None, "nothing follows the last one"


def test_a_gap_is_no_value_and_too_many_of_them_leave_no_rank() -> None:
    whole = pl.DataFrame(
        {
            "time": [NOW + timedelta(minutes=5 * i) for i in range(400)],
            "moer": [float(i % 7) for i in range(400)],
        }
    )
    full = percentiles_from_moer(whole)
    holed = whole.filter((pl.int_range(pl.len()) < 50) | (pl.int_range(pl.len()) >= 62))
    found = percentiles_from_moer(holed)
    assert found["time"].equals(holed["time"])
    rest = [v for t, v in zip(holed["time"], holed["moer"], strict=True) if t > NOW][:276]
    assert found["percentile"][0] == percentile_of_forecast(0.0, rest)
    wider = whole.filter((pl.int_range(pl.len()) < 50) | (pl.int_range(pl.len()) >= 63))
    assert percentiles_from_moer(wider)["percentile"][0] is None
    unknown = whole.with_columns(moer=pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise("moer"))
    assert percentiles_from_moer(unknown)["percentile"][3] is None
    assert full["percentile"][3] is not None


def test_times_off_the_grid_or_doubled_are_refused_and_nothing_is_nothing() -> None:
    for times in ([NOW, NOW], [NOW, NOW + timedelta(minutes=7)]):
        with pytest.raises(ValueError, match="5-minute grid"):
            percentiles_from_moer(pl.DataFrame({"time": times, "moer": [1.0, 2.0]}))
    empty = pl.DataFrame(schema={"time": pl.Datetime("us", "UTC"), "moer": pl.Float64})
    assert percentiles_from_moer(empty).schema == {"time": pl.Datetime("us", "UTC"), "percentile": pl.Float64}


@pytest.mark.real_data
@pytest.mark.parametrize("month", ["PGE_2020-10", "SCE_2021-03"])  # the latter holds a change of the clocks
def test_real_moer_of_a_month(shared_data: Path, month: str) -> None:
    frame = pl.read_csv(
        shared_data / "charge" / "moer" / f"SGIP_CAISO_{month}.csv.gz",
        columns=["time", "moer"],
        try_parse_dates=False,
    ).with_columns(pl.col("time").str.to_datetime("%Y-%m-%d %H:%M:%S%:z", time_zone="UTC", time_unit="us"))
    found = percentiles_from_moer(frame)
    known = found.drop_nulls()
    assert found.height == frame.height
    assert found.height - known.height <= 288
    assert known["percentile"].is_between(0, 100).all()
    # A rank in the next day is above 70 about 30 % of the time, whether the grid is clean or not.
    assert 0.22 < (known["percentile"] > 70).mean() < 0.42
    values = frame.sort("time")["moer"].to_list()
    for i in (0, 1_000, 5_000):
        assert found["percentile"][i] == percentile_of_forecast(values[i], values[i + 1 : i + 289])
