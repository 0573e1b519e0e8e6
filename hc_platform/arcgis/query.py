"""The convenience functions: whole answers in memory, as Esri features or GeoJSON.

Belongs here: shaping rows for people at a prompt. Does not belong here: any paging or HTTP of its own:
these functions download with pull_layer into a temporary folder, and so survive what it survives.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from hc_platform.arcgis.errors import ArcGISError
from hc_platform.arcgis.metadata import LayerInfo, describe_layer, discover
from hc_platform.arcgis.pull import pull_layer
from hc_platform.arcgis.transport import HttpOptions, Session, run_sync


def query_features(
    url: str,
    where: str = "1=1",
    out_fields: Sequence[str] | str = "*",
    return_geometry: bool = True,
    out_sr: int = 4326,
    page_size: int | None = None,
    max_records: int | None = None,
    auth_token: str | None = None,
    *,
    http: HttpOptions | None = None,
) -> list[dict[str, Any]]:
    """The layer's rows that match `where`, as Esri feature dicts (`attributes`, `geometry`), ordered by
    object id.

    `url` is the layer's; `out_sr` an EPSG code; `max_records` ends early. Raises ArcGISError, also where
    the server cannot give every row.
    """
    info, frame = _download(
        url, where, out_fields, return_geometry, out_sr, page_size, max_records, auth_token, http
    )
    wanted = None if "*" in out_fields else {name.lower() for name in _names(out_fields)}
    shapes = frame["geometry"].to_list()
    features = []
    for text, wkb in zip(frame["attributes"], shapes, strict=True):
        feature: dict[str, Any] = {"attributes": _attributes(text, wanted)}
        if return_geometry and info.geometry_type:
            feature["geometry"] = _esri_geometry(wkb, out_sr)
        features.append(feature)
    return features


def query_features_geojson(
    url: str,
    where: str = "1=1",
    out_fields: Sequence[str] | str = "*",
    return_geometry: bool = True,
    out_sr: int = 4326,
    page_size: int | None = None,
    max_records: int | None = None,
    auth_token: str | None = None,
    *,
    http: HttpOptions | None = None,
) -> dict[str, Any]:
    """The same rows as query_features, as a GeoJSON FeatureCollection with the object id as `id`. Raises
    ArcGISError.
    """
    _, frame = _download(
        url, where, out_fields, return_geometry, out_sr, page_size, max_records, auth_token, http
    )
    wanted = None if "*" in out_fields else {name.lower() for name in _names(out_fields)}
    features = []
    for identity, text, wkb in frame.iter_rows():
        feature = {"type": "Feature", "geometry": _geojson(wkb), "properties": _attributes(text, wanted)}
        features.append(feature if identity is None else {"id": identity, **feature})
    return {"type": "FeatureCollection", "features": features}


def discover_layers(service_url: str, *, http: HttpOptions | None = None) -> list[dict[str, Any]]:
    """The layers and tables of a service: id, name, type, geometry_type, url, and `fields` (see
    get_field_schema).
    """

    async def run() -> list[LayerInfo]:
        async with Session(http or HttpOptions()) as session:
            return await discover(session, service_url)

    return [
        {
            "id": info.layer_id,
            "name": info.name,
            "type": info.raw.get("type") or ("Feature Layer" if info.geometry_type else "Table"),
            "geometry_type": info.geometry_type,
            "url": info.url,
            "fields": _schema(info),
        }
        for info in run_sync(run())
    ]


def get_field_schema(layer_url: str, *, http: HttpOptions | None = None) -> list[dict[str, Any]]:
    """The layer's fields: name, type (Esri's), alias, length, domain. Raises ArcGISError."""
    return _schema(describe_layer(layer_url, http=http))


def compute_centroid(geometry: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """The centroid (longitude, latitude) of a GeoJSON geometry of any type; None where it is null or empty.

    Weighted by area for polygons and by length for lines, as GEOS does; computed in the coordinates given.
    """
    if not geometry:
        return None
    import shapely
    from shapely.geometry import shape

    try:
        found = shape(geometry)
    except (shapely.errors.ShapelyError, LookupError, TypeError, ValueError, AttributeError):
        return None
    centre = found.centroid
    return None if centre.is_empty else (centre.x, centre.y)


def _schema(info: LayerInfo) -> list[dict[str, Any]]:
    return [
        {
            "name": column.name,
            "type": column.type,
            "alias": column.alias,
            "length": column.length,
            "domain": column.domain,
        }
        for column in info.fields
    ]


def _names(out_fields: Sequence[str] | str) -> list[str]:
    return [name.strip() for name in (out_fields.split(",") if isinstance(out_fields, str) else out_fields)]


def _download(
    url: str,
    where: str,
    out_fields: Sequence[str] | str,
    return_geometry: bool,
    out_sr: int,
    page_size: int | None,
    max_records: int | None,
    auth_token: str | None,
    http: HttpOptions | None,
) -> tuple[LayerInfo, pl.DataFrame]:
    http = http or HttpOptions()
    if auth_token is not None:
        token: Callable[[str | None], str] = lambda refused: auth_token  # noqa: E731
        http = HttpOptions(**{**_options(http), "token": token})
    info = describe_layer(url, http=http)
    with tempfile.TemporaryDirectory(prefix="hc-arcgis-") as folder:
        pulled = pull_layer(
            info,
            Path(folder),
            where=where,
            out_fields=_names(out_fields),
            page_size=page_size,
            out_sr=out_sr,
            http=http,
            stop_after=max_records,
            geometry="full" if return_geometry else "none",
        )
        enough = max_records is not None and pulled.rows >= max_records
        if pulled.status == "partial" and not enough:
            why = "; ".join([*pulled.notes, *(str(entry["reason"]) for entry in pulled.quarantined[:3])])
            raise ArcGISError("shrink", f"{pulled.missing_count} rows could not be fetched ({why})", info.url)
        frames = [pl.read_parquet(path) for path in pulled.files]
    empty = pl.DataFrame(schema={"object_id": pl.Int64, "attributes": pl.String, "geometry": pl.Binary})
    return info, pl.concat([empty, *frames]).head(max_records if max_records is not None else 2**62)


def _options(http: HttpOptions) -> dict[str, Any]:
    return {name: getattr(http, name) for name in HttpOptions.__dataclass_fields__}


def _attributes(text: str, wanted: set[str] | None) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(text) or {}
    return (
        found if wanted is None else {name: value for name, value in found.items() if name.lower() in wanted}
    )


def _geojson(wkb: bytes | None) -> dict[str, Any] | None:
    if wkb is None:
        return None
    import shapely

    found: dict[str, Any] = msgspec.json.decode(shapely.to_geojson(shapely.from_wkb(wkb)))
    return found


def _esri_geometry(wkb: bytes | None, out_sr: int) -> dict[str, Any] | None:
    found = _geojson(wkb)
    if found is None:
        return None
    coordinates, reference = found["coordinates"], {"spatialReference": {"wkid": out_sr}}
    match found["type"]:
        case "Point":
            return dict(zip("xyz", coordinates, strict=False)) | reference
        case "MultiPoint":
            return {"points": coordinates} | reference
        case "LineString":
            return {"paths": [coordinates]} | reference
        case "MultiLineString":
            return {"paths": coordinates} | reference
        case "Polygon":
            return {"rings": _esri_rings([coordinates])} | reference
        case _:
            return {"rings": _esri_rings(coordinates)} | reference


def _esri_rings(polygons: list[list[Any]]) -> list[Any]:
    """GeoJSON rings (outer counter-clockwise, as our WKB has them) turned to Esri's (outer clockwise)."""
    return [ring[::-1] for polygon in polygons for ring in polygon]
