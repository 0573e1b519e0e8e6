"""The reference tables, defined once.

What belongs here: every column with type, unit and meaning. What does not: where the rows come from (`datasets`), how
they are read (`reading`), or what is joined to them (`geo`).
"""

from typing import Final

from hc_platform.tables import Column, Table, columns

_GEOMETRY = Column("geometry", "binary", "WKB, EPSG:4326.")
_STATE = Column("state", "text", "Postal code of the state or territory.")
_BA = Column("balancing_authority", "text", "EIA code of the balancing authority, e.g. CISO.")
_ISO = Column("iso_id", "text", "The ISO or RTO, as utility configs name it; NULL outside of one.")
_LAT = Column("lat", "float", "Latitude, EPSG:4326.", "degrees")
_LON = Column("lon", "float", "Longitude, EPSG:4326.", "degrees")
_PROVENANCE = (
    Column("source", "text", "Who made the data, and which file of it this is.", required=True),
    Column("licence", "text", "Under which licence it stands.", required=True),
    Column("vintage", "text", "Of which year or day it is.", required=True),
)

STATES: Final = Table(
    "states",
    "States, the District of Columbia and the inhabited territories, as generalized outlines.",
    columns(
        Column("state_fips", "text", "Census code, two digits.", required=True),
        _STATE,
        Column("state_name", "text", "Its name.", required=True),
        _GEOMETRY,
        _PROVENANCE,
    ),
    key=("state_fips",),
)

COUNTIES: Final = Table(
    "counties",
    "Counties and their equivalents, as generalized outlines.",
    columns(
        Column("county_fips", "text", "Census code, five digits.", required=True),
        Column("county_name", "text", "Its name, without the word county.", required=True),
        Column("state_fips", "text", "Census code of its state.", required=True),
        _STATE,
        Column(
            "balancing_authority",
            "text",
            "EIA code of the balancing authority that serves most of the county by EIA-861; NULL where no such table "
            "is configured.",
        ),
        Column(
            "authority_share", "float", "That authority's share of the county's utilities by sales, 0 to 1."
        ),
        Column("authorities", "int", "Balancing authorities that serve any of the county."),
        Column("geometry", "binary", "WKB, EPSG:4326; NULL for Falls Church, VA, which is generalized away."),
        _PROVENANCE,
    ),
    key=("county_fips",),
)

UTILITY_TERRITORIES: Final = Table(
    "utility_territories",
    "Retail electric utilities by EIA id with the outline of their territory. Outlines are wider than what is served "
    "and overlap: more than half of all places lie in two or more.",
    columns(
        Column("eia_id", "int", "EIA utility id.", required=True),
        Column("utility_name", "text", "Its name.", required=True),
        Column("headquarters_state", "text", "Where it sits, which need not be where it serves."),
        Column("segment", "text", "Who owns it, in the source's words."),
        _BA,
        Column("customers", "float", "Customers it reports."),
        Column("area_km2", "float", "Area of the outline as the source states it.", "km²"),
        Column("geometry", "binary", "WKB, EPSG:4326; NULL for a utility that is listed without an outline."),
        _PROVENANCE,
    ),
    key=("eia_id",),
)

BALANCING_AUTHORITIES: Final = Table(
    "balancing_authorities",
    "Outlines of balancing authorities. They are drawn over each other: the utility's EIA id decides before them.",
    columns(
        Column("balancing_authority", "text", "EIA code, e.g. CISO.", required=True),
        Column("authority_name", "text", "Its name.", required=True),
        _ISO,
        Column(
            "outline_from",
            "text",
            "What was drawn: the authority itself, the ISO that is the authority, or the counties it serves.",
            values=("authority", "iso", "counties"),
            required=True,
        ),
        _GEOMETRY,
        _PROVENANCE,
    ),
    key=("balancing_authority",),
)

ISO_REGIONS: Final = Table(
    "iso_regions",
    "Outlines of the ISOs and RTOs.",
    columns(
        Column("iso_id", "text", "The ISO or RTO, as utility configs name it.", required=True),
        Column("iso_name", "text", "Its name.", required=True),
        Column("balancing_authority", "text", "EIA code of the balancing authority it is."),
        _GEOMETRY,
        _PROVENANCE,
    ),
    key=("iso_id",),
)

PRICING_NODES: Final = Table(
    "pricing_nodes",
    "Places at which an ISO publishes locational marginal prices.",
    columns(
        Column("node_id", "text", "The source's id.", required=True),
        Column("node_name", "text", "Its name.", required=True),
        _ISO,
        Column("node_type", "text", "hub, zone, sublap, lap or gen, in the source's words."),
        Column("zone", "text", "The price zone."),
        _STATE,
        _LAT,
        _LON,
        Column("eia_plant_code", "int", "The power plant that stands there, by EIA-860."),
        Column(
            "stands_in",
            "bool",
            "The place is a power plant's, standing in for a node that is not published with coordinates.",
            required=True,
        ),
        _PROVENANCE,
    ),
    key=("node_id",),
)

ZIP_CENTROIDS: Final = Table(
    "zip_centroids",
    "A middle of every ZIP code area. A ZIP is mail routes, not an area: it narrows a place, no more.",
    columns(Column("zip", "text", "Five digits.", required=True), _LAT, _LON, _PROVENANCE),
    key=("zip",),
)

SUBSTATIONS: Final = Table(
    "substations",
    "Substations as their utilities publish them, or as a configured file names them; one with two names has two rows.",
    columns(
        Column("utility_code", "text", "The utility, as its YAML names it.", required=True),
        Column("substation_id", "text", "The utility's id; its name where it publishes none.", required=True),
        Column("substation_name", "text", "Its name, as published.", required=True),
        Column("lat", "float", "Latitude, EPSG:4326; NULL where only the name is known.", "degrees"),
        Column("lon", "float", "Longitude, EPSG:4326; NULL where only the name is known.", "degrees"),
        _PROVENANCE,
    ),
    key=("utility_code", "substation_id", "substation_name"),
)

LAKE_TABLES: Final = (
    STATES,
    COUNTIES,
    UTILITY_TERRITORIES,
    BALANCING_AUTHORITIES,
    ISO_REGIONS,
    PRICING_NODES,
    ZIP_CENTROIDS,
    SUBSTATIONS,
)
