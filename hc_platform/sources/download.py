"""One file from a web server: whole or not at all, politely, and from nowhere but where the config says.

What belongs here: requests, redirects, temporary files, what may stand in an error. What does not: reading the
file (`file_source`).
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

from hc_platform.arcgis.errors import mask
from hc_platform.catalog.models import UtilityConfig
from hc_platform.sources.base import AbsentError, SourceError, SourceOptions

T = TypeVar("T")
_MAX_BYTES = 2 << 30
_MAX_REDIRECTS = 5
_STALE_S = 24 * 3600  # parts that a killed process left
_NO_HEAD = (405, 501)  # statuses of servers that answer GET only


@dataclass(frozen=True)
class Downloaded:
    """A file that exists as long as the `with` around it; `edited_at` is the server's Last-Modified, UTC."""

    path: Path
    edited_at: datetime | None


@dataclass(frozen=True)
class Downloads:
    """Requests for one utility's files. Errors name the address without credentials, never an answer's content."""

    config: UtilityConfig
    options: SourceOptions

    @contextmanager
    def fetch(self, url: str) -> Iterator[Downloaded]:
        """The file under a name of its own in the import folder, removed at the end. Raises SourceError."""
        folder = self.options.import_dir.resolve() / ".downloads" / self.config.utility_code
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        handle, name = tempfile.mkstemp(suffix=Path(urlsplit(url).path).suffix, dir=folder)
        os.close(handle)
        path = Path(name)
        try:
            with self._told(url):
                edited_at = self._retrying(lambda: self._into(path, url))
            yield Downloaded(path, edited_at)
        finally:
            path.unlink(missing_ok=True)

    def state(self, url: str) -> tuple[datetime | None, int | None]:
        """Last-Modified and Content-Length without the file; None where the server tells none, or has no HEAD.

        Raises SourceError.
        """

        def head() -> tuple[datetime | None, int | None]:
            with self._answer("HEAD", url) as response:
                if response.status_code in _NO_HEAD:
                    return None, None
                response.raise_for_status()
                length = response.headers.get("content-length", "")
                return _modified(response), int(length) if length.isdecimal() else None

        with self._told(url):
            return self._retrying(head)

    def _retrying(self, work: Callable[[], T]) -> T:
        return retry(
            retry=retry_if_exception(_is_passing),
            stop=stop_after_attempt(self.options.attempts),
            wait=wait_random_exponential(max=30),
            reraise=True,
        )(work)()

    def _into(self, path: Path, url: str) -> datetime | None:
        with self._answer("GET", url) as response, path.open("wb") as out:
            response.raise_for_status()
            size = 0
            for chunk in response.iter_bytes():
                size += len(chunk)
                if size > _MAX_BYTES:
                    raise self._error(url, f"is larger than {_MAX_BYTES >> 30} GiB")
                out.write(chunk)
            return _modified(response)

    @contextmanager
    def _answer(self, method: str, url: str) -> Iterator[httpx.Response]:
        """The answer, after redirects within the same host."""
        headers = {"User-Agent": self.options.user_agent, **self.config.headers}
        target = url
        with httpx.Client(timeout=self.options.timeout_s, headers=headers) as client:
            for _ in range(_MAX_REDIRECTS + 1):
                with client.stream(method, target) as response:
                    if not response.has_redirect_location:
                        yield response
                        return
                    target = self._redirected(url, target, response.headers["location"])
        raise self._error(url, f"redirects more than {_MAX_REDIRECTS} times")

    def _redirected(self, url: str, source: str, location: str) -> str:
        try:
            target = urljoin(source, location)
            here, there = httpx.URL(source), httpx.URL(target)
        except (httpx.InvalidURL, ValueError):
            raise self._error(url, "redirects to an address that is none") from None
        same = (here.scheme, here.host, here.port) == (there.scheme, there.host, there.port)
        upgraded = (here.scheme, there.scheme, here.host) == ("http", "https", there.host)
        if not (same or (upgraded and there.port is None)) or there.userinfo:
            raise self._error(
                url,
                f"redirects to {there.scheme}://{there.host}, which is not followed: the request's headers are for "
                "this host, and any address could be asked so. If that is where the file is now, correct path",
            )
        return target

    @contextmanager
    def _told(self, url: str) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPStatusError as error:
            reason = f"could not be fetched: HTTP {error.response.status_code}"
            if error.response.status_code in (404, 410):
                raise AbsentError(str(self._error(url, reason))) from None
            raise self._error(url, reason, retryable=_is_passing(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = f"could not be fetched: {mask(str(error)) or type(error).__name__}"
            raise self._error(url, reason, retryable=_is_passing(error)) from None

    def _error(self, url: str, what: str, *, retryable: bool = False) -> SourceError:
        return SourceError(f"{self.config.utility_code}: {mask(url)} {what}", retryable=retryable)


def _modified(response: httpx.Response) -> datetime | None:
    with suppress(KeyError, ValueError):
        instant = parsedate_to_datetime(response.headers["last-modified"])
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    return None


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in (429, 500, 502, 503, 504)
    return isinstance(error, httpx.TransportError)


def _sweep(folder: Path) -> None:
    for child in folder.iterdir():
        with suppress(OSError):
            if child.stat().st_mtime < time.time() - _STALE_S:
                child.unlink()
