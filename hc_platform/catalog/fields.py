"""The leaves of a utility's YAML: closed vocabularies, fields, constraint columns, small mappings.

What belongs here: models of single fields. What does not: layers (`layers`) and utilities (`models`).
"""

import re
from datetime import date
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Resource = Literal["generation", "load", "storage"]
Grain = Literal["feeder", "section", "tile", "point", "class", "der"]
Constraint = Literal[
    "thermal",
    "voltage",
    "protection",
    "islanding",
    "flicker",
    "reverse_flow",
    "substation",
    "regulator",
    "other",
    "none",
]
ValueStatus = Literal["published", "redacted", "pending", "not_published"]
CapacityUnit = Literal["w", "kw", "mw", "va", "kva", "mva"]
Unit = Literal["w", "kw", "mw", "va", "kva", "mva", "v", "kv"]
CapacityBasis = Literal["gross", "net_of_existing"]
Cadence = Literal["monthly", "quarterly", "annual"]
SourceType = Literal["arcgis_feature", "arcgis_map", "file", "unknown"]
AccessStatus = Literal[
    "live",
    "gated",
    "auth_required",
    "address_unknown",
    "no_machine_readable_source",
    "no_hosting_capacity_data",
]
Canonical = Literal[
    "feeder_id_external",
    "feeder_name",
    "substation_name",
    "hosting_capacity_mw",
    "hosting_capacity_min_mw",
    "hosting_capacity_max_mw",
    "installed_dg_mw",
    "queued_dg_mw",
    "remaining_capacity_mw",
    "constraining_metric",
    "voltage_kv",
    "phase_config",
    "is_overhead",
    "is_network",
    "record_date",
]

CAPACITY_COLUMNS: Final = (
    "hosting_capacity_mw",
    "hosting_capacity_min_mw",
    "hosting_capacity_max_mw",
    "installed_dg_mw",
    "queued_dg_mw",
    "remaining_capacity_mw",
)
HOSTING_COLUMNS: Final = CAPACITY_COLUMNS[:3]
_CAPACITY_UNITS: Final = ("w", "kw", "mw", "va", "kva", "mva")
# Keys of the short forms: of a resource beside its layer's, of a layer beside its utility's.
_SECRET_PARAMETERS: Final = {
    "token",
    "access_token",
    "apikey",
    "api_key",
    "key",
    "password",
    "passwd",
    "client_secret",
    "refresh_token",
    "sig",
    "signature",
    "x-amz-signature",
    "x-amz-security-token",
    "x-goog-signature",
}
_SECRET_HEADERS: Final = re.compile(r"auth|cookie|token|secret|passw|key|credential|session", re.IGNORECASE)


class Strict(BaseModel):
    """Frozen, and a key it does not know is a mistake. Errors do not quote values: one may hold a credential."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True, serialize_by_alias=True
    )


def check_url(url: str) -> str:
    """The address without a trailing slash. Raises ValueError unless it is http(s) and carries no credential."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError("must be an http:// or https:// address")
    if parts.username or parts.password:
        raise ValueError("carries a password; name a secret under auth.secret instead")
    secrets = {k for k, _ in parse_qsl(parts.query) if k.lower() in _SECRET_PARAMETERS}
    if secrets:
        raise ValueError(
            f"carries a credential ({', '.join(sorted(secrets))}); name a secret under auth.secret"
        )
    return url.rstrip("/")


def check_headers(headers: dict[str, str]) -> dict[str, str]:
    """The headers as they are. Raises ValueError where one would hold a credential."""
    secret = sorted(h for h in headers if _SECRET_HEADERS.search(h))
    if secret:
        raise ValueError(
            f"{', '.join(secret)} would hold a credential; name a secret under auth.secret instead"
        )
    return headers


def _null_map(value: Any) -> Any:
    """A list of nulls says only 'not published'; keys may be written as numbers."""
    if isinstance(value, list):
        return {str(v): "not_published" for v in value}
    return {str(k): v for k, v in value.items()} if isinstance(value, dict) else value


def _text_keys(value: Any) -> Any:
    return {str(k): v for k, v in value.items()} if isinstance(value, dict) else value


Nulls = Annotated[
    dict[str, ValueStatus],
    BeforeValidator(_null_map, json_schema_input_type=list[str | float] | dict[str, ValueStatus]),
]


class FieldTarget(Strict):
    """Where one published field goes, and how its text is to be read."""

    to: Canonical = Field(description="the canonical column")
    unit: Unit | None = Field(None, description="the field's own unit; else the layer's, else the utility's")
    nulls: Nulls = Field(
        default_factory=dict,
        description="values that mean 'no value', and why: {'-9.999': redacted, '-1': not_published}; '' is NULL too",
    )
    unit_guessed: bool = Field(
        False,
        description="nobody states the unit: the greatest value must be a feeder's (0.5 to 100 MW), or the commit stops",
    )
    ceiling: float | None = Field(
        None, description="the study's upper end, in the field's unit: values there are marked, not measured"
    )
    floor: float | None = Field(None, description="the study's lower end, in the field's unit")
    classes: Annotated[dict[str, str], BeforeValidator(_text_keys)] = Field(
        default_factory=dict,
        description="published class -> what it says, read like any text: {LOW: 0 - 1, HIGH: '>5', 'NO CAPACITY': '0'}",
    )
    combine: Literal["least", "greatest"] | None = Field(
        None,
        description="several fields give this column: the least (or greatest) of them; NULL where any is",
    )
    when: dict[str, list[str]] = Field(
        default_factory=dict,
        description="only in rows where each of these fields has one of its values; else NULL: {status: [Queued]}",
    )
    single: str | None = Field(
        None,
        min_length=1,
        description="separator of a list: a list of several has no one value and gives NULL",
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"to": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _unit_fits(self) -> "FieldTarget":
        if self.combine and self.to not in (*CAPACITY_COLUMNS, "voltage_kv", "record_date"):
            raise ValueError(f"combine is for numbers and dates; {self.to} has no least and no greatest")
        if self.unit is None:
            return self
        if self.to in CAPACITY_COLUMNS and self.unit not in _CAPACITY_UNITS:
            raise ValueError(
                f"unit {self.unit} is no unit of capacity; use one of {', '.join(_CAPACITY_UNITS)}"
            )
        if self.to == "voltage_kv" and self.unit not in ("v", "kv"):
            raise ValueError(f"unit {self.unit} is no unit of voltage; use v or kv")
        if self.to not in (*CAPACITY_COLUMNS, "voltage_kv"):
            raise ValueError(f"{self.to} has no unit")
        return self


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


_Target = Canonical | FieldTarget
FieldMap = dict[
    str,
    Annotated[
        list[FieldTarget],
        Field(min_length=1),
        BeforeValidator(_as_list, json_schema_input_type=_Target | list[_Target]),
    ],
]


class ConstraintColumns(Strict):
    """One published column per constraint: the least value binds, and names the constraint."""

    columns: dict[str, Constraint] = Field(min_length=2, description="published column -> constraint")
    unit: CapacityUnit | None = Field(None, description="unit of the columns; else the layer's")
    ceiling: float | None = Field(None, description="in that unit; where all stand at it, nothing binds")
    ceilings: dict[str, float] = Field(
        default_factory=dict, description="columns whose ceiling is another: {primary_hc_flicker: 20}"
    )
    nulls: Nulls = Field(default_factory=dict)

    def ceiling_of(self, column: str) -> float | None:
        """The study's upper end for one column, in the columns' unit; None where none is known."""
        return self.ceilings.get(column, self.ceiling)

    @model_validator(mode="after")
    def _ceilings_of_columns(self) -> "ConstraintColumns":
        strange = sorted(set(self.ceilings) - set(self.columns))
        if strange:
            raise ValueError(f"ceilings names {', '.join(strange)}, which is no column here")
        return self


class ResourceConfig(Strict):
    """What a layer's row says of one resource."""

    field_map: FieldMap = Field(default_factory=dict, description="published field -> canonical column(s)")
    constraint_columns: ConstraintColumns | None = None
    capacity_basis: CapacityBasis | None = Field(None, description="overrides the utility's")
    feeder_rule: Literal["greatest", "least"] = Field(
        "greatest",
        description="which section value is the feeder's, where no feeder value is published",
    )


class Verification(Strict):
    """How the config is known to be right."""

    status: Literal["live_checked", "fields_seen_in_published_pulls", "documented", "guessed"]
    on: date
    sources: list[str] = Field(min_length=1)
    note: str | None = None
