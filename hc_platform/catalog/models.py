"""The shape of a utility's YAML, as frozen Pydantic models.

What belongs here: keys, types, defaults and the rules that one config must satisfy by itself.
What does not: reading files and naming lines (`loading`), or what is done with a config.
"""

from datetime import date
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

Resource = Literal["generation", "load", "storage"]
Grain = Literal["feeder", "section", "tile", "point", "class"]
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
SourceType = Literal["arcgis_feature", "arcgis_map", "file"]
AccessStatus = Literal[
    "live", "gated", "auth_required", "no_machine_readable_source", "no_hosting_capacity_data"
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
_OF_ONE_RESOURCE: Final = ("constraint_columns", "capacity_basis", "feeder_rule")
_OF_ONE_LAYER: Final = ("layer_index", "field_map")
_SECRET_HEADERS: Final = {
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-esri-authorization",
}
_SECRET_PARAMETERS: Final = {
    "token",
    "access_token",
    "apikey",
    "api_key",
    "key",
    "password",
    "sig",
    "signature",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_url(url: str) -> str:
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


def _null_map(value: Any) -> Any:
    """A list of nulls says only 'not published'; keys may be written as numbers."""
    if isinstance(value, list):
        return {str(v): "not_published" for v in value}
    return {str(k): v for k, v in value.items()} if isinstance(value, dict) else value


Nulls = Annotated[
    dict[str, ValueStatus],
    BeforeValidator(_null_map, json_schema_input_type=list[str | float] | dict[str, ValueStatus]),
]


class FieldTarget(_Strict):
    """Where one published field goes, and how its text is to be read."""

    to: Canonical = Field(description="the canonical column")
    unit: Unit | None = Field(None, description="the field's own unit; else the layer's, else the utility's")
    nulls: Nulls = Field(
        default_factory=dict,
        description="values that mean 'no value', and why: {'-9.999': redacted, '-1': not_published}",
    )
    ceiling: float | None = Field(
        None, description="the study's upper end, in the field's unit: values there are marked, not measured"
    )
    floor: float | None = Field(None, description="the study's lower end, in the field's unit")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"to": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _unit_fits(self) -> "FieldTarget":
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


class ConstraintColumns(_Strict):
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


class ResourceConfig(_Strict):
    """What a layer's row says of one resource."""

    field_map: FieldMap = Field(default_factory=dict, description="published field -> canonical column(s)")
    constraint_columns: ConstraintColumns | None = None
    capacity_basis: CapacityBasis | None = Field(None, description="overrides the utility's")
    feeder_rule: Literal["greatest", "least"] = Field(
        "greatest",
        description="which section value is the feeder's, where no feeder value is published",
    )


class FeederIdFrom(_Strict):
    """Sections that carry only a feeder's name get its id from another layer of the same config.

    A name that stands for several ids there gives NULL, and is counted: it is never guessed.
    """

    layer: str = Field(description="name of the other layer in this config")
    field: str = Field(description="the field of this layer to look up")
    matches: str = Field(description="the field of the other layer it equals")


class Explode(_Strict):
    """A row that holds several feeders as parallel lists ('A,B' and '9.9,5.3') becomes one row each."""

    columns: list[str] = Field(min_length=1)
    separator: str = ","


class Verification(_Strict):
    """How the config is known to be right."""

    status: Literal["live_checked", "fields_seen_in_published_pulls", "documented", "guessed"]
    on: date
    sources: list[str] = Field(min_length=1)
    note: str | None = None


class LayerConfig(_Strict):
    """One published layer, table or file."""

    name: str | None = Field(None, description="the published name; the layer is resolved by it")
    title: str | None = Field(
        None, description="our own name for it in every table: where the published one is unknown, or changes"
    )
    layer_index: int | None = Field(None, ge=0, description="its index, a hint: utilities renumber")
    service_url: str | None = Field(None, description="where this layer is, if not in the utility's service")
    path: str | None = Field(None, description="for files: a URL, or a path inside the import folder")
    x_field: str | None = Field(None, description="for CSV: the longitude column, EPSG:4326")
    y_field: str | None = Field(None, description="for CSV: the latitude column, EPSG:4326")
    object_id_field: str | None = Field(None, description="for files: a column of unique integers, if any")
    grain: Grain
    where: str = Field("1=1", min_length=1, description="SQL filter the server applies")
    record_key: list[str] = Field(
        default_factory=list, description="fields that identify a row across snapshots; default the object id"
    )
    page_size: int | None = Field(None, ge=1, le=32000)
    capacity_unit: CapacityUnit | None = None
    field_map: FieldMap = Field(default_factory=dict, description="fields that hold for every resource")
    resources: dict[Resource, ResourceConfig] = Field(min_length=1)
    feeder_id_from: FeederIdFrom | None = None
    explode: Explode | None = None
    rows_seen: int | None = Field(None, ge=0, description="rows when last seen, for orientation")
    verification: Verification | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_resource(cls, value: Any) -> Any:
        """`resource: load` with its keys beside it is short for `resources: {load: {...}}`."""
        if not isinstance(value, dict) or "resources" in value:
            return value
        value = dict(value)
        own = {k: value.pop(k) for k in _OF_ONE_RESOURCE if k in value}
        value["resources"] = {value.pop("resource", "generation"): own}
        return value

    @field_validator("service_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        return value if value is None else _check_url(value)

    @property
    def label(self) -> str:
        """The name by which the layer stands in every table."""
        return self.title or self.name or self.path or f"layer {self.layer_index}"

    def fields_of(self, resource: Resource) -> FieldMap:
        """The layer's common fields and the resource's own."""
        return {**self.field_map, **self.resources[resource].field_map}

    @property
    def named_fields(self) -> list[str]:
        """Every published field the config relies on: the contract checked before a pull."""
        names = [*self.record_key, *self.field_map]
        for resource in self.resources.values():
            names += resource.field_map
            if resource.constraint_columns:
                names += resource.constraint_columns.columns
        if self.feeder_id_from:
            names.append(self.feeder_id_from.field)
        if self.explode:
            names += self.explode.columns
        names += [f for f in (self.x_field, self.y_field, self.object_id_field) if f]
        return list(dict.fromkeys(names))

    @model_validator(mode="after")
    def _consistent(self) -> "LayerConfig":
        if self.name is None and self.layer_index is None and self.path is None:
            raise ValueError("needs a name (better) or a layer_index; a file needs a path")
        if (self.x_field is None) != (self.y_field is None):
            raise ValueError("x_field and y_field go together")
        for resource in self.resources:
            targets = [t.to for specs in self.fields_of(resource).values() for t in specs]
            twice = {t for t in targets if targets.count(t) > 1}
            if twice:
                raise ValueError(f"resource {resource}: two fields are mapped to {', '.join(sorted(twice))}")
            if self.grain == "feeder" and "feeder_id_external" not in targets and not self.feeder_id_from:
                raise ValueError("grain feeder needs a field mapped to feeder_id_external")
        return self


class Auth(_Strict):
    """How to sign in; the secret itself stands in the environment, never in the YAML."""

    secret: str = Field(
        pattern=r"^[A-Z][A-Z0-9_]+$", description="name of the environment variable with the token"
    )


class UtilityConfig(_Strict):
    """One utility: who it is, where it publishes and what its fields mean."""

    utility_code: str = Field(pattern=r"^[a-z][a-z0-9_]{1,30}$", description="short code; the file's name")
    utility_name: str
    parent_company: str | None = None
    iso_id: Literal["caiso", "ercot", "isone", "miso", "nyiso", "pjm", "spp"] | None = None
    balancing_authority: str | None = Field(None, description="EIA code, e.g. CISO")
    eia_id: int | None = Field(None, description="EIA-861 utility id")
    states: list[Annotated[str, Field(pattern=r"^[A-Z]{2}$")]] = Field(min_length=1)
    owner: str | None = Field(None, description="e-mail or team that looks after this config")
    data_source_type: SourceType
    requires_auth: bool = False
    auth: Auth | None = None
    access_status: AccessStatus = "live"
    access_reason: str | None = Field(None, description="why it cannot be fetched, where it cannot")
    service_url: str | None = None
    headers: dict[str, str] = Field(default_factory=dict, description="request headers, e.g. Referer")
    url_discovery_method: Literal["static"] = "static"
    page_size: int | None = Field(None, ge=1, le=32000)
    out_sr: Literal[4326] = 4326
    capacity_unit: CapacityUnit | None = Field(None, description="for capacity fields that name no unit")
    capacity_basis: CapacityBasis | None = None
    cadence: Cadence = "monthly"
    layers: list[LayerConfig] = Field(default_factory=list)
    verification: Verification
    licence: str | None = None
    disclaimer: str | None = None
    notes: list[str] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        """The short form: layer_index and field_map beside the utility's own keys make one feeder layer."""
        if not isinstance(value, dict) or "field_map" not in value or "layers" in value:
            return value
        value = dict(value)
        layer = {k: value.pop(k) for k in _OF_ONE_LAYER if k in value}
        value["layers"] = [{"grain": "feeder", **layer}]
        return value

    @field_validator("service_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        return value if value is None else _check_url(value)

    @field_validator("headers")
    @classmethod
    def _no_secret_header(cls, value: dict[str, str]) -> dict[str, str]:
        secret = sorted(h for h in value if h.lower() in _SECRET_HEADERS)
        if secret:
            raise ValueError(
                f"{', '.join(secret)} would hold a credential; name a secret under auth.secret instead"
            )
        return value

    @property
    def fetchable(self) -> bool:
        """Whether assets are built for it."""
        return self.access_status in ("live", "gated") or (
            self.access_status == "auth_required" and bool(self.auth)
        )

    @property
    def resources(self) -> list[Resource]:
        """Every resource any of its layers carries, sorted."""
        return sorted({r for layer in self.layers for r in layer.resources})

    def layer(self, label: str) -> LayerConfig:
        """The layer of that label; KeyError if there is none."""
        for layer in self.layers:
            if layer.label == label:
                return layer
        raise KeyError(label)

    def layer_service_url(self, layer: LayerConfig) -> str:
        """Where the layer's service is."""
        url = layer.service_url or self.service_url
        if url is None:
            raise ValueError(f"{self.utility_code}: layer {layer.label} has no service_url")
        return url

    def basis_of(self, layer: LayerConfig, resource: Resource) -> CapacityBasis | None:
        """Gross or net, by the resource, else by the utility."""
        return layer.resources[resource].capacity_basis or self.capacity_basis

    @model_validator(mode="after")
    def _consistent(self) -> "UtilityConfig":
        if not self.fetchable:
            if not self.access_reason:
                raise ValueError("access_status says it cannot be fetched; tell why in access_reason")
            return self
        if not self.layers:
            raise ValueError("needs at least one layer, or an access_status that says why there is none")
        labels = [layer.label for layer in self.layers]
        twice = sorted({x for x in labels if labels.count(x) > 1})
        if twice:
            raise ValueError(f"two layers are called {', '.join(twice)}; give them different names")
        for layer in self.layers:
            self._check_layer(layer, labels)
        return self

    def _check_layer(self, layer: LayerConfig, labels: list[str]) -> None:
        is_file = self.data_source_type == "file"
        if is_file != (layer.path is not None):
            raise ValueError(
                f"layer {layer.label}: path goes with data_source_type file, service_url with the others"
            )
        if not is_file and not (layer.service_url or self.service_url):
            raise ValueError(f"layer {layer.label}: no service_url, neither here nor at the utility")
        if layer.feeder_id_from and layer.feeder_id_from.layer not in labels:
            raise ValueError(f"layer {layer.label}: feeder_id_from names no layer of this config")
        if layer.feeder_id_from:
            other = self.layer(layer.feeder_id_from.layer)
            if layer.feeder_id_from.matches not in other.named_fields:
                raise ValueError(
                    f"layer {layer.label}: feeder_id_from.matches is no field that {other.label} maps"
                )
        for resource, spec in layer.resources.items():
            fields = layer.fields_of(resource)
            default = layer.capacity_unit or self.capacity_unit
            for name, targets in fields.items():
                if any(t.to in CAPACITY_COLUMNS and not (t.unit or default) for t in targets):
                    raise ValueError(
                        f"layer {layer.label}: field {name} has no unit; add unit: or a capacity_unit"
                    )
            columns = spec.constraint_columns
            if columns and not (columns.unit or default):
                raise ValueError(f"layer {layer.label}: constraint_columns has no unit")
            published = {t.to for targets in fields.values() for t in targets}
            if published & set(HOSTING_COLUMNS) and self.basis_of(layer, resource) is None:
                raise ValueError(
                    f"layer {layer.label}, {resource}: say capacity_basis: gross or net_of_existing"
                )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a utility config, for editors: the short forms are valid too."""
    schema = UtilityConfig.model_json_schema()
    layer = schema["$defs"]["LayerConfig"]
    resource = schema["$defs"]["ResourceConfig"]["properties"]
    layer["required"].remove("resources")
    layer["properties"]["resource"] = {"enum": list(get_args(Resource)), "default": "generation"}
    layer["properties"] |= {k: resource[k] for k in _OF_ONE_RESOURCE}
    schema["properties"] |= {k: layer["properties"][k] for k in _OF_ONE_LAYER}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "hc_platform utility config"
    return schema
