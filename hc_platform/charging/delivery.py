"""Delivery: commands leave the outbox, within the quota, and what becomes of each is written back.

What belongs here: the sender's loop, retries, and what an event or an uplink does to a command. What does not: what is
desired (`decision`), how bytes travel (`downlinks`), how a command is kept (`registry`).

At least once: a process that dies after a send and before it is written sends the same command_id again; a window says
the same twice. Never late: a pause whose window is over is dropped, unsent.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hc_platform.charging.downlinks.base import (
    Delivery,
    Downlink,
    DownlinkError,
    Events,
    RejectedError,
    ThrottledError,
    Uplink,
)
from hc_platform.charging.models import Command, Control, Reason, State
from hc_platform.charging.payloads import encode
from hc_platform.charging.registry.base import ConflictError, Registry

MAX_RESENDS = 3
_MAX_ATTEMPTS = 8
_LEASE = timedelta(seconds=60)
_BACKOFF_S, _BACKOFF_MOST_S = 15.0, 900.0
_IN_FLIGHT = 8
_GRACE = timedelta(minutes=5)
"""A device may say what it did before the newest command reached it."""


@dataclass(frozen=True)
class Quota:
    """How fast commands may leave, over all runs together, and how long one run may be at it."""

    rate: float = 10.0
    burst: float = 20.0
    budget_s: float = 100.0
    ack_timeout_s: float = 600.0


@dataclass
class Delivered:
    """What a run's delivery came to: counts by outcome, and what a person should look at."""

    counts: Counter[str] = field(default_factory=Counter)
    alerts: list[str] = field(default_factory=list)


def deliver(
    registry: Registry,
    downlink: Downlink,
    *,
    owner: str,
    now: Callable[[], datetime],
    quota: Quota,
    key: bytes | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Delivered:
    """Send what is due, release of a car first, until nothing is, or the budget is spent.

    `counts`: sent, retried (failed, to be tried again), throttled, dead, dropped, lost_lease (took longer than the
    lease: another sender has it). Never raises for one command.
    """
    told = Delivered()
    began = now()
    with ThreadPoolExecutor(_IN_FLIGHT) as pool:
        while (now() - began).total_seconds() < quota.budget_s:
            granted = registry.take_tokens(_IN_FLIGHT, rate=quota.rate, burst=quota.burst, now=now())
            if not granted:
                due = registry.next_due().command
                if due is None or due > now():
                    break
                sleep(1 / quota.rate)
                continue
            claimed = registry.claim(now=now(), limit=granted, lease_until=now() + _LEASE, owner=owner)
            if not claimed:
                break
            fit = [c for c in claimed if not _is_over(c, now())]
            for command in claimed:
                if _is_over(command, now()):
                    _settle(registry, _expired(command, now()), owner, told)
            outcomes = pool.map(lambda c: _attempt(downlink, c, key, now()), fit)
            for command, outcome in zip(fit, outcomes, strict=True):
                after = _after(command, outcome, now(), quota, downlink.confirms)
                throttled = isinstance(outcome, ThrottledError)
                held = _settle(registry, after, owner, told, throttled=throttled)
                if not held and isinstance(outcome, str):
                    _say_newest_again(registry, command, now())
            if told.counts["throttled"]:
                break  # the network has had enough; the rest waits for the next run
    return told


def _attempt(downlink: Downlink, command: Command, key: bytes | None, at: datetime) -> str | DownlinkError:
    """The message id, or why there is none; nothing is raised, so that one command's trouble is not the others'."""
    try:
        return downlink.send(command, encode(command, key=key, at=at))
    except DownlinkError as error:
        return error
    except ValueError as error:
        return RejectedError(f"cannot be encoded: {error}")
    except Exception as error:  # an unforeseen fault of a library: as good as a failed send
        return DownlinkError(f"{type(error).__name__}: {error}")


def _is_over(command: Command, now: datetime) -> bool:
    return command.expires_at is not None and command.expires_at <= now


def _expired(command: Command, now: datetime) -> Command:
    """Never out: dropped. Out, and never acknowledged: a dead letter."""
    sends = command.attempts - 1
    if sends == 0 or command.sent_at is None:
        error = command.error or "its window was over before it went out"
        return _with(command, now, status="dropped", error=error, next_try_at=None)
    error = f"sent {sends} times, never acknowledged, now over"
    return _with(command, now, status="dead", error=error, next_try_at=None)


def _after(
    command: Command, outcome: str | DownlinkError, now: datetime, quota: Quota, confirms: bool
) -> Command:
    """The command as it stands after an attempt."""
    if isinstance(outcome, str):
        again = (
            now + timedelta(seconds=quota.ack_timeout_s * 2 ** min(command.attempts - 1, 6))
            if confirms
            else None
        )
        return _with(
            command, now, status="sent", message_id=outcome, sent_at=now, next_try_at=again, error=None
        )
    if isinstance(outcome, RejectedError):
        return _with(command, now, status="dead", error=str(outcome), next_try_at=None)
    again = now + timedelta(seconds=_backoff_s(command))
    if isinstance(outcome, ThrottledError):  # no fault of the command's: it does not count
        uncounted = command.attempts - 1
        return _with(
            command, now, status="pending", attempts=uncounted, next_try_at=again, error=str(outcome)
        )
    # a release is never given up: the car behind it would stand for ever
    if command.desired == "pause" and command.attempts >= _MAX_ATTEMPTS:
        error = f"given up after {command.attempts} attempts: {outcome}"
        return _with(command, now, status="dead", error=error, next_try_at=None)
    return _with(command, now, status="pending", next_try_at=again, error=str(outcome))


def _backoff_s(command: Command) -> float:
    most = min(_BACKOFF_MOST_S, _BACKOFF_S * 2 ** min(command.attempts - 1, 10))
    return random.uniform(most / 2, most)  # noqa: S311 - spreads load, hides nothing


def _with(command: Command, now: datetime, **fields: Any) -> Command:
    return command.model_copy(update={"lease_until": None, "lease_owner": None, "updated_at": now, **fields})


def _settle(
    registry: Registry, command: Command, owner: str, told: Delivered, *, throttled: bool = False
) -> bool:
    held = registry.settle(command, owner=owner)
    outcome = {"pending": "throttled" if throttled else "retried"}.get(command.status, command.status)
    told.counts[outcome if held else "lost_lease"] += 1
    if command.status == "dead":
        told.alerts.append(f"{command.device_id}: {command.desired} is a dead letter: {command.error}")
        if command.sent_at is None:
            _flag(registry, command)
    return held


def _say_newest_again(registry: Registry, late: Command, now: datetime) -> None:
    """A sender that stood still for longer than its lease may have undone what was said since: say that again."""
    for page in registry.commands(device_id=late.device_id):
        for command in page:
            if command.ver > late.ver:  # only the newest is re-sent, the registry sees to that
                priority = 0 if command.desired == "allow" else 1
                registry.resend(
                    late.device_id,
                    command.ver,
                    priority=priority,
                    reasons=command.reasons,
                    count=False,
                    now=now,
                )


def _flag(registry: Registry, command: Command) -> None:
    """Note at the device what the network said, for whoever looks after it."""
    # somebody writes it at this moment, or broke it: the dead letter itself stands all the same
    with suppress(ConflictError, ValueError):
        device = registry.device(command.device_id)
        if device is not None and device.flag != command.error:
            registry.put_device(device.model_copy(update={"flag": command.error}), now=command.updated_at)


class OutOfReachError(Exception):
    """The registry takes no write, so no event can be taken in now."""


def take_news(registry: Registry, events: Events, *, now: datetime) -> Delivered:
    """Take in all that waits. An inbox that fails is an alert and holds up no decision: cars wait to be released.

    Nor does a single event, and it does not come again. Only where the registry takes no write all come again.
    """
    told = Delivered()
    try:
        told = take_in(registry, events.receive(), now=now)
        events.done()
    except OutOfReachError as error:
        told.alerts.append(f"news of devices wait, the registry takes no write: {error}")
    except DownlinkError as error:
        told.alerts.append(f"news of devices cannot be read: {error}")
    except Exception as error:  # an unforeseen fault of a library
        told.alerts.append(f"news of devices cannot be read: {type(error).__name__}: {error}")
    return told


def take_in(registry: Registry, events: Iterable[Delivery | Uplink], *, now: datetime) -> Delivered:
    """Note delivery events and uplinks; re-send to a device that says otherwise, at most three times, then alert once.

    A device's clock is not believed where it is ahead of ours. An event that the registry will not take, twice, while
    it takes another write in between, is counted as unreadable and told; the others go on.

    `counts`: acked, undelivered, agreed, diverged, resent, unknown, late (older than what the device said since, and
    judged no more), unreadable. Raises OutOfReachError.
    """
    told = Delivered()
    for event in events:
        try:
            _take_in_one(registry, event, now, told)
        except Exception:
            _ask_for_a_write(registry, now)
            try:
                _take_in_one(registry, event, now, told)
            except Exception as error:
                told.counts["unreadable"] += 1
                told.alerts.append(f"{event} cannot be taken in: {type(error).__name__}: {error}")
    return told


def _ask_for_a_write(registry: Registry, now: datetime) -> None:
    """Whose fault was it, the event's or the registry's? Raises OutOfReachError."""
    try:
        registry.remember("news/trouble", now.isoformat())
    except Exception as error:
        raise OutOfReachError(f"{type(error).__name__}: {error}") from error


def _take_in_one(registry: Registry, event: Delivery | Uplink, now: datetime, told: Delivered) -> None:
    if isinstance(event, Delivery):
        # by our clock: tables are written by time of change, and a device's clock may be anywhere
        command = registry.acknowledge(event.message_id, delivered=event.delivered, now=now)
        told.counts["unknown" if command is None else "acked" if event.delivered else "undelivered"] += 1
        return
    uplink = replace(event, at=min(event.at, now))
    control = registry.report(uplink.device_id, uplink.state, at=uplink.at)
    if control is None or control.ver == 0:
        told.counts["unknown"] += 1
    elif (control.reported_at, control.reported) != (uplink.at, uplink.state):
        told.counts["late"] += 1
    else:
        _compare(registry, control, uplink, now, told)


def _compare(registry: Registry, control: Control, uplink: Uplink, now: datetime, told: Delivered) -> None:
    newest = _newest_command(registry, control)
    if newest is None:
        told.counts["unknown"] += 1
        return
    if uplink.state == expected_state(control, newest.protocol, uplink.at):
        told.counts["agreed"] += 1
        # before its window begins a device allows, whether it has heard of the window or not
        said = newest.sent_at is not None and uplink.at > newest.sent_at and uplink.state == newest.desired
        if said and newest.status == "sent" and newest.message_id:
            registry.acknowledge(newest.message_id, delivered=True, now=now)
            told.counts["acked"] += 1
        return
    on_its_way = newest.status in ("pending", "sending") or (
        newest.sent_at is not None and uplink.at < newest.sent_at + _GRACE
    )
    if on_its_way or _is_over(newest, now):
        return
    told.counts["diverged"] += 1
    if control.resends >= MAX_RESENDS:
        key, ver = f"diverged/{control.device_id}", str(control.ver)
        if registry.recall(key) != ver:  # once a version, not at every uplink
            registry.remember(key, ver)
            told.alerts.append(
                f"{control.device_id}: says {uplink.state} after {control.resends} re-sends of {newest.desired}"
            )
        return
    priority = 0 if newest.desired == "allow" else 1
    reasons = newest.reasons | int(Reason.DIVERGED)
    if registry.resend(
        control.device_id, control.ver, priority=priority, reasons=reasons, count=True, now=now
    ):
        told.counts["resent"] += 1


def _newest_command(registry: Registry, control: Control) -> Command | None:
    return registry.command(control.device_id, control.ver)


def expected_state(control: Control, protocol: str, at: datetime) -> State:
    """What a device that heard its newest command does at an instant: a window device resumes by itself."""
    if control.desired != "pause" or control.window_start is None or control.window_end is None:
        return "allow"
    waits = control.window_start <= at and (protocol == "legacy" or at < control.window_end)
    return "pause" if waits else "allow"
