"""Policies by name: charge_policies.yaml.

What belongs here: reading and looking up policies. What does not: their fields (`models.Policy`).
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import BaseModel, ConfigDict

from hc_platform.charging.models import Policy
from hc_platform.documents import Kind, read_document

DEFAULT: Final = "default"


class _PolicyFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    policies: dict[str, Policy]


_KIND = Kind(
    model=Policy,
    parts={"policies": Policy},
    help="see charging/models.py for what a policy may say",
    example="the shipped charge_policies.yaml",
)


def load_policies(path: Path) -> dict[str, Policy]:
    """The policies of a file; one called default is always there.

    Raises ConfigError with file, line, key and mend; a file that is not there is one without policies.
    """
    if not path.is_file():
        return {DEFAULT: Policy()}
    return {DEFAULT: Policy(), **read_document(path, _KIND).parse(_PolicyFile).policies}


def policies_hash(policies: Mapping[str, Policy]) -> str:
    """SHA-256 over all policies."""
    plain = {name: policy.model_dump(mode="json") for name, policy in sorted(policies.items())}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def policies_frame(policies: Mapping[str, Policy]) -> pl.DataFrame:
    """One row per policy: policy_id and its fields."""
    rows = [{"policy_id": name, **policy.model_dump()} for name, policy in policies.items()]
    return pl.DataFrame(rows, schema_overrides={"heartbeat_s": pl.Int64()})
