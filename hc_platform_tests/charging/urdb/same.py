"""Whether a tariff file says of every hour what a USURDB rate says.

Belongs here: the comparison through the compiled schedule. Does not belong here: the oracle (`making`).
"""

import datetime as dt
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from hc_platform.charging.tariffs.compiled import compile_tariffs
from hc_platform.charging.tariffs.model import TariffFile, tariffs_of
from hc_platform_tests.charging.urdb.making import oracle

HOUR = dt.timedelta(hours=1)


def assert_hours_as_in(rate: Mapping[str, Any], file: TariffFile) -> None:
    """Every UTC hour of the version, 370 days at most, by local month, hour and weekday."""
    [tariff] = tariffs_of(file).values()
    [version] = tariff.plan.versions
    zone = ZoneInfo(tariff.timezone)
    first = dt.datetime.combine(version.effective_from, dt.time(), zone).astimezone(dt.UTC)
    last = first + dt.timedelta(days=370)
    if version.effective_to:
        ends = dt.datetime.combine(version.effective_to + dt.timedelta(days=1), dt.time(), zone)
        last = min(last, ends.astimezone(dt.UTC))
    frame = compile_tariffs({tariff.schedule: tariff}, first, last)
    starts, ranks = frame["starts_at"].to_list(), frame["rank"].to_list()
    expected = oracle(rate)
    at = first
    while at < last:
        local = at.astimezone(zone)
        want = expected[local.month, local.weekday() >= 5, local.hour]
        assert ranks[bisect_right(starts, at) - 1] == want, f"{local}: {want}"
        at += HOUR
