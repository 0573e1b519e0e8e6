"""A portal with rotating services on one loopback server: item search in pages, folders, a gate, tokens.

Belongs here: what such servers answer. Does not belong here: the layers' rows (fake_arcgis).
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hc_platform_tests.integration.fake_arcgis import FakeLayer, Handler, serve

GATE = {
    "error": {
        "code": 403,
        "messageCode": "GWM_0003",
        "message": "You do not have permissions to access this resource or perform this operation.",
        "details": [],
    }
}


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


class Publication(FakeLayer):
    """One publication: so many rows, some fields under other names, edited when it says, or layer 0 under a name."""

    def __init__(
        self,
        rows: int = 5,
        *,
        renamed: dict[str, str] | None = None,
        edited: str | None = "2026-03-15",
        name: str = "Sections",
        **more: Any,
    ) -> None:
        super().__init__(rows, **more)
        self.names, self.edited, self.name = renamed or {}, edited, name
        self.rows = {oid: {self.names.get(k, k): v for k, v in row.items()} for oid, row in self.rows.items()}
        self.queries = 0

    def metadata(self) -> dict[str, Any]:
        told = super().metadata() | {"name": self.name}
        told["fields"] = [f | {"name": self.names.get(f["name"], f["name"])} for f in told["fields"]]
        told["editingInfo"] = {"lastEditDate": ms(self.edited)} if self.edited else None
        return told

    def answer(self, path: str, params: dict[str, str]) -> dict[str, Any]:
        told = super().answer(path, params)
        if path.endswith("/FeatureServer"):
            told["layers"] = [{"id": 0, "name": self.name, "type": "Feature Layer"}]
        return told

    def query(self, params: dict[str, str]) -> dict[str, Any]:
        self.queries += 1
        return super().query(params)


@dataclass
class World:
    """What the server holds. `asked`: path, parameters and headers of each request."""

    services: dict[str, FakeLayer] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    a_page: int = 100
    referer: str | None = None
    allows: Callable[[str | None], int | None] = lambda token: None  # a refusal's code
    login: Callable[[str, dict[str, str]], Any] = lambda path, form: {"error": {"code": 404}}
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    root: str = ""

    def publish(
        self, path: str, layer: FakeLayer, *, owner: str = "pub", modified: str = "2026-03-20", **item: Any
    ) -> str:
        """Put a service online and list it as an item; the answer is its path."""
        path = f"{path}/FeatureServer"
        self.services[path] = layer
        self.items.append(
            {
                "id": f"{len(self.items):032x}",
                "owner": owner,
                "orgId": "ORG",
                "type": "Feature Service",
                "title": path.split("/")[-2],
                "url": f"{self.root}{path}",
                "modified": ms(modified),
                **item,
            }
        )
        return path

    def search(self, params: dict[str, str]) -> dict[str, Any]:
        owner = re.search(r'owner:"([^"]+)"', params["q"])
        org = re.search(r'orgid:"([^"]+)"', params["q"])
        found = [
            item for item in self.items
            if (not owner or item["owner"].startswith(owner[1])) and (not org or item["orgId"] == org[1])
        ]  # fmt: skip
        start, size = int(params["start"]), min(int(params["num"]), self.a_page)
        page = found[start - 1 : start - 1 + size]
        then = start + size if start + size <= len(found) else -1
        return {"total": len(found), "start": start, "num": len(page), "nextStart": then, "results": page}

    def folder(self, path: str) -> dict[str, Any] | None:
        below = [s for s in self.services if s.startswith(path + "/") and s.count("/") == path.count("/") + 2]
        prefix = path.partition("/rest/services")[2].strip("/")
        entries = [
            {"name": "/".join(x for x in (prefix, s.split("/")[-2]) if x), "type": s.split("/")[-1]}
            for s in below
        ]
        geocoder = {"name": "Locator_MAR2026", "type": "GeocodeServer"}
        return {"currentVersion": 11, "folders": [], "services": [*entries, geocoder]} if below else None

    def answer(self, path: str, params: dict[str, str], headers: dict[str, str]) -> Any:
        if path.endswith("/sharing/rest/search"):
            return self.search(params)
        if path.endswith(("/generateToken", "/oauth2/token")):
            return self.login(path, params)
        listed = self.folder(path)
        if listed:
            return listed
        service = next((s for s in self.services if path.startswith(s)), None)
        if service is None:
            return {"error": {"code": 400, "message": "Invalid URL", "details": ["Invalid URL"]}}
        if self.referer and headers.get("referer") != self.referer:
            return GATE
        refusal = self.allows(params.get("token"))
        if refusal:
            words = {498: "Invalid token.", 499: "Token Required"}[refusal]
            return {"error": {"code": refusal, "message": words, "details": []}}
        return self.services[service].answer(path, params)

    def queries(self, part: str = "") -> int:
        """Questions for rows or counts, of services whose path has that part."""
        return sum(path.endswith("/query") and part in path for path, _, _ in self.asked)


@contextlib.contextmanager
def online(world: World) -> Iterator[World]:
    """Serve it; `world.root` is its address."""

    class WorldHandler(Handler):
        def respond(self, path: str, params: dict[str, str]) -> None:
            headers = {k.lower(): v for k, v in self.headers.items()}
            world.asked.append((self.path, params, headers))
            self.send(200, json.dumps(world.answer(path, params, headers)).encode())

    with serve(WorldHandler) as root:
        world.root = root
        yield world
