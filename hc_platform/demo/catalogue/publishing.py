"""The drawn layers as their services publish them: renumbered, with decoys, in several vintages.

What belongs here: addresses, indexes and vintages of services, items of a portal. What does not: rows (`layers`), HTTP
(`hosts`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import quote, unquote

import numpy as np
import polars as pl

from hc_platform.catalog.layers import Discovery, LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.demo.catalogue import vintages
from hc_platform.demo.catalogue.layers import DrawnLayer, frame_of
from hc_platform.demo.numbers import Lines
from hc_platform.demo.synthetic import SyntheticLayer
from hc_platform.demo.writing import MAY_2026_MS

_PAGE: Final = 100
_MOVED: Final = 5
"""A layer that its config knows by name stands so far from the index that the config hints at."""
_STALE_ROWS: Final = 20
_MONTH_MS: Final = 30 * 86_400_000
_PROXY: Final = "https://utility.arcgis.com/usrsvcs/servers"


@dataclass
class Published:
    """A utility's services. `items`: what a portal lists of them, with their owners and real addresses."""

    layers: list[SyntheticLayer] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)


def publish(config: UtilityConfig, utility: Sequence[DrawnLayer]) -> Published:
    """All services of a utility; files are published elsewhere.

    A rotating layer has three vintages: the newest lacks a field, the next is the drawn one, the last is stale.
    """
    made = Published()
    taken: dict[str, set[int]] = {}
    hints: list[tuple[str, int]] = []
    for drawn in utility:
        layer, discovery = drawn.layer, config.discovery_of(drawn.layer)
        if layer.path is not None:
            continue
        urls = _vintage_urls(config, layer, discovery) if discovery else [config.layer_service_url(layer)]
        chosen = 1 if len(urls) > 1 else 0
        url, own = _service_of(urls[chosen])
        hint = layer.layer_index if layer.layer_index is not None else own or 0
        index, used = hint, taken.setdefault(url, set())
        while index in used or (layer.name and own is None and index == hint):
            index += _MOVED
        used.add(index)
        right = _published(config, drawn, url, index)
        made.layers.append(right)
        if layer.name and layer.layer_index is not None:
            hints.append((url, layer.layer_index))
        if discovery:
            made.items += [_item(discovery, u, at) for at, u in enumerate(urls) if _is_new(made, u)]
            made.layers += [
                _spoiled(right, drawn, unquote(u), at) for at, u in enumerate(urls) if at != chosen
            ]
    for url, hint in hints:
        if hint not in taken[url]:
            taken[url].add(hint)
            made.layers.append(_decoy(config, url, hint))
    return made


def _vintage_urls(config: UtilityConfig, layer: LayerConfig, discovery: Discovery) -> list[str]:
    names = vintages.names(discovery.title)
    seen = layer.service_url or config.service_url
    if discovery.folder:
        return [f"{discovery.folder.rstrip('/')}/{quote(name)}/FeatureServer" for name in names]
    if seen:
        base, _, kind = seen.rsplit("/", 2)
        return [f"{base}/{quote(name)}/{kind}" for name in names]
    hashes = [blake2b(name.encode(), digest_size=16).hexdigest() for name in names]
    return [
        f"{_PROXY}/{one}/rest/services/{quote(name)}/FeatureServer"
        for one, name in zip(hashes, names, strict=True)
    ]


def _item(discovery: Discovery, url: str, age: int) -> dict[str, Any]:
    return {
        "id": blake2b(url.encode(), digest_size=16).hexdigest(),
        "owner": discovery.owner or "publisher",
        "type": "Feature Service",
        "title": unquote(url.rsplit("/", 2)[1]),
        "url": url,
        "modified": MAY_2026_MS - age * _MONTH_MS,
    }


def _is_new(made: Published, url: str) -> bool:
    return url not in {item["url"] for item in made.items}


def _spoiled(right: SyntheticLayer, drawn: DrawnLayer, url: str, age: int) -> SyntheticLayer:
    """Another vintage: the newest has lost a field that the config needs, an older one has fewer rows."""
    edited = right.last_edit_ms - (age - 1) * _MONTH_MS
    if age:
        frame = right.frame.head(_STALE_ROWS)
        return replace(
            right,
            service_url=url,
            frame=frame,
            lines=right.lines.take(np.arange(frame.height)),
            last_edit_ms=edited,
        )
    lost = next(
        name for name in drawn.layer.named_fields if name in right.frame.columns and name != right.oid_field
    )
    renamed = {lost: f"{lost}_renamed"}
    fields = tuple((renamed.get(name, name), kind, codes) for name, kind, codes in right.fields)
    return replace(
        right, service_url=url, frame=right.frame.rename(renamed), fields=fields, last_edit_ms=edited
    )


def _published(config: UtilityConfig, drawn: DrawnLayer, url: str, index: int) -> SyntheticLayer:
    frame = frame_of(drawn)
    kinds = {drawn.plan.oid: "OID", **drawn.types}
    return SyntheticLayer(
        config.utility_code,
        drawn.layer.label,
        url,
        config.headers_of(drawn.layer),
        index,
        drawn.layer.name or drawn.layer.label,
        drawn.plan.oid,
        tuple((column, kinds[column], None) for column in frame.columns),
        _PAGE,
        3857 if index % 2 else 4326,
        MAY_2026_MS,
        frame,
        drawn.lines,
        pl.DataFrame({"served": drawn.served}),
        drawn.geometry,
    )


def _decoy(config: UtilityConfig, url: str, index: int) -> SyntheticLayer:
    """The layer that now stands where another one used to."""
    frame = pl.DataFrame({"OBJECTID": [1, 2], "SUBSTATION": ["North", "South"]})
    return SyntheticLayer(
        config.utility_code,
        f"decoy {index}",
        url,
        config.headers,
        index,
        f"Substations {index}",
        "OBJECTID",
        (("OBJECTID", "OID", None), ("SUBSTATION", "String", None)),
        _PAGE,
        4326,
        MAY_2026_MS,
        frame,
        Lines(np.zeros((2, 2)), np.arange(3), np.arange(3), np.zeros(2, dtype=bool)),
        pl.DataFrame({"served": [True, True]}),
        None,
    )


def _service_of(url: str) -> tuple[str, int | None]:
    """The service's address, decoded, and the layer's index where the address is a layer's own."""
    found = re.fullmatch(r"(.*/(?:Feature|Map)Server)/(\d+)", url, re.IGNORECASE)
    return (unquote(found[1]), int(found[2])) if found else (unquote(url), None)
