"""What a server says about itself: services, layers, fields, and the cheap questions (count, bounds, ids).

Belongs here: reading metadata and resolving a layer by name. Does not belong here: rows (pull, decode).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from hc_platform.arcgis.errors import ArcGISError, LayerMoved
from hc_platform.arcgis.payload import read_json
from hc_platform.arcgis.transport import HttpOptions, Session, run_sync, split_url


@dataclass(frozen=True)
class Field:
    """One column of a layer. `type` is Esri's name (esriFieldTypeString...), `domain` as the server
    describes it.
    """

    name: str
    type: str
    alias: str
    length: int | None = None
    domain: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class LayerInfo:
    """One layer or table as its server describes it.

    `geometry_type` is Esri's (None for tables), `object_id_field` None where there is no usable id,
    `edited_at` UTC where the server tells when data last changed, `spatial_wkid` the layer's own spatial
    reference, `raw` the metadata as answered.
    """

    url: str
    service_url: str
    layer_id: int
    name: str
    geometry_type: str | None
    object_id_field: str | None
    fields: tuple[Field, ...]
    max_record_count: int | None
    edited_at: datetime | None
    spatial_wkid: int | None
    supports_pagination: bool
    supports_statistics: bool
    raw: Mapping[str, Any] = field(repr=False, default_factory=dict)


@dataclass(frozen=True)
class LayerState:
    """What tells cheaply whether a layer has changed: its number of rows, and when it was last edited
    (UTC).
    """

    count: int
    edited_at: datetime | None


@dataclass(frozen=True)
class Bounds:
    """The least and greatest object id."""

    least: int
    greatest: int


def describe_layer(
    service_url: str,
    *,
    name: str | None = None,
    layer_index: int | None = None,
    fields: Collection[str] = (),
    http: HttpOptions | None = None,
) -> LayerInfo:
    """Find a layer or table of a service and read its metadata.

    `name` decides (without case or outer blanks); `layer_index` is used where name is None and to choose
    between equal names, because utilities renumber their layers. Where neither is known, it is the only
    layer that has all of `fields` (in any case). `service_url` may also be the layer's own URL.

    Raises LayerMoved, which lists the names there are, when none fits, and ArcGISError.
    """

    async def run() -> LayerInfo:
        async with Session(http or HttpOptions()) as session:
            return await resolve(session, service_url, name, layer_index, fields)

    return run_sync(run())


def layer_state(info: LayerInfo, *, where: str = "1=1", http: HttpOptions | None = None) -> LayerState:
    """The layer's count and time of last edit now, in two or three requests. Raises ArcGISError."""

    async def run() -> LayerState:
        async with Session(http or HttpOptions()) as session:
            count, edited = await asyncio.gather(
                count_rows(session, info, {"where": where}), edited_at(session, info)
            )
            if count is None:
                count = len(set(await object_ids(session, info, where)))
            return LayerState(count, edited)

    return run_sync(run())


async def ask_json(session: Session, url: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
    """One JSON object from the server."""
    return await session.ask(url, params or {}, lambda body: read_json(body, dict[str, Any]))


async def resolve(
    session: Session,
    service_url: str,
    name: str | None,
    layer_index: int | None,
    fields: Collection[str] = (),
) -> LayerInfo:
    """See describe_layer."""
    base, own = split_url(service_url)
    own_layer = re.fullmatch(r"(.*/(?:Feature|Map)Server)/(\d+)", base, re.IGNORECASE)
    if own_layer:
        base, layer_index = own_layer[1], int(own_layer[2]) if layer_index is None else layer_index
    if name is None and layer_index is not None:
        return layer_info(base, await ask_json(session, f"{base}/{layer_index}", own), own)
    found = [
        layer for layer in await list_layers(session, service_url if not own_layer else base) if "id" in layer
    ]
    if name is not None:
        wanted = name.strip().casefold()
        fitting = [layer for layer in found if str(layer.get("name", "")).strip().casefold() == wanted]
    elif len(found) > 1 and fields:
        return _only_one_with(fields, await discover(session, service_url), base)
    else:
        fitting = found
    if len(fitting) > 1:
        fitting = [layer for layer in fitting if layer["id"] == layer_index] or fitting
    if len(fitting) != 1:
        there = ", ".join(f"{layer.get('name')!r} ({layer['id']})" for layer in found) or "none"
        what = "no layer is" if not fitting else "several layers are"
        raise LayerMoved(f"{what} named {name!r}; the service has: {there}", base)
    identity = fitting[0]["id"]
    return layer_info(base, await ask_json(session, f"{base}/{identity}", own), own)


def _only_one_with(fields: Collection[str], layers: list[LayerInfo], base: str) -> LayerInfo:
    wanted = {name.casefold() for name in fields}
    fitting = [layer for layer in layers if wanted <= {field.name.casefold() for field in layer.fields}]
    if len(fitting) == 1:
        return fitting[0]
    there = ", ".join(f"{layer.name!r} ({layer.layer_id})" for layer in fitting or layers) or "none"
    what = "several layers have" if fitting else "no layer has"
    raise LayerMoved(f"{what} the fields {', '.join(fields)}: {there}", base)


async def list_layers(session: Session, service_url: str) -> list[dict[str, Any]]:
    """The layers and tables of a service as it lists them; group layers, which hold no rows, are left
    out.
    """
    base, own = split_url(service_url)
    service = await ask_json(session, base, own)
    listed = [*(service.get("layers") or []), *(service.get("tables") or [])]
    return [layer for layer in listed if not layer.get("subLayerIds") and layer.get("type") != "Group Layer"]


def layer_info(service_url: str, raw: Mapping[str, Any], own: Mapping[str, str] | None = None) -> LayerInfo:
    """A LayerInfo from a layer's metadata. Raises ArcGISError (`schema`) where it is no layer's metadata."""
    if "id" not in raw or "name" not in raw:
        raise ArcGISError("schema", "this is not the metadata of a layer", service_url)
    listed = [column for column in raw.get("fields") or [] if column.get("name")]
    fields = tuple(
        Field(
            name=column["name"],
            type=column.get("type") or "",
            alias=column.get("alias") or column["name"],
            length=column.get("length"),
            domain=column.get("domain"),
        )
        for column in listed
    )
    identifiers = [column.name for column in fields if column.type == "esriFieldTypeOID"]
    named = raw.get("objectIdField") or (raw.get("uniqueIdField") or {}).get("name")
    if named and (not identifiers or named in identifiers):
        identifiers = [named]
    editing = raw.get("editingInfo") or {}
    reference = (raw.get("extent") or {}).get("spatialReference") or raw.get("sourceSpatialReference") or {}
    advanced = raw.get("advancedQueryCapabilities") or {}
    query = "&".join(f"{key}={value}" for key, value in (own or {}).items())
    return LayerInfo(
        url=f"{service_url}/{raw['id']}" + (f"?{query}" if query else ""),
        service_url=service_url,
        layer_id=int(raw["id"]),
        name=str(raw["name"]),
        geometry_type=raw.get("geometryType"),
        object_id_field=identifiers[0] if identifiers else None,
        fields=fields,
        max_record_count=raw.get("maxRecordCount"),
        edited_at=instant(editing.get("lastEditDate") or editing.get("dataLastEditDate")),
        spatial_wkid=reference.get("latestWkid") or reference.get("wkid"),
        supports_pagination=bool(advanced.get("supportsPagination", raw.get("supportsPagination", False))),
        supports_statistics=bool(advanced.get("supportsStatistics", raw.get("supportsStatistics", False))),
        raw=raw,
    )


def instant(epoch_ms: Any) -> datetime | None:
    """Esri's milliseconds since 1970 as a time, UTC; None for anything else."""
    if not isinstance(epoch_ms, int | float):
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=epoch_ms)


def query_url(info: LayerInfo) -> str:
    """The layer's query address, with whatever query the configured URL carried."""
    base, _, own = info.url.partition("?")
    return f"{base}/query" + (f"?{own}" if own else "")


async def edited_at(session: Session, info: LayerInfo) -> datetime | None:
    """When the layer was last edited, asked anew; None where it never says (then nothing is asked)."""
    if info.edited_at is None:
        return None
    base, _, own = info.url.partition("?")
    return layer_info(info.service_url, await ask_json(session, base + (f"?{own}" if own else ""))).edited_at


async def count_rows(session: Session, info: LayerInfo, params: Mapping[str, str]) -> int | None:
    """The server's count of the rows that match the query, or None where it cannot count (some map
    services).

    Raises ArcGISError where no other question would be answered either.
    """
    try:
        answer = await ask_json(session, query_url(info), {**params, "returnCountOnly": "true"})
    except ArcGISError as error:
        if error.kind not in ("shrink", "bad_request", "retry", "schema"):
            raise
        return None
    if isinstance(answer.get("count"), int | float):
        return int(answer["count"])
    ids = answer.get("objectIds")  # servers before 10 answer with the ids instead
    return len(set(ids)) if isinstance(ids, list) else None


async def object_ids(session: Session, info: LayerInfo, where: str) -> list[int]:
    """All object ids that match, as the server lists them (in any order). Raises ArcGISError."""

    def read(body: bytes) -> list[int]:
        answer = msgspec.json.decode(body, type=_Ids)
        return [int(number) for number in answer.objectIds or []]

    return await session.ask(query_url(info), {"where": where, "returnIdsOnly": "true"}, read)


async def list_ids(session: Session, info: LayerInfo, where: str) -> list[int] | None:
    """The server's distinct ids, ascending, or None where it cannot list them."""
    try:
        return sorted(set(await object_ids(session, info, where)))
    except ArcGISError as error:
        if error.kind in ("auth", "moved", "down", "blocked"):
            raise
        return None


class _Ids(msgspec.Struct):
    objectIds: list[int | float | str] | None  # noqa: N815 (Esri's name)


async def id_bounds(session: Session, info: LayerInfo, where: str) -> Bounds | None:
    """The least and greatest object id that match, or None where the server keeps no usable statistics."""
    if not info.supports_statistics or info.object_id_field is None:
        return None
    statistics = [
        {
            "statisticType": kind,
            "onStatisticField": info.object_id_field,
            "outStatisticFieldName": f"{kind}_oid",
        }
        for kind in ("min", "max")
    ]
    question = {"where": where, "outStatistics": msgspec.json.encode(statistics).decode()}
    try:
        answer = await ask_json(session, query_url(info), question)
        numbers = [int(float(n)) for n in answer["features"][0]["attributes"].values() if n is not None]
    except (LookupError, TypeError, ValueError, AttributeError):
        return None
    except ArcGISError as error:
        if error.kind not in ("shrink", "bad_request", "retry", "schema"):
            raise
        return None
    # the names of the answer's columns vary by database, so only the two numbers are believed
    return Bounds(min(numbers), max(numbers)) if len(numbers) == 2 else None


async def discover(session: Session, service_url: str) -> list[LayerInfo]:
    """Every layer and table of a service with its fields; one request where the server has `/layers`."""
    base, own = split_url(service_url)
    try:
        answer = await ask_json(session, f"{base}/layers", own)
        described = [*(answer.get("layers") or []), *(answer.get("tables") or [])]
    except ArcGISError as error:
        if error.kind in ("auth", "down", "blocked"):
            raise
        described = []
    if not described:
        listed = await list_layers(session, service_url)
        described = [await ask_json(session, f"{base}/{layer['id']}", own) for layer in listed]
    return [
        layer_info(base, raw, own)
        for raw in described
        if raw.get("type") != "Group Layer" and not raw.get("subLayers")
    ]
