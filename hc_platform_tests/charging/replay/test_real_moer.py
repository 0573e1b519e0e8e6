"""What hysteresis, dwell and cap do to a month of real MOER, beside what the research measured without them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from hc_platform.charging.models import Policy
from hc_platform.charging.moer.readings import percentiles_from_moer
from hc_platform.charging.replay import Replay, unsteady
from hc_platform_tests.charging.decision.making import device
from hc_platform_tests.charging.replay.making import FLAT, ON_FLAT, replayed

MONTH = datetime(2021, 3, 1, tzinfo=UTC), datetime(2021, 3, 31, tzinfo=UTC)


REGION = "SGIP_CAISO_PGE"


def month(folder: Path, region: str) -> pl.DataFrame:
    raw = pl.read_csv(folder / f"{region}_2021-03.csv.gz", columns=["time", "moer"], try_parse_dates=False)
    at = pl.col("time").str.to_datetime("%Y-%m-%d %H:%M:%S%:z", time_zone="UTC", time_unit="us")
    points = percentiles_from_moer(raw.with_columns(at)).drop_nulls()
    return points.select(region=pl.lit(region), point_time="time", percentile="percentile")


@pytest.mark.real_data
def test_case_30_hysteresis_calms_a_month_of_real_moer_and_the_cap_ends_its_longest_pauses(
    shared_data: Path,
) -> None:
    readings = month(shared_data / "charge" / "moer", REGION)
    rows = [device("a", watttime_region=REGION, **ON_FLAT)]

    def under(policy: Policy) -> Replay:
        return replayed(rows, *MONTH, tariffs=FLAT, policies={"default": policy}, readings=readings)

    steady, hasty = under(Policy()), under(unsteady(Policy()))
    uncapped = under(Policy(max_pause_s=30 * 86_400))
    assert steady.flips_per_day <= hasty.flips_per_day * 2 / 3
    assert hasty.flips_per_day > 15  # the research: 17 to 19 over more months
    assert steady.longest_pause <= timedelta(seconds=Policy().max_pause_s)
    assert uncapped.longest_pause > timedelta(hours=8)
    short = (pl.col("paused_until") - pl.col("paused_from")) <= timedelta(minutes=10)
    assert hasty.pauses.select(short.mean()).item() > 0.2
    assert steady.pauses.select(short.mean()).item() < 0.02
