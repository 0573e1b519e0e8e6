"""Do the published layers still hold what the configs say? Asked without pulling a row, and recorded.

What belongs here: asking every layer of a utility, the verdict, the record. What does not: the ways in which a layer can
drift (`sources.contract`), how a source is asked (`sources`).
"""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Literal

import polars as pl

from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.source_tables import CONFIG_VERIFICATIONS
from hc_platform.lake.store import Lake
from hc_platform.pipeline.snapshots import known_layers, newest_pull
from hc_platform.sources.base import AbsentError, ContractError, LayerDescription, SourceError
from hc_platform.sources.contract import Finding, FindingKind, KnownLayer, findings_of

Describe = Callable[[UtilityConfig, LayerConfig], LayerDescription]


def verify(
    config: UtilityConfig,
    describe: Describe,
    lake: Lake,
    now: datetime,
    *,
    against: Literal["live", "saved"] = "live",
) -> pl.DataFrame:
    """CONFIG_VERIFICATIONS rows, one per layer of the utility. A layer that cannot be described is a finding, no error.

    `describe` asks the source, or a folder of saved answers. Nothing is written; `record` does.
    """
    known = known_layers(newest_pull(lake, config.utility_code, until="9999-12"))
    rows = [
        _verified(config, layer, describe, known.get(layer.label), now, against) for layer in config.layers
    ]
    return CONFIG_VERIFICATIONS.conform(pl.DataFrame(rows, infer_schema_length=None))


def record(lake: Lake, verified: pl.DataFrame) -> None:
    """Append to config_verifications."""
    if verified.height:
        lake.append(CONFIG_VERIFICATIONS, verified)


def _verified(
    config: UtilityConfig,
    layer: LayerConfig,
    describe: Describe,
    known: KnownLayer | None,
    now: datetime,
    against: str,
) -> dict[str, Any]:
    found: LayerDescription | None = None
    try:
        found = describe(config, layer)
    except SourceError as error:
        findings = [Finding(layer.label, _kind(error), True, str(error))]
    else:
        findings = findings_of(config, layer, found, known, now)
    if layer.optional and known is None:  # a pull leaves it out, unless nobody can tell whether it is there
        findings = [replace(f, blocking=f.blocking and f.kind == "unreachable") for f in findings]
    return {
        "utility_code": config.utility_code,
        "layer": layer.label,
        "checked_at": now,
        "against": against,
        "verdict": "broken" if any(f.blocking for f in findings) else "look" if findings else "ok",
        "findings": json.dumps([{k: v for k, v in asdict(f).items() if k != "layer"} for f in findings]),
        "source_url": found.url if found else None,
        "layer_name": found.name if found else None,
        "layer_index": found.layer_index if found else None,
        "rows": found.count if found and found.count >= 0 else None,
        "source_edited_at": found.edited_at if found else None,
        "config_hash": config.fingerprint,
    }


def _kind(error: SourceError) -> FindingKind:
    if isinstance(error, AbsentError):
        return "moved"
    return "gone_field" if isinstance(error, ContractError) else "unreachable"
