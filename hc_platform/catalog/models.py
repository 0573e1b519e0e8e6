"""The shape of a utility's YAML, as frozen Pydantic models.

What belongs here: keys, types, defaults and the rules that one config must satisfy by itself.
What does not: reading files and naming lines (`loading`), or what is done with a config.
"""

import hashlib
import ipaddress
import json
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from hc_platform.catalog.fields import (
    CAPACITY_COLUMNS,
    HOSTING_COLUMNS,
    AccessStatus,
    Cadence,
    CapacityBasis,
    CapacityUnit,
    Resource,
    SourceType,
    Strict,
    Verification,
    check_headers,
    check_url,
)
from hc_platform.catalog.layers import OF_ONE_RESOURCE, Discovery, LayerConfig, LayerJoin

_OF_ONE_LAYER: Final = ("layer_index", "field_map")
_ASKED: Final = {
    "where", "geometry", "attributes", "member", "sheet", "header_row", "x_field", "y_field", "object_id_field",
}  # fmt: skip


def is_loopback(url: str) -> bool:
    """Whether the address leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_VARIABLE: Final = r"^[A-Z][A-Z0-9_]+$"


class Auth(Strict):
    """How to sign in; the secrets themselves stand in the environment, never in the YAML."""

    method: Literal["token", "generate_token", "oauth_app"] = Field(
        "token",
        description="token: as it stands; generate_token: name and password; oauth_app: an application's id and secret",
    )
    secret: str = Field(
        pattern=_VARIABLE,
        description="name of the environment variable with the token, the password or the application's secret",
    )
    identity: str | None = Field(
        None,
        pattern=_VARIABLE,
        description="name of the variable with the user name or the application's id",
    )
    token_url: str | None = Field(
        None, description="where tokens are given: .../generateToken, .../oauth2/token"
    )

    @model_validator(mode="after")
    def _complete(self) -> "Auth":
        if self.token_url:
            check_url(self.token_url)
            if urlsplit(self.token_url).scheme != "https" and not is_loopback(self.token_url):
                raise ValueError("token_url must be https: a password goes there")
        if self.method != "token" and not (self.identity and self.token_url):
            raise ValueError(f"{self.method} needs identity (a variable's name) and token_url")
        return self


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
    unavailable: dict[Resource, str] = Field(
        default_factory=dict,
        description="resources it has, or is said to have, that this config does not fetch, and why",
    )
    service_url: str | None = None
    headers: dict[str, str] = Field(default_factory=dict, description="request headers, e.g. Referer")
    url_discovery_method: Literal["static", "agol_search", "folder_listing"] = "static"
    discovery: Discovery | None = Field(
        None, description="how a rotating service is found, for all its layers"
    )
    wave: int | None = Field(None, ge=1, le=7, description="the rollout wave it belongs to")
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
        return check_headers(value)

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

    def joins_of(self, layer: LayerConfig) -> list[LayerJoin]:
        """Everything the layer takes from other layers; feeder_id_from is a join that takes the feeder's id."""
        spec = layer.feeder_id_from
        if spec is None:
            return layer.joins
        other = self.layer(spec.layer)
        ids = {
            field: targets
            for resource in other.resources
            for field, mapped in other.fields_of(resource).items()
            if (targets := [t for t in mapped if t.to == "feeder_id_external"])
        }
        field, targets = next(iter(ids.items()))
        taken = LayerJoin(layer=spec.layer, field=spec.field, matches=spec.matches, takes={field: targets})
        return [*layer.joins, taken]

    def fields_of_contract(self, layer: LayerConfig) -> list[str]:
        """Every published field of a layer that the config relies on: its own, and those that other layers take."""
        names = dict.fromkeys(layer.named_fields)
        for other in self.layers:
            for join in self.joins_of(other):
                if join.layer == layer.label:
                    conditions = [f for ts in join.takes.values() for t in ts for f in t.when]
                    names |= dict.fromkeys([join.matches, *join.takes, *conditions])
        return [name for name in names if name not in layer.virtual_fields]

    def asked_of(self, layer: LayerConfig) -> str:
        """What decides which values a pull of the layer brings, as JSON: an earlier pull stands for no other question."""
        asked = layer.model_dump(include=_ASKED, exclude_defaults=True)
        if layer.attributes == "named":
            asked["fields"] = sorted(self.fields_of_contract(layer))
        return json.dumps(asked, sort_keys=True)

    def layer_service_url(self, layer: LayerConfig) -> str:
        """Where the layer's service is."""
        url = layer.service_url or self.service_url
        if url is None:
            raise ValueError(f"{self.utility_code}: layer {layer.label} has no service_url")
        return url

    def headers_of(self, layer: LayerConfig) -> dict[str, str]:
        """The request headers for a layer: the utility's, and over them its own."""
        return {**self.headers, **layer.headers}

    def basis_of(self, layer: LayerConfig, resource: Resource) -> CapacityBasis | None:
        """Gross or net, by the resource, else by the utility."""
        return layer.resources[resource].capacity_basis or self.capacity_basis

    @model_validator(mode="after")
    def _consistent(self) -> "UtilityConfig":
        if not self.fetchable:
            if not self.access_reason:
                raise ValueError("access_status says it cannot be fetched; tell why in access_reason")
            return self
        if self.data_source_type == "unknown":
            raise ValueError(
                "data_source_type unknown goes with an access_status that says it cannot be fetched"
            )
        self._check_discovery()
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
    def _one_feeder_rule(self) -> "UtilityConfig":
        """A feeder's value is made of all its layers' sections, by one rule."""
        for resource in self.resources:
            specs = [layer.resources[resource] for layer in self.layers if resource in layer.resources]
            if len({spec.feeder_rule for spec in specs}) > 1:
                raise ValueError(
                    f"{resource}: its layers say different feeder_rule; they make one value together"
                )
        return self

    @model_validator(mode="after")
    def _no_secret_in_clear(self) -> "UtilityConfig":
        urls = [self.service_url, *(layer.service_url for layer in self.layers)]
        for found in [self.discovery, *(layer.discovery for layer in self.layers)]:
            urls += [found.portal, found.folder] if found else []
        clear = [u for u in urls if u and urlsplit(u).scheme != "https" and not is_loopback(u)]
        if self.auth and clear:
            raise ValueError(f"auth needs https: a token would go in clear to {', '.join(clear)}")
        return self

    @model_validator(mode="after")
    def _no_auth_for_files(self) -> "UtilityConfig":
        if self.auth and self.data_source_type == "file":
            raise ValueError(
                "auth is for ArcGIS services: a file is downloaded without signing in; remove auth"
            )
        return self

    def discovery_of(self, layer: LayerConfig) -> Discovery | None:
        """How the layer's service is found, where it rotates; a layer with its own address is where it says."""
        return layer.discovery or (None if layer.service_url or layer.path else self.discovery)

    def _check_discovery(self) -> None:
        found = [d for layer in self.layers if (d := self.discovery_of(layer))]
        methods = sorted({d.method for d in found}) or ["static"]
        if self.url_discovery_method not in methods:
            raise ValueError(
                f"url_discovery_method is {self.url_discovery_method}, discovery says {methods[0]}"
            )

    def _check_place(self, layer: LayerConfig) -> None:
        is_file = layer.path is not None
        if is_file and layer.attributes == "named":
            raise ValueError(
                f"layer {layer.label}: attributes: named is for services, a file is read whole; remove it"
            )
        if is_file and (layer.service_url or layer.discovery or layer.headers):
            raise ValueError(
                f"layer {layer.label}: a file has a path, and none of service_url, discovery and headers"
            )
        if self.data_source_type == "file" and not is_file:
            raise ValueError(f"layer {layer.label}: data_source_type file needs a path")
        if not is_file and not (layer.service_url or self.service_url or self.discovery_of(layer)):
            raise ValueError(f"layer {layer.label}: no service_url, neither here nor at the utility")

    def _check_joins(self, layer: LayerConfig, labels: list[str]) -> None:
        for join in layer.joins:
            if join.layer not in labels or join.layer == layer.label:
                raise ValueError(
                    f"layer {layer.label}: joins names {join.layer}, no other layer of this config"
                )
            unit = self.layer(join.layer).capacity_unit or self.capacity_unit
            bare = [
                f
                for f, ts in join.takes.items()
                for t in ts
                if t.to in CAPACITY_COLUMNS and not (t.unit or unit)
            ]
            if bare:
                raise ValueError(
                    f"layer {layer.label}: {bare[0]}, taken from {join.layer}, has no unit; add unit:"
                )
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
            if any(
                "feeder_id_external" in {t.to for ts in layer.fields_of(r).values() for t in ts}
                for r in layer.resources
            ):
                raise ValueError(
                    f"layer {layer.label}: the feeder's id comes from a field or by feeder_id_from, not from both"
                )

    def _check_layer(self, layer: LayerConfig, labels: list[str]) -> None:
        self._check_place(layer)
        self._check_joins(layer, labels)
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
    layer["properties"] |= {k: resource[k] for k in OF_ONE_RESOURCE}
    schema["properties"] |= {k: layer["properties"][k] for k in _OF_ONE_LAYER}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "hc_platform utility config"
    return schema
