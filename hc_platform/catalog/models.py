"""The shape of a utility's YAML, as frozen Pydantic models.

What belongs here: keys, types, defaults and the rules that one config must satisfy by itself.
What does not: reading files and naming lines (`loading`), or what is done with a config.
"""

import hashlib
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, field_validator, model_validator

from hc_platform.catalog.fields import (
    CAPACITY_COLUMNS,
    HOSTING_COLUMNS,
    AccessStatus,
    Cadence,
    CapacityBasis,
    CapacityUnit,
    Explode,
    FeederIdFrom,
    FieldMap,
    Grain,
    Resource,
    ResourceConfig,
    SourceType,
    Strict,
    Verification,
    check_url,
)

_OF_ONE_RESOURCE: Final = ("constraint_columns", "capacity_basis", "feeder_rule")
_OF_ONE_LAYER: Final = ("layer_index", "field_map")
_SECRET_HEADERS: Final = {
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-esri-authorization",
}


class LayerConfig(Strict):
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
        return value if value is None else check_url(value)

    @field_validator("path")
    @classmethod
    def _path(cls, value: str | None) -> str | None:
        if value is not None and "://" in value:
            try:
                check_url(value)
            except ValueError as error:
                wrong = str(error).partition(";")[0]
                raise ValueError(
                    f"{wrong}; a file must be open to all, or lie in the import folder"
                ) from None
        return value

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


class Auth(Strict):
    """How to sign in; the secret itself stands in the environment, never in the YAML."""

    secret: str = Field(
        pattern=r"^[A-Z][A-Z0-9_]+$", description="name of the environment variable with the token"
    )


class UtilityConfig(Strict):
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
        return value if value is None else check_url(value)

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

    @property
    def fingerprint(self) -> str:
        """Changes when anything in the config does: rows made with another fingerprint are to be made anew."""
        return hashlib.blake2b(self.model_dump_json().encode(), digest_size=16).hexdigest()

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

    @model_validator(mode="after")
    def _no_auth_for_files(self) -> "UtilityConfig":
        if self.auth and self.data_source_type == "file":
            raise ValueError(
                "auth is for ArcGIS services: a file is downloaded without signing in; remove auth"
            )
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
            maps = [t.to for r in other.resources for ts in other.fields_of(r).values() for t in ts]
            if "feeder_id_external" not in maps:
                raise ValueError(
                    f"layer {layer.label}: feeder_id_from names {other.label}, which maps no feeder id"
                )
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
