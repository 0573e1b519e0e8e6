"""The things charge control speaks of: devices, policies, what is desired of a device, commands, reasons.

What belongs here: their fields with meanings and units, and nothing that acts. What does not: where they are kept
(`registry`), how they come about (`decision`), how they travel (`downlinks`). All times are UTC-aware datetimes.
"""

import hashlib
from datetime import datetime
from enum import IntFlag
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

State = Literal["allow", "pause"]
DeviceStatus = Literal["active", "inactive"]
Protocol = Literal["window", "legacy"]
MoerState = Literal["idle", "pausing", "capped"]
CommandStatus = Literal["pending", "sending", "sent", "acked", "dead", "superseded", "dropped"]
OPEN_STATUSES: Final[tuple[CommandStatus, ...]] = ("pending", "sending", "sent")

_Id = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Device(_Model):
    """One registered charger. `registry_version` counts its writes: 1 at first, compared at each next one."""

    device_id: _Id
    wireless_device_id: str | None = Field(
        None,
        description="the id that the downlink addresses: an AWS IoT Wireless device id or a thing's name",
    )
    status: DeviceStatus = "active"
    protocol: Protocol = Field(
        "window",
        description="window: takes start and end and resumes by itself; legacy: only pause and allow",
    )
    install_address: str | None = None
    meter_number: str | None = None
    lat: float | None = Field(None, ge=-90, le=90)
    lon: float | None = Field(None, ge=-180, le=180)
    utility_id: str | None = Field(None, description="the utility's id in tou_schedules/, e.g. xcel_co")
    rate_plan: str | None = Field(None, description="the tariff's id below that utility, e.g. re_tou")
    plan_confirmed_by: str | None = Field(None, description="who said that this is the customer's plan")
    watttime_region: str | None = Field(None, description="WattTime's region code, from lat/lon")
    region_checked_at: AwareDatetime | None = None
    policy_id: str = "default"
    override_until: AwareDatetime | None = Field(None, description="Charge Now: allow until then")
    deadline: AwareDatetime | None = Field(None, description="when the car must leave")
    need_s: int | None = Field(
        None, ge=0, description="seconds of charging that it needs before the deadline"
    )
    flag: str | None = Field(
        None, description="what is wrong with it, for a person; set when the downlink refuses it"
    )
    registry_version: int = Field(0, ge=0)
    created_at: AwareDatetime | None = None
    updated_at: AwareDatetime | None = None

    @property
    def schedule(self) -> str | None:
        """Its tariff as utility_id/rate_plan, None where either is missing."""
        return f"{self.utility_id}/{self.rate_plan}" if self.utility_id and self.rate_plan else None

    @model_validator(mode="after")
    def _a_deadline_needs_a_need(self) -> Self:
        if (self.deadline is None) != (self.need_s is None):
            raise ValueError("deadline and need_s go together: give both or neither")
        return self


class Policy(_Model):
    """How a device is controlled. All durations in seconds, MOER in percentile points (0 to 100)."""

    pause_rank: int = Field(3, ge=0, le=4, description="tiers of this rank and dearer pause (3: on-peak)")
    use_moer: bool = True
    moer_on: float = Field(70.0, ge=0, le=100, description="above it, strictly, a pause begins")
    moer_off: float = Field(60.0, ge=0, le=100, description="at or below it the pause ends")
    moer_ttl_s: int = Field(900, ge=60, description="a reading older than this says nothing")
    moer_skew_s: int = Field(300, ge=0, description="a reading further ahead than this says nothing")
    max_pause_s: int = Field(14_400, ge=60, description="MOER never makes a pause longer than this")
    dwell_s: int = Field(1_800, ge=0, description="least time between two flips that MOER alone causes")
    fail_safe: Literal["allow", "hold"] = Field("allow", description="what MOER does while its data are bad")
    jitter_s: int = Field(600, ge=0, le=3_600, description="up to so much earlier to pause, later to resume")
    lead_s: int = Field(3_600, ge=0, le=72_000, description="up to so much ahead a window is sent")
    heartbeat_s: int | None = Field(
        None, ge=300, description="re-send a standing window as often; None: never"
    )

    @model_validator(mode="after")
    def _off_is_not_above_on(self) -> Self:
        if self.moer_off > self.moer_on:
            raise ValueError(f"moer_off {self.moer_off} is above moer_on {self.moer_on}")
        return self


class Reason(IntFlag):
    """Why a decision is what it is; several at once. The names are what people and tables read."""

    TOU_PEAK = 1 << 0  # inside a pausing window of the tariff
    TOU_JITTER = 1 << 1  # only by the jitter around it: earlier to pause, later to resume
    TOU_AHEAD = 1 << 2  # the coming window, sent ahead to a device that keeps time itself
    MOER_HIGH = 1 << 3
    MOER_HOLD = 1 << 4  # between off and on: stays paused
    MOER_CAPPED = 1 << 5  # still high, but paused long enough
    DWELL = 1 << 6  # a flip put off
    OVERRIDE = 1 << 7
    DEADLINE = 1 << 8
    FLAT_PLAN = 1 << 9
    NO_PLAN = 1 << 10  # the utility is known, the plan is not: MOER only
    NO_VERSION = 1 << 11  # no version of the tariff covers this day
    UNKNOWN_UTILITY = 1 << 12  # quarantined: always allowed
    MOER_MISSING = 1 << 13  # no answer for the region
    MOER_INVALID = 1 << 14  # NaN, or out of 0..100
    MOER_STALE = 1 << 15
    MOER_FUTURE = 1 << 16
    NO_REGION = 1 << 17
    CLOCK_UNTRUSTED = 1 << 18  # this machine's clock is off: no new pauses
    INACTIVE = 1 << 19
    FIRST_SIGHT = 1 << 20  # its state is not known: told once
    UNKNOWN_POLICY = 1 << 21  # the default policy stands in
    HEARTBEAT = 1 << 22
    DIVERGED = 1 << 23  # the device said otherwise

    @property
    def names(self) -> list[str]:
        """The bits' names in lower case, in their order."""
        return [bit.name.lower() for bit in Reason if bit in self and bit.name]


class Control(_Model):
    """What is desired of one device now, and what the next decision must remember. Compared and swapped by `rev`.

    `ver` counts what was asked of the device and goes up only with a command; `rev` counts every write.
    A device that was never decided has none. A pause has its window, half-open [window_start, window_end).
    """

    device_id: str
    rev: int = Field(1, ge=1)
    ver: int = Field(0, ge=0)
    desired: State | None = None
    window_start: AwareDatetime | None = None
    window_end: AwareDatetime | None = None
    paused_since: AwareDatetime | None = Field(None, description="start of the pause that goes on now")
    changed_at: AwareDatetime | None = Field(None, description="the last flip, for the dwell")
    moer: MoerState = "idle"
    reasons: int = 0
    next_check_at: AwareDatetime | None = Field(
        None, description="the earliest instant at which this device's state can change by itself"
    )
    reported: State | None = Field(None, description="what the device last said of itself")
    reported_at: AwareDatetime | None = None
    resends: int = Field(0, ge=0, description="re-sends of this ver because the device said otherwise")


class Command(_Model):
    """One version of what was asked of a device: a row of the outbox.

    pending -> sending (leased) -> sent -> acked; back to pending for a retry; dead after the last one; superseded by a
    newer version; dropped when its window was over before it went out. `window_*` are NULL for allow.
    """

    device_id: str
    ver: int = Field(ge=1)
    command_id: str = Field(description="sha256(device_id|ver): the idempotency key of every attempt")
    wireless_device_id: str | None
    protocol: Protocol
    desired: State
    window_start: AwareDatetime | None = None
    window_end: AwareDatetime | None = None
    reasons: int = 0
    priority: int = Field(1, description="smaller goes first: 0 release of a car, 1 pause, 2 heartbeat")
    status: CommandStatus = "pending"
    attempts: int = 0
    next_try_at: AwareDatetime | None = Field(
        None, description="pending: not before; sent: when to try again unless it is acked (NULL: never)"
    )
    expires_at: AwareDatetime | None = Field(None, description="after it the command is useless")
    lease_until: AwareDatetime | None = None
    lease_owner: str | None = None
    message_id: str | None = Field(None, description="the downlink's own id of the last attempt")
    error: str | None = None
    created_at: AwareDatetime
    sent_at: AwareDatetime | None = None
    acked_at: AwareDatetime | None = None
    updated_at: AwareDatetime


def command_id(device_id: str, ver: int) -> str:
    """The idempotency key: the same for every attempt of one version, different for all others."""
    return hashlib.sha256(f"{device_id}|{ver}".encode()).hexdigest()


class Change(_Model):
    """One device's new control, with the command it needs, written together or not at all."""

    control: Control
    command: Command | None = None


class Reading(_Model):
    """One answer (or failure) about one WattTime region. `percentile` is the signal index: float, 0 to 100."""

    region: str
    fetched_at: datetime
    point_time: datetime | None = Field(None, description="the 5-minute point that the value is for")
    percentile: float | None = Field(None, description="as answered, also when it makes no sense")
    failure: str | None = Field(None, description="why there is no value: http 403, timeout, empty data, ...")
    disabled: bool = Field(False, description="the account may not read this region: do not ask again soon")
