"""One layer's answers: its metadata, and what a query selects and how it is written.

What belongs here: the ArcGIS query language over one layer (where, order, statistics, envelope, formats).
What does not: HTTP, services and faults (`server`), or making the layer (`synthetic`).
"""

import json
import math
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Final

import duckdb
import numpy as np
import polars as pl
import shapely

from hc_platform.demo.drawn import centroid_text, esri_text, geojson_text
from hc_platform.demo.numbers import Floats, Ints
from hc_platform.demo.synthetic import SyntheticLayer

_STATISTICS: Final = ("min", "max", "count", "sum", "avg")
_RADIUS: Final = 6378137.0
_KEPT: Final = 64
"""Selections remembered for paging by offset."""


class QueryError(ValueError):
    """A query that a server refuses, told as ArcGIS tells it: inside an HTTP 200."""

    def __init__(self, message: str, *details: str, code: int = 400) -> None:
        super().__init__(message)
        self.code, self.details = code, details


def to_mercator(xy: Floats) -> Floats:
    """Longitude and latitude in degrees to EPSG:3857 in metres."""
    x = np.radians(xy[:, 0]) * _RADIUS
    y = np.log(np.tan(math.pi / 4 + np.radians(xy[:, 1]) / 2)) * _RADIUS
    metres: Floats = np.column_stack([x, y]).astype(np.float64)
    return metres.round(4)


def from_mercator(xy: Floats) -> Floats:
    """EPSG:3857 in metres to longitude and latitude in degrees."""
    latitude: Floats = 2 * np.arctan(np.exp(xy[:, 1] / _RADIUS)) - math.pi / 2
    degrees: Floats = np.degrees(np.column_stack([xy[:, 0] / _RADIUS, latitude]), dtype=np.float64)
    return degrees


class LayerAnswers:
    """Answers metadata and queries over one synthetic layer; safe to use from several threads."""

    def __init__(self, layer: SyntheticLayer) -> None:
        self.layer = layer
        self._columns = {name.lower(): name for name in layer.frame.columns}
        self._types = {name: kind for name, kind, _ in layer.fields}
        self._lock = threading.Lock()
        self._selections: OrderedDict[tuple[str, ...], Ints] = OrderedDict()

    # --- metadata -----------------------------------------------------------------------------------

    def metadata(self) -> dict[str, Any]:
        """The layer's own description, `/<id>?f=json`."""
        layer = self.layer
        is_map = layer.service.endswith("MapServer")
        answer: dict[str, Any] = {
            "currentVersion": 11.1,
            "id": layer.index,
            "name": layer.name,
            "type": "Feature Layer" if layer.geometry_type else "Table",
            "description": "Synthetic data. Not a utility's.",
            "geometryType": layer.geometry_type,
            "hasM": False,
            "hasZ": False,
            "fields": [self._field(name) for name in layer.frame.columns],
            "extent": self._extent,
            "sourceSpatialReference": _reference(layer.wkid),
            "maxRecordCount": layer.max_record_count,
            "supportedQueryFormats": "JSON, geoJSON",
            "capabilities": "Map,Query,Data" if is_map else "Query",
            "advancedQueryCapabilities": {
                "supportsPagination": True,
                "supportsOrderBy": True,
                "supportsStatistics": True,
                "supportsReturningQueryExtent": False,
                "supportsDistinct": False,
                "supportsReturningGeometryCentroid": layer.geometry_type == "esriGeometryPolygon",
            },
        }
        if not is_map:
            # A map service names its object id only by the field's type, and keeps no edit date.
            answer["objectIdField"] = layer.oid_field
            answer["editingInfo"] = {"lastEditDate": layer.last_edit_ms}
        return answer

    @cached_property
    def _extent(self) -> dict[str, Any]:
        """The layer's envelope in its own spatial reference."""
        corners = self._bounds.select(pl.min("xmin", "ymin"), pl.max("xmax", "ymax")).to_numpy().reshape(2, 2)
        if self.layer.wkid == 3857:
            corners = to_mercator(corners)
        edges = zip(("xmin", "ymin", "xmax", "ymax"), corners.ravel().tolist(), strict=True)
        return {**dict(edges), "spatialReference": _reference(self.layer.wkid)}

    def _field(self, name: str) -> dict[str, Any]:
        codes = next(codes for field, _, codes in self.layer.fields if field == name)
        kind = self._types[name]
        answer: dict[str, Any] = {"name": name, "type": f"esriFieldType{kind}", "alias": name, "domain": None}
        if kind in ("String", "GlobalID"):
            answer["length"] = 255
        if codes:
            values = [{"name": text, "code": code} for code, text in codes.items()]
            answer["domain"] = {"type": "codedValue", "name": f"{name}_domain", "codedValues": values}
        return answer

    # --- queries ------------------------------------------------------------------------------------

    def query(self, asked: Mapping[str, str]) -> tuple[bytes, int]:
        """The body for a query's parameters, and how many features it holds.

        Raises QueryError for what a server refuses.
        """
        known = ("where", "objectids", "geometry", "time")
        if not any(asked.get(key) for key in known):
            raise QueryError("Cannot perform query. Invalid query parameters.", "'where' is missing")
        form = asked.get("f", "html").lower()
        if form not in ("json", "pjson", "geojson"):
            raise QueryError("Invalid or missing input parameters.", f"format {form} is not supported")
        rows = self._select(asked)
        if _true(asked, "returncountonly"):
            return _text({"count": len(rows)}), 0
        if _true(asked, "returnidsonly"):
            ids = self.layer.frame[self.layer.oid_field].gather(rows).to_list()
            return _text({"objectIdFieldName": self.layer.oid_field, "objectIds": ids}), 0
        if asked.get("outstatistics"):
            return _text(self._statistics(asked["outstatistics"], rows)), 0
        first = _whole(asked, "resultoffset", 0)
        most = min(
            _whole(asked, "resultrecordcount", self.layer.max_record_count), self.layer.max_record_count
        )
        page = rows[first : first + most]
        return self._page(asked, page, form == "geojson", first + most < len(rows)), len(page)

    def _select(self, asked: Mapping[str, str]) -> Ints:
        """Positions of the selected rows, in the asked order."""
        keys = ("where", "objectids", "orderbyfields", "geometry", "insr", "geometrytype", "spatialrel")
        key = tuple(asked.get(name, "") for name in keys)
        with self._lock:
            if key in self._selections:
                self._selections.move_to_end(key)
                return self._selections[key]
        where, ids, order = key[:3]
        conditions = [f"({dotted_names_quoted(where, self.layer.frame.columns)})"] if where else []
        if ids:
            try:
                numbers = [str(int(part)) for part in ids.split(",")]
            except ValueError:
                raise QueryError("Invalid or missing input parameters.", "objectIds are numbers") from None
            conditions.append(f'"{self.layer.oid_field}" IN ({", ".join(numbers)})')
        by = ", ".join([*self._order(order), "__row"])
        sql = f"SELECT __row FROM layer WHERE {' AND '.join(conditions) or 'TRUE'} ORDER BY {by}"  # noqa: S608
        rows = self._run(sql).fetchnumpy()["__row"].astype(np.int64)
        if asked.get("geometry"):
            rows = rows[self._touches(asked)[rows]]
        with self._lock:
            self._selections[key] = rows
            while len(self._selections) > _KEPT:
                self._selections.popitem(last=False)
        return rows

    def _run(self, sql: str) -> duckdb.DuckDBPyConnection:
        try:
            # One SELECT and nothing else: a where clause can close its bracket and go on.
            statements = duckdb.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise QueryError("Unable to complete operation.", "'where' is not one condition")
            return self._database.cursor().execute(statements[0])
        except duckdb.Error as error:
            raise QueryError("Unable to complete operation.", str(error).split("\n")[0]) from error

    @cached_property
    def _database(self) -> duckdb.DuckDBPyConnection:
        """The layer's attributes in memory, with no way out to files or the network."""
        connection = duckdb.connect(":memory:", config={"threads": 2})
        dates = [name for name, kind in self._types.items() if kind == "Date"]
        frame = self.layer.frame.with_columns(pl.from_epoch(name, time_unit="ms") for name in dates)
        connection.register("given", frame.with_row_index("__row").to_arrow())
        connection.execute("CREATE TABLE layer AS FROM given")
        connection.unregister("given")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        return connection

    def _order(self, text: str) -> list[str]:
        parts = []
        for part in filter(None, (p.strip() for p in text.split(","))):
            name, _, direction = part.partition(" ")
            if direction.strip().upper() not in ("", "ASC", "DESC"):
                raise QueryError("Invalid or missing input parameters.", f"orderByFields: {part}")
            parts.append(f'"{self._column(name)}" {direction}')
        return parts

    def _column(self, name: str) -> str:
        try:
            return self._columns[name.strip().lower()]
        except KeyError:
            raise QueryError("Failed to execute query.", f"Invalid field: {name.strip()}") from None

    def _touches(self, asked: Mapping[str, str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Whether each line intersects the asked envelope."""
        if asked.get("geometrytype", "esriGeometryEnvelope") != "esriGeometryEnvelope":
            raise QueryError("Invalid or missing input parameters.", "geometryType is not supported here")
        if asked.get("spatialrel", "esriSpatialRelIntersects") != "esriSpatialRelIntersects":
            raise QueryError("Invalid or missing input parameters.", "spatialRel is not supported here")
        corners, wkid = _envelope(asked["geometry"])
        if _wkid(asked.get("insr", ""), wkid or self.layer.wkid) == 3857:
            corners = from_mercator(corners)
        (west, south), (east, north) = corners.tolist()
        near = pl.all_horizontal(
            pl.col("xmin") <= east, pl.col("xmax") >= west, pl.col("ymin") <= north, pl.col("ymax") >= south
        )
        rows = np.flatnonzero(self._bounds.select(near.fill_null(value=False)).to_series().to_numpy())
        part = self.layer.lines.take(rows)
        owner = np.repeat(np.arange(len(rows)), np.diff(part.parts))
        ring = np.repeat(np.arange(len(part.vertices) - 1), np.diff(part.vertices))
        pieces = shapely.linestrings(part.coordinates, indices=ring)
        touching = shapely.intersects(pieces, shapely.box(west, south, east, north))
        hit = np.zeros(len(self.layer), dtype=bool)
        hit[rows[owner[touching]]] = True
        return hit

    @cached_property
    def _bounds(self) -> pl.DataFrame:
        return self.layer.lines.bounds()

    def _statistics(self, text: str, rows: Ints) -> dict[str, Any]:
        try:
            wanted = [
                (s["statisticType"], s["onStatisticField"], s.get("outStatisticFieldName"))
                for s in json.loads(text)
            ]
        except (ValueError, KeyError, TypeError):
            raise QueryError("Invalid or missing input parameters.", "outStatistics") from None
        chosen = self.layer.frame[rows]
        attributes: dict[str, Any] = {}
        for kind, field, alias in wanted:
            if kind not in _STATISTICS:
                raise QueryError("Invalid or missing input parameters.", f"statisticType {kind}")
            values = chosen[self._column(field)]
            value = values.mean() if kind == "avg" else getattr(values, kind)()
            attributes[alias or f"{kind}_{field}"] = value
        names = [{"name": name, "type": "esriFieldTypeDouble", "alias": name} for name in attributes]
        return {"displayFieldName": "", "fields": names, "features": [{"attributes": attributes}]}

    # --- writing ------------------------------------------------------------------------------------

    def _page(self, asked: Mapping[str, str], rows: Ints, geojson: bool, more: bool) -> bytes:
        names = self._out_fields(asked.get("outfields", ""))
        wkid = 4326 if geojson else _wkid(asked.get("outsr", ""), self.layer.wkid)
        frame = _part(self.layer.frame, rows)
        text = pl.struct(names).struct.json_encode() if names else pl.lit("{}")
        key = pl.col(self.layer.oid_field).cast(pl.String)
        columns = {"id": key, "attributes": text}
        feature = (
            frame.select(**columns) if names else frame.select(key.alias("id")).with_columns(attributes=text)
        )
        paths, kind = _part(self._paths(wkid), rows), self.layer.geometry_type
        if kind and _true(asked, "returngeometry", default=True):
            feature = feature.with_columns(geojson_text(paths, kind) if geojson else esri_text(paths, kind))
        elif kind == "esriGeometryPolygon" and not geojson and _true(asked, "returncentroid"):
            feature = feature.with_columns(centroid_text(paths))
        else:
            feature = feature.with_columns(shape=pl.lit(', "geometry": null' if geojson else ""))
        if geojson:
            pieces = ['{"type":"Feature","id":', "id", ',"properties":', "attributes", "shape", "}"]
        else:
            pieces = ['{"attributes":', "attributes", "shape", "}"]
        line = pl.concat_str(pl.col(p) if p.isalpha() else pl.lit(p) for p in pieces)
        features = feature.select(line.str.join(",")).item() or ""
        return self._head(names, wkid, geojson, more).encode() + features.encode() + b"]}"

    def _head(self, names: list[str], wkid: int, geojson: bool, more: bool) -> str:
        if geojson:
            flag: dict[str, Any] = {"properties": {"exceededTransferLimit": True}} if more else {}
            return json.dumps({"type": "FeatureCollection", **flag})[:-1] + ', "features": ['
        head: dict[str, Any] = {
            "objectIdFieldName": self.layer.oid_field,
            "geometryType": self.layer.geometry_type,
            "spatialReference": _reference(wkid),
            "fields": [self._field(name) for name in names],
        }
        if more:
            head["exceededTransferLimit"] = True
        return json.dumps(head)[:-1] + ', "features": ['

    def _out_fields(self, text: str) -> list[str]:
        if text.strip() == "*":
            return self.layer.frame.columns
        return list(dict.fromkeys(self._column(name) for name in text.split(",") if name.strip()))

    def _paths(self, wkid: int) -> pl.DataFrame:
        return self._degrees if wkid == 4326 else self._metres

    @cached_property
    def _degrees(self) -> pl.DataFrame:
        return self.layer.lines.paths().to_frame()

    @cached_property
    def _metres(self) -> pl.DataFrame:
        lines = self.layer.lines
        return lines.paths(to_mercator(lines.coordinates)).to_frame()


def _part(frame: pl.DataFrame, rows: Ints) -> pl.DataFrame:
    """The rows of a frame: a slice, which copies nothing, where they follow each other."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and bool(np.all(np.diff(rows) == 1)):
        return frame.slice(int(rows[0]), len(rows))
    return frame[rows]


def dotted_names_quoted(where: str, names: Iterable[str]) -> str:
    """A condition in which a joined view's names (OWNER.TABLE.COLUMN) are names to DuckDB too."""
    for name in sorted((n for n in names if "." in n), key=len, reverse=True):
        where = re.sub(rf'(?<![\w."]){re.escape(name)}(?![\w."])', f'"{name}"', where)
    return where


def _reference(wkid: int) -> dict[str, int]:
    return {"wkid": 102100 if wkid == 3857 else wkid, "latestWkid": wkid}


def _wkid(text: str, default: int) -> int:
    if not text:
        return default
    try:
        value = json.loads(text)
        wkid = int(value["wkid"] if isinstance(value, dict) else value)
    except (ValueError, KeyError, TypeError):
        raise QueryError("Invalid or missing input parameters.", "spatial reference") from None
    wkid = 3857 if wkid in (102100, 102113, 900913) else wkid
    if wkid not in (3857, 4326):
        raise QueryError(
            "Invalid or missing input parameters.", f"spatial reference {wkid} is not known here"
        )
    return wkid


def _envelope(text: str) -> tuple[Floats, int | None]:
    try:
        value = json.loads(text) if text.lstrip().startswith("{") else None
        given = [value[k] for k in ("xmin", "ymin", "xmax", "ymax")] if value is not None else text.split(",")
        corners = np.asarray([float(x) for x in given]).reshape(2, 2)
        reference = (value or {}).get("spatialReference")
        return corners, None if reference is None else _wkid(json.dumps(reference), 4326)
    except (ValueError, KeyError, TypeError):
        raise QueryError("Invalid or missing input parameters.", "geometry is no envelope") from None


def _whole(asked: Mapping[str, str], name: str, default: int) -> int:
    text = asked.get(name, "")
    if text and not text.isdecimal():
        raise QueryError("Invalid or missing input parameters.", f"{name} is no whole number")
    return int(text) if text else default


def _true(asked: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    text = asked.get(name, "")
    return text.lower() == "true" if text else default


def _text(value: Any) -> bytes:
    return json.dumps(value).encode()
