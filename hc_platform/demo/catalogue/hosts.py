"""One loopback server that stands for every utility's host, and the configs that lead there.

What belongs here: addresses, host names, what stands beside the services (search, folders, tokens, files). What does
not: the data (`layers`), what a query means (`hc_platform.demo.query`).
"""

import os
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hc_platform.catalog.models import UtilityConfig
from hc_platform.demo.catalogue.layers import DrawnLayer
from hc_platform.demo.catalogue.publishing import Published, publish
from hc_platform.demo.server import application

_TOKEN: Final[dict[str, Any]] = {"token": "made-up-token", "expires": 4_102_444_800_000}


@dataclass
class Host:
    """The server: its port, its names and whose they are, the utilities that want a token; requests so far by name,
    and pages of rows by utility."""

    port: int
    names: dict[str, str]
    closed: set[str]
    asked: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)

    def local(self, config: UtilityConfig) -> UtilityConfig:
        """The config with its addresses on this server, host names and paths as they are."""

        def there(url: str | None) -> str | None:
            return url and local_url(url, config.utility_code, self.port)

        layers = [
            layer.model_copy(
                update={
                    "service_url": there(layer.service_url),
                    "path": there(layer.path) if layer.path and "://" in layer.path else layer.path,
                    "discovery": _local_discovery(layer.discovery, there),
                }
            )
            for layer in config.layers
        ]
        auth = config.auth and config.auth.model_copy(update={"token_url": there(config.auth.token_url)})
        return config.model_copy(
            update={
                "service_url": there(config.service_url),
                "discovery": _local_discovery(config.discovery, there),
                "layers": layers,
                "auth": auth,
            }
        )


def local_url(url: str, code: str, port: int) -> str:
    """The address on the loopback server: the path stays, the utility's code goes before the host's name.

    So utilities that share a host stand under names of their own, and none can answer for another.
    """
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"http://{local_name(parts.hostname or '', code)}:{port}{parts.path}{query}"


def local_name(host: str, code: str) -> str:
    """A host's name as a utility's own."""
    return f"{code.replace('_', '-')}.{host}"


def hosts_of(config: UtilityConfig) -> set[str]:
    """Every host name in a config's addresses."""
    text = config.model_dump_json(include={"service_url", "layers", "discovery", "auth"})
    return {host for url in re.findall(r'"(https?://[^"]+)"', text) if (host := urlsplit(url).hostname)}


def _local_discovery(discovery: Any, there: Any) -> Any:
    if discovery is None:
        return None
    return discovery.model_copy(update={"folder": there(discovery.folder), "portal": there(discovery.portal)})


class _VirtualHosts:
    """Answers for a utility only under the utility's own host names; portals and folders beside the services."""

    def __init__(self, inner: ASGIApp, host: Host, published: Mapping[str, Published]) -> None:
        self.inner, self.host, self.published = inner, host, published

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        name, path = (request.headers.get("host") or "").partition(":")[0], request.url.path
        code = self.host.names[name]
        body = await request.body()
        asked = dict(parse_qsl(request.url.query) + parse_qsl(body.decode()))
        self.host.asked[name] += 1
        self.host.pages[code] += "outFields" in asked
        if path.endswith("/generateToken"):
            await JSONResponse(_TOKEN)(scope, receive, send)
        elif code in self.host.closed and asked.get("token") != _TOKEN["token"]:
            told = {"error": {"code": 499, "message": "Token Required", "details": []}}
            await JSONResponse(told)(scope, receive, send)
        elif path.endswith("/sharing/rest/search"):
            await JSONResponse(self._search(code))(scope, receive, send)
        elif found := re.fullmatch(r".*/rest/services(?:/(?P<folder>\w+))?", path):
            await JSONResponse(self._folder(code, name, found["folder"]))(scope, receive, send)
        else:

            async def again() -> Message:
                return {"type": "http.request", "body": body, "more_body": False}

            await self.inner({**scope, "path": f"/{code}{path}"}, again, send)

    def _search(self, code: str) -> dict[str, Any]:
        """All items of the utility, and a newer one of somebody else that is called the same."""
        items = [
            item | {"url": local_url(item["url"], code, self.host.port)}
            for item in self.published[code].items
        ]
        foreign = [
            item | {"id": "0" * 32, "owner": "somebody", "modified": item["modified"] * 2}
            for item in items[:1]
        ]
        return {"total": len(items + foreign), "start": 1, "nextStart": -1, "results": foreign + items}

    def _folder(self, code: str, name: str, folder: str | None) -> dict[str, Any]:
        """The services below one host's directory, or below one of its folders."""
        listed = {}
        for layer in self.published[code].layers:
            service, kind = layer.service.rsplit("/", 1)
            here = local_name(urlsplit(layer.service_url).hostname or "", code) == name
            if here and (folder or "") == "/".join(service.split("/")[:-1]):
                listed[service] = {"name": service, "type": kind}
        return {"currentVersion": 11.1, "folders": [], "services": list(listed.values())}


@contextmanager
def serve_catalogue(
    configs: Mapping[str, UtilityConfig], drawn: Mapping[str, Sequence[DrawnLayer]]
) -> Iterator[Host]:
    """Serve all utilities on one port while the context lasts, their host names leading to it in this process."""
    published = {code: publish(configs[code], its) for code, its in drawn.items()}
    listener = socket.create_server(("127.0.0.1", 0))
    names = {
        local_name(host, code): code
        for code, its in published.items()
        for host in hosts_of(configs[code]) | {urlsplit(x.service_url).hostname or "" for x in its.layers}
    }
    host = Host(listener.getsockname()[1], names, {code for code in drawn if configs[code].auth})
    services = application({code: its.layers for code, its in published.items()}, broken_pages=False)
    # in a thread of another program: the plain event loop, not uvloop, which is made to own its process
    settings = uvicorn.Config(
        _VirtualHosts(services, host, published), log_level="warning", lifespan="off", loop="asyncio"
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        with resolved_to_loopback(set(names)):
            yield host
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


@contextmanager
def resolved_to_loopback(names: set[str]) -> Iterator[None]:
    """Let these host names lead to this machine, in this process, whatever the network says; no proxy is asked."""
    real = socket.getaddrinfo

    def resolve(name: Any, *more: Any, **options: Any) -> Any:
        text = name.decode() if isinstance(name, bytes) else name
        return real("127.0.0.1" if text in names else name, *more, **options)

    no_proxy = os.environ.get("NO_PROXY")
    socket.getaddrinfo = resolve  # type: ignore[assignment]
    os.environ["NO_PROXY"] = "*"
    try:
        yield
    finally:
        socket.getaddrinfo = real
        if no_proxy is None:
            del os.environ["NO_PROXY"]
        else:
            os.environ["NO_PROXY"] = no_proxy
