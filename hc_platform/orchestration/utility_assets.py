"""One utility's assets, built from its config: raw_features -> sections -> feeders.

What belongs here: the factory, and how a step's report becomes checks and metadata.
What does not: the steps themselves (`pipeline`).
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import dagster as dg
import polars as pl
from filelock import FileLock

from hc_platform.catalog.models import UtilityConfig
from hc_platform.checking import Check
from hc_platform.hosting_capacity.checks import SECTION_CHECKS, keys_unique
from hc_platform.hosting_capacity.tables import RAW_FEATURES, RECORDS, SECTIONS
from hc_platform.orchestration.failures import plain_failures, refuse_if_blocked
from hc_platform.orchestration.hosts import alone_at, host_pool
from hc_platform.orchestration.labels import group_of, tags_of
from hc_platform.orchestration.metadata import bar, check_result, column_schema, markdown
from hc_platform.orchestration.partitions import PARTITIONS, STALE_AFTER
from hc_platform.orchestration.platform import Platform
from hc_platform.pipeline.changes import refresh_changes
from hc_platform.pipeline.feeders import PreparedRecords, prepare_records
from hc_platform.pipeline.fetch import Fetched, fetch
from hc_platform.pipeline.normalize import held_by, is_normalized, prepared_sections, previous_sections
from hc_platform.pipeline.standing import inputs_of, remember, stands
from hc_platform.sources import ContractError, SourceError, source_for
from hc_platform.sources.base import Progress

RAW, SECTION, FEEDER = "raw_features", "sections", "feeders"
LOCATION, SUBSTATION = "feeder_locations", "feeder_substations"
"""Built by `spatial_assets`, and part of a utility's run."""
_RETRIES = dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)
Events = Iterator[dg.AssetCheckResult | dg.MaterializeResult]


class FetchOptions(dg.Config):
    """Options of a run of raw_features."""

    force: bool = False
    """Download although the source says that it has not changed."""


class SectionOptions(dg.Config):
    """Options of a run of sections."""

    accept_row_change: bool = False
    """A person has looked: the row count may have moved by more than half."""


def asset_keys(code: str) -> list[dg.AssetKey]:
    """The utility's assets, upstream first."""
    return [dg.AssetKey([layer, code]) for layer in (RAW, SECTION, FEEDER, LOCATION, SUBSTATION)]


def utility_assets(utility: UtilityConfig, platform: Platform) -> list[dg.AssetsDefinition]:
    """The three assets of one utility, partitioned by snapshot."""
    return [_raw(utility, platform), _sections(utility, platform), _feeders(utility, platform)]


def common(utility: UtilityConfig, layer: str) -> dict[str, Any]:
    """What all assets of a utility have in common."""
    code = utility.utility_code
    return {
        "key": [layer, code],
        "group_name": group_of(utility),
        "partitions_def": PARTITIONS[utility.cadence],
        "owners": [utility.owner] if utility.owner else None,
        "tags": {**tags_of(utility), "verification": utility.verification.status},
    }


def _raw(utility: UtilityConfig, platform: Platform) -> dg.AssetsDefinition:
    code = utility.utility_code
    told: dict[str, str] = {}
    specs = {
        "count_equals_server": "Features fetched, and distinct ids among them, equal the server's count.",
        "fields_as_configured": "Every field the config names is published.",
    }
    if any(layer.optional for layer in utility.layers):
        told["optional_layers_present"] = "Layers that were never seen to answer are there."
    if any(utility.discovery_of(layer) for layer in utility.layers):
        told["newest_publication_taken"] = "Of each rotating service the newest publication fits the config."

    @dg.asset(
        **common(utility, RAW),
        description=f"{utility.utility_name}: every feature as published, once per snapshot.",
        kinds={"arcgis" if utility.data_source_type != "file" else "file", "deltalake"},
        pool=host_pool(utility),
        retry_policy=_RETRIES,
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=STALE_AFTER[utility.cadence]),
        check_specs=[
            dg.AssetCheckSpec(name, asset=[RAW, code], description=text, blocking=True)
            for name, text in specs.items()
        ]
        + [dg.AssetCheckSpec(name, asset=[RAW, code], description=text) for name, text in told.items()],
        metadata={
            "source": dg.MetadataValue.url(utility.service_url or "file:import"),
            "verification": f"{utility.verification.status} on {utility.verification.on}",
            "licence": utility.licence or "none stated",
            "dagster/column_schema": column_schema(RAW_FEATURES),
        },
    )
    def raw_features(context: dg.AssetExecutionContext, config: FetchOptions) -> Events:
        key = dg.AssetKey([RAW, code])
        try:
            with alone_at(utility, platform.settings.staging_dir):
                result = fetch(
                    utility,
                    context.partition_key,
                    source=partial(source_for, utility, options=platform.source_options),
                    lake=platform.lake,
                    staging=platform.settings.staging_dir,
                    now=platform.now(),
                    progress=_progress(context, code, platform),
                    force=config.force,
                    run_id=context.run.run_id,
                )
        except SourceError as error:
            name = "fields_as_configured" if isinstance(error, ContractError) else "count_equals_server"
            yield check_result(Check(name, False, True, str(error)), key)
            raise dg.Failure(str(error), allow_retries=error.retryable) from error
        message = f"{result.fetched} fetched, {result.expected} counted by the server"
        yield check_result(
            Check("count_equals_server", result.fetched == result.expected, True, message), key
        )
        yield check_result(Check("fields_as_configured", True, True, "all fields are there"), key)
        yield from (check_result(c, key) for c in _look_at(result) if c.name in told)
        yield dg.MaterializeResult(asset_key=key, metadata=_raw_metadata(result))

    return raw_features


def _sections(utility: UtilityConfig, platform: Platform) -> dg.AssetsDefinition:
    code = utility.utility_code
    key = dg.AssetKey([SECTION, code])

    @dg.asset(
        **common(utility, SECTION),
        deps=[[RAW, code]],
        description=f"{utility.utility_name}: the finest grain it publishes, in MW and kV, with every reject kept.",
        kinds={"polars", "deltalake"},
        check_specs=[
            dg.AssetCheckSpec(name, asset=key, blocking=blocks, description=text)
            for name, (blocks, text) in SECTION_CHECKS.items()
        ],
        metadata={"dagster/column_schema": column_schema(SECTIONS)},
    )
    def sections(context: dg.AssetExecutionContext, config: SectionOptions) -> Events:
        snapshot = context.partition_key
        with plain_failures():
            held = held_by(platform.lake, code, snapshot)
        if held != snapshot and is_normalized(utility, held, platform.lake):
            yield from unchanged(key, SECTION_CHECKS, held)
            return
        # a config that changed since makes the rows that stand for this snapshot anew, where they stand
        with (
            plain_failures(),
            platform.turn(),
            prepared_sections(
                utility,
                held,
                platform.lake,
                memory=platform.settings.warehouse_memory,
                scratch=platform.settings.staging_dir,
            ) as prepared,
        ):
            report = prepared.report
            before = previous_sections(platform.lake, code, held)
            checks = report.checks(before, accept_row_change=config.accept_row_change)
            yield from (check_result(c, key) for c in checks)
            refuse_if_blocked(checks)
            prepared.commit(platform.lake, context.run.run_id)
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={
                "dagster/row_count": report.rows,
                "accepted and rejected": bar({"accepted": report.accepted, "rejected": report.rejected}),
                "by layer": markdown(report.by_layer),
                "rejects": markdown(report.reasons),
                "fields": markdown(report.quality),
                "unknown constraints": markdown(report.unknown),
                "layers not in both config and snapshot": ", ".join(report.skipped_layers) or "none",
                "rejected_features": report.rejected,
                "unreadable values": int(report.quality["unreadable"].sum()),
            },
        )

    return sections


def _feeders(utility: UtilityConfig, platform: Platform) -> dg.AssetsDefinition:
    code = utility.utility_code
    key = dg.AssetKey([FEEDER, code])

    @dg.asset(
        **common(utility, FEEDER),
        deps=[[SECTION, code]],
        description=f"{utility.utility_name}: one record per feeder and resource; its rows of hosting_capacity_records.",
        kinds={"polars", "deltalake"},
        check_specs=[dg.AssetCheckSpec("record_keys_are_unique", asset=key, blocking=True)],
        metadata={"dagster/column_schema": column_schema(RECORDS)},
    )
    def feeders(context: dg.AssetExecutionContext) -> Events:
        lake, run_id = platform.lake, context.run.run_id
        with plain_failures(), platform.turn():
            held = held_by(lake, code, context.partition_key)
            inputs = inputs_of(utility, held, lake, (RAW_FEATURES, SECTIONS))
            if held != context.partition_key and stands(lake, RECORDS, utility, held, inputs):
                yield from unchanged(key, ["record_keys_are_unique"], held)
                return
            prepared = prepare_records(utility, held, lake)
            check = keys_unique(prepared.records.height, prepared.distinct, 0)
            yield check_result(check, key)
            refuse_if_blocked([check])
            prepared.commit(lake, run_id)
            with FileLock(
                platform.settings.staging_dir / f"{code}.changes.lock"
            ):  # months side by side share one
                changes = refresh_changes(lake, code, held, run_id)
            remember(lake, RECORDS, utility, held, inputs, run_id)
        metadata = _record_metadata(prepared)
        counts = changes.group_by("resource", "previous_snapshot", "change").len("feeders").sort(pl.all())
        yield dg.MaterializeResult(asset_key=key, metadata={**metadata, "changes": markdown(counts)})

    return feeders


def unchanged(key: dg.AssetKey, checks: Iterable[str], held: str) -> Events:
    """What an asset tells of a month whose rows stand under an earlier one, made from what is there now."""
    message = f"nothing has changed since {held}, whose rows the _latest views show"
    for name in checks:
        yield check_result(Check(name, True, False, message), key)
    yield dg.MaterializeResult(asset_key=key, metadata={"unchanged since": held})


def _look_at(result: Fetched) -> list[Check]:
    """What a person should look at although the fetch went well; a snapshot that the lake has was looked at before."""
    absent = " ".join(result.described.left_out.values()) if result.described else ""
    older = "; ".join(result.described.passed_over) if result.described else ""
    return [
        Check("optional_layers_present", not absent, False, absent or "all layers are there"),
        Check("newest_publication_taken", not older, False, older or "no newer one was passed over"),
    ]


def _raw_metadata(result: Fetched) -> dict[str, Any]:
    shown = [
        "layer",
        "layer_index",
        "status",
        "expected_count",
        "records_fetched",
        "plan",
        "requests",
        "bytes",
    ]
    notes = [
        f"{layer}: {note}"
        for layer, ns in result.layers.select("layer", "notes").iter_rows()
        for note in ns or ()
    ]
    metadata = {
        "dagster/row_count": result.fetched,
        "status": result.status if result.same_as is None else f"unchanged since {result.same_as}",
        "layers": markdown(result.layers.select(*shown, "source_edited_at")),
        "notes": dg.MetadataValue.md("\n".join(f"- {n}" for n in notes) or "none"),
        "megabytes": round(int(result.layers["bytes"].sum()) / 1e6, 3),
        "source_hash": result.source_hash or "",
    }
    if result.described and not result.described.candidates.is_empty():
        columns = ("layer", "title", "vintage", "modified_at", "verdict", "reason")
        metadata["candidates"] = markdown(result.described.candidates.select(*columns))
    return metadata


def _record_metadata(prepared: PreparedRecords) -> dict[str, Any]:
    records = prepared.records
    by_resource = records.group_by("resource").agg(
        pl.len().alias("feeders"),
        pl.col("hosting_capacity_mw").sum().round(3).alias("hosting MW"),
        pl.col("hosting_capacity_mw").is_null().sum().alias("no value"),
        (pl.col("censored") != "none").sum().alias("at a bound"),
    )
    binding = records["constraining_metric"].drop_nulls().value_counts(sort=True)
    return {
        "dagster/row_count": records.height,
        "by resource": markdown(by_resource.sort("resource")),
        "constraints": bar(dict(binding.iter_rows())),
        "sections disagree on": str({k: v for k, v in prepared.disagreeing.items() if v} or "nothing"),
        "generators without a known feeder": str(
            prepared.unplaced if prepared.unplaced["generators"] else "none"
        ),
    }


def _progress(context: dg.AssetExecutionContext, code: str, platform: Platform) -> Progress:
    """Log a line at every tenth of a layer, so that a long pull is seen to move."""
    told: dict[str, int] = {}

    def progress(layer: str, done: int, total: int) -> None:
        platform.watch(f"{code}: {layer}", done, total)
        tenth = 10 * done // max(total, 1)
        if told.get(layer) != tenth:
            told[layer] = tenth
            context.log.info(f"{layer}: {done:,} of {total:,} features")

    return progress
