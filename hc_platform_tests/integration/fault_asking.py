"""One request on its way through the fault proxy, and what the proxy remembers.

Belongs here: asking the upstream and answering the client. Does not belong here: the failures (fault_proxy).
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from hc_platform_tests.integration.fake_arcgis import Handler

Answer = dict[str, Any]


@dataclass
class Ask:
    """One request on its way: `fetch` asks the upstream, `page` numbers the requests that ask for rows, from 1."""

    proxy: FaultProxy
    handler: Handler
    path: str
    params: dict[str, str]
    page: int

    @property
    def wants_rows(self) -> bool:
        special = ("returnCountOnly", "returnIdsOnly", "returnExtentOnly")
        asked = any(self.params.get(name, "").lower() == "true" for name in special)
        return self.path.endswith("/query") and not asked and "outStatistics" not in self.params

    @property
    def is_metadata(self) -> bool:
        return not self.path.endswith("/query")

    def fetch(self, **changes: str | None) -> Answer:
        params = {name: text for name, text in (self.params | changes).items() if text is not None}
        return self.proxy.fetch(self.path, params)

    def ids(self) -> list[int]:
        """What returnIdsOnly answers for this question."""
        drop = dict.fromkeys(
            ("returnCountOnly", "resultOffset", "resultRecordCount", "orderByFields", "outStatistics")
        )
        return list(self.fetch(**drop, returnIdsOnly="true").get("objectIds") or [])

    def send(self, answer: Answer | bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.handler.send(status, body, headers)


@dataclass
class FaultProxy:
    """Counts what passes through; `mode` names an entry of MODES."""

    upstream: str
    mode: str
    requests: int = 0
    pages: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self, path: str, params: dict[str, str]) -> Answer:
        data = urllib.parse.urlencode(params).encode()
        request = urllib.request.Request(self.upstream + path, data=data)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as failure:
            return json.loads(failure.read())

    def once(self, key: str = "once") -> bool:
        """True the first time only."""
        with self.lock:
            if key in self.state:
                return False
            self.state[key] = True
            return True
