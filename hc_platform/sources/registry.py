"""data_source_type -> adapter.

What belongs here: one line for each kind of source, and nothing else anywhere. What does not: adapters.
"""

from collections.abc import Callable

from hc_platform.catalog.fields import SourceType
from hc_platform.catalog.models import UtilityConfig
from hc_platform.sources.arcgis_source import ArcGISSource
from hc_platform.sources.base import LayerSource, SourceOptions
from hc_platform.sources.file_source import FileSource

_ADAPTERS: dict[SourceType, Callable[[SourceOptions], LayerSource]] = {
    "arcgis_feature": ArcGISSource,
    "arcgis_map": ArcGISSource,
    "file": FileSource,
}


def source_for(config: UtilityConfig, options: SourceOptions) -> LayerSource:
    """The adapter for a utility."""
    return _ADAPTERS[config.data_source_type](options)
