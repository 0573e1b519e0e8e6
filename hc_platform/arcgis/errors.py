"""What can go wrong between us and an ArcGIS server, as classes of error.

Belongs here: the error types, the table that turns a status and a server's words into a class, and the
masking of credentials. Does not belong here: retrying (transport), halving a window or giving up (pull).
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["retry", "shrink", "auth", "moved", "down", "blocked", "bad_request", "schema"]

_ADVICE: dict[Kind, str] = {
    "retry": "The trouble is usually short: run again, what is on disk is reused",
    "shrink": "The server could not answer so much at once: lower page_size or run again off-peak",
    "auth": "Give a token or credentials that may read this layer",
    "moved": "The address is gone: look the service up again and correct service_url or the layer name",
    "down": "The service is stopped or unreachable: keep the last good data and run again later",
    "blocked": "A gateway refused us: check the Referer and User-Agent headers, or ask the publisher",
    "bad_request": "The server refused the question: check where, out_fields and out_sr",
    "schema": "The answer does not fit the layer: compare its metadata with the config",
}

_SECRETS = re.compile(
    r"((?:access_?|refresh_?)?token|api_?key|client_secret|password|passwd|signature|sig)(=|%3D|\"\s*:\s*\"|:\s*)"
    r"[^&\s\"'<>]+",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(https?://)[^/@\s]+@", re.IGNORECASE)


def mask(text: str) -> str:
    """The text with the values of tokens, keys and passwords replaced by `***`."""
    return _USERINFO.sub(r"\1***@", _SECRETS.sub(r"\1\2***", text))


class ArcGISError(Exception):
    """A request or a download failed.

    `kind` says what to do about it: `retry` and `shrink` are the server's bad moment or its limits,
    `auth`, `blocked` and `bad_request` need a person, `moved` a new address, `down` patience, `schema` a
    look at the layer. The message is one sentence with the URL, what happened and what can be done; it
    never holds a credential.
    """

    def __init__(self, kind: Kind, what: str, url: str, *, status: int | None = None) -> None:
        self.kind = kind
        self.what = mask(" ".join(what.split())).rstrip(".")
        self.url = mask(url)
        self.status = status
        self.retry_after: float | None = None  # seconds, where the server named them
        super().__init__(f"{self.url}: {self.what}. {_ADVICE[kind]}.")


class LayerMoved(ArcGISError):  # noqa: N818 (a state of the layer, not of the program)
    """The layer is not where the config says; the message lists the layers that are there."""

    def __init__(self, what: str, url: str) -> None:
        super().__init__("moved", what, url)


_MESSAGES: list[tuple[str, Kind]] = [
    (r"invalid url|service not found|resource not found|item does not exist|layer .{0,40}not found"
     r"|does not exist or is inaccessible|requested (layer|table) .{0,40}not", "moved"),
    (r"not started|is stopped|could not access any server machine|service .{0,80} not available"
     r"|server is (down|being)", "down"),
    (r"token required|invalid token|token expired|not authorized|unauthorized|permission"
     r"|sign ?in|log ?in", "auth"),
    (r"too many requests|rate limit|try again|throttl|temporarily|busy|wait time", "retry"),
    (r"error performing query|unable to complete|time[d ]?-?out|unable to perform query operation"
     r"|too (large|long|many)|exceed|out of memory|failed to execute query", "shrink"),
]  # fmt: skip

_STATUSES: dict[int, Kind] = {
    401: "auth", 498: "auth", 499: "auth", 403: "blocked", 404: "moved", 410: "moved", 408: "shrink",
    413: "shrink", 414: "shrink", 429: "retry", 500: "shrink", 502: "retry", 503: "retry", 504: "shrink",
}  # fmt: skip


def classify(code: int | None, message: str) -> Kind:
    """The class of a failure from its code (HTTP status, or the code in an `error` body) and the server's
    words.

    The words count first, because the same code means many things: 400 is a dead URL, a bad where clause
    or a query that was too heavy; 500 is a stopped service or a heavy page. Only codes that leave no
    doubt go before them.
    """
    if code in (401, 498, 499):
        return "auth"
    if code == 429:
        return "retry"
    for pattern, kind in _MESSAGES:
        if re.search(pattern, message, re.IGNORECASE):
            return kind
    if code is None:
        return "retry"
    if code in _STATUSES:
        return _STATUSES[code]
    return "bad_request" if 400 <= code < 500 else "retry"
