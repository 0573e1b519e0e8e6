"""An address to places, by the US Census geocoder: free, no key, addresses in the United States only.

What belongs here: that one request. What does not: choosing among several matches, which the installer does.
"""

from typing import Any, Final, NamedTuple

import httpx

BASE_URL: Final = "https://geocoding.geo.census.gov"
BENCHMARK: Final = "Public_AR_Current"

_PATH = "/geocoder/locations/onelineaddress"
_MAX_BYTES = 2**20


class GeocoderError(Exception):
    """The geocoder gave no usable answer; the message says why. No match is no error."""


class Place(NamedTuple):
    """One match: the address as the Census writes it, its point (degrees, WGS 84), its ZIP and state if told.

    The point is reckoned along the street's range of house numbers: good to some tens of metres.
    """

    address: str
    lat: float
    lon: float
    zip: str | None
    state: str | None


def locate(address: str, base_url: str = BASE_URL, *, timeout_s: float = 20.0) -> list[Place]:
    """All places that match a one-line address, as the service orders them; empty where none does.

    Raises ValueError for an empty address, GeocoderError where the service fails or answers what cannot be read.
    """
    if not address.strip():
        raise ValueError("the address is empty: give house number, street and town, or street and ZIP")
    asked = {"address": address.strip(), "benchmark": BENCHMARK, "format": "json"}
    body = bytearray()
    try:
        with (
            httpx.Client(base_url=base_url, timeout=timeout_s, follow_redirects=False) as http,
            http.stream("GET", _PATH, params=asked) as response,
        ):
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise GeocoderError(f"the Census geocoder's answer is longer than {_MAX_BYTES} bytes")
    except httpx.TimeoutException:
        raise GeocoderError(f"the Census geocoder did not answer within {timeout_s:g} s: try again") from None
    except httpx.HTTPError as error:
        raise GeocoderError(f"no connection to the Census geocoder: {type(error).__name__}") from None
    if response.status_code != 200:
        raise GeocoderError(f"the Census geocoder answered http {response.status_code} for this address")
    return _places(bytes(body))


def _places(body: bytes) -> list[Place]:
    try:
        matches = httpx.Response(200, content=body).json()["result"]["addressMatches"]
        return [_place(match) for match in matches]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise GeocoderError("the Census geocoder's answer is not what its documentation says") from None


def _place(match: dict[str, Any]) -> Place:
    lat, lon = float(match["coordinates"]["y"]), float(match["coordinates"]["x"])
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        raise ValueError("a point off the earth")
    parts = match.get("addressComponents") or {}
    return Place(str(match["matchedAddress"]), lat, lon, parts.get("zip") or None, parts.get("state") or None)
