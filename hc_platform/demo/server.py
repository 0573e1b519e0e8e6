"""A loopback ArcGIS server over synthetic layers, with the bad manners of real ones.

What belongs here: HTTP, the tree of services, gates, injected faults and their count.
What does not: what a query means (`query`), the data (`synthetic`).

Run alone: python -m hc_platform.demo.server --port 8765 --utilities all
"""

import argparse
import gzip
import json
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hc_platform.catalog.loading import Catalog, load_catalog
from hc_platform.demo.query import LayerAnswers, QueryError
from hc_platform.demo.synthetic import SHAPES, SyntheticLayer, shaped, synthetic_layers

FAULTS: Final = ("error_in_200", "http_503", "html_page", "truncated_gzip")
"""What befalls the 1st, 3rd, 5th and 7th new page of a layer, beginning with another fault at each layer."""

_ERROR_500: Final = {"error": {"code": 500, "message": "Error performing query operation", "details": []}}
_HTML: Final = "<!DOCTYPE html><html><body><h1>Request Rejected</h1></body></html>"


class _Faults:
    """Which page fails, once: by the order in which a layer's pages are first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, set[tuple[tuple[str, str], ...]]] = {}
        self.counts: dict[str, Counter[str]] = {}

    def of(self, layer: str, number: int, asked: Mapping[str, str]) -> str | None:
        page = tuple(sorted(asked.items()))
        with self._lock:
            seen = self._seen.setdefault(layer, set())
            # A page that was asked for before succeeds, so every retry does.
            if page in seen or len(seen) >= 2 * len(FAULTS):
                return None
            seen.add(page)
            order = len(seen) - 1
            if order % 2:
                return None
            fault = FAULTS[(number + order // 2) % len(FAULTS)]
            self.counts.setdefault(layer, Counter())[fault] += 1
            return fault


class _Server:
    """The tree of services and the answers; one handler for every path."""

    def __init__(self, layers: Mapping[str, Sequence[SyntheticLayer]], broken_pages: bool) -> None:
        self.services: dict[tuple[str, str], dict[int, LayerAnswers]] = {}
        self.headers: dict[tuple[str, str], Mapping[str, str]] = {}
        self.numbers: dict[tuple[str, str, int], int] = {}
        self.faults = _Faults() if broken_pages else None
        self.totals: Counter[str] = Counter()
        for utility, its in layers.items():
            for layer in its:
                self.headers[utility, layer.service.lower()] = layer.headers
                service = self.services.setdefault((utility, layer.service.lower()), {})
                service[layer.index] = LayerAnswers(layer)
                self.numbers[utility, layer.service.lower(), layer.index] = len(self.numbers)

    async def handle(self, request: Request) -> Response:
        query = request.url.query
        body = (await request.body()).decode() if request.method == "POST" else ""
        pairs = parse_qsl(query) + parse_qsl(body)
        asked = {name.lower(): value for name, value in pairs}
        return await run_in_threadpool(self._answer, request, asked)

    def _answer(self, request: Request, asked: Mapping[str, str]) -> Response:
        zipped = "gzip" in request.headers.get("accept-encoding", "")
        self.totals["requests"] += 1
        if request.url.path == "/_demo/stats":
            faults = self.faults.counts if self.faults else {}
            return _json({**self.totals, "faults": {layer: dict(c) for layer, c in faults.items()}}, zipped)
        try:
            return self._route(request, asked, zipped)
        except QueryError as error:
            told = {"code": error.code, "message": str(error), "details": list(error.details)}
            return _json({"error": told}, zipped)

    def _route(self, request: Request, asked: Mapping[str, str], zipped: bool) -> Response:
        utility, path = _split(request.url.path)
        if not path:
            return _json(self._catalogue(utility, str(request.base_url)), zipped)
        parts = path.split("/")
        last = next((i for i, p in enumerate(parts) if p.lower() in ("featureserver", "mapserver")), None)
        key = utility, "/".join(parts[: (last or 0) + 1]).lower()
        required = self.headers.get(key, {})
        if any(request.headers.get(name) != value for name, value in required.items()):
            raise QueryError("Access to this resource is not allowed.", "Invalid referer", code=403)
        service = self.services.get(key)
        if last is None or service is None:
            raise QueryError(f"Service {path} not found", code=404)
        rest = [part for part in parts[last + 1 :] if part]
        if rest in ([], ["layers"]):
            return _json(_service(service, whole=bool(rest)), zipped)
        if not rest[0].isdecimal() or int(rest[0]) not in service or len(rest) > 2:
            raise QueryError("Invalid URL", "Invalid URL")
        answers = service[int(rest[0])]
        if len(rest) == 1:
            return _json(answers.metadata(), zipped)
        if rest[1].lower() != "query":
            raise QueryError("Invalid URL", "Invalid URL")
        return self._query(answers, utility, asked, zipped)

    def _query(self, answers: LayerAnswers, utility: str, asked: Mapping[str, str], zipped: bool) -> Response:
        layer = answers.layer
        body, features = answers.query(asked)
        fault = None
        if self.faults and features:
            number = self.numbers[utility, layer.service.lower(), layer.index]
            fault = self.faults.of(f"{utility}/{layer.label}", number, asked)
        if fault == "error_in_200":
            return _json(_ERROR_500, zipped)
        if fault == "http_503":
            return Response("Service Unavailable", 503, {"Retry-After": "0"})
        if fault == "html_page":
            return Response(_HTML, media_type="text/html")
        if fault == "truncated_gzip":
            cut = gzip.compress(body, 1) if zipped else body
            return _reply(cut[: len(cut) // 2], zipped)
        self.totals["features"] += features
        self.totals["bytes"] += len(body)
        return _reply(gzip.compress(body, 1) if zipped else body, zipped)

    def _catalogue(self, root: str, base: str) -> dict[str, Any]:
        listed = []
        for (utility, _), service in self.services.items():
            if root in ("arcgis", utility):
                name, kind = next(iter(service.values())).layer.service.rsplit("/", 1)
                url = f"{base}{utility}/rest/services/{name}/{kind}"
                listed.append({"name": name, "type": kind, "url": url})
        if root != "arcgis" and not listed:
            raise QueryError("Invalid URL", "Invalid URL", code=404)
        return {"currentVersion": 11.1, "folders": [], "services": listed}


def _split(path: str) -> tuple[str, str]:
    """The utility and the path below /rest/services; ArcGIS Online puts an organization before it."""
    before, found, below = path.partition("/rest/services")
    if not found:
        raise QueryError("Invalid URL", "Invalid URL", code=404)
    return before.strip("/").split("/")[0], below.strip("/")


def _service(service: Mapping[int, LayerAnswers], whole: bool) -> dict[str, Any]:
    described = [answers.metadata() for _, answers in sorted(service.items())]
    if whole:
        return {"layers": described, "tables": []}
    brief = [{k: m[k] for k in ("id", "name", "type", "geometryType")} for m in described]
    tables = [m for m in brief if m["type"] == "Table"]
    reference = described[0]["sourceSpatialReference"]
    return {
        "currentVersion": 11.1,
        "maxRecordCount": described[0]["maxRecordCount"],
        "spatialReference": reference,
        "capabilities": described[0]["capabilities"],
        "layers": [m for m in brief if m not in tables],
        "tables": tables,
    }


def _json(value: Any, zipped: bool) -> Response:
    body = json.dumps(value).encode()
    return _reply(gzip.compress(body, 1) if zipped else body, zipped)


def _reply(body: bytes, zipped: bool) -> Response:
    headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"} if zipped else {}
    return Response(body, headers=headers, media_type="application/json; charset=utf-8")


def application(layers: Mapping[str, Sequence[SyntheticLayer]], broken_pages: bool = True) -> Starlette:
    """The ASGI application over every utility's layers."""
    server = _Server(layers, broken_pages)

    async def index(_: Request) -> Response:
        names = "".join(f"<li>{escape(name)}</li>" for name in layers)
        return Response(f"<h1>Synthetic hosting capacity</h1><ul>{names}</ul>", media_type="text/html")

    return Starlette(
        routes=[Route("/", index), Route("/{path:path}", server.handle, methods=["GET", "POST"])]
    )


@contextmanager
def serve(
    layers_by_utility: Mapping[str, Sequence[SyntheticLayer]], port: int = 0, broken_pages: bool = True
) -> Iterator[str]:
    """Serve the layers on the loopback while the context lasts; gives the base URL.

    With `broken_pages`, a few pages of each layer fail, once and always the same way; what was injected is
    told at `/_demo/stats`.
    """
    listener = socket.create_server(("127.0.0.1", port))
    # in a thread of another program: the plain event loop, not uvloop, which is made to own its process
    app = application(layers_by_utility, broken_pages)
    config = uvicorn.Config(app, log_level="warning", lifespan="off", loop="asyncio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        # The socket listens already: a client that comes before the server waits in its queue.
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


def local_catalog(catalog: Mapping[str, Any], base_url: str) -> Catalog:
    """The `shaped` configs of the utilities that have a shape, their services on the loopback."""

    def local(code: str, url: str | None) -> str | None:
        return url and f"{base_url.rstrip('/')}/{code}/rest/services/{url.split('/rest/services/', 1)[1]}"

    configs = {}
    for code in SHAPES:
        if code in catalog:
            config = shaped(catalog[code])
            layers = [
                layer.model_copy(update={"service_url": local(code, layer.service_url)})
                for layer in config.layers
            ]
            configs[code] = config.model_copy(
                update={"service_url": local(code, config.service_url), "layers": layers}
            )
    return Catalog(configs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A loopback ArcGIS server with synthetic layers.")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--utilities", default="all", help=f"'all' or some of {','.join(SHAPES)}")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--configs", type=Path, default=Path("utility_configs"))
    parser.add_argument("--no-broken-pages", action="store_true")
    given = parser.parse_args(arguments)
    catalog = load_catalog(given.configs)
    codes = list(SHAPES) if given.utilities == "all" else given.utilities.split(",")
    layers = {code: synthetic_layers(catalog[code], given.scale, given.seed) for code in codes}
    sys.stderr.write(f"http://127.0.0.1:{given.port}\n")
    app = application(layers, not given.no_broken_pages)
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
