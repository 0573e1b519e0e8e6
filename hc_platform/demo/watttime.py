"""A loopback WattTime that speaks API v3 as documented, with a clock to set and faults to order.

What belongs here: the answers' documented shapes, made-up but steady MOER curves, the faults. What does not: real data,
or anything that the platform itself needs to run. The platform's client talks to it unmodified, by its base URL.
"""

import base64
import json
import math
import threading
import zlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from hc_platform.charging.moer.readings import percentile_of_forecast

USERNAME: Final = "demo"
PASSWORD: Final = "demo-only"  # noqa: S105 opens nothing but this server

_STEP = timedelta(minutes=5)
_PLACES = {
    "CAISO_NORTH": (37.8, -122.3),
    "WACM": (38.8, -104.8),
    "PSCO": (39.7, -105.0),
    "ERCOT_NORTHCENTRAL": (32.8, -96.8),
    "ISONE_WCMA": (42.3, -72.6),
}
_MODEL = {"date": "2023-03-01", "type": "binned_regression"}


@dataclass(frozen=True)
class Fault:
    """What befalls one request. Nothing set: the proper answer, so that a script can let some pass."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    silent: bool = False
    """Accept the request and never answer."""
    value: Any = None
    """Instead of the signal index's value: NaN, -1, 150, a text."""
    shift_s: float = 0.0
    """Moves the signal index's point_time."""


UNAUTHORIZED: Final = Fault(status=401)
FORBIDDEN: Final = Fault(status=403)
UNAVAILABLE: Final = Fault(status=503)
SILENT: Final = Fault(silent=True)
EMPTY: Final = Fault(status=200, body=b'{"data": [], "meta": {"units": "percentile"}}')


def throttled(retry_after: str | None = None) -> Fault:
    """HTTP 429, with a Retry-After if one is given."""
    return Fault(status=429, headers={"Retry-After": retry_after} if retry_after else {})


def daily_curve(region: str, at: datetime) -> float:
    """A steady MOER in lbs CO2/MWh: low around solar noon, high in the evening, shifted a little by region."""
    phase = zlib.crc32(region.encode()) % 97 / 97
    hour = at.hour + at.minute / 60 - 8 + 2 * phase
    day = math.sin((hour - 9) / 24 * 2 * math.pi - math.pi / 2)
    return round(850 + 100 * phase + 260 * day + 60 * math.sin(hour / 24 * 10 * math.pi), 3)


def nearest_place(lat: float, lon: float) -> str | None:
    """The nearest of a few regions, None where none is within five degrees."""
    region, (near, far) = min(_PLACES.items(), key=lambda item: math.dist(item[1], (lat, lon)))
    return region if math.dist((near, far), (lat, lon)) <= 5 else None


class DemoWattTime:
    """The server's state. Read `requests`; set `now`, `date_offset_s`, `denied` or order faults while it runs."""

    def __init__(
        self,
        *,
        index: Callable[[str, datetime], float] | None = None,
        moer: Callable[[str, datetime], float] = daily_curve,
        locate: Callable[[float, float], str | None] = nearest_place,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        denied: Iterable[str] = (),
        trouble: Callable[[str, datetime], Fault | None] = lambda _region, _at: None,
        token_s: float = 1_800.0,
    ) -> None:
        self.url = ""
        self.index = index or self._percentile
        self.moer = moer
        self.locate = locate
        self.now = now
        self.denied = set(denied)
        self.trouble = trouble
        self.token_s = token_s
        self.date_offset_s = 0.0
        """What the Date header is ahead of `now`."""
        self.requests: Counter[tuple[str, str]] = Counter()
        """How often each path was asked for each region ('' where none is named)."""
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._tokens: dict[str, datetime] = {}
        self._scripts: defaultdict[tuple[str, str], deque[Fault]] = defaultdict(deque)

    def order(self, path: str, *faults: Fault, region: str = "", times: int = 1) -> None:
        """Let the next requests of a path (and region, if one is given) meet these faults, in turn."""
        with self._lock:
            self._scripts[path, region].extend(faults * times)

    def revoke_tokens(self) -> None:
        """Every token given so far is refused from now on."""
        with self._lock:
            self._tokens.clear()

    def answer(self, path: str, asked: Mapping[str, str], authorization: str) -> tuple[Fault, int, bytes]:
        """The ordered fault, else nothing, with the status and body that the request gets."""
        region = asked.get("region", "")
        with self._lock:
            self.requests[path, region] += 1
            script = self._scripts[path, region] or self._scripts[path, ""]
            fault = script.popleft() if script else (region and self.trouble(region, self.now())) or Fault()
        if fault.status is not None:
            return fault, fault.status, fault.body or json.dumps({"error": "ordered"}).encode()
        status, told = self._route(path, asked, authorization, fault)
        return fault, status, json.dumps(told).encode()

    def _route(
        self, path: str, asked: Mapping[str, str], authorization: str, fault: Fault
    ) -> tuple[int, Any]:
        if path == "/login":
            return self._log_in(authorization)
        with self._lock:
            ends = self._tokens.get(authorization.removeprefix("Bearer "))
        if ends is None or self.now() >= ends:
            return 401, {"error": "invalid token", "message": "the token is unknown or has expired"}
        if path == "/v3/region-from-loc":
            region = self.locate(float(asked["latitude"]), float(asked["longitude"]))
            found = {"region": region, "region_full_name": region, "signal_type": asked["signal_type"]}
            return (200, found) if region else (404, {"error": "coordinates not found"})
        region = asked.get("region", "")
        if region in self.denied:
            return 403, {"error": "Invalid scope"}
        at = _on_the_grid(self.now())
        if path == "/v3/signal-index":
            value = self.index(region, at) if fault.value is None else fault.value
            return 200, _told(region, "percentile", [(at + timedelta(seconds=fault.shift_s), value)])
        if path == "/v3/forecast":
            count = 12 * int(asked.get("horizon_hours", 24))
            meta = {"generated_at_period_seconds": 300, "generated_at": _stamp(at)}
            return 200, _told(region, "lbs_co2_per_mwh", self._moers(region, at, count), meta)
        if path == "/v3/historical":
            start, end = (datetime.fromisoformat(asked[name]) for name in ("start", "end"))
            if end - start > timedelta(days=32):
                return 400, {"error": "at most 32 days at a time"}
            first = _on_the_grid(start + _STEP - timedelta(microseconds=1))
            count = max(0, (end - first) // _STEP + 1)
            return 200, _told(region, "lbs_co2_per_mwh", self._moers(region, first, count), {"warnings": []})
        return 404, {"error": "not found"}

    def _log_in(self, authorization: str) -> tuple[int, Any]:
        expected = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        if authorization != f"Basic {expected}":
            return 403, {"error": "invalid credentials"}
        with self._lock:
            token = f"token-{self.requests['/login', '']}"
            self._tokens[token] = self.now() + timedelta(seconds=self.token_s)
        return 200, {"token": token}

    def _moers(self, region: str, start: datetime, count: int) -> list[tuple[datetime, float]]:
        times = [start + i * _STEP for i in range(count)]
        return [(at, self.moer(region, at)) for at in times]

    def _percentile(self, region: str, at: datetime) -> float:
        """By WattTime's definition, from this server's own forecast."""
        ahead = [value for _, value in self._moers(region, at + _STEP, 288)]
        return round(percentile_of_forecast(self.moer(region, at), ahead), 1)


def _on_the_grid(at: datetime) -> datetime:
    return at - (at - datetime(2000, 1, 1, tzinfo=UTC)) % _STEP


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _told(region: str, units: str, points: list[tuple[datetime, Any]], meta: Mapping[str, Any] = {}) -> Any:
    about = {"data_point_period_seconds": 300, "model": _MODEL, "region": region, "signal_type": "co2_moer"}
    data = [{"point_time": _stamp(at), "value": value} for at, value in points]
    return {"data": data, "meta": {**about, "units": units, **meta}}


@contextmanager
def serve_watttime(port: int = 0, **behaviour: Any) -> Iterator[DemoWattTime]:
    """Serve on the loopback while the context lasts; gives the server, its base URL in `url`.

    `behaviour`: what `DemoWattTime` takes. The account is `USERNAME` with `PASSWORD`.
    """
    demo = DemoWattTime(**behaviour)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else every answer waits 40 ms for the client's acknowledgement

        def do_GET(self) -> None:
            split = urlsplit(self.path)
            authorization = self.headers.get("Authorization", "")
            fault, status, body = demo.answer(split.path, dict(parse_qsl(split.query)), authorization)
            if fault.silent:
                demo.stopping.wait()
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in fault.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(demo.now() + timedelta(seconds=demo.date_offset_s), usegmt=True)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the requests are counted."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up (it gave up waiting) is no news."""

    server = Server(("127.0.0.1", port), Handler)
    demo.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield demo
    finally:
        demo.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
