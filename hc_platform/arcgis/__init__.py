"""A client for ArcGIS REST feature and map services that survives what those servers do.

Belongs here: everything that is true of any ArcGIS server. Does not belong here: utilities, configs,
units, Dagster. Start reading at pull.py; errors.py lists what can go wrong.
"""

from hc_platform.arcgis.crs import web_mercator_to_wgs84
from hc_platform.arcgis.errors import ArcGISError, LayerMoved
from hc_platform.arcgis.metadata import Field, LayerInfo, LayerState, describe_layer, layer_state
from hc_platform.arcgis.portal import PublishedService, list_folder, search_items
from hc_platform.arcgis.pull import pull_layer
from hc_platform.arcgis.query import (
    compute_centroid,
    discover_layers,
    get_field_schema,
    query_features,
    query_features_geojson,
)
from hc_platform.arcgis.result import LayerPull
from hc_platform.arcgis.transport import HttpOptions

__all__ = [
    "ArcGISError",
    "Field",
    "HttpOptions",
    "LayerInfo",
    "LayerMoved",
    "LayerPull",
    "LayerState",
    "PublishedService",
    "compute_centroid",
    "describe_layer",
    "discover_layers",
    "get_field_schema",
    "layer_state",
    "list_folder",
    "pull_layer",
    "query_features",
    "query_features_geojson",
    "search_items",
    "web_mercator_to_wgs84",
]
