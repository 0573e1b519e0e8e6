"""Random tariffs, policies, devices and readings, in the corners where decisions go wrong.

What belongs here: hypothesis strategies. What does not: fixed examples (`making`).
"""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from hc_platform.charging.models import Policy
from hc_platform.charging.tariffs.model import Tariff
from hc_platform_tests.charging.decision.making import Row, device, flat_file, reading, utc

ZONES = ("America/Denver", "America/New_York", "America/Phoenix", "Australia/Lord_Howe", "UTC")
STARTS = tuple(
    utc(day)
    for day in (
        "2026-03-07 12:00",  # the clock springs on the 8th, in Lord Howe falls by half an hour on April 5th
        "2026-04-04 00:00",
        "2026-07-02 06:00",
        "2026-10-31 12:00",  # falls on November 1st
        "2026-12-31 00:00",
    )
)
REGIONS = ("PSCO", "CAISO_NORTH")
PLANS = ("first", "second")


@st.composite
def clock_times(draw: st.DrawFn) -> str:
    return f"{draw(st.integers(0, 23)):02}:{draw(st.sampled_from((0, 0, 0, 5, 30, 59))):02}"


@st.composite
def versions(draw: st.DrawFn, effective_from: str, effective_to: str | None) -> Row:
    common = {"effective_from": effective_from, "effective_to": effective_to}
    if draw(st.integers(0, 5)) == 0:
        return common | {"tiers": {"flat": draw(st.integers(0, 4))}}
    tiers = {"off": draw(st.integers(0, 1)), "mid": 2, "on": draw(st.integers(3, 4))}
    days = st.sampled_from(("all", "all", "weekdays", "weekends", "sun"))
    periods = [
        {
            "tier": draw(st.sampled_from(("mid", "on", "on"))),
            "days": draw(days),
            "start": draw(clock_times()),
            "end": draw(clock_times()),
            "priority": n,
        }
        for n in range(draw(st.integers(1, 4)))
    ]
    return common | {"default_tier": "off", "tiers": tiers, "periods": periods}


@st.composite
def tariffs(draw: st.DrawFn, start: datetime) -> dict[str, Tariff]:
    """Two utilities with two plans each; some change their version, or have none, near `start`."""
    found: dict[str, Tariff] = {}
    for utility in ("one", "two"):
        plans = {}
        for plan in PLANS:
            turn = start.date() + timedelta(days=draw(st.integers(-1, 3)))
            until = str(turn - timedelta(days=draw(st.sampled_from((1, 1, 2)))))
            old, new = draw(versions("2020-01-01", until)), draw(versions(str(turn), None))
            plans[plan] = draw(st.sampled_from(([old, new], [old | {"effective_to": None}], [old], [new])))
        found |= flat_file(utility, timezone=draw(st.sampled_from(ZONES)), **plans)
    return found


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    on = draw(st.sampled_from((50.0, 70.0)))
    return Policy(
        pause_rank=draw(st.sampled_from((1, 2, 3, 3, 4))),
        use_moer=draw(st.sampled_from((True, True, True, False))),
        moer_on=on,
        moer_off=draw(st.sampled_from((on, on - 10, 20.0))),
        moer_ttl_s=draw(st.sampled_from((60, 900, 7200))),
        moer_skew_s=draw(st.sampled_from((0, 300))),
        max_pause_s=draw(st.sampled_from((60, 1800, 7200, 14_400))),
        dwell_s=draw(st.sampled_from((0, 600, 1800, 7200))),
        fail_safe=draw(st.sampled_from(("allow", "hold"))),
        jitter_s=draw(st.sampled_from((0, 59, 600, 1800, 3600))),
        lead_s=draw(st.sampled_from((0, 100, 3600, 72_000))),
        heartbeat_s=draw(st.sampled_from((None, None, 3600))),
    )


def policy_sets() -> st.SearchStrategy[dict[str, Policy]]:
    return st.fixed_dictionaries({"default": policies(), "other": policies()})


@st.composite
def devices(draw: st.DrawFn, device_id: str) -> Row:
    return device(
        device_id,
        protocol=draw(st.sampled_from(("window", "window", "legacy"))),
        utility_id=draw(st.sampled_from(("one", "one", "two", "nowhere", None))),
        rate_plan=draw(st.sampled_from((*PLANS, *PLANS, "lost", None))),
        watttime_region=draw(st.sampled_from((*REGIONS, *REGIONS, "SILENT", None))),
        policy_id=draw(st.sampled_from(("default", "other", "unheard"))),
        spread=draw(st.integers(0, 2**32 - 1)),
    )


@st.composite
def moved(draw: st.DrawFn, row: Row, now: datetime) -> Row:
    """The registry's news of a device: an override, a deadline, another tariff, deactivation."""
    what = draw(st.integers(0, 9))
    soon = st.integers(-3600, 30_000).map(lambda s: now + timedelta(seconds=s))
    if what == 0:
        return row | {"override_until": draw(soon)}
    if what == 1:
        return row | {"deadline": draw(soon), "need_s": draw(st.sampled_from((0, 600, 7200, 40_000)))}
    if what == 2:
        return row | {"deadline": None, "need_s": None, "override_until": None}
    if what == 3:
        return row | {"status": "inactive" if row["status"] == "active" else "active"}
    if what == 4:
        return row | {
            "rate_plan": draw(st.sampled_from(PLANS)),
            "policy_id": draw(st.sampled_from(("default", "other"))),
        }
    return row


VALUES: tuple[Any, ...] = (5.0, 40.0, 55.0, 60.0, 65.0, 70.0, 70.9, 90.0, 99.0)
BAD: tuple[Any, ...] = (None, float("nan"), -1.0, 150.0)


@st.composite
def one_reading(draw: st.DrawFn, now: datetime) -> Row:
    kind = draw(st.integers(0, 11))
    if kind == 0:
        return reading(draw(st.sampled_from(BAD)), now)
    if kind == 1:
        return reading(None, None, "http 503")
    if kind == 2:
        return reading(
            draw(st.sampled_from(VALUES)), now + timedelta(seconds=draw(st.integers(-10_000, 4_000)))
        )
    return reading(
        draw(st.sampled_from(VALUES)), now - timedelta(seconds=draw(st.sampled_from((0, 60, 300))))
    )


def readings(now: datetime) -> st.SearchStrategy[dict[str, Row] | None]:
    some = st.fixed_dictionaries({region: one_reading(now) for region in REGIONS})
    return st.one_of(some, some, some, some, some, st.none())
