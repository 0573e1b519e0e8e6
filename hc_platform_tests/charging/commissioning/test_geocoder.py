"""The Census geocoder's client against a loopback server with the documented answers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hc_platform.charging.commissioning.geocoder import GeocoderError, Place, locate


def match(address: str, lat: Any, lon: Any, **parts: str) -> dict[str, Any]:
    return {
        "tigerLine": {"side": "L", "tigerLineId": "1"},
        "coordinates": {"x": lon, "y": lat},
        "addressComponents": {"fromAddress": "100", "toAddress": "198", "streetName": "MAIN", **parts},
        "matchedAddress": address,
    }


def answer(*matches: dict[str, Any]) -> bytes:
    benchmark = {"isDefault": True, "id": "4", "benchmarkName": "Public_AR_Current"}
    asked = {"address": {"address": "as asked"}, "benchmark": benchmark}
    return json.dumps({"result": {"input": asked, "addressMatches": list(matches)}}).encode()


@contextmanager
def geocoder(body: bytes = b"", status: int = 200, silent: bool = False) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if silent:
                over.wait()
                return
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def test_one_match_with_its_zip_and_state() -> None:
    body = answer(match("100 MAIN ST, EXAMPLETON, CO, 80001", 38.83, -104.82, zip="80001", state="CO"))
    with geocoder(body) as (url, asked):
        assert locate(" 100 Main St #5, Exampleton ", url) == [
            Place("100 MAIN ST, EXAMPLETON, CO, 80001", 38.83, -104.82, "80001", "CO")
        ]
    split = urlsplit(asked[0])
    assert split.path == "/geocoder/locations/onelineaddress"
    assert parse_qs(split.query) == {
        "address": ["100 Main St #5, Exampleton"],
        "benchmark": ["Public_AR_Current"],
        "format": ["json"],
    }


def test_several_matches_are_all_told_and_none_is_no_error() -> None:
    body = answer(match("100 N MAIN ST", 38.8, -104.8), match("100 S MAIN ST", 38.7, -104.8))
    with geocoder(body) as (url, _):
        assert [(place.address, place.zip) for place in locate("100 Main", url)] == [
            ("100 N MAIN ST", None),
            ("100 S MAIN ST", None),
        ]
    with geocoder(answer()) as (url, _):
        assert locate("1 Nowhere", url) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"result": {}}',
        answer(match("a", None, 1)),
        answer(match("a", 91, 1)),
        b"[" * 9_999,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_an_answer_of_another_shape_is_an_error(body: bytes) -> None:
    with geocoder(body) as (url, _), pytest.raises(GeocoderError, match="documentation"):
        locate("100 Main", url)


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
def test_a_failure_is_told_with_its_status(status: int) -> None:
    with geocoder(b"{}", status) as (url, _), pytest.raises(GeocoderError, match=str(status)):
        locate("100 Main", url)


def test_an_endless_answer_silence_and_no_server_are_errors() -> None:
    with geocoder(b" " * (2**20 + 1)) as (url, _), pytest.raises(GeocoderError, match="longer"):
        locate("100 Main", url)
    with geocoder(silent=True) as (url, _), pytest.raises(GeocoderError, match=r"within 0\.2 s"):
        locate("100 Main", url, timeout_s=0.2)
    with pytest.raises(GeocoderError, match="no connection"):
        locate("100 Main", url)


def test_an_empty_address_is_refused_before_anything_is_asked() -> None:
    with geocoder() as (url, asked):
        with pytest.raises(ValueError, match="empty"):
            locate("  ", url)
        assert asked == []
