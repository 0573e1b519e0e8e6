"""How a configured layer becomes raw features on disk: one adapter per kind of source."""

from hc_platform.sources.base import (
    AbsentError,
    ContractError,
    LayerPull,
    LayerSource,
    PartialPullError,
    SignInError,
    SourceError,
    SourceOptions,
)
from hc_platform.sources.discovery import Candidate
from hc_platform.sources.registry import source_for
from hc_platform.sources.rotating_source import candidates
from hc_platform.sources.signing import http_for

__all__ = [
    "AbsentError",
    "Candidate",
    "ContractError",
    "LayerPull",
    "LayerSource",
    "PartialPullError",
    "SignInError",
    "SourceError",
    "SourceOptions",
    "candidates",
    "http_for",
    "source_for",
]
