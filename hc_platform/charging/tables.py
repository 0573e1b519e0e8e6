"""The tables of charge control, defined once.

What belongs here: every column with type, unit and meaning; they generate the Delta schema, Dagster's column schema,
the warehouse comments and docs/tables.md. What does not: how a value gets there.
"""

from typing import Final, get_args

import polars as pl

from hc_platform.charging.models import CommandStatus, DeviceStatus, MoerState, Protocol, Reason, State
from hc_platform.tables import POLARS_TYPES, Column, ColumnType, Table, columns

STATES: Final = get_args(State)
DECISION_MODES: Final = ("live", "backfill")

_DEVICE = Column("device_id", "text", "The charger, as the registry names it.", required=True)
_RUN = Column("run_id", "text", "The run that wrote the row.")
_SCHEDULE = Column("schedule", "text", "The tariff as utility_id/rate_plan.")
_WINDOW = (
    Column("window_start", "timestamp", "Start of the pause, UTC; NULL for allow."),
    Column("window_end", "timestamp", "End of the pause, UTC, exclusive; NULL for allow."),
)
_REASONS = Column("reasons", "text_list", f"All that bore on it: {', '.join(Reason(~0).names)}.")

DEVICES: Final = Table(
    "devices",
    "One row per registered charger, as the registry had it at the last run.",
    columns(
        _DEVICE,
        Column("wireless_device_id", "text", "The id that the downlink addresses."),
        Column("status", "text", "Whether it is controlled.", values=get_args(DeviceStatus), required=True),
        Column("protocol", "text", "What it understands.", values=get_args(Protocol), required=True),
        Column("install_address", "text", "Where it is installed."),
        Column("meter_number", "text", "The utility meter behind which it stands."),
        Column("lat", "float", "Latitude, WGS 84.", "degrees"),
        Column("lon", "float", "Longitude, WGS 84.", "degrees"),
        Column("utility_id", "text", "Its electric utility, as tou_schedules/ names it."),
        Column("rate_plan", "text", "Its tariff at that utility."),
        Column("plan_confirmed_by", "text", "Who said that this is the customer's plan."),
        Column("watttime_region", "text", "WattTime's region for its place."),
        Column("region_checked_at", "timestamp", "When the region was looked up."),
        Column("policy_id", "text", "The policy that it is controlled by.", required=True),
        Column("override_until", "timestamp", "Charge Now: allowed until then."),
        Column("deadline", "timestamp", "When the car must leave."),
        Column("need_s", "int", "Charging that it needs before the deadline.", "seconds"),
        Column("flag", "text", "What is wrong with it, for a person."),
        Column("registry_version", "int", "Writes of this device so far.", required=True),
        Column("created_at", "timestamp", "First registered."),
        Column("updated_at", "timestamp", "Last written."),
    ),
    key=("device_id",),
)

TOU_SCHEDULES: Final = Table(
    "tou_schedules",
    "Compiled tariffs: one row per stretch of time in one tier, contiguous from the start of last year to the end of "
    "next year.",
    columns(
        Column("utility_id", "text", "The utility.", required=True),
        Column("rate_plan", "text", "The tariff.", required=True),
        Column("schedule", "text", "Both, as utility_id/rate_plan.", required=True),
        Column("version", "date", "The version's first local day; NULL where no version covers the time."),
        Column("timezone", "text", "IANA zone of the tariff's clock.", required=True),
        Column("starts_at", "timestamp", "Start, UTC, inclusive.", required=True),
        Column("ends_at", "timestamp", "End, UTC, exclusive.", required=True),
        Column("starts_local", "text", "Start on the tariff's clock, ISO 8601 with offset.", required=True),
        Column("tier", "text", "The tariff's own name of the tier; NULL where no version covers the time."),
        Column(
            "rank",
            "int",
            "How dear, on a scale that all tariffs share: 0 cheaper than the base, 1 base, 2 shoulder, 3 peak, "
            "4 dearer than peak.",
        ),
        Column("is_flat", "bool", "A plan without time of use.", required=True),
        Column("source_url", "text", "Where the version was read."),
        Column("verification", "text", "How it was checked."),
    ),
    key=("schedule", "starts_at"),
)

MOER_READINGS: Final = Table(
    "moer_readings",
    "Every answer and every failure of WattTime's signal index, one row per region and run.",
    columns(
        Column("region", "text", "WattTime's region code.", required=True),
        Column("fetched_at", "timestamp", "When it was asked.", required=True),
        Column("point_time", "timestamp", "The 5-minute point that the value is for."),
        Column(
            "percentile",
            "float",
            "Signal index as answered: the current MOER's rank within the forecast of the next 24 hours.",
            "percentile, 0 to 100",
        ),
        Column("failure", "text", "Why there is no value."),
        Column("disabled", "bool", "The account may not read this region.", required=True),
        _RUN,
    ),
)

_DECISION = (
    _DEVICE,
    Column("as_of", "timestamp", "The instant that was decided for, UTC.", required=True),
    Column("mode", "text", "Whether commands could follow.", values=DECISION_MODES, required=True),
    Column("desired", "text", "What it should do.", values=STATES, required=True),
    *_WINDOW,
    _SCHEDULE,
    Column("version", "date", "The tariff version in force, by its first local day."),
    Column("tier", "text", "The tariff's tier at that instant."),
    Column("rank", "int", "The tier's rank, 0 to 4."),
    Column("region", "text", "WattTime region."),
    Column("percentile", "float", "The reading that was used or refused.", "percentile, 0 to 100"),
    Column("point_time", "timestamp", "The reading's time."),
    Column("moer", "text", "What MOER asks for.", values=get_args(MoerState), required=True),
    _REASONS,
    Column("policy_id", "text", "The policy.", required=True),
    Column("ver", "int", "The command version after it.", required=True),
    Column("commanded", "bool", "Whether it needed a command.", required=True),
    Column("next_check_at", "timestamp", "The earliest instant at which it can change by itself."),
)

CHARGE_DECISIONS: Final = Table(
    "charge_decisions",
    "Every decision that differs from the one before it, with all that bore on it; backfills write theirs with their "
    "own mode. Devices whose decision stood are counted in charge_runs.",
    columns(
        *_DECISION,
        Column(
            "inputs_hash",
            "text",
            "SHA-256 over schedules, policies, readings and registry version.",
            required=True,
        ),
        _RUN,
    ),
)

CHARGE_REPLAYS: Final = Table(
    "charge_replays",
    "What would have been decided on a past day, from a first sight at 00:00 UTC on, with the fleet, tariffs and "
    "policies of the replay's own time. It never led to a command.",
    columns(Column("day", "text", "The UTC day, YYYY-MM-DD.", required=True), *_DECISION, _RUN),
    partition_by=("day",),
)

CHARGE_RUNS: Final = Table(
    "charge_runs",
    "One row per run of charge control: what it looked at and what came of it.",
    columns(
        Column("run_id", "text", "The run.", required=True),
        Column("as_of", "timestamp", "The instant that was decided for.", required=True),
        Column("mode", "text", "Whether commands could follow.", values=DECISION_MODES, required=True),
        Column("cause", "text", "Why it ran."),
        Column("started_at", "timestamp", "Start.", required=True),
        Column("ended_at", "timestamp", "End.", required=True),
        Column("devices", "int", "Devices decided.", required=True),
        Column("paused", "int", "Of these, paused at that instant.", required=True),
        Column("changed", "int", "Decisions that differ from the one before.", required=True),
        Column("commanded", "int", "Commands enqueued.", required=True),
        Column("lost_races", "int", "Devices that another run wrote first.", required=True),
        Column("sent", "int", "Commands handed to the downlink.", required=True),
        Column("failed", "int", "Attempts that failed and will be tried again.", required=True),
        Column("dead", "int", "Commands given up.", required=True),
        Column("dropped", "int", "Commands past their window.", required=True),
        Column("reasons", "json", "Devices by reason."),
        Column("inputs_hash", "text", "SHA-256 over all inputs.", required=True),
    ),
    key=("run_id",),
)

CHARGE_COMMANDS: Final = Table(
    "charge_commands",
    "Every state that a run has seen a command in; the newest row of a command_id is where it stands "
    "(view charge_commands_latest).",
    columns(
        Column(
            "command_id",
            "text",
            "sha256(device_id|ver), the idempotency key of every attempt.",
            required=True,
        ),
        _DEVICE,
        Column("ver", "int", "The version of what is asked of the device.", required=True),
        Column("wireless_device_id", "text", "The id that the downlink addresses."),
        Column("protocol", "text", "Which payload.", values=get_args(Protocol), required=True),
        Column("desired", "text", "What is asked.", values=STATES, required=True),
        *_WINDOW,
        _REASONS,
        Column(
            "priority", "int", "Smaller goes first: 0 release of a car, 1 pause, 2 heartbeat.", required=True
        ),
        Column("status", "text", "Where it stands.", values=get_args(CommandStatus), required=True),
        Column("attempts", "int", "Sends so far.", required=True),
        Column("next_try_at", "timestamp", "When it is tried (again)."),
        Column("expires_at", "timestamp", "After it the command is useless."),
        Column("message_id", "text", "The downlink's id of the last attempt."),
        Column("error", "text", "What the last attempt met."),
        Column("created_at", "timestamp", "Enqueued.", required=True),
        Column("sent_at", "timestamp", "Last handed to the downlink."),
        Column("acked_at", "timestamp", "Delivery or the device's word confirmed it."),
        Column("updated_at", "timestamp", "Last change of state.", required=True),
        _RUN,
    ),
)

LAKE_TABLES: Final = (
    DEVICES,
    TOU_SCHEDULES,
    MOER_READINGS,
    CHARGE_DECISIONS,
    CHARGE_REPLAYS,
    CHARGE_RUNS,
    CHARGE_COMMANDS,
)

_FLEET: dict[str, ColumnType] = {
    "device_id": "text",
    "wireless_device_id": "text",
    "status": "text",
    "protocol": "text",
    "utility_id": "text",
    "rate_plan": "text",
    "watttime_region": "text",
    "policy_id": "text",
    "override_until": "timestamp",
    "deadline": "timestamp",
    "need_s": "int",
    "spread": "int",  # 32 bits of the device_id's SHA-256: what jitter is drawn from
    # from here the device's control, NULL where it has none yet
    "rev": "int",
    "ver": "int",
    "desired": "text",
    "window_start": "timestamp",
    "window_end": "timestamp",
    "paused_since": "timestamp",
    "changed_at": "timestamp",
    "moer": "text",
    "reasons": "int",
    "next_check_at": "timestamp",
    "reported": "text",
    "reported_at": "timestamp",
    "resends": "int",
}
FLEET: Final[dict[str, pl.DataType]] = {name: POLARS_TYPES[kind] for name, kind in _FLEET.items()}
"""What `Registry.fleet` gives: column name -> Polars type."""
