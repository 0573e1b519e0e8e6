"""All that can be said of a new device's utility and grid region, from all sources at once, with ambiguity shown.

What belongs here: bringing the sources together. What does not: reading them, or choosing: where more than one utility
may serve a place, the installer says which (case 24).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hc_platform.charging.commissioning.authorities import authorities_of
from hc_platform.charging.commissioning.model import Authority, Candidate, Commissioning
from hc_platform.charging.commissioning.territories import utilities_at, utilities_of_county
from hc_platform.charging.commissioning.zips import load_zip_table, utilities_of_zip
from hc_platform.charging.moer.watttime import WattTime, WattTimeError

_T = TypeVar("_T")


@dataclass(frozen=True)
class Sources:
    """The data files there are; None or nothing: not configured, which is told and no error."""

    zip_tables: Sequence[Path] = ()
    territories: Path | None = None
    sales: Path | None = None
    """EIA-861 sales: utility to balancing authority."""
    counties: Path | None = None
    service_territory: Path | None = None
    """EIA-861 utilities by county; asked only where ZIP and territories name nobody."""


def commission(
    lat: float | None = None,
    lon: float | None = None,
    zip_code: str | None = None,
    *,
    sources: Sources,
    watttime: WattTime | None = None,
    utility_ids: Mapping[int, str] | None = None,
) -> Commissioning:
    """What is known of a place: by lat/lon (degrees, WGS 84), by ZIP, or both. Never raises for a source that fails.

    `utility_ids`: EIA id -> the id in tou_schedules/. `watttime`: asked once for the region of lat/lon. What could not
    be looked up stands in `notes` with the reason. Raises ValueError for a lat, lon or ZIP that cannot be one.
    """
    asked = Commissioning(lat=lat, lon=lon, zip=zip_code)
    notes: list[str] = []
    point = (lat, lon) if lat is not None and lon is not None else None
    found = [*_by_zip(zip_code, sources, notes), *_by_point(point, sources, notes)]
    wires = _merged([one for one in found if not one.marketer])
    if not wires and point and sources.counties and sources.service_territory:
        counties, by_county = sources.counties, sources.service_territory
        wires = _try(notes, "county", lambda: utilities_of_county(*point, counties, by_county), [])
        if wires:
            notes.append(
                "only the county is known: its utilities are listed, most of them will not be the one"
            )
    if sellers := sorted({one.name for one in found if one.marketer}):
        notes.append(
            f"ask whether the customer buys energy from another seller than the utility: {', '.join(sellers)}"
        )
    if not wires:
        notes.append("no source names a utility here: read it off the customer's bill")
    elif len(wires) > 1:
        notes.append(
            f"{len(wires)} utilities may serve this place: the installer must confirm which, by the bill"
        )
    ids = utility_ids or {}
    candidates = [
        one.model_copy(
            update={
                "utility_id": ids.get(one.eia_id) if one.eia_id is not None else None,
                "authorities": tuple(_authorities(one, sources, notes)),
            }
        )
        for one in wires
    ]
    if sources.sales is None:
        notes.append("balancing authority not looked up: no EIA-861 sales table is configured")
    region, name = _region(point, watttime, notes)
    return asked.model_copy(
        update={
            "candidates": tuple(candidates),
            "watttime_region": region,
            "watttime_region_name": name,
            "notes": tuple(dict.fromkeys(notes)),
        }
    )


def _by_zip(zip_code: str | None, sources: Sources, notes: list[str]) -> list[Candidate]:
    if zip_code is None:
        notes.append("ZIP not looked up: none is given")
        return []
    if not sources.zip_tables:
        notes.append("ZIP not looked up: no ZIP-to-utility file is configured")
        return []
    return _try(notes, "ZIP", lambda: utilities_of_zip(load_zip_table(sources.zip_tables), zip_code), [])


def _by_point(point: tuple[float, float] | None, sources: Sources, notes: list[str]) -> list[Candidate]:
    territories = sources.territories
    if point is None:
        notes.append("territory not looked up: no lat/lon is given")
        return []
    if territories is None:
        notes.append("territory not looked up: no file of territories is configured")
        return []
    return _try(notes, "territory", lambda: utilities_at(*point, territories), [])


def _authorities(candidate: Candidate, sources: Sources, notes: list[str]) -> list[Authority]:
    eia_id, sales = candidate.eia_id, sources.sales
    if eia_id is None or sales is None:
        return []
    return _try(notes, "balancing authority", lambda: authorities_of(eia_id, sales), [])


def _region(
    point: tuple[float, float] | None, watttime: WattTime | None, notes: list[str]
) -> tuple[str | None, str | None]:
    if point is None or watttime is None:
        why = "no lat/lon is given" if point is None else "no WattTime account is configured"
        notes.append(f"WattTime region not looked up: {why}")
        return None, None
    try:
        return watttime.region_from_loc(*point)
    except WattTimeError as error:
        notes.append(f"WattTime region not found: {error}")
        return None, None


def _merged(found: Sequence[Candidate]) -> list[Candidate]:
    """One candidate an EIA id with all its sources; those with most sources first.

    An unnamed investor-owned utility of a ZIP file is borne out, not contradicted, by a named one.
    """
    merged: dict[int | None, Candidate] = {}
    for one in found:
        before = merged.get(one.eia_id)
        merged[one.eia_id] = one if before is None else _joined(before, one)
    owned = [one for one in merged.values() if one.investor_owned and one.eia_id is not None]
    if owned and (unnamed := merged.pop(None, None)):
        for one in owned:
            merged[one.eia_id] = one.model_copy(update={"sources": (*one.sources, *unnamed.sources)})
    return sorted(merged.values(), key=lambda one: (-len(one.sources), one.eia_id is None, one.name))


def _joined(one: Candidate, other: Candidate) -> Candidate:
    owned = one.investor_owned or other.investor_owned
    return one.model_copy(update={"sources": (*one.sources, *other.sources), "investor_owned": owned})


def _try(notes: list[str], what: str, look_up: Callable[[], _T], otherwise: _T) -> _T:
    try:
        return look_up()
    except (OSError, ValueError) as error:
        notes.append(f"{what} not looked up: {error}")
        return otherwise
