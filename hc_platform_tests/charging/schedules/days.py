"""A day of a shipped tariff in the words in which a person would read it off the utility's page.

What belongs here: the tables' notation and the walk through a day. What does not: expected days (the tests hold them).

    "00 off_peak | 17 on_peak | 21 off_peak"

means: from 00:00 on the local clock off-peak, from 17:00 on-peak, from 21:00 off-peak until midnight.
"""

import datetime as dt
from zoneinfo import ZoneInfo

from hc_platform.charging.tariffs.compiled import tier_at
from hc_platform.charging.tariffs.model import Tariff

STEP = dt.timedelta(minutes=15)
"""Finer than any shipped window; the day is walked in UTC, so a clock change is met and not assumed away."""


def at(tariff: Tariff, day: str, clock: str) -> str | None:
    """The tier at a local wall time; None where no version holds."""
    local = dt.datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZoneInfo(tariff.timezone))
    return tier(tariff, local.astimezone(dt.UTC))


def tier(tariff: Tariff, instant: dt.datetime) -> str | None:
    """The tier's name at an instant."""
    return tier_at(tariff, instant).tier


def table(tariff: Tariff, day: str) -> str:
    """The local day in the notation above."""
    zone = ZoneInfo(tariff.timezone)
    date = dt.date.fromisoformat(day)
    instant, end = (
        dt.datetime.combine(date + dt.timedelta(days=days), dt.time(), zone).astimezone(dt.UTC)
        for days in (0, 1)
    )
    changes: list[tuple[str, str | None]] = []
    while instant < end:
        name = tier(tariff, instant)
        if not changes or changes[-1][1] != name:
            changes.append((f"{instant.astimezone(zone):%H:%M}".removesuffix(":00"), name))
        instant += STEP
    return " | ".join(f"{clock} {name}" for clock, name in changes)
