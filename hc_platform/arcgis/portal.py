"""Which services there are: the items of a portal's owner or organisation, and the services of a folder.

Belongs here: listing them, all pages. Does not belong here: which of them is wanted (the caller knows), and what
is in a service (metadata).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from hc_platform.arcgis.errors import ArcGISError
from hc_platform.arcgis.metadata import ask_json, instant
from hc_platform.arcgis.transport import HttpOptions, Session, run_sync, split_url

_ITEMS_A_PAGE = 100  # the most that a portal gives
_ITEM_TYPES = ("Feature Service", "Map Service")
_SERVICE_TYPES = ("FeatureServer", "MapServer")
_SERVICE = re.compile(r"(.*/([^/]+)/(?:Feature|Map)Server)(?:/\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class PublishedService:
    """A feature or map service that is listed somewhere.

    `name` is its own, as in its address; `title` what the item calls it (a folder has none); `modified_at` when
    the item was last modified, UTC, which need not be when its data were.
    """

    name: str
    url: str
    title: str | None = None
    modified_at: datetime | None = None


def search_items(
    portal: str, *, owner: str | None = None, org_id: str | None = None, http: HttpOptions | None = None
) -> list[PublishedService]:
    """The feature and map services among a portal's items of one owner, or organisation, or both.

    Raises ArcGISError, also where the portal's pages do not end or do not hold what it counts.
    """
    words = [f"owner:{_word(owner)}"] if owner else []
    words += [f"orgid:{_word(org_id)}"] if org_id else []
    kinds = " OR ".join(f'type:"{kind}"' for kind in _ITEM_TYPES)
    question = {"q": " AND ".join([*words, f"({kinds})"]), "sortField": "modified", "sortOrder": "desc"}

    async def run() -> list[PublishedService]:
        base, own = split_url(portal)
        url = f"{base}/sharing/rest/search"
        items: dict[str, dict[str, Any]] = {}
        start, received = 1, 0
        async with Session(http or HttpOptions()) as session:
            while start > 0:
                page = {"start": str(start), "num": str(_ITEMS_A_PAGE)}
                answer = await ask_json(session, url, {**own, **question, **page})
                results = answer.get("results")
                if not isinstance(results, list):
                    raise ArcGISError("schema", "the answer is no list of items", url)
                items |= {str(item.get("id")): item for item in results}
                received += len(results)
                then = int(answer.get("nextStart") or -1)
                if 0 < then <= start:
                    raise ArcGISError("schema", f"after item {start} it would go on with item {then}", url)
                start = then
        total = int(answer.get("total") or 0)
        if received < total:
            raise ArcGISError("schema", f"{received} items came, it counts {total}", url)
        found = [_of_item(item, urlsplit(base).scheme) for item in items.values() if _is_of(item, owner)]
        return [service for service in found if service]

    return run_sync(run())


def list_folder(folder: str, *, http: HttpOptions | None = None) -> list[PublishedService]:
    """The feature and map services of a services directory (`.../rest/services`) or one of its folders.

    Raises ArcGISError.
    """

    async def run() -> list[PublishedService]:
        async with Session(http or HttpOptions()) as session:
            answer = await ask_json(session, folder)
        if not isinstance(answer.get("services"), list):
            raise ArcGISError("schema", "the answer is no services directory", folder)
        base, own = split_url(folder)
        query = "&".join(f"{key}={value}" for key, value in own.items())
        found = []
        for entry in answer["services"]:
            if entry.get("type") in _SERVICE_TYPES and entry.get("name"):
                # a folder's services carry its name in theirs, and are below its address all the same
                name = str(entry["name"]).rpartition("/")[2]
                url = entry.get("url") or f"{base}/{quote(name)}/{entry['type']}"
                found.append(PublishedService(name, url + (f"?{query}" if query else "")))
        return found

    return run_sync(run())


def _word(text: str) -> str:
    """A text as one word of a portal's query language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _is_of(item: dict[str, Any], owner: str | None) -> bool:
    """A search finds what is like the words too; an item of another owner must never be taken for theirs."""
    return owner is None or str(item.get("owner", owner)).casefold() == owner.casefold()


def _of_item(item: dict[str, Any], scheme: str) -> PublishedService | None:
    match = _SERVICE.fullmatch(str(item.get("url") or "").partition("?")[0].rstrip("/"))
    if match is None or item.get("type", _ITEM_TYPES[0]) not in _ITEM_TYPES:
        return None
    # old items name http:// addresses of hosts that have spoken https for years
    url = re.sub(r"^http:", f"{scheme}:", match[1], flags=re.IGNORECASE)
    return PublishedService(unquote(match[2]), url, item.get("title"), instant(item.get("modified")))
