"""Rates of OpenEI's US Utility Rate Database (USURDB): reading them, and turning one into a version of a tariff.

What belongs here: the shapes in which rates come, what a rate's fields mean, and why one is refused. What does not:
how hours are ranked (`urdb_ranks`), what an import changes (`urdb_import`, `urdb_diff`).

Field facts, from the API's documentation and from real answers: `enddate` is inclusive; stamps are some zone's midnight
to an hour either way, so the day is the UTC date an hour later; there is no timezone and there are no holidays.
"""

import datetime as dt
import json
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx

from hc_platform.charging.tariffs.model import TariffVersion
from hc_platform.charging.tariffs.urdb_ranks import Matrix, month_ranks, version_fields
from hc_platform.settings import Settings, secret

API_URL: Final = "https://api.openei.org/utility_rates"
KEY_NAME: Final = "OPENEI_API_KEY"
UNLABELLED: Final = "USURDB rate without a label"
"""How the note of such a version begins, by which the next import knows it again."""
_SCHEDULES: Final = ("energyweekdayschedule", "energyweekendschedule")
_LABEL: Final = re.compile(r"/rate/view/([0-9A-Za-z]+)/?$")
Rate = Mapping[str, Any]


class UrdbError(ValueError):
    """A source that holds no rates: the API's own refusal, an unreadable file, an unreachable address."""


@dataclass(frozen=True)
class Converted:
    """One rate as a version of a tariff."""

    label: str | None
    utility_id: str
    utility_name: str
    eia_id: int | None
    rate_plan: str
    plan_name: str
    timezone: str
    supersedes: str | None
    version: TariffVersion


@dataclass(frozen=True)
class Refused:
    """One rate that makes no version, and why."""

    label: str | None
    name: str
    reason: str


class _RefusalError(ValueError):
    """Why a rate makes no version."""


def read_urdb(source: str | Path, *, client: httpx.Client | None = None) -> list[Rate]:
    """The rates in a file or at an http(s) address.

    The API's own address without an api_key gets the one in the environment (OPENEI_API_KEY). Raises UrdbError, which
    never shows an address's query, and LookupError where that key is not set.
    """
    text = str(source)
    if not re.match(r"https?://", text):
        try:
            return rates_in(json.loads(Path(source).read_bytes()))
        except (OSError, ValueError, RecursionError) as error:
            raise UrdbError(f"{source}: {_said(error)}") from None
    if client is not None:
        return fetch(text, client)
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise UrdbError(f"{_shown(text)}: not an address") from None
    keyed = url.host == httpx.URL(API_URL).host and "api_key" not in url.params
    with api_client(secret(KEY_NAME)) if keyed else _client(follow_redirects=True) as own:
        return fetch(text, own)


def rates_in(document: object) -> list[Rate]:
    """The rates in a parsed JSON document.

    An answer ({"items": [...]}), a rate, a list of these, either of them as JSON text in a string, or a rate somewhere
    within a larger document (`urdb_response` of a REopt input). Raises UrdbError where the document is the API's
    refusal or holds none.
    """
    if isinstance(document, str):
        return rates_in(json.loads(document))
    if isinstance(document, Mapping) and document.get("error"):
        raise UrdbError(f"OpenEI refused: {_error(document['error'])}")
    found = list(_walk(document))
    if not found:
        raise UrdbError("no USURDB rate in it")
    return found


def fetch(url: str, client: httpx.Client) -> list[Rate]:
    """The rates at an address. Raises UrdbError, which shows neither the address's query nor the API key."""
    logging.getLogger("httpx").addFilter(_without_query)
    try:
        address = httpx.URL(url)
        # httpx adds the client's own parameters (the key) to these, but would let them replace a query in the address.
        answer = client.get(address.copy_with(query=None), params=address.params)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UrdbError(f"{_shown(url)}: {type(error).__name__}, not reached") from None
    try:
        return rates_in(answer.json())
    except UrdbError as error:
        key = address.params.get("api_key") or client.params.get("api_key")
        said = str(error).replace(key, "***") if key else str(error)
        raise UrdbError(f"{_shown(url)}: {said} (HTTP {answer.status_code})") from None
    except (ValueError, RecursionError):
        raise UrdbError(f"{_shown(url)}: HTTP {answer.status_code}, not JSON") from None


def fetch_rate(label: str, client: httpx.Client, *, url: str = API_URL) -> list[Rate]:
    """One rate by its label from the API, in full. Raises UrdbError."""
    params = {"version": "8", "format": "json", "detail": "full", "getpage": label}
    return fetch(str(httpx.URL(url, params=params)), client)


def api_client(key: str) -> httpx.Client:
    """A client that sends the API key with each request. It follows no redirect, which would take the key along."""
    return _client(params={"api_key": key})


def _client(**options: Any) -> httpx.Client:
    settings = Settings()
    return httpx.Client(timeout=settings.timeout_s, headers={"User-Agent": settings.user_agent}, **options)


def _without_query(record: logging.LogRecord) -> bool:
    """httpx logs the address of every request; a query may hold a key."""
    if isinstance(record.args, tuple):
        record.args = tuple(a.copy_with(query=None) if isinstance(a, httpx.URL) else a for a in record.args)
    return True


def convert(
    rate: Rate,
    *,
    timezone: str | None,
    utility_id: str | None = None,
    rate_plan: str | None = None,
    effective_from: dt.date | None = None,
) -> Converted | Refused:
    """One rate as a version of a tariff.

    A period's price is `rate` + `adj` of its first usage tier: every kWh of every customer passes through that one,
    and only the order of hours matters here; the version's note tells when another tier would order them otherwise.
    `timezone` is IANA's; `utility_id`, `rate_plan` and `effective_from` name what the rate itself lacks.
    """
    label = label_of(rate)
    try:
        return _convert(rate, label, timezone, utility_id, rate_plan, effective_from)
    except _RefusalError as refusal:
        return Refused(label, str(rate.get("name") or label or "a rate without a name"), str(refusal))


def label_of(rate: Rate) -> str | None:
    """USURDB's id of the rate."""
    return str(rate["label"]).strip() if rate.get("label") else None


def eia_id_of(rate: Rate) -> int | None:
    """EIA's id of the utility."""
    return _whole(rate.get("eiaid")) or None


def label_in(url: str | None) -> str | None:
    """The label at the end of a rate's address; None for any other address."""
    found = _LABEL.search(url) if url and "openei.org/" in url else None
    return found[1] if found else None


def slug(name: str) -> str:
    """A name as an id of tou_schedules/: lower case, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:64].strip("_")


def _convert(
    rate: Rate,
    label: str | None,
    timezone: str | None,
    utility_id: str | None,
    rate_plan: str | None,
    effective_from: dt.date | None,
) -> Converted:
    if not any(rate.get(key) for key in (*_SCHEDULES, "energyratestructure")):
        raise _RefusalError("an index row: no schedule in it; fetch it by its label with detail=full")
    if rate.get("approved") in (False, "false", 0):
        raise _RefusalError("approved: false: USURDB has not checked it")
    utility = str(rate.get("utility") or "").strip()
    utility_id = utility_id or slug(utility)
    if not utility_id:
        raise _RefusalError("no utility in it; name one with --utility-id")
    name = str(rate.get("name") or "").strip()
    rate_plan = rate_plan or slug(name)
    if not rate_plan:
        raise _RefusalError("no name in it; name its plan with --rate-plan")
    start, end = _day(rate, "startdate") or effective_from, _day(rate, "enddate")
    if start is None:
        raise _RefusalError("no startdate in it; give its first day with --effective-from")
    if end is not None and end < start:
        raise _RefusalError(f"enddate {end} is before startdate {start}: USURDB took it back")
    tiers = _usage_tiers(rate)
    weekdays, weekends = (_matrix(rate, key, len(tiers)) for key in _SCHEDULES)
    ranks = month_ranks(weekdays, weekends, _prices(tiers, 0, weekdays, weekends))
    if not timezone:
        raise _RefusalError("USURDB has no timezone; give it with --timezone, e.g. America/Denver")
    notes = [f"{f'USURDB {label}' if label else UNLABELLED}: USURDB has no holidays"]
    for tier in range(1, max(len(period) for period in tiers)):
        if month_ranks(weekdays, weekends, _prices(tiers, tier, weekdays, weekends)) != ranks:
            notes.append(
                f"hours are ranked by the first usage tier's price, tier {tier + 1} ranks them otherwise"
            )
    if _demand_by_hour(rate):
        notes.append("demand charges by time of use are not in it")
    return Converted(
        label=label,
        utility_id=utility_id,
        utility_name=utility or utility_id,
        eia_id=eia_id_of(rate),
        rate_plan=rate_plan,
        plan_name=name or rate_plan,
        timezone=timezone,
        supersedes=str(rate["supersedes"]).strip() if rate.get("supersedes") else None,
        version=TariffVersion(
            effective_from=start,
            effective_to=end,
            source_url=_uri(rate, label),
            note="; ".join(notes),
            **version_fields(ranks),
        ),
    )


def _uri(rate: Rate, label: str | None) -> str | None:
    uri = str(rate.get("uri") or "")
    if label and label_in(uri) != label:
        return f"https://apps.openei.org/USURDB/rate/view/{label}"
    return uri or None


def _day(rate: Rate, key: str) -> dt.date | None:
    stamp = rate.get(key)
    if stamp is None or stamp == "":
        return None
    try:
        if isinstance(stamp, bool):
            raise ValueError
        return (dt.datetime.fromtimestamp(float(stamp), dt.UTC) + dt.timedelta(hours=1)).date()
    except (TypeError, ValueError, OverflowError, OSError):
        raise _RefusalError(f"{key} {stamp!r} is not a time in seconds since 1970") from None


def _usage_tiers(rate: Rate) -> list[Sequence[Mapping[str, Any]]]:
    structure = rate.get("energyratestructure")
    if not isinstance(structure, list) or not structure:
        raise _RefusalError("no energyratestructure in it: hours without prices cannot be ranked")
    for i, period in enumerate(structure):
        if not isinstance(period, list) or not period or not all(isinstance(t, Mapping) for t in period):
            raise _RefusalError(f"period {i} of energyratestructure is no list of usage tiers")
    return structure


def _prices(tiers: Sequence[Sequence[Mapping[str, Any]]], tier: int, *schedules: Matrix) -> list[Decimal]:
    """Each period's price in that usage tier, the last one where it has fewer; zero for periods never in use."""
    used = {period for schedule in schedules for row in schedule for period in row}
    prices = []
    for i, period in enumerate(tiers):
        parts = [period[min(tier, len(period) - 1)].get(key) for key in ("rate", "adj")] if i in used else [0]
        given = [part for part in parts if part is not None]
        if not given:
            raise _RefusalError(f"period {i} has no price in usage tier {tier + 1}: neither rate nor adj")
        if not all(_number(part) for part in given):
            raise _RefusalError(f"period {i} has a price that is no number: {given}")
        prices.append(sum((Decimal(str(part)) for part in given), Decimal(0)))
    return prices


def _matrix(rate: Rate, key: str, periods: int) -> Matrix:
    rows = rate.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise _RefusalError(f"no {key} in it")
    widths = {len(row) for row in rows}
    if len(rows) != 12 or widths != {24}:
        shape = f"{len(rows)}x{'/'.join(map(str, sorted(widths)))}"
        why = " (sub-hourly)" if len(rows) == 12 and len(widths) == 1 and min(widths) > 24 else ""
        raise _RefusalError(f"{key} is {shape}{why}, not 12x24")
    ids = tuple(tuple(_whole(cell) for cell in row) for row in rows)
    if any(cell is None for row in ids for cell in row):
        odd = next(c for row in rows for c in row if _whole(c) is None)
        raise _RefusalError(f"{key} has period {odd!r}, not a whole number")
    matrix: Matrix = ids  # type: ignore[assignment]
    beyond = sorted({cell for row in matrix for cell in row if not 0 <= cell < periods})
    if beyond:
        raise _RefusalError(f"{key} has period {beyond[0]}, but energyratestructure has {periods} (from 0)")
    return matrix


def _demand_by_hour(rate: Rate) -> bool:
    rows = [*(rate.get("demandweekdayschedule") or []), *(rate.get("demandweekendschedule") or [])]
    return any(isinstance(row, list) and any(cell != row[0] for cell in row) for row in rows)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: object) -> int | None:
    """A whole number, also where it comes as a float or as text."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value):
        return int(value)
    return int(value) if isinstance(value, int | float) and _number(value) and value == int(value) else None


def _shown(url: str) -> str:
    """The address without its query, user and password."""
    return re.sub(r"//[^/@]*@", "//", re.split(r"[?#]", url, maxsplit=1)[0])


def _walk(node: object) -> Iterator[Rate]:
    if isinstance(node, list):
        for part in node:
            yield from _walk(part)
    elif isinstance(node, Mapping):
        if (
            any(key in node for key in (*_SCHEDULES, "energyratestructure"))
            or {"label", "utility"} <= node.keys()
        ):
            yield node
        elif isinstance(node.get("items"), list):
            yield from (
                row if isinstance(row, Mapping) else {"name": f"{row!r:.40}"} for row in node["items"]
            )
        else:
            for part in node.values():
                yield from _walk(part)


def _error(error: object) -> str:
    if isinstance(error, Mapping):
        return ": ".join(str(error[key]) for key in ("code", "message") if error.get(key))
    return str(error)


def _said(error: Exception) -> str:
    if isinstance(error, UrdbError):
        return str(error)
    return error.strerror or str(error) if isinstance(error, OSError) else f"not JSON: {error}"
