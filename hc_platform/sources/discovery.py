"""Services that rotate: which publications there are of a layer, and which of them is taken.

What belongs here: listing candidates, newest first, and trying them. What does not: asking portals and folders
(`arcgis.portal`), reading dates in names (`vintage`), what is recorded of it (`pipeline`).
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Literal
from urllib.parse import unquote, urlsplit

from hc_platform import arcgis
from hc_platform.catalog.layers import Discovery
from hc_platform.sources.vintage import Period, vintage_of

Verdict = Literal[
    "chosen", "not_newest", "other_period", "lacks_fields", "lacks_layer", "empty", "gone", "needs_sign_in",
    "ambiguous",
]  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A publication of a rotating service.

    `title`: the service's own name. `vintage`: the days its date may stand for: of its name or, where the config
    says `dated_by: modified`, of its last edit; None where it tells none. `modified_at`: UTC, None in folders.
    """

    title: str
    url: str
    vintage: Period | None = None
    modified_at: datetime | None = None


@dataclass(frozen=True)
class Looked:
    """A candidate and what became of it. `reason`: why it was not taken, in words; empty for the chosen."""

    candidate: Candidate
    verdict: Verdict
    reason: str = ""


def listed(discovery: Discovery, http_for: Callable[[str], arcgis.HttpOptions]) -> list[Candidate]:
    """The publications whose name fits, newest first by what their names say, then by their modification.

    Raises ArcGISError: LayerMoved, with the names there are, where none fits.
    """
    if discovery.folder:
        services = arcgis.list_folder(discovery.folder, http=http_for(discovery.folder))
    else:
        services = arcgis.search_items(
            discovery.portal, owner=discovery.owner, org_id=discovery.org_id, http=http_for(discovery.portal)
        )
    fits = re.compile(discovery.title).fullmatch
    found = [s for s in services if fits(s.name) or (s.title and fits(s.title))]
    if not found:
        there = ", ".join(sorted(s.name for s in services)[:20]) or "none"
        what = f"no service is named like {discovery.title!r}; there are: {there}"
        raise arcgis.LayerMoved(what, discovery.folder or discovery.portal)
    return newest_first([_candidate(service, discovery) for service in found])


def _candidate(service: arcgis.PublishedService, discovery: Discovery) -> Candidate:
    made = Candidate(service.name, service.url, modified_at=service.modified_at)
    if discovery.dated_by == "modified":
        return dated(made, service.modified_at)
    return replace(made, vintage=vintage_of(service.name) or vintage_of(service.title or ""))


def dated(candidate: Candidate, modified_at: datetime | None) -> Candidate:
    """The candidate with its last modification as its vintage."""
    day = modified_at.date() if modified_at else None
    return replace(candidate, vintage=Period(day, day) if day else None, modified_at=modified_at)


def newest_first(found: Iterable[Candidate]) -> list[Candidate]:
    """By the last day of the vintage, then by modification; those without either come last.

    Of one name, the feature service goes before the map service.
    """
    return sorted(found, key=lambda c: (*_age(c), c.url.endswith("/MapServer"), c.title))


def of_one_age(newest_first: Iterable[Candidate]) -> list[list[Candidate]]:
    """The candidates in groups; within a group nothing that is listed tells which is the newer."""
    return [list(group) for _, group in groupby(newest_first, key=_age)]


def _age(candidate: Candidate) -> tuple[bool, int, float]:
    vintage, modified = candidate.vintage, candidate.modified_at
    return (
        vintage is None,
        -vintage.last.toordinal() if vintage else 0,
        -modified.timestamp() if modified else 0.0,
    )


def service_name(layer_url: str) -> str:
    """The service's own name in a layer's address: HC_MAR2026 in .../services/HC_MAR2026/FeatureServer/0."""
    parts = urlsplit(layer_url).path.split("/")
    return unquote(parts[-3]) if len(parts) > 3 else ""


def passed_over(looked: Iterable[Looked]) -> list[str]:
    """Of the publications that would have gone before the chosen one: why each was not taken."""
    harmless = ("chosen", "not_newest", "other_period")
    return [f"{x.candidate.title} was passed over: {x.reason}" for x in looked if x.verdict not in harmless]
