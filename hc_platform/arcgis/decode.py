"""A page of features to columns: ids, attributes as sent, WKB.

Belongs here: what a query answer looks like and what is checked row by row. Does not belong here: whether
the page holds every row it should (plan, pull).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl

from hc_platform.arcgis import crs, payload

SCHEMA = pl.Schema({"object_id": pl.Int64, "attributes": pl.String, "geometry": pl.Binary})


class _Feature(msgspec.Struct, gc=False):
    attributes: msgspec.Raw = msgspec.Raw(b"null")
    geometry: msgspec.Raw = msgspec.Raw(b"null")
    centroid: msgspec.Raw = msgspec.Raw(b"null")


class _Answer(msgspec.Struct, gc=False):
    features: list[_Feature]
    exceededTransferLimit: bool | None = None  # noqa: N815 (Esri's name)
    geometryType: str | None = None  # noqa: N815
    hasZ: bool | None = None  # noqa: N815
    spatialReference: crs.SpatialReference | None = None  # noqa: N815


@dataclass(frozen=True)
class Page:
    """The rows of one answer, as in SCHEMA, sorted by object_id.

    `exceeded` is the server's hint that rows are missing; `null_tokens` counts NaN and Infinity that
    became null; `unreadable` lists (object id or position, reason) of geometries that could not be read;
    `notes` what else was odd.
    """

    frame: pl.DataFrame
    exceeded: bool
    null_tokens: int = 0
    unreadable: tuple[tuple[int, str], ...] = ()
    notes: tuple[str, ...] = ()


_decode_answer = msgspec.json.Decoder(_Answer).decode


def page_decoder(
    oid_field: str | None,
    geometry_type: str | None,
    out_sr: int,
    layer_sr: int | None,
    *,
    centroids: bool = False,
) -> Callable[[bytes], Page]:
    """A function from a query answer's bytes to a Page.

    `oid_field` None gives NULL ids; `centroids` takes each feature's centroid for its geometry. `layer_sr`
    is what to believe where an answer names no spatial reference and its numbers cannot be degrees. The
    function raises msgspec errors for what is not such an answer, which the transport turns into ArcGISError.
    """
    read_ids = _id_reader(oid_field) if oid_field else None

    def decode(body: bytes) -> Page:
        nulls = 0
        try:
            answer = _decode_answer(body)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            body, nulls = payload.repair(body)
            answer = _decode_answer(body)
        features = answer.features
        notes: list[str] = []
        attributes = [_text(feature.attributes, notes) for feature in features]
        ids = None if read_ids is None else [read_ids(feature.attributes) for feature in features]
        kind = "esriGeometryPoint" if centroids else answer.geometryType or geometry_type
        wkb = pl.Series("geometry", [None] * len(features), dtype=pl.Binary)
        unreadable: list[tuple[int, str]] = []
        if kind and features:
            from hc_platform.arcgis import geometry  # shapely is slow to import; tables do without

            places = [feature.centroid if centroids else feature.geometry for feature in features]
            texts = [_text(place, notes) for place in places]
            source = answer.spatialReference.code if answer.spatialReference else None
            has_z = bool(answer.hasZ) and not centroids
            found = geometry.to_wkb(texts, kind, has_z, _projection(source, out_sr, layer_sr))
            wkb, nulls = found.wkb, nulls + found.null_tokens
            unreadable = [(ids[row] if ids else row, reason) for row, reason in found.unreadable]
        frame = pl.DataFrame(
            [
                pl.Series("object_id", ids if ids is not None else [None] * len(features), dtype=pl.Int64),
                pl.Series("attributes", attributes, dtype=pl.String),
                wkb,
            ]
        )
        if ids is not None:
            frame = frame.sort("object_id", maintain_order=True)
        return Page(frame, bool(answer.exceededTransferLimit), nulls, tuple(unreadable), tuple(set(notes)))

    return decode


def _projection(
    source: int | str | None, out_sr: int, layer_sr: int | None
) -> Callable[..., np.ndarray] | None:
    try:
        if source is not None:
            return crs.projection(source, out_sr)
        if out_sr != 4326 or layer_sr in (None, 4326):
            return None
        guess = crs.projection(layer_sr, out_sr)
    except ValueError as error:
        raise msgspec.ValidationError(str(error)) from None

    def project(coords: np.ndarray) -> np.ndarray:
        degrees = (np.abs(coords[:, 0]) <= 360).mean() > 0.5
        return coords if degrees or guess is None else guess(coords)

    return project


def _text(raw: msgspec.Raw, notes: list[str]) -> str:
    try:
        return str(memoryview(raw), "utf-8")
    except UnicodeDecodeError:
        notes.append("text that is not UTF-8 was read with replacement characters")
        return str(memoryview(raw), "utf-8", "replace")


def _id_reader(oid_field: str) -> Callable[[msgspec.Raw], int]:
    """A function that reads the object id out of an attributes object.

    Joined layers prefix names ("Tbl.OBJECTID") in metadata, attributes or both, and some servers send ids
    as floats or text, so the spelling is tried as given, then by its last part without case.
    """
    row = msgspec.defstruct(
        "Row", [("oid", int | float | str | None, msgspec.field(name=oid_field, default=None))], gc=False
    )
    fast: Any = msgspec.json.Decoder(row).decode
    wanted = oid_field.rpartition(".")[2].lower()

    def read(attributes: msgspec.Raw) -> int:
        value = fast(attributes).oid
        if value is None:
            for name, other in msgspec.json.decode(attributes, type=dict[str, object]).items():
                if name.rpartition(".")[2].lower() == wanted:
                    value = other
        try:
            number = int(value)
        except (TypeError, ValueError):
            raise msgspec.ValidationError(f"a feature has {value!r} as its {oid_field}") from None
        if isinstance(value, float) and number != value:
            raise msgspec.ValidationError(f"a feature has {value!r} as its {oid_field}")
        return number

    return read
