"""How a request of a utility is dressed: its headers, and a token where the config signs in.

What belongs here: tokens from the environment, from generateToken and from OAuth, and which hosts may see them.
What does not: sending the requests (`arcgis.transport`), saying what a refusal means (`arcgis_source`).
"""

import hashlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from hc_platform import arcgis
from hc_platform.arcgis.errors import mask
from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import Auth, UtilityConfig
from hc_platform.settings import secret
from hc_platform.sources.base import SignInError, SourceError, SourceOptions

_MINUTES = 60  # what a token is asked for; servers give less where they want
_MARGIN_S = 60.0  # a token that lives no longer than this is renewed before it is used


@dataclass(frozen=True)
class _Token:
    text: str
    expires: float  # seconds since 1970


# by a hash of who signs in where: one token serves all layers of a process, and one thread at a time asks for it
_held: dict[str, _Token] = {}
_locks: dict[str, threading.Lock] = {}


def http_for(
    config: UtilityConfig, layer: LayerConfig, options: SourceOptions, url: str
) -> arcgis.HttpOptions:
    """How to ask an address for a layer: with its headers, and signed in where `may_see_token`."""
    headers = {"User-Agent": options.user_agent, **config.headers_of(layer)}
    signs_in = config.auth if may_see_token(config, url) else None
    return arcgis.HttpOptions(
        min_interval_s=options.min_interval_s,
        in_flight=options.in_flight,
        timeout_s=options.timeout_s,
        attempts=options.attempts,
        headers=headers,
        token=partial(_token, config.utility_code, signs_in, options, headers) if signs_in else None,
    )


def may_see_token(config: UtilityConfig, url: str) -> bool:
    """Whether the config signs in at that address: on the hosts it names itself, and on token_url's own site.

    A search tells addresses that no person has looked at; a token must not go just anywhere. The site of
    www.arcgis.com is arcgis.com with all its hosts.
    """
    if config.auth is None:
        return False
    found = [d for layer in config.layers if (d := config.discovery_of(layer))]
    named = [config.service_url, *(x.service_url for x in config.layers), *(d.folder for d in found)]
    if _origin(url) in {_origin(address) for address in named if address}:
        return True
    if config.auth.token_url is None:
        return False
    asked, home = urlsplit(url), urlsplit(config.auth.token_url)
    site = (home.hostname or "").removeprefix("www.")
    host = asked.hostname or ""
    return asked.scheme == home.scheme and (host == site or host.endswith(f".{site}"))


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _token(
    code: str, auth: Auth, options: SourceOptions, headers: Mapping[str, str], refused: str | None = None
) -> str:
    """A token that may be used now, another than the one that the server refused. Raises SourceError."""
    word, identity = _secrets(code, auth)
    if auth.method == "token":
        return word
    form = _form(auth, headers, word, identity)
    key = hashlib.blake2b(repr((auth.token_url, sorted(form.items()))).encode()).hexdigest()
    with _locks.setdefault(key, threading.Lock()):
        held = _held.get(key)
        if held is None or held.text == refused or held.expires < time.time() + _MARGIN_S:
            held = _held[key] = _sign_in(code, auth, options, headers, form)
        return held.text


def _secrets(code: str, auth: Auth) -> tuple[str, str]:
    """The secret, and the name it belongs to ('' for a bare token). Raises SourceError naming what is not set."""
    try:
        return secret(auth.secret), secret(auth.identity) if auth.identity else ""
    except LookupError as error:
        raise SourceError(f"{code} must sign in: {error.args[0]}") from None


def _sign_in(
    code: str, auth: Auth, options: SourceOptions, headers: Mapping[str, str], form: Mapping[str, str]
) -> _Token:
    """Ask token_url for a token, by POST: an address stands in logs. Raises SourceError, without the secrets."""
    url = auth.token_url or ""
    where = f"{code}: signing in at {url} as {auth.identity} with {auth.secret}"

    @retry(
        retry=retry_if_exception_type(httpx.TransportError),
        stop=stop_after_attempt(options.attempts),
        wait=wait_random_exponential(max=30),
        reraise=True,
    )
    def ask() -> httpx.Response:
        return httpx.post(url, data=form, headers=dict(headers), timeout=options.timeout_s)

    try:
        answer = ask()
    except httpx.TransportError as error:
        words = mask(str(error)) or type(error).__name__
        raise SourceError(f"{where} failed: {words}", retryable=True) from None
    if answer.is_redirect:
        raise SourceError(f"{where}: it redirects, and a password is not sent on; correct token_url")
    try:
        told = answer.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        passing = answer.status_code in (429, 500, 502, 503, 504)
        raise SourceError(f"{where}: HTTP {answer.status_code} and no JSON", retryable=passing)
    text = told.get("token") or told.get("access_token")
    if "error" in told or not text:
        words = _words(told)
        for name in ("password", "client_secret", "username", "client_id"):
            words = words.replace(form.get(name) or "\0", "***")
        raise SignInError(f"{where} was refused: {mask(words)}. Check what both variables hold")
    return _Token(str(text), _expires(told))


def _form(auth: Auth, headers: Mapping[str, str], word: str, identity: str) -> dict[str, str]:
    if auth.method == "oauth_app":
        return {
            "client_id": identity,
            "client_secret": word,
            "grant_type": "client_credentials",
            "expiration": str(_MINUTES),
            "f": "json",
        }
    # a token is bound to what will ask with it: the Referer that every request carries, else this address
    referer = next((v for k, v in headers.items() if k.lower() == "referer"), None)
    bound = {"client": "referer", "referer": referer} if referer else {"client": "requestip"}
    return {"username": identity, "password": word, **bound, "expiration": str(_MINUTES), "f": "json"}


def _expires(told: Mapping[str, Any]) -> float:
    """When a token ends: `expires` in milliseconds since 1970, or `expires_in` in seconds; else it is trusted."""
    if isinstance(told.get("expires"), int | float):
        return float(told["expires"]) / 1000
    return time.time() + float(told.get("expires_in") or _MINUTES * 60)


def _words(told: Mapping[str, Any]) -> str:
    """What a refusal says, in Esri's shape or OAuth's."""
    error = told.get("error")
    if isinstance(error, dict):
        details = error.get("details") or []
        parts = [error.get("message"), *(details if isinstance(details, list) else [details])]
    else:
        parts = [error, told.get("error_description")]
    return "; ".join(str(part) for part in parts if part) or "no token came"
