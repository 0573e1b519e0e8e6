"""Saved answers as a source of metadata: what a service said of itself, held against a config without any network.

What belongs here: finding a layer in a folder of `?f=json` answers. What does not: rows; there are none.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hc_platform import arcgis
from hc_platform.arcgis.metadata import layer_info
from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.sources.base import AbsentError, LayerDescription, SourceError


def describe_saved(folder: Path, config: UtilityConfig, layer: LayerConfig) -> LayerDescription:
    """The layer as the answers in the folder (or in its sub-folder of the utility's code) tell it.

    Answers are told apart by what they hold: a service lists `layers`, a layer has `fields`. Where only the service's
    list was saved, the description has the name and the index and no fields; counts are never known (-1).
    Raises SourceError when no answer knows the layer.
    """
    own = folder / config.utility_code
    answers = _answers(own if own.is_dir() else folder)
    where = f"{config.utility_code}, layer {layer.label}"
    if not answers:
        raise SourceError(f"{where}: {folder} holds no ArcGIS answers (*.json)")
    listed = [
        x for a in answers for x in [*(a.get("layers") or []), *(a.get("tables") or [])] if _is_layer(x)
    ]
    described = [a for a in answers if _is_layer(a) and isinstance(a.get("fields"), list)]
    fitting = [x for x in (*described, *listed) if _fits(x, layer)]
    if not fitting:
        there = ", ".join(sorted({f"{x['name']!r} ({x['id']})" for x in (*described, *listed)})) or "none"
        raise AbsentError(f"{where}: no saved answer knows this layer; they know: {there}")
    names = {(x["name"], x["id"]) for x in fitting}
    if len(names) > 1:
        several = ", ".join(f"{name!r} ({index})" for name, index in sorted(names))
        raise SourceError(
            f"{where}: several saved layers fit: {several}; save one service's answers per folder"
        )
    raw = fitting[0]
    try:
        info = layer_info(str(folder), raw)
    except arcgis.ArcGISError as error:
        raise SourceError(f"{where}: {error}") from error
    return LayerDescription(
        url=info.url,
        name=info.name,
        layer_index=info.layer_id,
        fields={f.name: f.type for f in info.fields},
        object_id_field=info.object_id_field,
        count=-1,
        edited_at=info.edited_at,
        metadata=raw,
    )


def _answers(folder: Path) -> list[Mapping[str, Any]]:
    answers: list[Mapping[str, Any]] = []
    for path in sorted(folder.glob("*.json")):
        try:
            answer = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SourceError(f"{path} is no JSON: {error}") from error
        if isinstance(answer, dict):
            answers.append(answer)
    return answers


def _is_layer(answer: Any) -> bool:
    return isinstance(answer, dict) and "id" in answer and "name" in answer and not answer.get("subLayerIds")


def _fits(answer: Mapping[str, Any], layer: LayerConfig) -> bool:
    if layer.name is not None:
        return str(answer["name"]).strip().casefold() == layer.name.strip().casefold()
    return bool(answer["id"] == layer.layer_index)
