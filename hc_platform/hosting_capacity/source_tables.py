"""Tables of what is known about the sources themselves: whether their layers still are what the configs say.

What belongs here: tables about services. What does not: their rows and what became of them (`tables`).
"""

from hc_platform.tables import Column, Table, columns

CONFIG_VERIFICATIONS = Table(
    "config_verifications",
    "One row per layer and look: whether the published layer still is what the config says (hc config verify).",
    columns(
        Column("utility_code", "text", "The utility, as its YAML names it.", required=True),
        Column("layer", "text", "The layer, as its YAML names it.", required=True),
        Column("checked_at", "timestamp", "When it was looked at, UTC.", required=True),
        Column("against", "text", "What was asked.", values=("live", "saved"), required=True),
        Column(
            "verdict",
            "text",
            "ok: as configured; look: something a person should know; broken: it cannot be pulled as configured.",
            values=("ok", "look", "broken"),
            required=True,
        ),
        Column("findings", "json", "What was found, a list of {kind, blocking, message}."),
        Column("source_url", "text", "Where the layer answered; NULL where it did not."),
        Column("layer_name", "text", "Its published name."),
        Column("layer_index", "int", "Its index."),
        Column("rows", "int", "Rows the server counted under the config's filter."),
        Column("source_edited_at", "timestamp", "The server's last edit date, UTC, where it tells one."),
        Column("config_hash", "text", "The config it was held against."),
    ),
    partition_by=("utility_code",),
    key=("utility_code", "layer", "checked_at"),
)

SOURCE_CANDIDATES = Table(
    "source_candidates",
    "The publications of rotating services that were found when a snapshot was last fetched, and which was taken.",
    columns(
        Column("utility_code", "text", "The utility, as its YAML names it.", required=True),
        Column("snapshot", "text", "The snapshot that was to be fetched, YYYY-MM.", required=True),
        Column("layer", "text", "The layer, as its YAML names it.", required=True),
        Column("title", "text", "The service's own name.", required=True),
        Column("url", "text", "Its address.", required=True),
        Column(
            "vintage",
            "text",
            "The date it carries, YYYY, YYYY-MM or YYYY-MM-DD: of its name, or of its last edit if the config says so.",
        ),
        Column("modified_at", "timestamp", "When it was last modified, UTC, where that is told."),
        Column(
            "verdict",
            "text",
            "What became of it. other_period: its date does not lie in a past snapshot that was asked for.",
            values=(
                *("chosen", "not_newest", "other_period", "lacks_fields", "lacks_layer"),
                *("empty", "gone", "needs_sign_in", "ambiguous"),
            ),
            required=True,
        ),
        Column("reason", "text", "Why it was not taken."),
        Column("looked_at", "timestamp", "When, UTC.", required=True),
        Column("run_id", "text", "The Dagster run that looked."),
    ),
    partition_by=("utility_code", "snapshot"),
    key=("utility_code", "snapshot", "layer", "url"),
)
