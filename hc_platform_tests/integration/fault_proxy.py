"""A loopback proxy that stands before any ArcGIS-compatible server and fails in one of the known ways.

Belongs here: the failure modes of real servers, each under a name. Does not belong here: honest answers (fake_arcgis,
koop) and what a client should make of a failure (test_faults).
"""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import socket
import struct
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from hc_platform_tests.integration.fake_arcgis import Handler, mercator, serve
from hc_platform_tests.integration.fault_asking import Answer, Ask, FaultProxy

HTML = b"<!DOCTYPE html><html><body><h1>Request blocked</h1></body></html>"


def error(code: int, message: str, *details: str) -> Answer:
    return {"error": {"code": code, "message": message, "details": list(details)}}


def only_rows(change: Callable[[Ask], None]) -> Callable[[Ask], None]:
    """The failure strikes requests for rows; everything else passes."""

    def mode(ask: Ask) -> None:
        if ask.wants_rows:
            change(ask)
        else:
            ask.send(ask.fetch())

    return mode


def once(failure: Callable[[Ask], None], at_page: int = 3) -> Callable[[Ask], None]:
    """The failure strikes one request for rows."""
    return only_rows(lambda ask: failure(ask) if ask.page == at_page else ask.send(ask.fetch()))


def reset(ask: Ask) -> None:
    ask.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ask.handler.close_connection = True
    ask.handler.connection.close()


def truncated(ask: Ask) -> None:
    body = gzip.compress(json.dumps(ask.fetch()).encode())
    ask.send(body[: len(body) // 2], headers={"Content-Encoding": "gzip"})


def truncated_plain(ask: Ask) -> None:
    body = json.dumps(ask.fetch()).encode()
    ask.send(body[: len(body) // 2])


def capped(cap: int, flag: bool) -> Callable[[Ask], None]:
    def mode(ask: Ask) -> None:
        answer = ask.fetch()
        if len(answer.get("features", [])) > cap:
            answer["features"] = answer["features"][:cap]
            if flag:
                answer["exceededTransferLimit"] = True
        if not flag:
            answer.pop("exceededTransferLimit", None)
        ask.send(answer)

    return only_rows(mode)


def heavy(limit: int, failure: Callable[[Ask], None]) -> Callable[[Ask], None]:
    def mode(ask: Ask) -> None:
        answer = ask.fetch()
        if len(answer.get("features", [])) > limit:
            failure(ask)
        else:
            ask.send(answer)

    return only_rows(mode)


def poisoned(ask: Ask) -> None:
    """Every page with one certain row fails."""
    answer = ask.fetch()
    ids = sorted(feature["attributes"].get("OBJECTID", 0) for feature in answer.get("features", []))
    bad = ask.proxy.state.setdefault("poison", ids[len(ids) // 2] if ids else None)
    ask.send(error(500, "Error performing query operation") if bad in ids else answer)


def everything(ask: Ask) -> Answer:
    """The answer without paging: all rows that match, by id."""
    answer: Answer = {}
    features: list[Answer] = []
    while True:
        page = {"resultOffset": str(len(features)), "resultRecordCount": "2000", "orderByFields": "OBJECTID"}
        answer = ask.fetch(**page)
        features += answer.get("features", [])
        if len(answer.get("features", [])) < 2000:
            answer.pop("exceededTransferLimit", None)
            return answer | ({"features": features} if "features" in answer else {})


def send_page(ask: Ask, answer: Answer) -> None:
    """The part of all rows that the question's paging parameters ask for."""
    if "features" in answer:
        start, size = (
            int(ask.params.get("resultOffset") or 0),
            int(ask.params.get("resultRecordCount") or 2000),
        )
        answer["exceededTransferLimit"] = start + size < len(answer["features"])
        answer["features"] = answer["features"][start : start + size]
    ask.send(answer)


def unstable(ask: Ask) -> None:
    """Without an order by id, the rows come in another order each time."""
    answer = everything(ask)
    if "OBJECTID" not in ask.params.get("orderByFields", "") and "features" in answer:
        random.Random(ask.page).shuffle(answer["features"])
    send_page(ask, answer)


def row_vanishes(*, appears: bool) -> Callable[[Ask], None]:
    """A row is deleted (or inserted) at the source after the second page of rows."""

    def mode(ask: Ask) -> None:
        if ask.is_metadata or "outStatistics" in ask.params:
            ask.send(ask.fetch())
            return
        hidden = ask.proxy.state["hidden"]
        if ask.wants_rows:
            answer = everything(ask)
            if (ask.page > 2) != appears and "features" in answer:
                answer["features"] = [
                    f for f in answer["features"] if f["attributes"].get("OBJECTID") != hidden
                ]
            send_page(ask, answer)
            return
        ids = [oid for oid in ask.ids() if oid != hidden or (ask.proxy.pages > 2) == appears]
        count_only = ask.params.get("returnCountOnly", "").lower() == "true"
        ask.send({"count": len(ids)} if count_only else {"objectIds": ids})

    return mode


def token_expires(ask: Ask) -> None:
    if ask.params.get("token") != "fresh":
        ask.send(error(498, f"Invalid token: token={ask.params.get('token')}"))
    else:
        ask.send(ask.fetch(token=None))


def flag(value: bool) -> Callable[[Ask], None]:
    def mode(ask: Ask) -> None:
        answer = ask.fetch()
        answer.pop("exceededTransferLimit", None)
        ask.send(answer | ({"exceededTransferLimit": True} if value else {}))

    return only_rows(mode)


def bare_nan(ask: Ask) -> None:
    body = (
        json.dumps(ask.fetch()).replace('"MW": 1.0,', '"MW": NaN,').replace('"MW": 2.0,', '"MW": -Infinity,')
    )
    ask.send(body.encode())


def mercator_anyway(ask: Ask) -> None:
    answer = ask.fetch(outSR="4326")
    for feature in answer["features"]:
        shape = feature.get("geometry") or {}
        shape["paths"] = [[mercator(x, y) for x, y, *_ in path] for path in shape.get("paths", [])]
    ask.send(answer | {"spatialReference": {"wkid": 102100, "latestWkid": 3857}})


def curves(ask: Ask) -> None:
    answer = ask.fetch()
    for feature in answer["features"]:
        if feature["attributes"].get("OBJECTID") == ask.proxy.state["hidden"]:
            feature["geometry"] = {"curvePaths": [[[0, 0], {"c": [[3, 3], [1, 4]]}]]}
    ask.send(answer)


def null_geometry(ask: Ask) -> None:
    answer = ask.fetch()
    for number, feature in enumerate(answer["features"][:4]):
        feature.pop("geometry")
        if number:
            feature["geometry"] = [None, {}, {"paths": []}][number - 1]
    ask.send(answer)


def no_identity(ask: Ask) -> None:
    """A layer without an object id, as views over some databases are."""
    if ask.is_metadata:
        answer = ask.fetch()
        answer.pop("objectIdField", None)
        answer.pop("uniqueIdField", None)
        if "fields" in answer:
            answer["fields"] = [each for each in answer["fields"] if each["type"] != "esriFieldTypeOID"]
        ask.send(answer)
    elif "OBJECTID" in json.dumps(ask.params):
        ask.send(error(400, "Cannot perform query.", "'OBJECTID' is not a field"))
    elif ask.params.get("returnIdsOnly", "").lower() == "true":
        ask.send({"objectIdFieldName": "", "objectIds": None})
    elif not ask.wants_rows:
        ask.send(ask.fetch())
    else:
        answer = ask.fetch()
        for feature in answer["features"]:
            feature["attributes"].pop("OBJECTID")
        ask.send(answer)


def where_ignored(ask: Ask) -> None:
    ask.send(ask.fetch(where="1=1") if not ask.is_metadata else ask.fetch())


def ids_refused(ask: Ask) -> None:
    """The object id may not be used in where; objectIds work (layers joined at the server)."""
    if "OBJECTID" in ask.params.get("where", ""):
        ask.send(error(400, "Unable to complete operation.", "Unable to perform query operation."))
    else:
        ask.send(ask.fetch())


def only_offsets(ask: Ask) -> None:
    if "objectIds" in ask.params:
        ask.send(error(400, "Invalid query parameters."))
    else:
        ids_refused(ask)


def dies(ask: Ask, after: int = 4) -> None:
    if ask.page > after or (ask.proxy.pages >= after and not ask.wants_rows):
        ask.send(error(500, "Service Fake/MapServer not started"))
    else:
        ask.send(ask.fetch())


def refuses(*names: str) -> Callable[[Ask], None]:
    """Some questions are answered with an error."""

    def mode(ask: Ask) -> None:
        refused = any(name in ask.params for name in names)
        ask.send(error(400, "Unable to complete operation.") if refused else ask.fetch())

    return mode


def send(status: int, body: bytes | Answer, **headers: str) -> Callable[[Ask], None]:
    return lambda ask: ask.send(
        body, status, {name.replace("_", "-"): text for name, text in headers.items()}
    )


def needs_referer(ask: Ask) -> None:
    if ask.handler.headers.get("Referer") != "https://maps.example.com/":
        ask.send(b"<html><title>403 Forbidden</title></html>", 403, {"Content-Type": "text/html"})
    else:
        ask.send(ask.fetch())


def login_redirect(ask: Ask) -> None:
    ask.send(b"", 302, {"Location": "https://login.example.com/oauth2/authorize?client_id=x"})


QUERY_ERROR = error(500, "Error performing query operation")
MODES: dict[str, Callable[[Ask], None]] = {
    "none": lambda ask: ask.send(ask.fetch()),
    "err200_once": once(send(200, QUERY_ERROR)),
    "err200_always": only_rows(send(200, QUERY_ERROR)),
    "e503_once": once(send(503, b"<html>busy</html>", Retry_After="7", Content_Type="text/html")),
    "e429_once": once(send(429, b"slow down", Retry_After="500", Content_Type="text/plain")),
    "html200_once": once(send(200, HTML, Content_Type="text/html")),
    "html200_always": only_rows(send(200, HTML, Content_Type="text/html")),
    "truncated_once": once(truncated),
    "truncated_plain_once": once(truncated_plain),
    "false_encoding": lambda ask: ask.send(ask.fetch(), headers={"Content-Encoding": "gzip"}),
    "reset_once": once(reset),
    "reset_always": only_rows(reset),
    "cap1000": capped(1000, flag=True),
    "cap1000_unflagged": capped(1000, flag=False),
    "big504": heavy(600, send(504, b"<html>Gateway Timeout</html>", Content_Type="text/html")),
    "bigerr200": heavy(600, send(200, QUERY_ERROR)),
    "poisoned_row": only_rows(poisoned),
    "offset_ignored": lambda ask: ask.send(ask.fetch(resultOffset=None)),
    "unstable_order": only_rows(unstable),
    "row_deleted": row_vanishes(appears=False),
    "row_inserted": row_vanishes(appears=True),
    "token_required": lambda ask: ask.send(error(499, "Token Required")),
    "token_expires": token_expires,
    "bare_nan": only_rows(bare_nan),
    "not_started": send(200, error(500, "Service Fake/MapServer not started")),
    "dies": dies,
    "invalid_url": send(200, error(400, "Invalid URL", "Invalid URL")),
    "flag_never": flag(False),
    "flag_always": flag(True),
    "no_statistics": refuses("outStatistics"),
    "no_ids": refuses("returnIdsOnly"),
    "no_count": refuses("returnCountOnly"),
    "neither_statistics_nor_ids": refuses("outStatistics", "returnIdsOnly"),
    "out_sr_ignored": only_rows(mercator_anyway),
    "referer_gate": needs_referer,
    "login_redirect": login_redirect,
    "file_redirect": lambda ask: ask.send(b"", 302, {"Location": "file:///etc/passwd"}),
    "curves": only_rows(curves),
    "null_geometry": only_rows(null_geometry),
    "no_identity": no_identity,
    "where_ignored": where_ignored,
    "ids_refused_in_where": ids_refused,
    "only_offsets": only_offsets,
}


@contextlib.contextmanager
def fault_proxy(service_url: str, mode: str, **state: Any) -> Iterator[tuple[str, FaultProxy]]:
    """Stand before a service; the value is the proxied service URL and the proxy, whose mode may be changed."""
    parts = urllib.parse.urlsplit(service_url)
    proxy = FaultProxy(f"{parts.scheme}://{parts.netloc}", mode, state=state)

    class ProxyHandler(Handler):
        def respond(self, path: str, params: dict[str, str]) -> None:
            ask = Ask(proxy, self, path, params, 0)
            with proxy.lock:
                proxy.requests += 1
                proxy.pages += ask.wants_rows
                ask.page = proxy.pages
            MODES[proxy.mode](ask)

    with serve(ProxyHandler) as root:
        yield root + parts.path, proxy
