"""A utility's layers -> raw_features and source_layers of one snapshot; and the log of every attempt.

What belongs here: deciding whether to fetch, fetching every layer, committing all of them or none.
What does not: how a layer is fetched (`sources`), what its fields mean (`hosting_capacity`).
"""

import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl
from filelock import FileLock, Timeout

from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.tables import INGESTION_EVENTS, RAW_FEATURES, SOURCE_LAYERS
from hc_platform.lake.store import Lake
from hc_platform.pipeline.describing import Described, SourceFor, describe_layers, past_period
from hc_platform.pipeline.snapshots import layers_of, newest_pull, snapshot_at
from hc_platform.pipeline.windows import Verified, raw_rows, verify
from hc_platform.sources import SourceError
from hc_platform.sources.base import LayerDescription, LayerPull, Progress

Status = Literal["complete", "changed", "unchanged"]


@dataclass(frozen=True)
class Fetched:
    """What a fetch did. `layers`: SOURCE_LAYERS rows; `same_as`: the snapshot that holds the rows if unchanged.

    `described`: what was found before the pull, absent where the lake answered.
    """

    status: Status
    snapshot: str
    layers: pl.DataFrame
    same_as: str | None = None
    source_hash: str | None = None
    described: Described | None = None

    @property
    def expected(self) -> int:
        """Features the server counted, all layers."""
        return int(self.layers["expected_count"].sum())

    @property
    def fetched(self) -> int:
        """Features received, all layers."""
        return int(self.layers["records_fetched"].sum())


@dataclass(frozen=True)
class _Pulled:
    layer: LayerConfig
    found: LayerDescription
    pull: LayerPull
    verified: Verified
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


def fetch(
    config: UtilityConfig,
    snapshot: str,
    *,
    source: SourceFor,
    lake: Lake,
    staging: Path,
    now: datetime,
    progress: Progress = lambda layer, done, total: None,
    force: bool = False,
    run_id: str | None = None,
) -> Fetched:
    """Bring one utility's raw features of one snapshot into the lake, all layers or none.

    A source whose edit dates (or, failing these, whose content) are those of the newest snapshot is `unchanged`:
    neither downloaded nor copied, unless `force`. A past snapshot is answered from the lake if it is there, else from
    publications of that very period where all layers' services keep such.
    Raises SourceError: PartialPullError when a layer came short, PastSnapshotError for a past that is gone.
    """
    current, within = snapshot_at(now, config.cadence), None
    if snapshot != current:
        held = layers_of(lake, config.utility_code, snapshot)
        if not held.is_empty():
            same_as = held["same_as_snapshot"].drop_nulls().first()
            return Fetched("unchanged", snapshot, held, same_as if isinstance(same_as, str) else snapshot)
        within = past_period(config, snapshot, current)
    with _only_one(staging, config.utility_code), _logged(lake, config, snapshot, run_id) as log:
        before = newest_pull(lake, config.utility_code, until=snapshot)
        described = describe_layers(
            config,
            snapshot,
            source=source,
            lake=lake,
            before=before,
            now=now,
            within=within,
            step_back=force,
            run_id=run_id,
        )
        pulled = _pull(config, snapshot, described, before, source, lake, staging, progress, force, run_id)
        result = replace(pulled, described=described)
        log.append(result)
    return result


def _pull(
    config: UtilityConfig,
    snapshot: str,
    described: Described,
    before: pl.DataFrame,
    source: SourceFor,
    lake: Lake,
    staging: Path,
    progress: Progress,
    force: bool,
    run_id: str | None,
) -> Fetched:
    code = config.utility_code
    if not force and _not_edited(config, described.layers, before):
        return _unchanged(config, snapshot, lake, before, run_id)

    _sweep(staging / code, keep=snapshot)
    pulled = []
    for layer, found in described.layers:
        directory = staging / code / snapshot / _slug(layer.label)
        pull = source(layer).pull(config, layer, found, directory, progress)
        verified = verify(pull.files, pull.expected_count, f"{code}, layer {layer.label}")
        pulled.append(_Pulled(layer, found, pull, verified))
    if not force and _same_content(pulled, before):
        _sweep(staging / code)
        return _unchanged(config, snapshot, lake, _touched(config, lake, before, pulled, run_id), run_id)

    layers = SOURCE_LAYERS.conform(
        pl.DataFrame([_layer_row(config, snapshot, p, described) for p in pulled], infer_schema_length=None)
    )
    rows = (
        frame
        for p in pulled
        for frame in raw_rows(p.pull.files, code=code, snapshot=snapshot, layer=p.layer.label, at=p.at)
    )
    partition = {"utility_code": code, "snapshot": snapshot}
    lake.replace(RAW_FEATURES, partition, rows, run_id=run_id)
    lake.replace(SOURCE_LAYERS, partition, layers, run_id=run_id)
    _sweep(staging / code)
    status: Status = "changed" if any(p.pull.status == "changed" for p in pulled) else "complete"
    return Fetched(status, snapshot, layers, source_hash=hash_of(layers))


def _not_edited(
    config: UtilityConfig, described: list[tuple[LayerConfig, LayerDescription]], before: pl.DataFrame
) -> bool:
    """Every layer tells an edit date, and date, count, address and question are those of the last pull."""
    known = {row["layer"]: row for row in before.iter_rows(named=True)}
    return set(known) == {layer.label for layer, _ in described} and all(
        found.edited_at is not None
        and found.edited_at == known[layer.label]["source_edited_at"]
        and (found.count, found.url, config.asked_of(layer))
        == tuple(known[layer.label][c] for c in ("expected_count", "source_url", "asked_json"))
        for layer, found in described
    )


def _same_content(pulled: list[_Pulled], before: pl.DataFrame) -> bool:
    known = {row["layer"]: (row["source_hash"], row["source_url"]) for row in before.iter_rows(named=True)}
    return {p.layer.label: (p.verified.source_hash, p.found.url) for p in pulled} == known


def _touched(
    config: UtilityConfig, lake: Lake, before: pl.DataFrame, pulled: list[_Pulled], run_id: str | None
) -> pl.DataFrame:
    """The held pull's rows with edit dates and questions as they are now, so that the next run need not download."""
    now: dict[str, dict[str, Any]] = {
        "source_edited_at": {p.layer.label: p.found.edited_at for p in pulled},
        "asked_json": {p.layer.label: config.asked_of(p.layer) for p in pulled},
        "where_sql": {p.layer.label: p.layer.where for p in pulled},
    }
    touched = before.with_columns(
        pl.col("layer").replace_strict(of, return_dtype=SOURCE_LAYERS.schema[name]).alias(name)
        for name, of in now.items()
    )
    if touched.equals(before):
        return before
    partition = {c: str(before[c][0]) for c in ("utility_code", "snapshot")}
    lake.replace(SOURCE_LAYERS, partition, touched, run_id=run_id)
    return touched


def _unchanged(
    config: UtilityConfig, snapshot: str, lake: Lake, before: pl.DataFrame, run_id: str | None
) -> Fetched:
    same_as = str(before["snapshot"][0])
    if same_as == snapshot:  # this very snapshot stands already
        return Fetched("unchanged", snapshot, before, same_as, hash_of(before))
    layers = before.with_columns(
        snapshot=pl.lit(snapshot), status=pl.lit("unchanged"), same_as_snapshot=pl.lit(same_as)
    )
    partition = {"utility_code": config.utility_code, "snapshot": snapshot}
    lake.replace(SOURCE_LAYERS, partition, layers, run_id=run_id)
    return Fetched("unchanged", snapshot, layers, same_as, hash_of(layers))


def _layer_row(config: UtilityConfig, snapshot: str, pulled: _Pulled, described: Described) -> dict[str, Any]:
    found, pull = pulled.found, pulled.pull
    first = pulled.layer is described.layers[0][0]
    absent = [f"left out: {reason}" for reason in described.left_out.values()] if first else []
    return {
        "utility_code": config.utility_code,
        "snapshot": snapshot,
        "layer": pulled.layer.label,
        "layer_index": found.layer_index,
        "source_url": found.url,
        "where_sql": pulled.layer.where,
        "asked_json": config.asked_of(pulled.layer),
        "status": pull.status,
        "same_as_snapshot": None,
        "expected_count": pull.expected_count,
        "records_fetched": pulled.verified.rows,
        "object_id_field": found.object_id_field,
        "fields_json": json.dumps(dict(found.fields)),
        "metadata_json": json.dumps(dict(found.metadata), default=str),
        "source_edited_at": found.edited_at,
        "source_hash": pulled.verified.source_hash,
        "plan": pull.plan,
        "requests": pull.requests,
        "bytes": pull.bytes,
        "notes": [*absent, *described.findings.get(pulled.layer.label, []), *pull.notes],
        "fetched_at": pulled.at,
    }


def hash_of(layers: pl.DataFrame) -> str:
    """One hash over the content of all layers of a snapshot (SOURCE_LAYERS rows)."""
    return hashlib.blake2b(
        "".join(layers.sort("layer")["source_hash"].fill_null("")).encode(), digest_size=16
    ).hexdigest()


def _slug(label: str) -> str:
    """A folder's name for a layer; the hash keeps two labels apart that differ only in punctuation."""
    digest = hashlib.blake2b(label.encode(), digest_size=4).hexdigest()
    return f"{re.sub(r'[^a-z0-9]+', '-', label.lower()).strip('-')[:40]}-{digest}"


def _sweep(folder: Path, keep: str | None = None) -> None:
    """Remove staged windows, of all snapshots or of all but one."""
    for child in folder.iterdir() if folder.is_dir() else ():
        if child.name != keep:
            shutil.rmtree(child, ignore_errors=True)


@contextmanager
def _only_one(staging: Path, code: str) -> Iterator[None]:
    """One fetch of a utility at a time on this machine; the windows on disk are not for two."""
    staging.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(staging / f"{code}.lock", timeout=0):
            yield
    except Timeout:
        raise SourceError(
            f"{code}: another run is fetching it now; wait for that one", retryable=True
        ) from None


@contextmanager
def _logged(lake: Lake, config: UtilityConfig, snapshot: str, run_id: str | None) -> Iterator[list[Fetched]]:
    """Append the start and the end of an attempt to the log; the caller appends its result to the list."""
    ingestion_id = str(uuid.uuid4())
    url = config.service_url or config.layers[0].service_url or config.layers[0].path

    def event(status: str, **more: Any) -> None:
        told = {"source_url": url, **more}
        log_event(lake, config.utility_code, snapshot, status, run_id, ingestion_id, **told)

    event("running")
    results: list[Fetched] = []
    try:
        yield results
    except BaseException as error:
        event("failed", error_message=str(error) or type(error).__name__)
        raise
    result = results[0]
    moved = result.status != "unchanged"
    event(
        result.status,
        source_url=url or result.layers["source_url"].first(),  # a rotating service is known only now
        expected_count=result.expected,
        records_fetched=result.fetched if moved else 0,
        bytes=int(result.layers["bytes"].sum()) if moved else 0,
        source_edited_at=result.layers["source_edited_at"].max(),
        source_hash=result.source_hash,
    )


def log_event(
    lake: Lake,
    code: str,
    snapshot: str,
    status: str,
    run_id: str | None,
    ingestion_id: str | None = None,
    **more: Any,
) -> None:
    """Append one INGESTION_EVENTS row."""
    row = {
        "ingestion_id": ingestion_id or str(uuid.uuid4()),
        "run_id": run_id,
        "utility_code": code,
        "snapshot": snapshot,
        "at": datetime.now(UTC),
        "status": status,
        **more,
    }
    frame = pl.DataFrame([row], schema={k: INGESTION_EVENTS.schema[k] for k in row})
    lake.append(INGESTION_EVENTS, INGESTION_EVENTS.conform(frame), run_id=run_id)
