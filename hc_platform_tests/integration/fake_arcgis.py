"""A tiny ArcGIS-compatible server in this process: one deterministic layer, so that every row can be checked.

Belongs here: honest behaviour. Does not belong here: failures (fault_proxy).
"""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

RADIUS = 6378137.0


def mercator(lon: float, lat: float) -> list[float]:
    return [math.radians(lon) * RADIUS, RADIUS * math.log(math.tan(math.pi / 4 + math.radians(lat) / 2))]


class FakeLayer:
    """Lines with ids that have gaps: every seventh number is unused. Answers a query as a dict."""

    def __init__(
        self, rows: int = 10_000, *, max_record_count: int = 2000, first: int = 1, gap: int = 7
    ) -> None:
        self.max_record_count = max_record_count
        ids = [first + i + i // (gap - 1) for i in range(rows)] if gap else [first + i for i in range(rows)]
        self.rows = {oid: self.attributes(oid) for oid in ids}

    @staticmethod
    def attributes(oid: int) -> dict[str, Any]:
        return {"OBJECTID": oid, "FEEDER": f"{oid % 500:05d}", "MW": (oid % 97) / 8, "NOTE": f"row {oid} – ø"}

    @staticmethod
    def path(oid: int) -> list[list[float]]:
        lon, lat = -71.0 - (oid % 1000) / 1000, 41.0 + (oid % 777) / 777
        return [[lon, lat], [lon + 0.001, lat], [lon + 0.001, lat + 0.001]]

    def metadata(self) -> dict[str, Any]:
        return {
            "currentVersion": 10.91,
            "id": 0,
            "name": "Sections",
            "type": "Feature Layer",
            "geometryType": "esriGeometryPolyline",
            "objectIdField": "OBJECTID",
            "maxRecordCount": self.max_record_count,
            "extent": {
                "xmin": -72.1,
                "ymin": 40.9,
                "xmax": -70.9,
                "ymax": 42.1,
                "spatialReference": {"wkid": 4326},
            },
            "editingInfo": {"lastEditDate": 1700000000000},
            "advancedQueryCapabilities": {"supportsPagination": True, "supportsStatistics": True},
            "fields": [
                {"name": "OBJECTID", "type": "esriFieldTypeOID", "alias": "OBJECTID"},
                {"name": "FEEDER", "type": "esriFieldTypeString", "alias": "Feeder", "length": 5},
                {"name": "MW", "type": "esriFieldTypeDouble", "alias": "MW"},
                {"name": "NOTE", "type": "esriFieldTypeString", "alias": "Note", "length": 50},
            ],
        }

    def answer(self, path: str, params: dict[str, str]) -> dict[str, Any]:
        if path.endswith("/FeatureServer"):
            layer = {"id": 0, "name": "Sections", "type": "Feature Layer"}
            group = {"id": 7, "name": "Group", "type": "Group Layer", "subLayerIds": [0]}
            return {
                "currentVersion": 10.91,
                "layers": [group, layer],
                "tables": [{"id": 3, "name": "Lookup"}],
            }
        if path.endswith("/layers"):
            return {"layers": [self.metadata()], "tables": []}
        if path.endswith("/FeatureServer/0"):
            return self.metadata()
        if path.endswith("/FeatureServer/0/query"):
            return self.query(params)
        return {"error": {"code": 400, "message": "Invalid URL", "details": ["Invalid URL"]}}

    def query(self, params: dict[str, str]) -> dict[str, Any]:
        try:
            ids = self.matching(params)
        except ValueError as error:
            return {"error": {"code": 400, "message": "Cannot perform query.", "details": [str(error)]}}
        if params.get("returnCountOnly", "").lower() == "true":
            return {"count": len(ids)}
        if params.get("returnIdsOnly", "").lower() == "true":
            return {"objectIdFieldName": "OBJECTID", "objectIds": ids}
        if "outStatistics" in params:
            functions = {"min": min, "max": max, "count": len}
            wanted = json.loads(params["outStatistics"])
            values = {
                each["outStatisticFieldName"]: functions[each["statisticType"]](ids) if ids else None
                for each in wanted
            }
            return {"features": [{"attributes": values}]}
        if "OBJECTID DESC" in params.get("orderByFields", ""):
            ids = ids[::-1]
        start = int(params.get("resultOffset", 0))
        size = min(int(params.get("resultRecordCount", self.max_record_count)), self.max_record_count)
        page = ids[start : start + size]
        projected = params.get("outSR") in ("3857", "102100")
        names = params.get("outFields", "*").split(",")
        features = []
        for oid in page:
            row = self.rows[oid]
            kept = row if "*" in names else {name: row[name] for name in names}
            feature: dict[str, Any] = {"attributes": kept}
            if params.get("returnGeometry", "true").lower() == "true":
                line = self.path(oid)
                feature["geometry"] = {"paths": [[mercator(*point) for point in line] if projected else line]}
            features.append(feature)
        answer: dict[str, Any] = {
            "objectIdFieldName": "OBJECTID",
            "geometryType": "esriGeometryPolyline",
            "spatialReference": {"wkid": 102100, "latestWkid": 3857} if projected else {"wkid": 4326},
            "features": features,
        }
        if start + size < len(ids):
            answer["exceededTransferLimit"] = True
        return answer

    def matching(self, params: dict[str, str]) -> list[int]:
        where = params.get("where", "1=1")
        ids = sorted(self.rows)
        for field, operator, text in re.findall(r"(\w+)\s*(<=|>=|=|<|>)\s*('[^']*'|-?\d+(?:\.\d+)?)", where):
            if (field, operator, text) == ("1", "=", "1"):
                continue
            if field not in ("OBJECTID", "FEEDER", "MW", "NOTE"):
                raise ValueError(f"'{field}' is not a field")
            value: Any = text.strip("'") if text.startswith("'") else float(text)
            tests = {
                "=": lambda a, b: a == b,
                "<": lambda a, b: a < b,
                ">": lambda a, b: a > b,
                "<=": lambda a, b: a <= b,
                ">=": lambda a, b: a >= b,
            }
            ids = [oid for oid in ids if tests[operator](self.rows[oid][field], value)]
        if params.get("objectIds"):
            wanted = {int(text) for text in params["objectIds"].split(",")}
            ids = [oid for oid in ids if oid in wanted]
        if params.get("geometry"):
            box = json.loads(params["geometry"])
            ids = [oid for oid in ids if self.touches(oid, box)]
        return ids

    def touches(self, oid: int, box: dict[str, float]) -> bool:
        xs, ys = zip(*self.path(oid), strict=True)
        return (
            min(xs) <= box["xmax"]
            and max(xs) >= box["xmin"]
            and min(ys) <= box["ymax"]
            and max(ys) >= box["ymin"]
        )


class Handler(BaseHTTPRequestHandler):
    """Shared by the fake server and the proxy: reads the question, leaves the answer to `respond`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def question(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        length = int(self.headers.get("Content-Length") or 0)
        if length:
            params |= dict(parse_qsl(self.rfile.read(length).decode(), keep_blank_values=True))
        return parts.path, params

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def respond(self, path: str, params: dict[str, str]) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.respond(*self.question())

    def do_POST(self) -> None:
        self.do_GET()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextlib.contextmanager
def serve(handler: type[Handler]) -> Iterator[str]:
    """Run a handler on a free loopback port; the value is the root URL."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def serve_layer(layer: FakeLayer) -> Iterator[str]:
    """Serve a layer; the value is its service URL."""

    class LayerHandler(Handler):
        def respond(self, path: str, params: dict[str, str]) -> None:
            body = json.dumps(layer.answer(path, params)).encode()
            if "gzip" in self.headers.get("Accept-Encoding", ""):
                self.send(200, gzip.compress(body, 1), {"Content-Encoding": "gzip"})
            else:
                self.send(200, body)

    with serve(LayerHandler) as root:
        yield f"{root}/arcgis/rest/services/Fake/FeatureServer"
