"""utility_configs/*.yaml -> typed `UtilityConfig`: the one place where a utility's particulars stand."""

from hc_platform.catalog.fields import ConstraintColumns, FieldTarget, ResourceConfig
from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.loading import Catalog, load_catalog, load_config
from hc_platform.catalog.models import UtilityConfig, json_schema
from hc_platform.documents import ConfigError, Problem

__all__ = [
    "Catalog",
    "ConfigError",
    "ConstraintColumns",
    "FieldTarget",
    "LayerConfig",
    "Problem",
    "ResourceConfig",
    "UtilityConfig",
    "json_schema",
    "load_catalog",
    "load_config",
]
