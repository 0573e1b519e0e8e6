"""What a utility's layers are now, before anything is pulled: which exist, which publication of them is taken.

What belongs here: the rules of absent and past layers, the record of candidates. What does not: how a layer is
described or a candidate chosen (`sources`), what is pulled then (`fetch`).
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl

from hc_platform.catalog.layers import Discovery, LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.source_tables import SOURCE_CANDIDATES
from hc_platform.lake.store import Lake
from hc_platform.pipeline.snapshots import known_layers, period_of
from hc_platform.sources import AbsentError, ContractError, LayerSource, SourceError
from hc_platform.sources.base import LayerDescription, match_fields
from hc_platform.sources.contract import KnownLayer, findings_of
from hc_platform.sources.discovery import Looked, passed_over, service_name
from hc_platform.sources.file_source import FileSource
from hc_platform.sources.vintage import Period, vintage_of

SourceFor = Callable[..., LayerSource]
"""(layer, within=Period | None) -> its adapter: `sources.source_for` of a config and options."""


class PastSnapshotError(SourceError):
    """A layer holds only today's data, and neither the lake nor a dated publication has that past snapshot."""


@dataclass(frozen=True)
class Described:
    """`layers`: those that are there. `left_out`: optional ones that are not, with the reason.

    `findings`: what a person should know of them and does not hinder the pull, by layer.
    `candidates`: SOURCE_CANDIDATES rows; `passed_over`: those newer than the chosen, and why they were not taken.
    """

    layers: list[tuple[LayerConfig, LayerDescription]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    findings: Mapping[str, list[str]] = field(default_factory=dict)
    candidates: pl.DataFrame = field(default_factory=SOURCE_CANDIDATES.empty)
    passed_over: Sequence[str] = ()


def past_period(config: UtilityConfig, snapshot: str, current: str) -> Period:
    """The days of a past snapshot whose publications may still be online.

    Raises PastSnapshotError unless every layer comes from a service that keeps dated publications.
    """
    told = (
        f"{config.utility_code}: the source holds only today's data ({current}), and the lake has no raw snapshot "
        f"{snapshot}. Everything after raw_features can be rebuilt for snapshots that have one."
    )
    static = [layer.label for layer in config.layers if config.discovery_of(layer) is None]
    if len(static) < len(config.layers) and static:
        raise PastSnapshotError(
            f"{told} Some of its layers keep dated publications, but not {', '.join(static)}: a snapshot has all "
            "layers or none."
        )
    if static or snapshot > current:
        raise PastSnapshotError(told)
    try:
        return period_of(snapshot, config.cadence)
    except ValueError as error:
        raise PastSnapshotError(f"{told} ({error}.)") from None


def describe_layers(
    config: UtilityConfig,
    snapshot: str,
    *,
    source: SourceFor,
    lake: Lake,
    before: pl.DataFrame,
    now: datetime,
    within: Period | None = None,
    step_back: bool = False,
    run_id: str | None = None,
) -> Described:
    """Describe every layer and hold it against its contract; `before` is the newest pull's SOURCE_LAYERS.

    An optional layer that does not exist, or never fitted, is left out; one that the newest pull had may not vanish.
    `within`: a past period. `step_back`: of a rotating service an older publication than the held one will do.
    Whatever happens, the publications that were looked at are recorded.
    Raises SourceError: AbsentError, ContractError, PastSnapshotError and what a server's silence raises.
    """
    layers: list[tuple[LayerConfig, LayerDescription]] = []
    left_out: dict[str, str] = {}
    findings: dict[str, list[str]] = {}
    looked: dict[str, tuple[Looked, ...]] = {}
    known = known_layers(before)
    candidates = SOURCE_CANDIDATES.empty()
    try:
        for layer in config.layers:
            try:
                found = _described(source(layer, within=within), config, layer, before)
                looked[layer.label] = found.looked
                match_fields(config, layer, found)
                if within is None and not step_back:
                    _not_older(config, layer, found, before)
                findings[layer.label] = _as_configured(config, layer, found, known.get(layer.label), now)
            except (AbsentError, ContractError) as error:
                looked.setdefault(layer.label, error.looked)
                left_out[layer.label] = _may_lack(config, layer, error, snapshot, before, within)
            except SourceError as error:
                looked.setdefault(layer.label, error.looked)
                raise
            else:
                layers.append((layer, found))
    finally:
        candidates = _recorded(config, snapshot, looked, lake, run_id)
    if not layers:
        raise AbsentError(
            f"{config.utility_code}: none of its layers is there. {' '.join(left_out.values())}"
        )
    _of_one_date(config, layers)
    passed = [f"{layer.label}: {told}" for layer, found in layers for told in passed_over(found.looked)]
    return Described(layers, left_out, findings, candidates, passed)


def _described(
    source: LayerSource, config: UtilityConfig, layer: LayerConfig, before: pl.DataFrame
) -> LayerDescription:
    """The layer as it is now; of a file not written since its last pull, what it was then: nothing is downloaded."""
    if isinstance(source, FileSource):
        for row in before.filter(layer=layer.label).iter_rows(named=True):
            edited_at, metadata = row["source_edited_at"], json.loads(row["metadata_json"])
            asked = (row["source_url"], row["asked_json"]) == (layer.path, config.asked_of(layer))
            if asked and source.same(config, layer, edited_at, metadata["bytes"]):
                return LayerDescription(
                    url=row["source_url"],
                    name=layer.label,
                    layer_index=None,
                    fields=json.loads(row["fields_json"]),
                    object_id_field=row["object_id_field"],
                    count=row["expected_count"],
                    edited_at=edited_at,
                    metadata=metadata,
                )
    return source.describe(config, layer)


def _of_one_date(config: UtilityConfig, layers: Iterable[tuple[LayerConfig, LayerDescription]]) -> None:
    """Raises ContractError where layers that rotate together were found in publications of different dates."""
    taken: dict[Discovery, dict[str, tuple[str, Period | None]]] = {}
    for layer, found in layers:
        discovery = config.discovery_of(layer)
        for look in found.looked:
            if discovery and look.verdict == "chosen":
                taken.setdefault(discovery, {})[layer.label] = look.candidate.title, look.candidate.vintage
    for of in taken.values():
        if len({title for title, _ in of.values()}) > 1 and len({vintage for _, vintage in of.values()}) > 1:
            told = ", ".join(f"{label} in {title}" for label, (title, _) in of.items())
            raise ContractError(
                f"{config.utility_code}: its layers fit only in publications of different dates ({told}), and a snapshot "
                f"is of one. Mend the layer that the newest lacks in utility_configs/{config.utility_code}.yaml; if they "
                "are published apart, give each a discovery of its own."
            )


def _not_older(
    config: UtilityConfig, layer: LayerConfig, found: LayerDescription, before: pl.DataFrame
) -> None:
    """Raises ContractError where an older publication than that of the newest pull would be taken for a newer month.

    The newer one may be gone for an hour, or lack a field for a day; the old ones stay online for years.
    """
    discovery = config.discovery_of(layer)
    by_name = discovery is not None and discovery.dated_by == "name"
    chosen = next((x.candidate for x in found.looked if x.verdict == "chosen"), None)
    for held in before.filter(pl.col("layer") == layer.label).iter_rows(named=True):
        if chosen is None or found.url == held["source_url"]:
            return
        name = service_name(held["source_url"])
        vintage, edited_at = vintage_of(name), held["source_edited_at"]
        if by_name and chosen.vintage and vintage:
            older = chosen.vintage.last < vintage.last
        else:
            older = bool(found.edited_at and edited_at and found.edited_at < edited_at)
        if older:
            raise ContractError(
                f"{config.utility_code}, layer {layer.label}: {chosen.title} is older than {name}, which snapshot "
                f"{held['snapshot']} holds. {'; '.join(passed_over(found.looked)) or f'{name} is not listed now'}. Mend "
                "the config if the newer one changed; if it was withdrawn for good, run with --force.",
                looked=found.looked,
            )


def _as_configured(
    config: UtilityConfig,
    layer: LayerConfig,
    found: LayerDescription,
    known: KnownLayer | None,
    now: datetime,
) -> list[str]:
    """What a person should know of the layer. Raises ContractError where pulling it would mislead."""
    findings = findings_of(config, layer, found, known, now)
    if grave := [f.message for f in findings if f.blocking]:
        raise ContractError(
            f"{config.utility_code}, layer {layer.label}: {'; '.join(grave)}. Mend utility_configs/"
            f"{config.utility_code}.yaml (a type that is right goes to field_types), or look at the source: {found.url}",
            looked=found.looked,
        )
    return [f.message for f in findings]


def _may_lack(
    config: UtilityConfig,
    layer: LayerConfig,
    error: AbsentError | ContractError,
    snapshot: str,
    before: pl.DataFrame,
    within: Period | None,
) -> str:
    """Why an optional layer is left out. Raises where it must not be."""
    if layer.optional and layer.label not in before["layer"]:
        return str(error)
    if layer.optional:
        held = before["snapshot"][0]
        told = f"{error} It is optional, but snapshot {held} has it, so it may not vanish unnoticed"
        raise type(error)(f"{told}: mend it, or take it out of the config.", looked=error.looked) from error
    if within and isinstance(error, AbsentError):
        raise PastSnapshotError(
            _no_past(config, layer, snapshot, error.looked), looked=error.looked
        ) from error
    raise error


def _no_past(config: UtilityConfig, layer: LayerConfig, snapshot: str, looked: Iterable[Looked]) -> str:
    named = [f"{x.candidate.title} ({x.candidate.vintage or 'no date'})" for x in looked]
    tried = [f"{x.candidate.title} {x.reason}" for x in looked if x.verdict != "other_period"]
    return (
        f"{config.utility_code}, layer {layer.label}: no publication of {snapshot} can be had, and one of another month "
        f"is not taken for it. There are: {', '.join(named) or 'none'}.{''.join(f' {t}.' for t in tried)}"
    )


def _recorded(
    config: UtilityConfig,
    snapshot: str,
    looked: Mapping[str, Iterable[Looked]],
    lake: Lake,
    run_id: str | None,
) -> pl.DataFrame:
    """Replace the snapshot's candidates by what was looked at now; nothing is written where nothing rotates."""
    partition = {"utility_code": config.utility_code, "snapshot": snapshot}
    rows = [
        {
            **partition,
            "layer": label,
            "title": look.candidate.title,
            "url": look.candidate.url,
            "vintage": str(look.candidate.vintage) if look.candidate.vintage else None,
            "modified_at": look.candidate.modified_at,
            "verdict": look.verdict,
            "reason": look.reason or None,
            "looked_at": datetime.now(UTC),
            "run_id": run_id,
        }
        for label, looks in looked.items()
        for look in looks
    ]
    if not rows:
        return SOURCE_CANDIDATES.empty()
    frame = SOURCE_CANDIDATES.conform(pl.DataFrame(rows, infer_schema_length=None))
    lake.replace(SOURCE_CANDIDATES, partition, frame, run_id=run_id)
    return frame
