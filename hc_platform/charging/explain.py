"""Why a device is told what it is told, in words.

What belongs here: sentences out of one decision. What does not: deciding.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from hc_platform.charging.models import Command, Device, Policy, Reason
from hc_platform.charging.policies import DEFAULT
from hc_platform.charging.site import Site
from hc_platform.charging.steps import Decided, Moer
from hc_platform.charging.tariffs.model import Tariff


def explain(
    decided: Decided,
    device: Device,
    *,
    tariff: Tariff | None,
    policies: Mapping[str, Policy],
    moer: Moer,
    newest: Command | None = None,
) -> str:
    """One paragraph: what the device should do at that instant, why, until when, and where its command stands.

    Times are on the tariff's clock, UTC where there is none. Raises LookupError if the device was not decided.
    """
    rows = decided.frame.filter(pl.col("device_id") == device.device_id)
    if rows.is_empty():
        raise LookupError(f"{device.device_id} is {device.status}: nothing is decided for it")
    row = rows.row(0, named=True)
    policy = policies.get(device.policy_id) or policies.get(DEFAULT, Policy())
    clock = ZoneInfo(tariff.timezone) if tariff else ZoneInfo("UTC")
    at = decided.as_of
    told = [f"At {_time(at, clock)} ({clock.key}) {device.device_id} {_should(row, at, clock)}."]
    told += [_tariff(row, device, clock), _moer(row, device, policy, at, moer)]
    told += _others(row, device, clock)
    if row["next_check_at"]:
        told.append(f"Nothing of this changes by itself before {_time(row['next_check_at'], clock)}.")
    told.append(_command(row, newest, clock, decided.mode))
    return " ".join(sentence for sentence in told if sentence)


def newest_command(site: Site, device_id: str) -> Command | None:
    """The command with the greatest version that the outbox has for a device."""
    found = [c for page in site.registry.commands(device_id=device_id) for c in page]
    return max(found, key=lambda c: c.ver, default=None)


def _should(row: Mapping[str, Any], at: datetime, clock: ZoneInfo) -> str:
    if row["desired"] == "allow":
        return "may charge"
    until = _time(row["window_end"], clock)
    if row["window_start"] > at:
        return (
            f"may charge until {_time(row['window_start'], clock)}, and is told to wait from then to {until}"
        )
    return f"should wait, from {_time(row['window_start'], clock)} until {until}"


def _tariff(row: Mapping[str, Any], device: Device, clock: ZoneInfo) -> str:
    reasons = Reason(row["reasons"])
    if Reason.INACTIVE in reasons:
        return "It is deactivated, and never commanded after the pause that stood is taken back."
    if Reason.UNKNOWN_UTILITY in reasons:
        return f"Its utility {device.utility_id!r} has no tariffs here, so it is always allowed."
    if Reason.NO_PLAN in reasons:
        return f"Its plan {device.rate_plan!r} is not known, so no tariff pauses it."
    if Reason.NO_VERSION in reasons:
        return f"No version of {device.schedule} covers this day, so no tariff pauses it."
    if Reason.FLAT_PLAN in reasons:
        return f"{device.schedule} is a flat plan: its hours cost the same."
    told = f"{device.schedule} (version of {row['version']}) is in tier {row['tier']} (rank {row['rank']})"
    if Reason.TOU_PEAK in reasons:
        return f"{told}, which pauses."
    if Reason.TOU_JITTER in reasons:
        return f"{told}; the pause around its peak begins a little earlier and ends a little later for this device."
    if Reason.TOU_AHEAD in reasons:
        return f"{told}; the coming peak's window is sent ahead."
    return f"{told}, which does not pause."


def _moer(row: Mapping[str, Any], device: Device, policy: Policy, at: datetime, moer: Moer) -> str:
    reasons = Reason(row["reasons"])
    if Reason.INACTIVE in reasons or Reason.UNKNOWN_UTILITY in reasons:
        return ""
    if not policy.use_moer:
        return f"Its policy {device.policy_id} does not heed MOER."
    if moer.usable is None:
        return "MOER is not in use: there are no readings."
    if Reason.NO_REGION in reasons:
        return "It has no WattTime region, so MOER does not pause it."
    bad = {
        Reason.MOER_MISSING: "has no answer",
        Reason.MOER_INVALID: f"answered {row['percentile']}, which is no percentile",
        Reason.MOER_STALE: "has only a reading that is too old",
        Reason.MOER_FUTURE: "answered for a time ahead of now",
    }
    for reason, words in bad.items():
        if reason in reasons:
            return f"{device.watttime_region} {words}: bad data pause nothing."
    age = int((at - row["point_time"]) / timedelta(minutes=1))
    told = f"MOER in {device.watttime_region} is at percentile {row['percentile']:g} ({age} min old)"
    if Reason.MOER_CAPPED in reasons:
        most = f"{policy.max_pause_s / 3600:g} h"
        return f"{told}; a pause has lasted {most}, so none follows before it is at or below {policy.moer_off:g}."
    if Reason.MOER_HOLD in reasons:
        return f"{told}, not yet at or below {policy.moer_off:g}: the pause holds."
    if Reason.MOER_HIGH in reasons:
        return f"{told}, above {policy.moer_on:g}{'' if row['moer'] == 'pausing' else ', but does not pause now'}."
    return f"{told}, not above {policy.moer_on:g}."


def _others(row: Mapping[str, Any], device: Device, clock: ZoneInfo) -> list[str]:
    reasons = Reason(row["reasons"])
    words = {
        Reason.OVERRIDE: f"Charge Now holds until {_time(device.override_until, clock)}.",
        Reason.DEADLINE: f"The car leaves at {_time(device.deadline, clock)} and needs {_hours(device.need_s)} h before.",
        Reason.DWELL: "The last flip is too recent for MOER to make another.",
        Reason.UNKNOWN_POLICY: f"Its policy {device.policy_id!r} is not known; the default one stands in.",
        Reason.CLOCK_UNTRUSTED: "This machine's clock is off, so no new pause begins.",
        Reason.FIRST_SIGHT: "It has never been told anything, so it is told now.",
    }
    return [sentence for reason, sentence in words.items() if reason in reasons]


def _command(row: Mapping[str, Any], newest: Command | None, clock: ZoneInfo, mode: str) -> str:
    if mode != "live":
        return "This is the past: no command follows."
    if row["commanded"]:
        return f"That is new to the device: command version {row['ver']} follows."
    if newest is None:
        return ""
    tail = f" at {_time(newest.acked_at or newest.sent_at, clock)}" if newest.sent_at else ""
    return (
        f"The device has been told: command version {newest.ver} ({newest.desired}) is {newest.status}{tail}."
    )


def _time(at: datetime | None, clock: ZoneInfo) -> str:
    return f"{at.astimezone(clock):%Y-%m-%d %H:%M:%S}" if at else "?"


def _hours(seconds: int | None) -> str:
    return f"{(seconds or 0) / 3600:g}"
