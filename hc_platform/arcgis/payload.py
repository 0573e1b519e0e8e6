"""Bytes of an answer to checked JSON: decompression, NaN, error bodies, HTML.

Belongs here: everything that must hold before an answer may be believed. Does not belong here: sending
requests (transport) and what a page of features means (decode).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from hc_platform.arcgis.errors import ArcGISError, Kind, classify

MAX_BODY = 256 * 1024 * 1024  # bytes, compressed or not: no page of a few thousand features comes near

T = TypeVar("T")


class ErrorBody(msgspec.Struct):
    """The `error` object that ArcGIS sends, mostly with HTTP 200."""

    code: int | None = None
    message: str | None = None
    details: list[Any] | str | None = None
    messageCode: str | None = None  # noqa: N815 (Esri's name)


class _Head(msgspec.Struct):
    error: msgspec.Raw = msgspec.Raw(b"null")


def inflate(body: bytes, encoding: str, url: str) -> bytes:
    """The plain bytes of a body. What the header says about compression is a hint; the bytes decide.

    A gzip stream is read to its end, where its checksum is verified, so a cut body is noticed. Raises
    ArcGISError (`retry`) for a damaged body and (`shrink`) for one beyond MAX_BODY.
    """
    if body[:2] == b"\x1f\x8b":
        plain = _gunzip(body, url)
    elif encoding == "deflate" and body[:1] not in (b"{", b"<", b"["):
        plain = _undeflate(body, url)
    else:
        plain = body
    return plain.removeprefix(b"\xef\xbb\xbf")


def _gunzip(body: bytes, url: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    while body[:2] == b"\x1f\x8b":  # a body may hold several gzip members
        stream = zlib.decompressobj(wbits=31)
        try:
            part = stream.decompress(body, MAX_BODY + 1 - size)
        except zlib.error as error:
            raise ArcGISError("retry", f"the compressed answer is damaged ({error})", url) from None
        size += len(part)
        if size > MAX_BODY:
            raise too_large(url)
        if not stream.eof:
            raise ArcGISError("retry", f"the compressed answer was cut off after {len(body)} bytes", url)
        parts.append(part)
        body = stream.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _undeflate(body: bytes, url: str) -> bytes:
    for wbits in (15, -15):  # zlib stream as the standard says, raw deflate as some servers send
        stream = zlib.decompressobj(wbits=wbits)
        try:
            plain = stream.decompress(body, MAX_BODY + 1)
        except zlib.error:
            continue
        if len(plain) > MAX_BODY:
            raise too_large(url)
        if stream.eof:
            return plain
    raise ArcGISError("retry", "the deflated answer is damaged or cut off", url)


def too_large(url: str) -> ArcGISError:
    """The error for an answer beyond MAX_BODY."""
    return ArcGISError("shrink", f"the answer is larger than {MAX_BODY // 2**20} MB", url)


_TOKENS = re.compile(
    rb'"(?:[^"\\]|\\.)*"|[-+]?\b(?:NaN|Infinity|nan|inf)\b|[-+]?1\.#(?:QNAN|IND|INF)\w*', re.DOTALL
)
_CONTROL = re.compile(rb"[\x00-\x1f]")


def repair(body: bytes) -> tuple[bytes, int]:
    """The body with what JSON forbids but servers send made valid, and how many NaN or Infinity became
    null.

    Every other byte stays as it was sent: raw control characters inside strings are escaped, nothing else
    changes.
    """
    nulls = 0

    def mend(match: re.Match[bytes]) -> bytes:
        nonlocal nulls
        token = match.group()
        if token[:1] == b'"':
            return _CONTROL.sub(lambda m: b"\\u%04x" % m.group()[0], token)
        nulls += 1
        return b"null"

    return _TOKENS.sub(mend, body), nulls


def parse(
    body: bytes, decoder: Callable[[bytes], T], url: str, status: int = 200, content_type: str = ""
) -> T:
    """Decode a plain body, after refusing everything that only looks like an answer.

    Raises ArcGISError for an HTTP error status, an `error` object inside HTTP 200, HTML, and text that is
    not JSON.
    """
    start = body[:64].lstrip()
    if start[:1] not in (b"{", b"["):
        raise _not_json(body, url, status, content_type)
    if status >= 400 or b'"error"' in body[:200] or b'"error"' in body[-2000:]:
        _raise_error_body(body, url, status)
    try:
        return decoder(body)
    except msgspec.ValidationError as error:
        raise ArcGISError("schema", f"unexpected answer ({error})", url, status=status) from None
    except msgspec.DecodeError as error:
        raise ArcGISError("retry", f"the answer is not whole JSON ({error})", url, status=status) from None


def read_json(body: bytes, as_type: type[T]) -> T:
    """Decode plain JSON to a type, mending NaN, Infinity and control characters where they occur."""
    try:
        return msgspec.json.decode(body, type=as_type)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body.decode("utf-8", errors="replace").encode()
        return msgspec.json.decode(repair(text)[0], type=as_type)


def _raise_error_body(body: bytes, url: str, status: int) -> None:
    """Raise for an error object; return when the body has none and the status is fine."""
    try:
        raw = bytes(read_json(body, _Head).error)
    except msgspec.MsgspecError:
        raw = b"null"
    error: ErrorBody | None = None
    if raw != b"null":
        try:
            error = msgspec.json.decode(raw, type=ErrorBody)
        except msgspec.MsgspecError:
            error = ErrorBody(message=raw[:200].decode("utf-8", "replace"))
    if error is None and status < 400:
        return
    if error is None:
        words = body[:200].decode("utf-8", "replace")
        raise ArcGISError(classify(status, words), f"HTTP {status}, {words}", url, status=status)
    details = error.details if isinstance(error.details, list) else [error.details]
    words = " ".join(str(part) for part in [error.message, *details] if part)
    code = error.code or (status if status >= 400 else None)
    kind: Kind = "blocked" if error.messageCode in _GATES else classify(code, words)
    name = f"{code} ({error.messageCode})" if error.messageCode else f"{code}"
    raise ArcGISError(kind, f"the server answered error {name}: {words[:300]}", url, status=code)


# what Esri's proxies of secured services (usrsvcs) say to who comes without the Referer they know; their words speak
# of permissions, as if somebody could sign in
_GATES = ("GWM_0003",)

_LOGIN = re.compile(
    rb"<input[^>]+type=[\"']?password|sign[ -]?in|log[ -]?in|oauth2/authorize|saml", re.IGNORECASE
)


def _not_json(body: bytes, url: str, status: int, content_type: str) -> ArcGISError:
    head = body[:200].decode("utf-8", "replace").strip()
    shown = (
        f"HTTP {status}, {content_type or 'no content type'}, {len(body)} bytes: {head or 'an empty body'}"
    )
    if status >= 400:
        return ArcGISError(classify(status, ""), shown, url, status=status)  # a web page's words mislead
    if not body:
        return ArcGISError("retry", shown, url, status=status)
    if _LOGIN.search(body[:20_000]):
        return ArcGISError("auth", f"a login page came instead of JSON ({shown})", url, status=status)
    return ArcGISError("blocked", f"a web page came instead of JSON ({shown})", url, status=status)
