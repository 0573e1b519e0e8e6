"""The rules of the outbox and of the token bucket that do not depend on where they are kept.

What belongs here: what a settled, superseded or re-sent command looks like, and the bucket's arithmetic. What does not:
statements and requests (`sqlite`, `dynamo`).
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from hc_platform.charging.models import Change, Command, CommandStatus, Control

KEEP: Final = timedelta(days=14)
"""How long a closed command is kept in the registry; the lake keeps it for ever."""

CLOSED: Final[tuple[CommandStatus, ...]] = ("acked", "dead", "superseded", "dropped")
OUTCOMES: Final[tuple[CommandStatus, ...]] = ("sent", "pending", "dead", "dropped")
NO_CONTROL: Final = "another program removed or replaced its device: register it again"
"""The error of a command whose device, or its control, is gone."""

TOKEN: Final = 1_000_000
"""A bucket's level is kept in whole millionths of a token, so that no rounding ever makes one."""

_LOSS_STEP, _LOSS_MOST = timedelta(seconds=30), timedelta(minutes=15)


def check(changes: Sequence[Change]) -> None:
    """Raise ValueError where a change's command is not its control's newest version, or is not pending."""
    for control, command in ((c.control, c.command) for c in changes):
        if command is None:
            continue
        if (command.device_id, command.ver) != (control.device_id, control.ver):
            raise ValueError(
                f"{control.device_id}: the control is at version {control.ver}, its command is "
                f"{command.device_id} version {command.ver}; give both the same"
            )
        if command.status != "pending":
            raise ValueError(f"{control.device_id}: a new command is pending, not {command.status}")


def uncounted(control: Control, now: datetime) -> Control:
    """What stands in for a control whose version is in the outbox already, for another program removed the one before.

    Nothing is desired, so that the next decision says what it wants; it is due at once, and its version the newest's.
    """
    return Control(device_id=control.device_id, rev=control.rev, ver=control.ver, next_check_at=now)


def settled(command: Command, *, newer: bool) -> Command:
    """A claimed command's outcome as it is stored: let go of, and superseded if a newer version exists."""
    if command.status not in OUTCOMES:
        raise ValueError(
            f"{command.device_id} version {command.ver}: {command.status} is no outcome of a send; "
            f"one of {', '.join(OUTCOMES)}"
        )
    freed = command.model_copy(update={"lease_until": None, "lease_owner": None})
    if newer:
        return freed.model_copy(update={"status": "superseded", "next_try_at": None})
    if command.status in CLOSED:
        return freed.model_copy(update={"next_try_at": None})
    return freed


def due_at(command: Command) -> datetime | None:
    """When `claim` may take it (again); None: never. A pending one without a time may go at once."""
    if command.status == "pending":
        return command.next_try_at or command.created_at
    if command.status == "sent":
        return command.next_try_at
    return command.lease_until if command.status == "sending" else None


def pour(level: int, elapsed_us: int, *, rate: float, burst: float) -> int:
    """The bucket's level, in millionths, after some time: never above `burst`, and no less when a clock went back."""
    gained = math.floor(Fraction(rate) * max(elapsed_us, 0))
    return min(level + gained, full(burst))


def full(burst: float) -> int:
    """The level of a full bucket, in millionths."""
    return math.floor(Fraction(burst) * TOKEN)


def draw(level: int, wanted: int) -> tuple[int, int]:
    """Whole tokens that a level gives of those wanted, and the level that is left."""
    taken = min(max(wanted, 0), level // TOKEN)
    return taken, level - taken * TOKEN


def after_loss(attempts: int, now: datetime) -> datetime:
    """When to send again what the network says it could not deliver: at once the first time, then ever more patiently.

    A charger behind a dead gateway would otherwise take the whole fleet's quota.
    """
    if attempts <= 1:
        return now
    wait: timedelta = _LOSS_STEP * (1 << min(attempts - 2, 10))
    return now + min(wait, _LOSS_MOST)


def priority_after_loss(priority: int, attempts: int) -> int:
    """Behind the fresh commands from the third loss on: what cannot be reached must not hold up what can."""
    return max(priority, 2) if attempts >= 3 else priority
