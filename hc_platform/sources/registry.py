"""Layer -> adapter.

What belongs here: which adapter a layer has, and nothing of it anywhere else. What does not: adapters.
"""

from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.sources.arcgis_source import ArcGISSource
from hc_platform.sources.base import LayerSource, SourceOptions
from hc_platform.sources.file_source import FileSource
from hc_platform.sources.rotating_source import RotatingSource
from hc_platform.sources.vintage import Period


def source_for(
    config: UtilityConfig, layer: LayerConfig, options: SourceOptions, within: Period | None = None
) -> LayerSource:
    """The adapter for a layer: one utility may publish files beside its services.

    `within`: a past period, of which only a rotating service may still have a publication; others have today's data.
    """
    if layer.path is not None:
        return FileSource(options)
    if config.discovery_of(layer) is not None:
        return RotatingSource(options, within)
    return ArcGISSource(options)
