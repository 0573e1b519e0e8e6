"""The tables of the spatial joins, defined once.

What belongs here: every column with type, unit and meaning. What does not: the joins (`areas`, `substations`, `devices`)
or what they read (`pipeline`).
"""

from typing import Final

from hc_platform.tables import Column, Table, columns

MATCH_STATUS: Final = ("matched", "ambiguous", "unmatched")
LOCATION_METHODS: Final = ("line_share", "centroid", "none")
GRID_METHODS: Final = ("eia_id", "config", "polygon", "county", "none")

_UTILITY = Column("utility_code", "text", "The utility, as its YAML names it.", required=True)
_SNAPSHOT = Column("snapshot", "text", "The month of the capture, YYYY-MM.", required=True)
_FEEDER = Column(
    "feeder_id_external",
    "text",
    "The feeder, as hosting_capacity_records names it; tiles and points without one keep their record_key.",
    required=True,
)
_STATUS = Column(
    "status",
    "text",
    "Whether it is known: ambiguous means that two or more fit and none was chosen for good.",
    values=MATCH_STATUS,
    required=True,
)

_RANK = Column("rank", "int", "1 for the best candidate.", required=True)
_CANDIDATES = Column("n_candidates", "int", "Candidates in all.", required=True)

FEEDER_LOCATIONS: Final = Table(
    "feeder_locations",
    "Where each feeder lies: state and county by length, ISO and balancing authority by the utility's EIA id before any "
    "outline.",
    columns(
        _UTILITY,
        _SNAPSHOT,
        _FEEDER,
        Column("length_km", "float", "Length of its published lines; NULL where it has none.", "km"),
        Column(
            "location_method",
            "text",
            "How it was placed: by the share of line length, by the centre of points and areas, or not at all.",
            values=LOCATION_METHODS,
            required=True,
        ),
        Column(
            "midpoint_lat",
            "float",
            "Latitude of a point on its lines: the middle of the piece nearest to the centre of all.",
            "degrees",
        ),
        Column("midpoint_lon", "float", "Longitude of that point.", "degrees"),
        Column("state", "text", "Postal code of the state with the greatest share; NULL outside of all."),
        Column("state_share", "float", "That state's share of the length, 0 to 1."),
        Column("state_at_midpoint", "text", "The state in which the midpoint lies."),
        Column("county_fips", "text", "Census code of the county with the greatest share."),
        Column("county_name", "text", "Its name."),
        Column("county_share", "float", "That county's share of the length, 0 to 1."),
        Column("county_at_midpoint", "text", "Census code of the county in which the midpoint lies."),
        Column("county_shares", "json", "Every county's share of the length by Census code, greatest first."),
        Column(
            "outside_share",
            "float",
            "Share of the length in no county: off a generalized coast, over a border, or at sea.",
        ),
        Column("iso_id", "text", "The ISO or RTO; NULL outside of one."),
        Column("iso_method", "text", "What named it.", values=GRID_METHODS, required=True),
        Column("balancing_authority", "text", "EIA code of the balancing authority."),
        Column(
            "balancing_authority_method",
            "text",
            "What named it: EIA's table by the utility's id, the utility's config, an outline, or the county.",
            values=GRID_METHODS,
            required=True,
        ),
        Column("authorities_said", "json", "What each method says of the balancing authority."),
        Column(
            "authorities_agree", "bool", "Whether all that say anything agree; NULL where one or none does."
        ),
    ),
    partition_by=("utility_code", "snapshot"),
    key=("utility_code", "snapshot", "feeder_id_external"),
)

FEEDER_SUBSTATIONS: Final = Table(
    "feeder_substations",
    "Which substation may feed each feeder, by name and distance among the utility's own: every candidate, the best with "
    "rank 1; a feeder without any has one row that says so. A reviewed override wins.",
    columns(
        _UTILITY,
        _SNAPSHOT,
        _FEEDER,
        _RANK,
        Column("feeder_name", "text", "The utility's name for the feeder."),
        Column("published_substation", "text", "The substation that the utility names beside the feeder."),
        Column("name_used", "text", "What was compared: that name, or the feeder's, normalized."),
        Column("substation_id", "text", "The candidate in substations; NULL where nothing fits."),
        Column("substation_name", "text", "Its name there."),
        _STATUS,
        Column(
            "method",
            "text",
            "override, exact_name or similar_name, with _only where there is no distance; no_name, no_candidate.",
        ),
        Column(
            "score", "float", "How well it fits, 0 to 1: seven tenths the name, three tenths the distance."
        ),
        Column("distance_m", "float", "From the nearest published line to the substation.", "m"),
        _CANDIDATES,
        Column("runner_up_gap", "float", "Score of rank 1 less that of rank 2."),
        Column("pricing_node_id", "text", "The pricing node at the substation: alike in name, within 2 km."),
        Column("pricing_node_m", "float", "How far that node is.", "m"),
        Column(
            "pricing_node_status", "text", "ambiguous where several nodes fit as well.", values=MATCH_STATUS
        ),
        Column(
            "pricing_node_stands_in",
            "bool",
            "The node's place is a power plant's, not published as a node's.",
        ),
    ),
    partition_by=("utility_code", "snapshot"),
    key=("utility_code", "snapshot", "feeder_id_external", "rank"),
)

DEVICE_FEEDERS: Final = Table(
    "device_feeders",
    "Which utility and feeder each charger may be on: every candidate, the best with rank 1; a charger without any has "
    "one row that says so.",
    columns(
        Column("device_id", "text", "The charger, as the registry names it.", required=True),
        _RANK,
        _STATUS,
        Column(
            "method",
            "text",
            "line: a published line within 300 m; territory: it lies in the utility's; none, no_place.",
        ),
        Column("utility_code", "text", "The utility, where it has a config."),
        Column("eia_id", "int", "EIA utility id."),
        Column("utility_name", "text", "Its name."),
        Column("snapshot", "text", "The utility's snapshot that was looked at."),
        Column("feeder_id_external", "text", "The published feeder; NULL for a territory."),
        Column("feeder_name", "text", "The utility's name for that feeder."),
        Column(
            "distance_m",
            "float",
            "To that feeder's nearest line, or to the nearest of the utility at all.",
            "m",
        ),
        Column(
            "confirmed",
            "bool",
            "Whether EIA-861 names the utility for the county; NULL where no such table is configured, and for a line.",
        ),
        _CANDIDATES,
        Column("runner_up_gap_m", "float", "How much farther rank 2 is than rank 1.", "m"),
        Column(
            "headroom_load_mw", "float", "What remains of the feeder for load; NULL where not known.", "MW"
        ),
        Column(
            "headroom_generation_mw",
            "float",
            "What remains of the feeder for generation; NULL where not known.",
            "MW",
        ),
        Column("matched_at", "timestamp", "When it was computed, UTC."),
    ),
    key=("device_id", "rank"),
)

LAKE_TABLES: Final = (FEEDER_LOCATIONS, FEEDER_SUBSTATIONS, DEVICE_FEEDERS)
