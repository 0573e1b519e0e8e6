"""raw_features -> sections and rejected_features of one utility and snapshot, streamed.

What belongs here: batches in, parts on disk, one sorted stream out, committed only after its checks.
What does not: what a row means (`hosting_capacity.sections`), or when it runs (`orchestration`).
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import polars as pl

from hc_platform.catalog.fields import HOSTING_COLUMNS
from hc_platform.catalog.models import UtilityConfig
from hc_platform.checking import Check
from hc_platform.geo.geometry import hilbert_key
from hc_platform.hosting_capacity import checks
from hc_platform.hosting_capacity.keys import repeated_keys
from hc_platform.hosting_capacity.plausible import magnitudes, units_plausible
from hc_platform.hosting_capacity.reading import QUALITY
from hc_platform.hosting_capacity.sections import Normalized, normalize
from hc_platform.hosting_capacity.tables import INGESTION_EVENTS, RAW_FEATURES, REJECTED_FEATURES, SECTIONS
from hc_platform.hosting_capacity.vocabulary import unknown_constraints
from hc_platform.lake.store import Lake
from hc_platform.pipeline.fetch import hash_of, log_event
from hc_platform.pipeline.lookups import lookups_of
from hc_platform.pipeline.snapshots import layers_of, raw_snapshots
from hc_platform.pipeline.standing import made_with
from hc_platform.pipeline.threads import in_order
from hc_platform.sources.base import LayerDescription, match_fields
from hc_platform.tables import sql_text

BATCH_ROWS = 50_000
_NULL_RATE = (  # of the rows that could have a capacity: a generator has none
    pl.all_horizontal(pl.col(*HOSTING_COLUMNS, "remaining_capacity_mw").is_null())
    .filter(pl.col("grain") != "der")
    .mean()
)


class NoRawSnapshotError(LookupError):
    """There is nothing to normalize: the raw snapshot is not in the lake."""


@dataclass(frozen=True)
class SectionsReport:
    """What normalizing found, before anything is committed.

    `magnitudes`: plausible.magnitudes. `quality`: reading.QUALITY per layer. `by_layer`: per layer: fetched,
    accepted, rejected. `unknown`: constraint texts no rule knows. `skipped_layers`: layers that stand in the config
    or in the raw snapshot but not in both, as when history is normalized again with a newer config.
    """

    expected: int
    fetched: int
    accepted: int
    rejected: int
    rows: int
    distinct_keys: int
    collisions: int
    null_rate: float
    magnitudes: pl.DataFrame
    quality: pl.DataFrame
    by_layer: pl.DataFrame
    reasons: pl.DataFrame
    unknown: pl.DataFrame
    skipped_layers: list[str]

    def checks(self, before: "PreviousSections | None", *, accept_row_change: bool = False) -> list[Check]:
        """All checks of checks.SECTION_CHECKS, in their order."""
        rows = dict(self.by_layer.select("layer", "accepted").iter_rows())
        return [
            checks.accounted_for(self.expected, self.fetched, self.accepted, self.rejected),
            checks.keys_unique(self.rows, self.distinct_keys, self.collisions),
            units_plausible(self.magnitudes),
            checks.values_readable(self.quality),
            checks.feeders_known(self.quality),
            checks.row_count_stable(rows, before.rows if before else None, accepted=accept_row_change),
            checks.null_rate_stable(
                self.null_rate, before.null_rate if before else None, accepted=accept_row_change
            ),
            checks.constraints_known(self.unknown),
        ]


@dataclass(frozen=True)
class PreviousSections:
    """The last snapshot's sections, to compare with. `rows`: layer -> accepted features."""

    rows: dict[str, int]
    null_rate: float


@dataclass(frozen=True)
class PreparedSections:
    """Normalized parts on disk, waiting for their checks."""

    report: SectionsReport
    partition: dict[str, str]
    folder: Path
    memory: str
    config_hash: str
    source_hash: str

    def commit(self, lake: Lake, run_id: str | None = None) -> None:
        """Replace the partition of both tables. Rejects first: sections never stand without theirs."""
        lake.replace(
            REJECTED_FEATURES,
            self.partition,
            pl.read_parquet(self.folder / "rejected.parquet"),
            run_id=run_id,
        )
        lake.replace(SECTIONS, self.partition, self._stream(), run_id=run_id)
        log_event(
            lake,
            self.partition["utility_code"],
            self.partition["snapshot"],
            "normalized",
            run_id,
            records_written=self.report.accepted,
            rejected=self.report.rejected,
            config_hash=self.config_hash,
            source_hash=self.source_hash,
        )

    def _stream(self) -> Iterator[pl.DataFrame]:
        """Sections along the Hilbert curve, sorted by DuckDB within its memory limit."""
        columns = ", ".join(f's."{c}"' for c in SECTIONS.schema if c != "record_key")
        parts = ", ".join(sql_text(str(part)) for part in sorted(self.folder.glob("part-*.parquet")))
        repeated = sql_text(str(self.folder / "repeated.parquet"))
        with duckdb.connect(str(self.folder / "sort.duckdb")) as connection:
            connection.execute(f"SET memory_limit = '{self.memory}'")
            connection.execute("SET threads = 2")
            result = connection.sql(
                f"""
                SELECT {columns}, coalesce(r.new_key, s.record_key) AS record_key
                FROM read_parquet([{parts}], hive_partitioning = false) s
                LEFT JOIN read_parquet({repeated}) r ON s.row = r.row
                WHERE r.row IS NULL OR r.new_key IS NOT NULL
                ORDER BY s.hilbert, s.feature_key, s.resource, record_key
                """  # noqa: S608 - a folder of ours and column names of ours
            )
            for batch in result.to_arrow_reader(BATCH_ROWS):
                yield pl.DataFrame(batch).select(SECTIONS.names)


def held_by(lake: Lake, code: str, snapshot: str) -> str:
    """The snapshot that holds this snapshot's rows: itself, or the one it is unchanged since.

    Raises NoRawSnapshotError when there is none.
    """
    layers = layers_of(lake, code, snapshot)
    if layers.is_empty():
        held = ", ".join(raw_snapshots(lake, code)) or "none"
        raise NoRawSnapshotError(
            f"{code}: the lake has no raw snapshot {snapshot} (it has: {held}); materialize raw_features/{code} first"
        )
    return layers["same_as_snapshot"].drop_nulls().first() or snapshot  # type: ignore[return-value]


def is_normalized(config: UtilityConfig, snapshot: str, lake: Lake) -> bool:
    """Whether the snapshot's sections were made from the raw rows, with the config and by the rules that stand now."""
    events = (
        lake.scan(INGESTION_EVENTS, utility_code=config.utility_code)
        .filter((pl.col("status") == "normalized") & (pl.col("snapshot") == snapshot))
        .sort("at")
        .select("config_hash", "source_hash")
        .collect()
    )
    now = (made_with(config), hash_of(layers_of(lake, config.utility_code, snapshot)))
    return events.height > 0 and events.row(-1) == now


def previous_sections(lake: Lake, code: str, snapshot: str) -> PreviousSections | None:
    """Rows and null rate of the newest earlier snapshot that has sections."""
    earlier = sorted(
        p["snapshot"]
        for p in lake.partitions(SECTIONS)
        if p["utility_code"] == code and p["snapshot"] < snapshot
    )
    if not earlier:
        return None
    scan = lake.scan(SECTIONS, utility_code=code, snapshot=earlier[-1])
    counts = scan.group_by("layer").agg(pl.col("feature_key").n_unique()).collect(engine="streaming")
    rate = scan.select(_NULL_RATE).collect().item()
    return PreviousSections(dict(counts.iter_rows()), rate or 0.0)


@contextmanager
def prepared_sections(
    config: UtilityConfig, snapshot: str, lake: Lake, *, memory: str = "512MB", scratch: Path | None = None
) -> Iterator[PreparedSections]:
    """Normalize a raw snapshot into parts on disk; the caller looks at the report and commits, or does not.

    Memory stays bounded by a batch, the keys and DuckDB's limit, whatever the number of sections.
    """
    code = config.utility_code
    layers = layers_of(lake, code, snapshot)
    if scratch:
        scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"sections-{code}-", dir=scratch) as name:
        folder = Path(name)
        report = _write_parts(config, snapshot, lake, layers, folder)
        partition = {"utility_code": code, "snapshot": snapshot}
        yield PreparedSections(report, partition, folder, memory, made_with(config), hash_of(layers))


def _write_parts(
    config: UtilityConfig, snapshot: str, lake: Lake, layers: pl.DataFrame, folder: Path
) -> SectionsReport:
    code = config.utility_code
    published = {row["layer"]: _described(row) for row in layers.iter_rows(named=True)}
    present = [layer for layer in config.layers if layer.label in published]
    names = {layer.label: match_fields(config, layer, published[layer.label]) for layer in present}
    lookups = {layer.label: lookups_of(config, layer, names, lake, snapshot) for layer in present}
    fetched, accepted = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    rejected: list[pl.DataFrame] = [REJECTED_FEATURES.empty()]
    quality: list[pl.DataFrame] = []
    part = rows = 0

    def work() -> Iterator[Callable[[], tuple[str, Normalized]]]:
        for batch in lake.batches(RAW_FEATURES, BATCH_ROWS, utility_code=code, snapshot=snapshot):
            for (label,), raw in batch.partition_by("layer", as_dict=True, maintain_order=True).items():
                if label in names:  # else a layer that the config has dropped since: see skipped_layers
                    yield partial(one, str(label), raw)

    def one(label: str, raw: pl.DataFrame) -> tuple[str, Normalized]:
        layer = config.layer(label)
        own = {field: names[label][field] for field in layer.named_fields}
        return label, normalize(raw, config, layer, snapshot=snapshot, lookups=lookups[label], names=own)

    for label, done in in_order(work()):
        fetched[label] += done.fetched
        accepted[label] += done.sections["feature_key"].n_unique()
        rejected.append(done.rejected)
        quality.append(done.quality.with_columns(layer=pl.lit(label)))
        done.sections.with_columns(
            # a row's own number: a feature that holds several feeders has one key for all of them
            row=pl.int_range(rows, rows + pl.len(), dtype=pl.Int64),
            key_hash=_key_hash("record_key"),
            hilbert=hilbert_key(done.sections["centroid_lon"], done.sections["centroid_lat"]),
        ).write_parquet(folder / f"part-{part:06d}.parquet", compression="lz4")
        part += 1
        rows += done.sections.height
    if part == 0:
        SECTIONS.empty().with_columns(
            content_hash=pl.lit(0, pl.UInt64),
            key_hash=pl.lit(0, pl.UInt64),
            row=pl.lit(0, pl.Int64),
            hilbert=pl.lit(0, pl.Int64),
        ).write_parquet(folder / "part-000000.parquet")
    layers = layers.filter(pl.col("layer").is_in(list(names)))
    skipped = sorted(set(published) ^ {layer.label for layer in config.layers})
    counts = pl.DataFrame(
        {"layer": list(fetched), "fetched": list(fetched.values()), "accepted": list(accepted.values())},
        schema={"layer": pl.String, "fetched": pl.Int64, "accepted": pl.Int64},
    )
    return _report(lake, config, snapshot, layers, folder, counts, pl.concat(rejected), quality, skipped)


def _report(
    lake: Lake,
    config: UtilityConfig,
    snapshot: str,
    layers: pl.DataFrame,
    folder: Path,
    counts: pl.DataFrame,
    rejected: pl.DataFrame,
    quality: list[pl.DataFrame],
    skipped: list[str],
) -> SectionsReport:
    """Everything that only the whole layer can tell; texts are compared only where their hashes are equal."""
    sections = pl.scan_parquet(folder / "part-*.parquet")
    hashes = sections.select("key_hash").collect().to_series()
    twice = hashes.filter(hashes.is_duplicated()).unique().to_frame().lazy()
    columns = ("row", "layer", "resource", "record_key", "feature_key", "content_hash")
    doubtful = sections.select("key_hash", *columns).join(twice, on="key_hash", how="semi").select(columns)
    repeated = repeated_keys(doubtful.collect(engine="streaming").lazy())
    repeated.write_parquet(folder / "repeated.parquet")
    copies, numbered = (repeated.filter(pl.col("new_key").is_null() == gone) for gone in (True, False))
    kept = sections
    if copies.height:
        kept = sections.join(copies.lazy().select("row"), on="row", how="anti")
    duplicates = _duplicates(lake, config.utility_code, snapshot, sections, copies)
    rejected = pl.concat([rejected, duplicates])
    rejected.write_parquet(folder / "rejected.parquet")
    by_layer = (
        counts.join(duplicates.group_by("layer").len("copies"), on="layer", how="left")
        .join(rejected.group_by("layer").len("rejected"), on="layer", how="left")
        .with_columns(pl.col("copies", "rejected").fill_null(0).cast(pl.Int64))
        .with_columns(accepted=pl.col("accepted") - pl.col("copies"))
        .drop("copies")
    )
    facts = kept.select(
        pl.len().alias("rows"),
        _NULL_RATE.alias("null_rate"),
    ).collect(engine="streaming")
    # a text that no rule knows is 'other'; the names of constraint columns are the config's, not the source's
    strange = (
        kept.filter(pl.col("constraining_metric") == "other")
        .select("constraining_metric_raw")
        .collect(engine="streaming")
    )
    return SectionsReport(
        expected=int(layers["expected_count"].sum()),
        fetched=int(by_layer["fetched"].sum()),
        accepted=int(by_layer["accepted"].sum()),
        rejected=rejected.height,
        rows=facts["rows"][0],
        distinct_keys=_distinct_keys(kept, numbered, facts["rows"][0]),
        collisions=numbered.height,
        null_rate=facts["null_rate"][0] or 0.0,
        magnitudes=magnitudes(kept, config),
        quality=_total(quality),
        by_layer=by_layer,
        reasons=rejected.group_by("layer", "reason")
        .agg(pl.len().alias("count"), pl.first("detail"))
        .sort("layer", "reason"),
        unknown=unknown_constraints(strange.to_series()),
        skipped_layers=skipped,
    )


def _key_hash(record_key: str | pl.Expr) -> pl.Expr:
    return pl.struct("resource", record_key).hash(seed=11)


def _distinct_keys(kept: pl.LazyFrame, numbered: pl.DataFrame, rows: int) -> int:
    """Distinct keys as they will be committed: by their hashes, and by the texts if those are not distinct."""
    if numbered.is_empty():
        final = kept.select("resource", "record_key", hash="key_hash")
    else:
        keys = kept.join(numbered.lazy().select("row", "new_key"), on="row", how="left").select(
            "resource", record_key=pl.coalesce("new_key", "record_key")
        )
        final = keys.with_columns(hash=_key_hash("record_key"))
    distinct = final.select("hash").collect(engine="streaming").to_series().n_unique()
    if distinct == rows:
        return rows
    return int(final.select(pl.struct("resource", "record_key").n_unique()).collect().item())


def _duplicates(
    lake: Lake, code: str, snapshot: str, sections: pl.LazyFrame, copies: pl.DataFrame
) -> pl.DataFrame:
    """REJECTED_FEATURES rows for features of which nothing is left, for they only repeat another one."""
    feature = ["layer", "feature_key"]
    if copies.height:
        left = (
            sections.select("row", *feature)
            .join(copies.lazy().select(feature).unique(), on=feature, how="semi")
            .collect(engine="streaming")
            .join(copies, on="row", how="anti")
        )
        copies = copies.join(left, on=feature, how="anti").unique(feature, keep="first", maintain_order=True)
    if copies.is_empty():
        return REJECTED_FEATURES.empty()
    raw = lake.scan(RAW_FEATURES, utility_code=code, snapshot=snapshot).select(
        "utility_code", "snapshot", "layer", "object_id", "feature_key", "raw_attributes"
    )
    found = raw.join(copies.lazy().select(*feature, "record_key"), on=feature).with_columns(
        reason=pl.lit("duplicate_feature"),
        detail=pl.concat_str(pl.lit("repeats another feature with the key "), "record_key"),
    )
    return REJECTED_FEATURES.conform(found.drop("record_key").collect(engine="streaming"))


def _described(row: dict[str, Any]) -> LayerDescription:
    """A layer as it was when it was pulled: history is held against the contract of its own time."""
    return LayerDescription(
        url=row["source_url"],
        name=row["layer"],
        layer_index=row["layer_index"],
        fields=json.loads(row["fields_json"]),
        object_id_field=row["object_id_field"],
        count=row["expected_count"],
        edited_at=row["source_edited_at"],
    )


def _total(quality: list[pl.DataFrame]) -> pl.DataFrame:
    if not quality:
        return pl.DataFrame(schema={"layer": pl.String, **QUALITY})
    return (
        pl.concat(quality)
        .group_by("layer", "resource", "field", "column", maintain_order=True)
        .agg(pl.col("rows", "nulls", "unreadable", "withheld").sum(), pl.col("sample").drop_nulls().first())
    )
