"""WattTime's API v3: log in, ask for regions' readings, inside a time budget.

What belongs here: HTTP with WattTime and its retries. What does not: what its answers say (`answers`), or whether a
reading can be trusted (`readings`).

Facts (docs.watttime.org): login by Basic auth gives a token for 30 minutes; 3,000 requests and 100 logins in 5 minutes,
429 beyond; 403 where the account's plan does not hold the region; the signal index is a percentile of 5-minute points.
"""

import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from statistics import median
from typing import Any, Final, NamedTuple, Self

import httpx
import polars as pl
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from hc_platform.charging.models import Reading
from hc_platform.charging.moer.answers import (
    DisabledRegionError,
    LoginError,
    WattTimeError,
    frame_of,
    index_of,
    object_of,
    points_of,
)
from hc_platform.settings import secret

__all__ = ["DisabledRegionError", "LoginError", "Place", "WattTime", "WattTimeError", "read_regions"]

BASE_URL: Final = "https://api.watttime.org"
USERNAME_VARIABLE: Final = "WATTTIME_USERNAME"
PASSWORD_VARIABLE: Final = "WATTTIME_PASSWORD"  # noqa: S105 the variable's name
TOKEN_S: Final = 1_800.0
"""How long a token is good, in seconds."""

_MARGIN_S = 300.0  # renewed so much before its end: more than any run takes
_RELOGIN_PAUSE_S = 60.0  # a 401 so soon after a re-login is not healed by another
_ATTEMPTS = 6
_MAX_BYTES = 16 * 2**20  # a month of 5-minute points is 0.6 MB
_HISTORY_DAYS = 30  # the API takes at most 32 days at a time
_THREADS = 8
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _PassingError(WattTimeError):
    """Worth another attempt: 429, 5xx, a timeout, a broken connection."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Place(NamedTuple):
    """WattTime's region of a point: its code, e.g. CAISO_NORTH, and its full name."""

    region: str
    name: str


class WattTime:
    """A session with WattTime; safe for several threads. The token lives in memory only.

    `timeout_s` bounds one request, `budget_s` (each call's) everything incl. login, waits and repeats. `monotonic`,
    `clock` and `sleep` are the machine's own unless a test gives others. Raises ValueError for a base URL that would
    carry the password in the clear (plain http is for the loopback).
    """

    def __init__(
        self,
        username: str,
        password: str,
        *,
        base_url: str = BASE_URL,
        timeout_s: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        url = httpx.URL(base_url)
        if url.scheme != "https" and url.host not in _LOOPBACK:
            raise ValueError(
                f"base_url of WattTime is {url.scheme}://{url.host}: give an https address, the password goes there"
            )
        # Redirects are not followed at all: they could carry the token to another host.
        self._http = httpx.Client(base_url=url, follow_redirects=False)
        self._auth = httpx.BasicAuth(username, password)
        self._timeout_s = timeout_s
        self._clock = clock
        self._sleep = sleep
        self.monotonic = monotonic
        self._lock = threading.Lock()
        self._token: str | None = None
        self._token_until = -math.inf
        self._relogin_at = -math.inf
        self._offsets: deque[tuple[float, float]] = deque(maxlen=256)

    @classmethod
    def from_environment(
        cls,
        username_variable: str = USERNAME_VARIABLE,
        password_variable: str = PASSWORD_VARIABLE,
        **settings: Any,
    ) -> Self:
        """A session with the credentials from these environment variables; raises LookupError naming a missing one."""
        return cls(secret(username_variable), secret(password_variable), **settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def clock_offset_s(self) -> float | None:
        """Our clock less WattTime's, in seconds (positive: ours is ahead); None before any answer.

        The median of the newest answer and those of the minute before it, so of one run; from the HTTP Date header,
        which has whole seconds: good to about a second.
        """
        with self._lock:
            since = self._offsets[-1][0] - 60 if self._offsets else 0.0
            recent = [offset for at, offset in self._offsets if at >= since]
        return median(recent) if recent else None

    def login(self, *, budget_s: float = 30.0) -> None:
        """Make sure that there is a token for some minutes; raises LoginError."""
        self._valid_token(self.monotonic() + budget_s)

    def signal_index(self, region: str, *, now: datetime, budget_s: float = 30.0) -> Reading:
        """The region's current percentile as a Reading; whatever goes wrong is told in it, nothing is raised."""
        return self._reading(region, now, self.monotonic() + budget_s)

    def get_moer_percent(self, region: str) -> float | None:
        """The region's current percentile, 0 to 100; None where there is no sensible one. Its age is not judged."""
        percentile = self.signal_index(region, now=self._clock()).percentile
        return percentile if percentile is not None and 0 <= percentile <= 100 else None

    def forecast(self, region: str, *, horizon_hours: int = 24, budget_s: float = 30.0) -> pl.DataFrame:
        """The forecast MOER: columns time (UTC) and moer (as answered, lbs CO2/MWh), by time; raises WattTimeError."""
        asked = {"region": region, "signal_type": "co2_moer", "horizon_hours": horizon_hours}
        return frame_of(points_of(self._get("/v3/forecast", asked, self.monotonic() + budget_s)))

    def historical(
        self, region: str, start: datetime, end: datetime, *, budget_s: float = 60.0
    ) -> pl.DataFrame:
        """Past MOER over [start, end]: columns as of `forecast`, one row a point; raises WattTimeError.

        Asked in pieces, for the API takes at most 32 days at a time.
        """
        deadline = self.monotonic() + budget_s
        points: dict[datetime, float] = {}
        while start <= end:
            until = min(end, start + timedelta(days=_HISTORY_DAYS))
            asked = {
                "region": region,
                "signal_type": "co2_moer",
                "start": _stamp(start),
                "end": _stamp(until),
            }
            points |= dict(points_of(self._get("/v3/historical", asked, deadline)))
            if until == end:
                break
            start = until
        return frame_of(points.items())

    def region_from_loc(self, lat: float, lon: float, *, budget_s: float = 30.0) -> Place:
        """The MOER region at a point (degrees, WGS 84); raises WattTimeError, also where WattTime has none."""
        asked = {"latitude": lat, "longitude": lon, "signal_type": "co2_moer"}
        body = self._get("/v3/region-from-loc", asked, self.monotonic() + budget_s)
        region = body.get("region")
        if not isinstance(region, str) or not region:
            raise WattTimeError("the answer of /v3/region-from-loc has no region")
        return Place(region, str(body.get("region_full_name") or region))

    def _reading(self, region: str, now: datetime, deadline: float) -> Reading:
        try:
            asked = {"region": region, "signal_type": "co2_moer"}
            at, value = index_of(self._get("/v3/signal-index", asked, deadline), region)
            return Reading(region=region, fetched_at=now, point_time=at, percentile=value)
        except WattTimeError as error:
            disabled = isinstance(error, DisabledRegionError)
            return Reading(region=region, fetched_at=now, failure=str(error), disabled=disabled)

    def _get(self, path: str, asked: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """One call with the token: again where that may help, one re-login after a 401. Raises WattTimeError."""
        token = self._valid_token(deadline)
        status, body = self._patiently(path, deadline, params=asked, headers=_bearer(token))
        if status == 401:
            token = self._relogin(token, deadline)
            status, body = self._patiently(path, deadline, params=asked, headers=_bearer(token))
        if status == 403:
            raise DisabledRegionError("http 403: the WattTime account may not read this region")
        if status != 200:
            raise WattTimeError(f"http {status}{' after a new login' if status == 401 else ''}")
        return object_of(body)

    def _valid_token(self, deadline: float) -> str:
        with self._lock:
            if self._token is None or self.monotonic() >= self._token_until - _MARGIN_S:
                self._log_in(deadline)
            return self._token or ""

    def _relogin(self, refused: str, deadline: float) -> str:
        """Another token than the refused one: the one that another thread got meanwhile, or a new one."""
        with self._lock:
            if self._token != refused and self._token is not None:
                return self._token
            if self.monotonic() - self._relogin_at < _RELOGIN_PAUSE_S:
                raise WattTimeError("http 401: WattTime refuses the token it has just given")
            self._relogin_at = self.monotonic()
            self._log_in(deadline)
            return self._token or ""

    def _log_in(self, deadline: float) -> None:
        asked_at = self.monotonic()
        try:
            status, body = self._patiently("/login", deadline, auth=self._auth, locked=True)
            token = object_of(body).get("token") if status == 200 else None
        except WattTimeError as error:
            raise LoginError(f"login at WattTime failed: {error}") from None
        if status != 200:
            raise LoginError(
                f"login at WattTime failed: http {status}; check the account's user name and password "
                f"({USERNAME_VARIABLE}, {PASSWORD_VARIABLE})"
            )
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise LoginError("login at WattTime failed: the answer has no token")
        self._token, self._token_until = token, asked_at + TOKEN_S

    def _patiently(
        self, path: str, deadline: float, *, locked: bool = False, **request: Any
    ) -> tuple[int, bytes]:
        """Status and body, tried again with growing, random pauses (or Retry-After) as long as the budget lasts."""

        def pause(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after_s if isinstance(error, _PassingError) else 0.0
            grown = min(8.0, 0.5 * 2**state.attempt_number)
            return asked + random.uniform(0, grown)  # noqa: S311 jitter, no secret

        def give_up(state: RetryCallState) -> bool:
            late = self.monotonic() + state.upcoming_sleep >= deadline
            return late or state.attempt_number >= _ATTEMPTS

        patience = Retrying(
            sleep=self._sleep,
            wait=pause,
            stop=give_up,
            retry=retry_if_exception_type(_PassingError),
            reraise=True,
        )
        return patience(self._once, path, deadline, locked, request)

    def _once(
        self, path: str, deadline: float, locked: bool, request: Mapping[str, Any]
    ) -> tuple[int, bytes]:
        left = deadline - self.monotonic()
        if left <= 0:
            raise WattTimeError("no time left in this run's budget for WattTime")
        before = self._clock()
        try:
            with self._http.stream("GET", path, timeout=min(self._timeout_s, left), **request) as response:
                self._note_clock(before, response.headers, locked)
                status = response.status_code
                if status == 429 or status >= 500:
                    raise _PassingError(f"http {status}", _retry_after(response.headers, self._clock()))
                return status, self._body(response, deadline)
        except httpx.TimeoutException:
            raise _PassingError("timeout") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _PassingError(f"no connection: {type(error).__name__}") from None

    def _body(self, response: httpx.Response, deadline: float) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _MAX_BYTES:
                raise WattTimeError(f"the answer is longer than {_MAX_BYTES} bytes")
            if self.monotonic() >= deadline:
                raise WattTimeError("timeout: the answer came too slowly")
        return bytes(body)

    def _note_clock(self, before: datetime, headers: httpx.Headers, locked: bool) -> None:
        try:
            theirs = parsedate_to_datetime(headers["Date"]) + timedelta(seconds=int(headers.get("Age", 0)))
        except (KeyError, ValueError, OverflowError):
            return
        if theirs.tzinfo is None:  # RFC 5322's "-0000": UTC without a zone
            theirs = theirs.replace(tzinfo=UTC)
        ours = before + (self._clock() - before) / 2
        offset = self.monotonic(), (ours - theirs).total_seconds()
        if locked:
            self._offsets.append(offset)
        else:
            with self._lock:
                self._offsets.append(offset)


def read_regions(
    client: WattTime, regions: Iterable[str], *, now: datetime, budget_s: float
) -> list[Reading]:
    """One Reading a region, in the order given, each asked once; within `budget_s` seconds altogether.

    Never raises for what WattTime does: a failure stands in the Reading, a failed login in every one of them.
    """
    asked = list(dict.fromkeys(regions))
    deadline = client.monotonic() + budget_s
    if not asked:
        return []
    try:
        client.login(budget_s=budget_s)
    except LoginError as error:
        return [Reading(region=region, fetched_at=now, failure=str(error)) for region in asked]

    def read(region: str) -> Reading:
        return client.signal_index(region, now=now, budget_s=deadline - client.monotonic())

    with ThreadPoolExecutor(min(_THREADS, len(asked)), thread_name_prefix="watttime") as pool:
        return list(pool.map(read, asked))


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _retry_after(headers: httpx.Headers, now: datetime) -> float:
    """Seconds that the server asks to wait (a number or a date), 0 where it does not."""
    text = headers.get("Retry-After", "")
    try:
        return (
            float(text) if text.isdecimal() else max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
        )
    except (TypeError, ValueError):
        return 0.0
