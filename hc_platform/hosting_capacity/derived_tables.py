"""Tables of what follows from the records: sums, changes between snapshots, and what each partition was made from.

What belongs here: their columns. What does not: the records themselves (`tables`), the sums (`summaries`), how snapshots
are compared (`changes`).
"""

from typing import Final, get_args

from hc_platform.catalog.fields import Resource
from hc_platform.tables import Column, Table, columns

CHANGES: Final = (
    "new",
    "gone",
    "raised",
    "lowered",
    "unclear",
    "status_changed",
    "dg_changed",
    "not_comparable",
)

_UTILITY = Column("utility_code", "text", "The utility, as its YAML names it.", required=True)


_RESOURCE = Column("resource", "text", "What the capacity is for.", values=get_args(Resource), required=True)
_SNAPSHOT = Column(
    "snapshot", "text", "The month of the capture, YYYY-MM; a quarter is named by its first.", required=True
)
_PREVIOUS = Column("previous_snapshot", "text", "The snapshot compared with.", required=True)


def _both(name: str, meaning: str, unit: str | None = None) -> tuple[Column, Column]:
    """A value in the snapshot before and in this one."""
    kind = "float" if unit else "text"
    return (
        Column(f"previous_{name}", kind, f"{meaning}, in the snapshot before.", unit),  # type: ignore[arg-type]
        Column(name, kind, f"{meaning}, in this snapshot.", unit),  # type: ignore[arg-type]
    )


SUMMARIES: Final = Table(
    "hosting_capacity_summaries",
    "Totals per utility, resource and snapshot, with the change since the snapshot before.",
    columns(
        _UTILITY,
        _RESOURCE,
        _SNAPSHOT,
        Column("total_feeders", "int", "Records of grain feeder."),
        Column(
            "total_records", "int", "All records: feeders, tiles, points, classes and unassigned sections."
        ),
        Column(
            "unassigned_sections",
            "int",
            "Records of grain section: their feeder is not known. They stand in no sum, for sections of one feeder "
            "share its capacity; nor do points and classes.",
        ),
        Column(
            "total_hosting_capacity_mw", "float", "Sum over feeders with a value; NULL where none has.", "MW"
        ),
        Column("total_installed_dg_mw", "float", "Sum over feeders with a value; NULL where none has.", "MW"),
        Column("total_queued_dg_mw", "float", "Sum over feeders with a value; NULL where none has.", "MW"),
        Column(
            "total_remaining_capacity_mw",
            "float",
            "Sum over feeders with a value; NULL where none has.",
            "MW",
        ),
        Column("constrained_feeders_count", "int", "Records whose hosting capacity is zero or less."),
        Column("constraint_breakdown", "json", "Records per constraining_metric."),
        Column("null_capacity_count", "int", "Records without a hosting capacity value."),
        Column("censored_count", "int", "Records whose value is a ceiling or floor."),
        Column("previous_snapshot", "text", "The snapshot compared with."),
        Column("total_feeders_change", "int", "Change since the previous snapshot."),
        Column("total_hosting_capacity_change_mw", "float", "Change since the previous snapshot.", "MW"),
        Column("computed_at", "timestamp", "When it was computed, UTC."),
    ),
    key=("utility_code", "resource", "snapshot"),
)

FEEDER_CHANGES: Final = Table(
    "feeder_changes",
    "What changed between a utility's snapshot and the one before: one row per feeder and resource that did.",
    columns(
        _UTILITY,
        _RESOURCE,
        _SNAPSHOT,
        _PREVIOUS,
        Column(
            "feeder_id_external", "text", "The record's id, as in hosting_capacity_records.", required=True
        ),
        Column("grain", "text", "What one record stands for."),
        Column("feeder_name", "text", "The utility's name for the feeder."),
        Column("substation_name", "text", "The substation that feeds it, as published."),
        Column(
            "change",
            "text",
            "new, gone: published only in one of both. raised, lowered: the capacity moved by more than 0.001 MW, for "
            "sure. unclear: it moved, but a bound (ceiling, floor) or a range leaves open which way. status_changed: a "
            "value appeared or went, or the reason why there is none. dg_changed: only installed, queued or remaining "
            "moved. not_comparable: its grain, or whether it is gross or net, is another.",
            values=CHANGES,
            required=True,
        ),
        Column(
            "config_changed",
            "bool",
            "Whether the two snapshots were made with different configs: then a change may be the config's.",
            required=True,
        ),
        Column(
            "change_mw", "float", "What it was raised or lowered by; NULL between bounds or ranges.", "MW"
        ),
        _both("hosting_capacity_mw", "The capacity", "MW"),
        _both("hosting_capacity_min_mw", "Its lower bound", "MW"),
        _both("hosting_capacity_max_mw", "Its upper bound", "MW"),
        _both("remaining_capacity_mw", "What is left", "MW"),
        _both("installed_dg_mw", "Generation connected", "MW"),
        _both("queued_dg_mw", "Generation in the queue", "MW"),
        _both("value_status", "Why there is or is not a value"),
        _both("censored", "Whether the value is a bound"),
        _both("capacity_basis", "Gross, or net of what exists"),
    ),
    partition_by=("utility_code", "snapshot"),
    key=("utility_code", "resource", "snapshot", "feeder_id_external"),
)

MONTHLY_CHANGES: Final = Table(
    "monthly_changes",
    "feeder_changes summed up: one row per utility, resource and snapshot that has a snapshot before it.",
    columns(
        _UTILITY,
        _RESOURCE,
        _SNAPSHOT,
        _PREVIOUS,
        Column(
            "config_changed", "bool", "Whether the config, or our rules, are others since.", required=True
        ),
        *(Column(change, "int", f"Records of feeder_changes with change {change}.") for change in CHANGES),
        Column("raised_mw", "float", "Sum of what was raised, where both values are known.", "MW"),
        Column("lowered_mw", "float", "Sum of what was lowered, a negative number.", "MW"),
        Column("new_mw", "float", "Capacity of the new records.", "MW"),
        Column("gone_mw", "float", "Capacity of the records that are gone, as it was.", "MW"),
    ),
    key=("utility_code", "resource", "snapshot"),
)

DERIVATIONS: Final = Table(
    "derivations",
    "Append-only: what each derived partition was made from. Equal inputs need not be worked through again.",
    columns(
        Column("table_name", "text", "The derived table.", required=True),
        _UTILITY,
        _SNAPSHOT,
        Column(
            "inputs", "text", "Hash over the config, the files and the table versions it read.", required=True
        ),
        Column("at", "timestamp", "When it was made, UTC.", required=True),
        Column("run_id", "text", "The Dagster run that made it."),
    ),
    partition_by=("utility_code",),
)
