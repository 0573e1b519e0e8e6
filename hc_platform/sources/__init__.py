"""How a configured layer becomes raw features on disk: one adapter per `data_source_type`."""

from hc_platform.sources.base import (
    ContractError,
    LayerPull,
    LayerSource,
    PartialPullError,
    SourceError,
    SourceOptions,
)
from hc_platform.sources.registry import source_for

__all__ = [
    "ContractError",
    "LayerPull",
    "LayerSource",
    "PartialPullError",
    "SourceError",
    "SourceOptions",
    "source_for",
]
