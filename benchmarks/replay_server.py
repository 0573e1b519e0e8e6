"""A fast ArcGIS layer for benchmarks: 100,000 polylines in pages gzipped beforehand, at a given latency.

    python benchmarks/replay_server.py [PORT] [LATENCY_MS] [ROWS]

Answers object-id windows, offsets, counts, statistics, ids and id lists. Its own work per page is copying bytes, so
that a measured client is not waiting for it. Prints "listening PORT".
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import re
import sys
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

PAGE = 2000
HEAD = (
    b'{"objectIdFieldName":"OBJECTID","geometryType":"esriGeometryPolyline",'
    b'"spatialReference":{"wkid":4326,"latestWkid":4326},"features":['
)
FIELDS = [
    ("OBJECTID", "OID"), ("FeederId", "String"), ("CSV_LineSection", "String"), ("GenCapacity_kW", "Double"),
    ("LoadCapacity_kW", "Double"), ("voltage_kv", "Double"), ("FeederName", "String"), ("limiting_criteria", "String"),
    ("ICA_Analysis_Date", "Date"), ("Region", "String"),
]  # fmt: skip


def feature(number: int) -> bytes:
    """One line of about 15 vertices with 10 attributes, the same for the same number."""
    draw = random.Random(number)
    x, y = -124 + draw.random() * 10, 32 + draw.random() * 10
    path = []
    for _ in range(draw.randint(8, 22)):
        x, y = x + draw.uniform(-1e-3, 1e-3), y + draw.uniform(-1e-3, 1e-3)
        path.append([round(x, 9), round(y, 9)])
    values = [
        number, f"{number % 3000:09d}", f"section-{number}", round(draw.random() * 1000, 3),
        round(draw.random() * 1000, 3), 12.47, f"FEEDER {number % 3000}", draw.choice(["Thermal", "Voltage"]),
        1_700_000_000_000 + number, "North Coast",
    ]  # fmt: skip
    attributes = dict(zip((name for name, _ in FIELDS), values, strict=True))
    return json.dumps(
        {"attributes": attributes, "geometry": {"paths": [path]}}, separators=(",", ":")
    ).encode()


class Layer:
    """The rows, and the answers to questions about them."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.features = [feature(number) for number in range(1, rows + 1)]
        self.page = lru_cache(maxsize=None)(self._page)
        for start in range(0, rows, PAGE):
            for more in (False, True):
                self.page(start, min(start + PAGE, rows), more)

    def _page(self, start: int, end: int, more: bool) -> bytes:
        tail = b'],"exceededTransferLimit":true}' if more else b"]}"
        return gzip.compress(HEAD + b",".join(self.features[start:end]) + tail, 6)

    def metadata(self) -> dict[str, object]:
        return {
            "currentVersion": 11.1, "id": 0, "name": "Lines", "type": "Feature Layer",
            "geometryType": "esriGeometryPolyline", "objectIdField": "OBJECTID", "maxRecordCount": PAGE,
            "capabilities": "Query", "supportedQueryFormats": "JSON", "supportsStatistics": True,
            "supportsPagination": True, "supportsAdvancedQueries": True,
            "advancedQueryCapabilities": {
                "supportsPagination": True, "supportsStatistics": True, "supportsOrderBy": True,
            },
            "extent": {"xmin": -124, "ymin": 32, "xmax": -114, "ymax": 42, "spatialReference": {"wkid": 4326}},
            "fields": [{"name": name, "type": f"esriFieldType{kind}", "alias": name} for name, kind in FIELDS],
        }  # fmt: skip

    def answer(self, path: str, params: dict[str, str]) -> bytes:
        if not path.endswith("/query"):
            what = (
                self.metadata()
                if path.endswith("/0")
                else {"layers": [{"id": 0, "name": "Lines"}], "tables": []}
            )
            return json.dumps(what).encode()
        low, high = 0, self.rows
        for operator, number in re.findall(r"OBJECTID\s*(>=|<=|>|<)\s*(-?\d+)", params.get("where", "")):
            bound = int(number)
            if operator[0] == ">":
                low = max(low, bound - (operator == ">="))
            else:
                high = min(high, bound - (operator == "<"))
        low, high = max(low, 0), max(low, high)
        if params.get("returnCountOnly") == "true":
            return json.dumps({"count": high - low}).encode()
        if params.get("returnIdsOnly") == "true":
            return json.dumps(
                {"objectIdFieldName": "OBJECTID", "objectIds": list(range(low + 1, high + 1))}
            ).encode()
        if "outStatistics" in params:
            numbers = {"min": low + 1, "max": high, "count": high - low}
            wanted = json.loads(params["outStatistics"])
            values = {
                each["outStatisticFieldName"]: numbers[each["statisticType"].lower()] for each in wanted
            }
            return json.dumps({"features": [{"attributes": values}]}).encode()
        if "objectIds" in params:
            chosen = [self.features[int(number) - 1] for number in params["objectIds"].split(",")]
            return gzip.compress(HEAD + b",".join(chosen) + b"]}", 1)
        start = low + int(params.get("resultOffset") or 0)
        size = min(int(params.get("resultRecordCount") or PAGE), PAGE)
        end = min(start + size, high)
        if start >= end:
            return HEAD + b"]}"
        return self.page(start, end, end < high)


async def serve(port: int, latency_s: float, rows: int) -> None:
    """Serve until killed."""
    layer = Layer(rows)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                _, target, _ = line.decode().split()
                length = 0
                while (header := await reader.readline()) not in (b"\r\n", b""):
                    name, _, value = header.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                body = (await reader.readexactly(length)).decode() if length else ""
                parts = urlsplit(target)
                params = dict(parse_qsl(parts.query)) | dict(parse_qsl(body))
                await asyncio.sleep(latency_s)
                answer = layer.answer(parts.path, params)
                encoding = b"Content-Encoding: gzip\r\n" if answer[:2] == b"\x1f\x8b" else b""
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
                    % (encoding, len(answer))
                )
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(client, "127.0.0.1", port, limit=2**20)
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    chosen_port, latency_ms, total = (*given, *(0, 0, 100_000)[len(given) :])
    asyncio.run(serve(chosen_port, latency_ms / 1000, total))
