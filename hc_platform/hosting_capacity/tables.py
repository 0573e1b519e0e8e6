"""The canonical hosting-capacity tables, defined once.

What belongs here: every table's columns with type, unit and meaning. They generate the Delta schema, the
checks, Dagster's column schema, the warehouse comments and docs/tables.md.
What does not: how a value gets there (`values`, `sections`, `feeders`, `summaries`).
"""

from typing import Final, get_args

from hc_platform.catalog.fields import AccessStatus, CapacityBasis, Constraint, Grain, Resource, ValueStatus
from hc_platform.hosting_capacity.derived_tables import (
    DERIVATIONS,
    FEEDER_CHANGES,
    MONTHLY_CHANGES,
    SUMMARIES,
)
from hc_platform.hosting_capacity.source_tables import CONFIG_VERIFICATIONS, SOURCE_CANDIDATES
from hc_platform.tables import Column, Table, columns

RESOURCES: Final = get_args(Resource)
GRAINS: Final = get_args(Grain)
CONSTRAINTS: Final = get_args(Constraint)
CENSORED: Final = ("none", "at_ceiling", "at_floor")
VALUE_STATUS: Final = get_args(ValueStatus)
CAPACITY_BASIS: Final = get_args(CapacityBasis)

_UTILITY = Column("utility_code", "text", "The utility, as its YAML names it.", required=True)
_SNAPSHOT = Column(
    "snapshot", "text", "The month of the capture, YYYY-MM; a quarter is named by its first.", required=True
)
_RUN = Column("run_id", "text", "The Dagster run that wrote the row.")
_RESOURCE = Column("resource", "text", "What the capacity is for.", values=RESOURCES, required=True)
_LAYER = Column("layer", "text", "The upstream layer, by its published name.", required=True)
_OBJECT_ID = Column("object_id", "int", "The upstream object id; NULL where the layer has none.")

_IDENTITY = (
    Column(
        "grain",
        "text",
        "What one row stands for; der is one generator (sections only).",
        values=GRAINS,
        required=True,
    ),
    Column(
        "feeder_id_external",
        "text",
        "The utility's own feeder id, text as published: leading zeros count. NULL where the utility "
        "publishes none (tiles, points).",
    ),
    Column("feeder_name", "text", "The utility's name for the feeder."),
    Column("substation_name", "text", "The substation that feeds it, as published."),
)

_CAPACITY = (
    Column(
        "hosting_capacity_mw",
        "float",
        "Capacity that can be added, as one published value. NULL where none or only a range is published.",
        "MW",
    ),
    Column(
        "hosting_capacity_min_mw", "float", "Lower bound, or the least study result, where published.", "MW"
    ),
    Column("hosting_capacity_max_mw", "float", "Upper bound, or the greatest study result.", "MW"),
    Column(
        "installed_dg_mw",
        "float",
        "Generation already connected; of a single generator (der), its nameplate.",
        "MW",
    ),
    Column("queued_dg_mw", "float", "Generation in the interconnection queue; likewise.", "MW"),
    Column(
        "remaining_capacity_mw",
        "float",
        "What is left: as published; else hosting - installed - queued where the basis is gross and all "
        "three are known; else the hosting capacity itself where it is already net.",
        "MW",
    ),
    Column(
        "capacity_basis",
        "text",
        "Whether the published capacity already has existing generation subtracted.",
        values=CAPACITY_BASIS,
    ),
    Column(
        "censored",
        "text",
        "Whether the value is a study ceiling or floor rather than a measured limit.",
        values=CENSORED,
        required=True,
    ),
    Column(
        "value_status", "text", "Why there is or is not a capacity value.", values=VALUE_STATUS, required=True
    ),
    Column("constraining_metric", "text", "What binds, in the common vocabulary.", values=CONSTRAINTS),
    Column("constraining_metric_raw", "text", "What binds, in the utility's words or its column names."),
)

_ELECTRICAL = (
    Column("voltage_kv", "float", "Nominal line-to-line voltage.", "kV"),
    Column(
        "phase_config",
        "text",
        "Phases present: letters (ABC, B), or a count (1, 2) where only that is known.",
    ),
    Column("is_overhead", "bool", "Overhead line (true) or underground (false)."),
    Column("is_network", "bool", "Meshed secondary network (true) or radial (false)."),
)

_PLACE = (
    Column("geometry", "binary", "WKB, EPSG:4326; NULL where the utility publishes none."),
    Column("geometry_type", "text", "Point, LineString, MultiPolygon, ..."),
    Column("centroid_lat", "float", "Latitude of the centroid, EPSG:4326.", "degrees"),
    Column("centroid_lon", "float", "Longitude of the centroid, EPSG:4326.", "degrees"),
    Column("bbox_west", "float", "Western edge of the bounding box.", "degrees"),
    Column("bbox_south", "float", "Southern edge of the bounding box.", "degrees"),
    Column("bbox_east", "float", "Eastern edge of the bounding box.", "degrees"),
    Column("bbox_north", "float", "Northern edge of the bounding box.", "degrees"),
    Column(
        "length_km", "float", "Length of the line on the WGS84 ellipsoid; NULL for points and areas.", "km"
    ),
)

_RECORD_KEY = Column(
    "record_key",
    "text",
    "Stable key, unique within utility, resource and snapshot: the layer and the config's record_key fields.",
    required=True,
)
_RECORD_DATE = Column("record_date", "date", "The utility's own date of the value.")

RAW_FEATURES = Table(
    "raw_features",
    "Every upstream feature as it came, once per snapshot: the evidence behind every number.",
    columns(
        _UTILITY,
        _SNAPSHOT,
        _LAYER,
        _OBJECT_ID,
        Column(
            "feature_key",
            "text",
            "Object id as text, or a content hash where the layer has no id.",
            required=True,
        ),
        Column(
            "raw_attributes",
            "json",
            "The attributes, unmodified, as the server's own JSON text.",
            required=True,
        ),
        Column("geometry", "binary", "WKB, EPSG:4326."),
        Column("fetched_at", "timestamp", "When the pull of its layer ended, UTC."),
    ),
    partition_by=("utility_code", "snapshot"),
    key=("utility_code", "snapshot", "layer", "feature_key"),
)

SOURCE_LAYERS = Table(
    "source_layers",
    "One row per layer and snapshot: what the server said of it, and how the pull went.",
    columns(
        _UTILITY,
        _SNAPSHOT,
        _LAYER,
        Column("layer_index", "int", "The layer's index when it was pulled; utilities renumber."),
        Column("source_url", "text", "Where it was read."),
        Column("where_sql", "text", "The filter the server applied."),
        Column(
            "asked_json",
            "json",
            "What of the config decided which values came: filter, geometry, attributes, a file's sheet and the like.",
        ),
        Column("status", "text", "How the pull ended.", values=("complete", "changed", "unchanged")),
        Column(
            "same_as_snapshot",
            "text",
            "The snapshot that holds the rows, where the source had not changed since; else NULL.",
        ),
        Column("expected_count", "int", "Features the server counted."),
        Column("records_fetched", "int", "Features received."),
        Column("object_id_field", "text", "The layer's object id field; NULL where it has none."),
        Column("fields_json", "json", "The published fields with their types, as answered."),
        Column("metadata_json", "json", "The layer's own metadata, as answered."),
        Column("source_edited_at", "timestamp", "The server's last edit date, UTC, where it tells one."),
        Column("source_hash", "text", "BLAKE2b over all attributes and geometries in object-id order."),
        Column("plan", "text", "How it was paged."),
        Column("requests", "int", "HTTP requests made."),
        Column("bytes", "int", "Bytes received."),
        Column("notes", "text_list", "What a person should know of this pull."),
        Column("fetched_at", "timestamp", "When the pull ended, UTC."),
    ),
    partition_by=("utility_code", "snapshot"),
    key=("utility_code", "snapshot", "layer"),
)

SECTIONS = Table(
    "sections",
    "The finest grain the utility publishes: one row per accepted upstream feature and resource.",
    columns(
        _UTILITY,
        _RESOURCE,
        _SNAPSHOT,
        _LAYER,
        _RECORD_KEY,
        Column("feature_key", "text", "The raw feature it came from.", required=True),
        _IDENTITY,
        _CAPACITY,
        _ELECTRICAL,
        _RECORD_DATE,
        _PLACE,
    ),
    partition_by=("utility_code", "snapshot"),
    key=("utility_code", "resource", "snapshot", "record_key"),
)

REJECTED_FEATURES = Table(
    "rejected_features",
    "Every upstream feature that was not accepted, with the reason.",
    columns(
        _UTILITY,
        _SNAPSHOT,
        _LAYER,
        _OBJECT_ID,
        Column("feature_key", "text", "The raw feature.", required=True),
        Column(
            "reason",
            "text",
            "Why it was not accepted.",
            values=("unparseable_capacity", "ragged_lists", "unreadable_list", "duplicate_feature"),
            required=True,
        ),
        Column("detail", "text", "The field and value at fault."),
        Column("raw_attributes", "json", "The attributes, unmodified."),
    ),
    partition_by=("utility_code", "snapshot"),
)

RECORDS = Table(
    "hosting_capacity_records",
    "Feeder level: one row per utility, resource, feeder and snapshot. What has no feeder keeps its own key.",
    columns(
        _UTILITY,
        _RESOURCE,
        _SNAPSHOT,
        Column(
            "feeder_id_external",
            "text",
            "The utility's feeder id; for tiles, points and classes without a feeder, their record_key.",
            required=True,
        ),
        Column("grain", "text", "What one row stands for.", values=GRAINS, required=True),
        _IDENTITY[2:],
        _CAPACITY,
        _ELECTRICAL,
        _RECORD_DATE,
        Column(
            "section_count",
            "int",
            "Published rows behind the feeder, of all its layers; generators (der) do not count, so 0 where only those "
            "are known.",
        ),
        Column("capacity_source", "text", "The layer that the hosting capacity came from."),
        _PLACE,
        Column(
            "raw_attributes",
            "json",
            "The utility's own feeder row, unmodified, where it publishes per feeder.",
        ),
    ),
    partition_by=("utility_code", "snapshot"),
    key=("utility_code", "resource", "snapshot", "feeder_id_external"),
)

UTILITIES = Table(
    "utilities",
    "Every configured utility: who it is, how it publishes and when it was last ingested.",
    columns(
        _UTILITY,
        Column("utility_name", "text", "Its name."),
        Column("parent_company", "text", "Its parent."),
        Column("iso_id", "text", "The ISO or RTO it lies in; NULL outside of one."),
        Column("balancing_authority", "text", "EIA balancing authority code."),
        Column("eia_id", "int", "EIA utility id."),
        Column("states", "text_list", "States served, postal codes."),
        Column("data_source_type", "text", "How it publishes."),
        Column("requires_auth", "bool", "Whether a secret is needed."),
        Column("access_status", "text", "Whether its data can be fetched.", values=get_args(AccessStatus)),
        Column("access_reason", "text", "Why they cannot, where they cannot."),
        Column("verification", "text", "How the config is known to be right, and since when."),
        Column("cadence", "text", "How often it publishes."),
        Column("wave", "int", "The wave of the rollout it belongs to."),
        Column("licence", "text", "Under what terms it publishes; NULL where none are stated."),
        Column("disclaimer", "text", "What it says its numbers are not."),
        Column("notes", "text_list", "What somebody who works with its numbers should know."),
        Column("config_json", "json", "The whole config."),
        Column("last_ingested_at", "timestamp", "End of the last successful ingestion, UTC."),
        Column("last_snapshot", "text", "The newest snapshot in the lake."),
    ),
    key=("utility_code",),
)

INGESTION_EVENTS = Table(
    "ingestion_events",
    "Append-only: starts and ends of fetches, and normalizations. hc_ingestion_runs folds them.",
    columns(
        Column("ingestion_id", "text", "One attempt.", required=True),
        _RUN,
        _UTILITY,
        _SNAPSHOT,
        Column("at", "timestamp", "When, UTC.", required=True),
        Column(
            "status",
            "text",
            "What happened.",
            values=("running", "complete", "changed", "unchanged", "failed", "normalized"),
            required=True,
        ),
        Column("expected_count", "int", "Features the server counted, all layers."),
        Column("records_fetched", "int", "Features received."),
        Column("records_written", "int", "Features accepted into sections (normalized)."),
        Column("rejected", "int", "Features in rejected_features (normalized)."),
        Column("bytes", "int", "Bytes received."),
        Column(
            "config_hash", "text", "Hash of the config and of the rules (our code) it was normalized with."
        ),
        Column("source_url", "text", "Where it was read."),
        Column("source_edited_at", "timestamp", "The newest edit date of its layers, UTC."),
        Column("source_hash", "text", "Hash over all layers."),
        Column("error_message", "text", "Why it failed."),
    ),
    partition_by=("utility_code",),
)

INGESTION_RUNS = Table(
    "hc_ingestion_runs",
    "Every attempt to fetch a utility, one row each.",
    columns(
        Column("ingestion_id", "text", "One attempt.", required=True),
        _RUN,
        _UTILITY,
        _SNAPSHOT,
        Column("started_at", "timestamp", "When it began, UTC."),
        Column("completed_at", "timestamp", "When it ended, UTC; NULL while it runs or if it was killed."),
        Column("status", "text", "running, complete, changed, unchanged, failed or interrupted."),
        Column("expected_count", "int", "Features the server counted, all layers."),
        Column("records_fetched", "int", "Features received."),
        Column(
            "records_written",
            "int",
            "Of its features, those accepted into sections; NULL if they never were normalized.",
        ),
        Column("rejected", "int", "Of its features, those rejected."),
        Column("bytes", "int", "Bytes received."),
        Column("source_url", "text", "Where it was read."),
        Column("source_edited_at", "timestamp", "The newest edit date of its layers, UTC."),
        Column("source_hash", "text", "Hash over all layers."),
        Column("error_message", "text", "Why it failed."),
    ),
    key=("ingestion_id",),
)

LAKE_TABLES: Final = (
    RAW_FEATURES,
    SOURCE_LAYERS,
    SECTIONS,
    REJECTED_FEATURES,
    RECORDS,
    SUMMARIES,
    FEEDER_CHANGES,
    MONTHLY_CHANGES,
    UTILITIES,
    INGESTION_EVENTS,
    INGESTION_RUNS,
    DERIVATIONS,
    CONFIG_VERIFICATIONS,
    SOURCE_CANDIDATES,
)
