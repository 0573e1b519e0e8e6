"""The one interface to what changes row by row: devices, their control, the outbox, the token bucket.

What belongs here: the interface and its errors. What does not: its implementations (`sqlite`, `dynamo`), or anything
that decides. Both implementations pass one contract suite.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import polars as pl

from hc_platform.charging.models import Change, Command, Control, Device, DeviceStatus, State


class ConflictError(Exception):
    """Another writer was first; the message names the device and both versions."""


@dataclass(frozen=True)
class Due:
    """The earliest instants at which something is to do, UTC; None: nothing is waiting."""

    control: datetime | None
    command: datetime | None


class Registry(Protocol):
    """Devices, controls, commands.

    Safe for several processes at once; every write survives `kill -9` whole or not at all.
    """

    def put_device(self, device: Device, *, now: datetime) -> Device:
        """Write a device whose `registry_version` is the one it was read with (0: a new one).

        Returns it with the next version and its times set; bumps `version()` in the same transaction.
        Raises ConflictError if the stored one has another version.
        """

    def device(self, device_id: str) -> Device | None:
        """One device."""

    def devices(self, status: DeviceStatus | None = None) -> Iterator[list[Device]]:
        """All devices, or those of a status, page by page, by device_id within a status.

        Rows that cannot be read are left out: see `unreadable`.
        """

    def fleet(self) -> pl.DataFrame:
        """What a decision needs: every active device, and every inactive one whose control still says pause.

        One row a device, in no promised order: the columns of `FLEET` (device fields, then its control's, NULL where
        it has none yet). Rows that cannot be read are left out: see `unreadable`.
        """

    def registered(self) -> pl.DataFrame:
        """All devices with the columns of table DEVICES, in no promised order; those that cannot be read left out."""

    def unreadable(self) -> list[str]:
        """One line "device_id: what is wrong" a row that another program wrote against the models.

        Those that this object's last `fleet`, `registered` or `devices` (as far as it was read) left out.
        """

    def version(self) -> int:
        """Grows with every device write: a cheap way to see that the registry changed."""

    def put_schedule_row(self, row: Mapping[str, Any]) -> None:
        """Write one flat tariff row (key utility_id, rate_plan), as `tariffs.rows` has it."""

    def schedule_rows(self) -> list[dict[str, Any]]:
        """All flat tariff rows."""

    def control(self, device_id: str) -> Control | None:
        """One device's control."""

    def commit(self, changes: Sequence[Change], *, now: datetime) -> list[str]:
        """Write each change if the stored control's rev is one less than its own (absent: 0); returns the losers' ids.

        A change is one transaction: the control, the new command as pending, and the device's older commands that are
        pending or sent-and-not-acked as superseded. One being sent just now is left to its sender. Devices that are
        not registered lose, and so does a version that does not follow on: with a command `ver` is the stored one's
        plus one, without it the same. One whose version is in the outbox already, for another program removed the
        control, loses once: its versions go on from the newest, and it is due for a check at once. `reported` and
        `reported_at` of a stored control stay as `report` left them, and `resends` stays until the next version. A
        command without `next_try_at` is due at once.
        Raises ValueError, before anything is written, where a command is not its control's version or not pending.
        """

    def next_due(self) -> Due:
        """The least next_check_at of active devices, and the least instant at which `claim` will find something.

        Devices that cannot be read do not count, for no decision would ever move them on. A command behind another
        version of its device in flight counts from the end of that lease. May be past.
        """

    def claim(self, *, now: datetime, limit: int, lease_until: datetime, owner: str) -> list[Command]:
        """Lease up to `limit` commands for sending: by priority, then what has been due longest.

        Taken: pending or sent with next_try_at <= now; sending whose lease is over. Never one whose device has a newer
        version (it is marked superseded instead), never while another version of that device is leased.
        Each comes back as sending with attempts + 1 and `updated_at` = now; of several claimers one gets it. While
        others claim too, fewer than `limit` may come though more are due. One whose device has no control any more
        becomes a dead letter that says so.
        """

    def settle(self, command: Command, *, owner: str) -> bool:
        """Store a claimed command's outcome (status sent, pending, dead or dropped, with its fields; lease let go).

        False, and nothing written, unless it is still leased to `owner`. If a newer version exists by now, it is stored
        as superseded whatever the outcome, with its message_id kept. `updated_at` is stored as given: set it, or
        `commands(since)` finds the outcome under the time of the claim. Raises ValueError for any other status.
        """

    def acknowledge(self, message_id: str, *, delivered: bool, now: datetime) -> Command | None:
        """A delivery event: sent becomes acked, or pending again when it was not delivered.

        It is due at once after the first loss, later after each further one (`rules.after_loss`).

        None where no sent command has that message id as its last attempt's (unknown, superseded, or acked before).
        """

    def report(self, device_id: str, state: State, *, at: datetime) -> Control | None:
        """An uplink told the device's state; older reports than the stored one are ignored. None: unknown device.

        Changes neither rev nor ver: a report is no decision. A device that was never decided gets a control with rev 1,
        ver 0 and nothing desired, which keeps the report; its first decision then has rev 2. It is due for a check at
        the report's time, so that a first decision that lost the race to it is made again at once.
        """

    def resend(
        self, device_id: str, ver: int, *, priority: int, reasons: int, count: bool, now: datetime
    ) -> bool:
        """Put that version's sent or acked command back to pending, the same command_id; `count` adds to resends.

        It is due at once, and its attempts are counted anew. False unless it is the device's newest version.
        """

    def say_again(self, due: Mapping[str, datetime], *, reasons: int, now: datetime) -> int:
        """Heartbeats: put standing pauses back to pending, the same command_id; returns how many.

        Of each device id: its newest version, if that is a pause, sent or acked, last sent at or before the instant
        given. It gets priority 2, these reasons beside its own, attempts 0, and is due at once.
        """

    def command(self, device_id: str, ver: int) -> Command | None:
        """One version of what was asked of a device."""

    def commands(
        self, *, device_id: str | None = None, status: str | None = None, since: datetime | None = None
    ) -> Iterator[list[Command]]:
        """Commands page by page: of a device, of a status, updated at or after `since`; all that is given must hold.

        One that changes while the pages are read may come twice. Closed ones (acked, dead, superseded, dropped) are
        kept for 14 days (`rules.KEEP`); the lake keeps them for ever.
        """

    def take_tokens(self, wanted: int, *, rate: float, burst: float, now: datetime) -> int:
        """Take up to `wanted` of the bucket that all runs share: `rate` tokens a second, never more than `burst`.

        Full at first. Whole tokens; a clock that steps back gains nothing.
        """

    def remember(self, key: str, value: str) -> None:
        """Keep a small text for the next run."""

    def recall(self, key: str) -> str | None:
        """The text kept under that key."""

    def close(self) -> None:
        """Let go of files and connections."""
