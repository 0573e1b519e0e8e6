"""One HTTP session with a layer's host: politeness, retries, tokens, redirects.

Belongs here: how a question is sent and how often. Does not belong here: what a body says (payload,
errors) and what to ask next (pull).
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from hc_platform.arcgis import payload
from hc_platform.arcgis.errors import ArcGISError, Kind

USER_AGENT = "hc_platform/0.1 (open hosting-capacity data; set a contact with the User-Agent header)"
MAX_URL = 2000  # bytes; longer questions are sent with POST
MAX_RETRY_AFTER_S = 120.0
MAX_REDIRECTS = 5
_READERS = (
    1  # answers decoded at a time: one that waits is small, a decoded page is not, and one core is plenty
)
_PATIENCE = 5  # an answer that drips in may take so many times the timeout
_NO_CONNECTION = 0  # a status of our own: worth another try, and the server is down if none succeeds
_AGAIN: frozenset[Kind] = frozenset({"retry", "shrink", "blocked", "schema"})

T = TypeVar("T")


@dataclass(frozen=True)
class HttpOptions:
    """How to behave towards a server.

    `min_interval_s` is the least time between two request starts to one host, over all layers and threads
    of this process; `in_flight` the concurrent requests per layer; `timeout_s` how long a silence may
    last; `attempts` how often one request is tried, with a random wait of up to `max_backoff_s` between.
    `headers` override ours (Referer, User-Agent). `token` is called with None when a token is needed, and
    after the server says that one has expired with that one, to give another.
    """

    min_interval_s: float = 0.5
    in_flight: int = 4
    timeout_s: float = 120.0
    attempts: int = 3
    max_backoff_s: float = 30.0
    headers: Mapping[str, str] = field(default_factory=dict)
    token: Callable[[str | None], str] | None = None


@dataclass
class Counters:
    """What a session has done so far."""

    requests: int = 0
    retries: int = 0
    bytes_received: int = 0


class _Politeness:
    """When the next request to each host may start: one timetable for the whole process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}

    def wait_s(self, host: str, interval: float) -> float:
        """Book the next start at the host; the answer is how long to wait for it, in seconds."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next.get(host, now))
            self._next[host] = start + interval
            return start - now

    def hold(self, host: str, seconds: float) -> None:
        """Let nothing start at the host for so long: the server asked for it."""
        with self._lock:
            self._next[host] = max(self._next.get(host, 0.0), time.monotonic() + seconds)


_politeness = _Politeness()


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities to trust, read once: it takes 30 ms, and a layer is asked in several sessions."""
    return httpx.create_ssl_context()


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


class Session:
    """Questions to one server. Use as `async with Session(http) as session: await session.ask(url,
    params, decoder)`.
    """

    def __init__(self, http: HttpOptions) -> None:
        self.http = http
        self.counters = Counters()
        self._slots = asyncio.Semaphore(http.in_flight)
        self._readers = asyncio.Semaphore(_READERS)
        self._token: str | None = None
        self._signing = asyncio.Lock()
        self._client = httpx.AsyncClient(
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip", "Accept": "application/json, */*"}
            | dict(http.headers),
            timeout=http.timeout_s,
            verify=_trusted(),
            limits=httpx.Limits(max_connections=http.in_flight, max_keepalive_connections=http.in_flight),
        )

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def ask(self, url: str, params: Mapping[str, str], decoder: Callable[[bytes], T]) -> T:
        """The decoded answer to one question, `f=json` added, tried `attempts` times.

        `decoder` runs in a worker thread and gets a body that is JSON and no error. Raises ArcGISError.
        """
        url, own = split_url(url)
        question = {**own, "f": "json", **params}
        token = refused = None
        while True:
            try:
                async for attempt in AsyncRetrying(
                    stop=stop_after_attempt(self.http.attempts),
                    retry=retry_if_exception(_worth_another_try),
                    wait=self._wait_s,
                    sleep=_sleep,
                    reraise=True,
                ):
                    with attempt:
                        self.counters.retries += attempt.retry_state.attempt_number > 1
                        token = await self._signed_in(refused)
                        return await self._try(url, question, decoder, token)
            except ArcGISError as error:
                if error.status == _NO_CONNECTION:
                    raise ArcGISError("down", error.what, url) from None
                if error.status != 498 or token is None or refused is not None:
                    raise
                refused = token  # expired: ask with another, once

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, ArcGISError) and error.retry_after is not None:
            return error.retry_after
        return float(wait_random_exponential(multiplier=1, max=self.http.max_backoff_s)(state))

    async def _signed_in(self, refused: str | None) -> str | None:
        """The token to ask with, another than the refused one; None where none is needed."""
        if self.http.token is None:
            return None
        async with self._signing:  # of many requests that meet an expired token, the first renews it for all
            if self._token is None or self._token == refused:
                self._token = await asyncio.to_thread(self.http.token, refused)
            return self._token

    async def _try(
        self, url: str, question: dict[str, str], decoder: Callable[[bytes], T], token: str | None
    ) -> T:
        if token is not None:
            question = {**question, "token": token}
        body, status, headers, final_url = await self._send(url, question)

        def read() -> T:
            plain = payload.inflate(body, headers.get("content-encoding", ""), final_url)
            return payload.parse(plain, decoder, final_url, status, headers.get("content-type", ""))

        try:
            async with self._readers:
                return await asyncio.to_thread(read)
        except ArcGISError as error:
            if status in (429, 503) or error.kind == "retry":
                error.retry_after = _retry_after_s(headers.get("retry-after"))
                if error.retry_after:
                    _politeness.hold(urlsplit(final_url).netloc, error.retry_after)
            if token:
                error.args = tuple(str(arg).replace(token, "***") for arg in error.args)
                error.what = error.what.replace(token, "***")
            raise

    async def _send(self, url: str, question: dict[str, str]) -> tuple[bytes, int, httpx.Headers, str]:
        """One answer's raw bytes, after redirects that stay harmless."""
        query = urlencode(question)
        # POST keeps tokens out of URLs, which proxies and httpx itself write to logs
        method = "POST" if len(url) + 1 + len(query) > MAX_URL or "token" in question else "GET"
        target = url if method == "POST" else f"{url}?{query}"
        for _ in range(MAX_REDIRECTS + 1):
            body, status, headers = await self._exchange(
                method, target, question if method == "POST" else None
            )
            if status not in (301, 302, 303, 307, 308) or "location" not in headers:
                return body, status, headers, url
            target = self._redirected(target, headers["location"], question)
            if status == 303:
                method = "GET"
        raise ArcGISError("moved", f"more than {MAX_REDIRECTS} redirects", url)

    def _redirected(self, source: str, location: str, question: Mapping[str, str]) -> str:
        target = urljoin(source, location)
        parts = urlsplit(target)
        shown = f"{parts.scheme}://{parts.netloc}{parts.path}"
        if parts.scheme not in ("http", "https"):
            raise ArcGISError("blocked", f"a redirect to {shown} was refused", source)
        words = (parts.netloc + parts.path).lower()
        if any(sign in words for sign in ("login", "signin", "sign-in", "oauth2", "saml", "adfs", "sso.")):
            raise ArcGISError("auth", f"redirected to a login page, {shown}", source)
        if "token" in question or self.http.headers:
            before = urlsplit(source)
            if parts.netloc != before.netloc:
                raise ArcGISError(
                    "moved", f"redirected to another host, {shown}, where our credentials do not go", source
                )
            if before.scheme == "https" and parts.scheme == "http":
                raise ArcGISError(
                    "moved", f"redirected to {shown}, where our credentials would go in clear", source
                )
        return target

    async def _exchange(
        self, method: str, url: str, form: Mapping[str, str] | None
    ) -> tuple[bytes, int, httpx.Headers]:
        async with self._slots:
            wait_s = _politeness.wait_s(urlsplit(url).netloc, self.http.min_interval_s)
            if wait_s > 0:
                await _sleep(wait_s)
            self.counters.requests += 1
            try:
                async with (
                    asyncio.timeout(_PATIENCE * self.http.timeout_s),
                    self._client.stream(method, url, data=form) as response,
                ):
                    parts: list[bytes] = []
                    size = 0
                    async for part in response.aiter_raw():
                        size += len(part)
                        if size > payload.MAX_BODY:
                            raise payload.too_large(url)
                        parts.append(part)
                    self.counters.bytes_received += size
                    return b"".join(parts), response.status_code, response.headers
            except TimeoutError:
                waited = f"no whole answer within {_PATIENCE * self.http.timeout_s:g} s"
                raise ArcGISError("shrink", waited, url) from None
            except httpx.TimeoutException as error:
                kind: Kind = "down" if isinstance(error, httpx.ConnectTimeout) else "shrink"
                raise ArcGISError(kind, f"no answer within {self.http.timeout_s:g} s", url) from None
            except httpx.ConnectError as error:
                raise ArcGISError(
                    "retry", f"could not connect ({error})", url, status=_NO_CONNECTION
                ) from None
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                words = str(error) or type(error).__name__
                raise ArcGISError("retry", f"the connection broke ({words})", url) from None


def _worth_another_try(error: BaseException) -> bool:
    return isinstance(error, ArcGISError) and error.kind in _AGAIN and error.status != 403


def _retry_after_s(header: str | None) -> float | None:
    """Seconds in a Retry-After header (a number, or a date), capped at MAX_RETRY_AFTER_S."""
    if not header:
        return None
    with suppress(ValueError):
        return min(max(float(header), 0.0), MAX_RETRY_AFTER_S)
    with suppress(ValueError):
        return min(max(parsedate_to_datetime(header).timestamp() - time.time(), 0.0), MAX_RETRY_AFTER_S)
    return None


def split_url(url: str) -> tuple[str, dict[str, str]]:
    """A URL without its query, and the query's parameters (`f` dropped). Raises ArcGISError unless http
    or https.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ArcGISError("bad_request", "only http and https addresses are fetched", url)
    own = {key: value for key, value in parse_qsl(parts.query) if key != "f"}
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", "")), own


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end from synchronous code, also inside a notebook, where a loop is already
    running.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
