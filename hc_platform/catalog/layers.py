"""A layer of a utility's YAML: where it is, what a row is, and what its fields mean.

What belongs here: the layer, and how its rows are found, packed and joined. What does not: single fields (`fields`),
utilities (`models`).
"""

import re
from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from hc_platform.catalog.fields import (
    HOSTING_COLUMNS,
    Canonical,
    CapacityUnit,
    FieldMap,
    Grain,
    Resource,
    ResourceConfig,
    Strict,
    Verification,
    check_headers,
    check_url,
)

OF_ONE_RESOURCE: Final = ("constraint_columns", "capacity_basis", "feeder_rule")
"""Keys of a resource that may stand beside its layer's, where the layer has one resource only."""


class FeederIdFrom(Strict):
    """Sections that carry only a feeder's name get its id from another layer of the same config.

    A name that stands for several ids there gives NULL, and is counted: it is never guessed.
    """

    layer: str = Field(description="name of the other layer in this config")
    field: str = Field(description="the field of this layer to look up")
    matches: str = Field(description="the field of the other layer it equals")


class LayerJoin(Strict):
    """Columns that stand on another layer of the same config (a DG total on a feeder table, a substation's name).

    A key that stands for several rows which disagree on a column gives NULL there, and is counted: never guessed.
    """

    layer: str = Field(description="label of the other layer in this config")
    field: str = Field(description="the field of this layer to look up")
    matches: str = Field(description="the field of the other layer it equals")
    takes: FieldMap = Field(min_length=1, description="the other layer's field -> canonical column(s)")


class Explode(Strict):
    """A row that holds several feeders becomes one row each.

    Either parallel lists (`columns`: 'A,B' beside '9.9,5.3'), or a JSON list of objects in one text column (`json`),
    whose `fields` then stand under the names `<column>.<field>`.
    """

    columns: list[str] = Field(default_factory=list)
    separator: str = Field(",", min_length=1)
    json_column: str | None = Field(
        None, alias="json", description="a text column that holds a JSON list of objects"
    )
    fields: list[str] = Field(default_factory=list, description="the objects' fields to take")

    @property
    def virtual(self) -> list[str]:
        """Names of the fields that come out of the JSON column."""
        return [f"{self.json_column}.{f}" for f in self.fields]

    @model_validator(mode="after")
    def _one_way(self) -> "Explode":
        if bool(self.columns) == bool(self.json_column):
            raise ValueError("give either columns (parallel lists) or json (a column with a JSON list)")
        if bool(self.json_column) != bool(self.fields):
            raise ValueError("json and fields go together")
        return self


class Unpack(Strict):
    """A column that packs several fields into one text: they then stand under the names `<column>.<field>`."""

    column: str
    format: Literal["html_table", "json"] = Field(
        description="html_table: a KML-like popup whose rows are a name and a value; json: one object"
    )
    fields: list[str] = Field(min_length=1)

    @property
    def virtual(self) -> list[str]:
        """Names of the fields that come out."""
        return [f"{self.column}.{f}" for f in self.fields]


class Discovery(Strict):
    """Where a service is found whose name or address changes with each publication.

    The candidates are the items of an ArcGIS Online owner or organisation, or the services of a folder; those whose
    name fits `title` are tried from the newest on, and the first that has the layer and all its fields is taken.
    """

    owner: str | None = Field(None, description="ArcGIS Online user that publishes the items")
    org_id: str | None = Field(None, description="ArcGIS Online organisation id")
    portal: str = Field("https://www.arcgis.com", description="where items are searched")
    folder: str | None = Field(None, description="a services directory: https://.../rest/services[/folder]")
    title: str = Field(
        min_length=1, description="regular expression that the service's whole name must match"
    )
    dated_by: Literal["name", "modified"] = Field(
        "name", description="a publication's date: written in its name, or when it was last modified"
    )

    @model_validator(mode="after")
    def _one_place(self) -> "Discovery":
        if (self.folder is not None) == (self.owner is not None or self.org_id is not None):
            raise ValueError("give either folder, or owner and/or org_id")
        check_url(self.portal)
        if self.folder:
            check_url(self.folder)
        try:
            re.compile(self.title)
        except re.error as error:
            raise ValueError(f"title is no regular expression: {error}") from None
        return self

    @property
    def method(self) -> str:
        """The value of url_discovery_method that goes with it."""
        return "folder_listing" if self.folder else "agol_search"


class LayerConfig(Strict):
    """One published layer, table or file."""

    name: str | None = Field(None, description="the published name; the layer is resolved by it")
    title: str | None = Field(
        None, description="our own name for it in every table: where the published one is unknown, or changes"
    )
    layer_index: int | None = Field(None, ge=0, description="its index, a hint: utilities renumber")
    service_url: str | None = Field(None, description="where this layer is, if not in the utility's service")
    discovery: Discovery | None = Field(
        None, description="how a rotating service is found; else the utility's"
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="request headers of this layer alone: a gate may want each map's own Referer",
    )
    path: str | None = Field(None, description="for files: a URL, or a path inside the import folder")
    member: str | None = Field(None, description="for ZIP files: the file within, * stands for any text")
    sheet: str | None = Field(None, description="for Excel files: the sheet; default the first")
    header_row: int = Field(1, ge=1, description="for CSV and Excel files: the line that names the columns")
    x_field: str | None = Field(None, description="for CSV: the longitude column, EPSG:4326")
    y_field: str | None = Field(None, description="for CSV: the latitude column, EPSG:4326")
    object_id_field: str | None = Field(None, description="for files: a column of unique integers, if any")
    grain: Grain
    where: str = Field("1=1", min_length=1, description="SQL filter the server applies")
    record_key: list[str] = Field(
        default_factory=list, description="fields that identify a row across snapshots; default the object id"
    )
    page_size: int | None = Field(None, ge=1, le=32000)
    geometry: Literal["full", "centroid", "none"] = Field(
        "full",
        description="what to ask for: where outlines are too heavy, the server's centroids, or no place at all",
    )
    attributes: Literal["all", "named"] = Field(
        "all",
        description="what is fetched and kept of a row: all, or the fields that the config names alone (no addresses)",
    )
    optional: bool = Field(
        False, description="may be absent: a layer never seen to answer does not hold back the others"
    )
    capacity_unit: CapacityUnit | None = None
    field_types: dict[str, Literal["text", "number", "date"]] = Field(
        default_factory=dict, description="types that the fields were seen to have; a change is drift"
    )
    unpack: list[Unpack] = Field(default_factory=list, description="columns that hold several fields each")
    joins: list[LayerJoin] = Field(default_factory=list, description="columns from other layers")
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
        own = {k: value.pop(k) for k in OF_ONE_RESOURCE if k in value}
        value["resources"] = {value.pop("resource", "generation"): own}
        return value

    @field_validator("headers")
    @classmethod
    def _no_secret_header(cls, value: dict[str, str]) -> dict[str, str]:
        return check_headers(value)

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
    def virtual_fields(self) -> list[str]:
        """Fields that stand inside of a packed column, by the names the config gives them."""
        exploded = self.explode.virtual if self.explode else []
        return [*(name for part in self.unpack for name in part.virtual), *exploded]

    def is_shared(self, field: str) -> bool:
        """Whether a field stands once beside lists of several feeders, and so speaks of all of them together."""
        return self.explode is not None and field not in (*self.explode.columns, *self.explode.virtual)

    @property
    def named_fields(self) -> list[str]:
        """Every published field the config relies on: the contract checked before a pull."""
        names = [*self.record_key, *self.field_map]
        for spec in [self.field_map, *(r.field_map for r in self.resources.values())]:
            names += [f for targets in spec.values() for t in targets for f in t.when]
        for resource in self.resources.values():
            names += resource.field_map
            if resource.constraint_columns:
                names += resource.constraint_columns.columns
        names += [join.field for join in self.joins]
        if self.feeder_id_from:
            names.append(self.feeder_id_from.field)
        if self.explode:
            names += [
                *self.explode.columns,
                *([self.explode.json_column] if self.explode.json_column else []),
            ]
        names += [part.column for part in self.unpack]
        names += [f for f in (self.x_field, self.y_field, self.object_id_field) if f]
        virtual = set(self.virtual_fields)
        return [name for name in dict.fromkeys(names) if name not in virtual]

    @model_validator(mode="after")
    def _consistent(self) -> "LayerConfig":
        if self.name is None and self.layer_index is None and self.path is None and self.title is None:
            raise ValueError("needs a name (better) or a layer_index; a file needs a path")
        if (self.x_field is None) != (self.y_field is None):
            raise ValueError("x_field and y_field go together")
        for resource in self.resources:
            specs = [t for specs in self.fields_of(resource).values() for t in specs]
            taken = [t for join in self.joins for ts in join.takes.values() for t in ts]
            if any(t.combine for t in taken):
                raise ValueError("takes of a join has no combine: of several fields only one would be taken")
            specs += taken
            targets = [t.to for t in specs]
            twice = {t for t in targets if targets.count(t) > 1}
            combined = {t.to for t in specs if t.combine}
            if len({(t.to, t.combine) for t in specs if t.combine}) > len(combined):
                raise ValueError(
                    f"resource {resource}: a column is combined by least or by greatest, not by both"
                )
            if any(t.to in combined and not t.combine for t in specs):
                raise ValueError(f"resource {resource}: every field of a combined column needs combine")
            if twice - combined:
                raise ValueError(f"resource {resource}: two fields are mapped to {', '.join(sorted(twice))}")
            if self.grain == "der":
                self._check_der(resource, set(targets))
            if self.grain == "feeder" and "feeder_id_external" not in targets and not self.feeder_id_from:
                raise ValueError("grain feeder needs a field mapped to feeder_id_external")
        return self

    def _check_der(self, resource: Resource, targets: set[Canonical]) -> None:
        """A generator has a nameplate, connected or queued; capacity is its feeder's."""
        if not targets & {"installed_dg_mw", "queued_dg_mw"}:
            raise ValueError("grain der needs the nameplate mapped to installed_dg_mw or queued_dg_mw")
        strange = targets & {*HOSTING_COLUMNS, "remaining_capacity_mw", "constraining_metric"}
        if strange or self.resources[resource].constraint_columns:
            raise ValueError(
                f"grain der is one generator, which has no {', '.join(sorted(strange)) or 'constraint'} of its own"
            )
