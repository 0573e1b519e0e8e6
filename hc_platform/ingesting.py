"""What `hc ingest` and `hc rebuild` do: run a utility's assets in this process and tell how it went.

What belongs here: the loop over utilities and snapshots, dry runs. What does not: options and their help (`cli`), the
runs themselves (`orchestration.local_runs`).
"""

import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import typer

from hc_platform.catalog import Catalog
from hc_platform.lake.store import Lake
from hc_platform.pipeline.snapshots import snapshot_at
from hc_platform.reference.tables import LAKE_TABLES as REFERENCE_TABLES
from hc_platform.settings import Settings
from hc_platform.terminal import err, out, print_table, progress_bars


class MistakeError(Exception):
    """Something asked for that cannot be; one sentence, exit code 2."""


def running(catalog: Catalog, codes: Iterable[str], snapshot: str | None = None) -> list[tuple[str, str]]:
    """(code, snapshot) pairs: the snapshot asked for, else each utility's running one."""
    now = datetime.now(UTC)
    return [(code, snapshot or snapshot_at(now, catalog[code].cadence)) for code in codes]


def execute(
    settings: Settings,
    catalog: Catalog,
    wanted: list[tuple[str, str]],
    *,
    force: bool = False,
    rebuild: bool = False,
    accept_row_change: bool = False,
) -> None:
    """Run each pair's assets and then the national ones; exit 1 if any failed."""
    from hc_platform.definitions import build_definitions
    from hc_platform.orchestration.local_runs import (
        holders,
        local_instance,
        run_national,
        run_reference,
        run_utility,
    )
    from hc_platform.orchestration.partitions import PARTITIONS
    from hc_platform.orchestration.platform import Platform
    from hc_platform.orchestration.utility_assets import host_pool

    for code, snapshot in wanted:
        known = PARTITIONS[catalog[code].cadence].get_partition_keys()
        if snapshot not in known:
            raise MistakeError(
                f"{code} has no snapshot {snapshot}; it has {known[0]} to {known[-1]}, {catalog[code].cadence}"
            )
    failed: list[str] = []
    with progress_bars() as watch, local_instance(settings) as instance:
        platform = Platform(settings, catalog, watch=watch)
        definitions = build_definitions(platform)
        if any(platform.lake.version(table) < 0 for table in REFERENCE_TABLES):
            outlines = run_reference(
                definitions, instance
            )  # the first time; later `hc reference`, or the schedule
            if not outlines.success:
                err.print(
                    f"reference data: FAILED: {outlines.error}", style="red", markup=False, soft_wrap=True
                )
        for code, snapshot in wanted:
            pool = host_pool(catalog[code])
            if not rebuild and (busy := holders(instance, pool)):
                err.print(
                    f"{code} {snapshot}: waiting for run {', '.join(busy)}, which fetches from the same host"
                )
            outcome = run_utility(
                definitions,
                instance,
                code,
                snapshot,
                force=force,
                fetch=not rebuild,
                accept_row_change=accept_row_change,
            )
            told = outcome.told(code) if outcome.success else f"FAILED: {outcome.error}"
            err.print(
                f"{code} {snapshot}: {told}",
                style=None if outcome.success else "red",
                markup=False,
                soft_wrap=True,
            )
            failed += [] if outcome.success else [code]
            for warning in outcome.warnings:
                err.print(f"  look at {warning}", markup=False, soft_wrap=True)
        national = run_national(definitions, instance)
    if not national.success:
        err.print(f"national tables: FAILED: {national.error}", style="red", markup=False, soft_wrap=True)
    if failed or not national.success:
        raise typer.Exit(1)


def dry_run_of(settings: Settings, catalog: Catalog, code: str) -> None:
    """Fetch and normalize into a folder that is thrown away, and print what was found; exit 1 if it would be blocked."""
    from hc_platform.orchestration.platform import Platform
    from hc_platform.pipeline.fetch import fetch
    from hc_platform.pipeline.normalize import prepared_sections
    from hc_platform.sources import source_for

    config = catalog[code]
    with tempfile.TemporaryDirectory(prefix="hc-dry-run-") as folder, progress_bars() as watch:
        lake, platform = Lake(f"{folder}/lake"), Platform(settings, catalog)
        now = platform.now()
        snapshot = snapshot_at(now, config.cadence)
        result = fetch(
            config,
            snapshot,
            source=partial(source_for, config, options=platform.source_options),
            lake=lake,
            staging=Path(folder) / "staging",
            now=now,
            progress=watch,
        )
        with prepared_sections(config, snapshot, lake, scratch=Path(folder)) as prepared:
            report = prepared.report
    out.print(
        f"{code} {snapshot}: {result.status}, {result.fetched} features; nothing was written", markup=False
    )
    print_table("By layer", report.by_layer.columns, report.by_layer.iter_rows())
    print_table("Fields", report.quality.columns, report.quality.iter_rows())
    for check in report.checks(None):
        out.print(f"{'ok ' if check.passed else 'BAD'} {check.name}: {check.message}", markup=False)
    if not all(c.passed for c in report.checks(None) if c.blocking):
        raise typer.Exit(1)


def refresh_reference(settings: Settings, catalog: Catalog) -> None:
    """Read all reference files anew and tell of each table what stands in it; exit 1 if any could not be used."""
    from hc_platform.definitions import build_definitions
    from hc_platform.orchestration.local_runs import local_instance, run_reference
    from hc_platform.orchestration.platform import Platform

    with local_instance(settings) as instance:
        outcome = run_reference(build_definitions(Platform(settings, catalog)), instance)
    rows = [(name, made.get("dagster/row_count")) for name, made in sorted(outcome.materialized.items())]
    print_table("Reference tables", ("asset", "rows"), rows)
    for warning in outcome.warnings:
        err.print(f"  look at {warning}", markup=False, soft_wrap=True)
    if not outcome.success:
        err.print(f"FAILED: {outcome.error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1)
