"""What `hc ingest` and `hc rebuild` do: run a utility's assets in this process and tell how it went.

What belongs here: the loop over utilities and snapshots, dry runs. What does not: options and their help (`cli`), the
runs themselves (`orchestration.local_runs`).
"""

import tempfile
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor, Future
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from hc_platform.catalog import Catalog
from hc_platform.lake.store import Lake, open_lake
from hc_platform.pipeline.snapshots import snapshot_at
from hc_platform.reference.tables import LAKE_TABLES as REFERENCE_TABLES
from hc_platform.settings import Settings
from hc_platform.terminal import err, out, print_table, progress_bars

if TYPE_CHECKING:
    import dagster as dg

    from hc_platform.orchestration.local_runs import RunOutcome

PARALLEL: Final = 4
"""Utilities at once, each on hosts of its own."""


class MistakeError(Exception):
    """Something asked for that cannot be; one sentence, exit code 2."""


def running(catalog: Catalog, codes: Iterable[str], snapshot: str | None = None) -> list[tuple[str, str]]:
    """(code, snapshot) pairs: that of the month asked for, else each utility's running one."""
    at = datetime.now(UTC)
    if snapshot:
        try:
            at = datetime.strptime(snapshot, "%Y-%m").replace(tzinfo=UTC)
        except ValueError:
            raise MistakeError(f"{snapshot!r} is no snapshot; write it like {at:%Y-%m}") from None
    return [(code, snapshot_at(at, catalog[code].cadence)) for code in codes]


def execute(
    settings: Settings,
    catalog: Catalog,
    wanted: list[tuple[str, str]],
    *,
    parallel: int = PARALLEL,
    force: bool = False,
    rebuild: bool = False,
    accept_row_change: bool = False,
) -> None:
    """Run each pair's assets, several hosts at once, and then the national ones; exit 1 if any failed.

    Ctrl-C ends what runs at its next page or step, tells how far it came, and exits with 130.
    """
    from hc_platform.definitions import build_definitions
    from hc_platform.orchestration.hosts import hosts_of
    from hc_platform.orchestration.local_runs import bury_killed_runs, local_instance, run_national
    from hc_platform.orchestration.platform import Platform
    from hc_platform.orchestration.side_by_side import Piece, Stop, side_by_side
    from hc_platform.orchestration.workers import Options, work, workers

    _check_snapshots(catalog, wanted)
    pieces = [
        Piece(code, snapshot, frozenset([code, *(() if rebuild else hosts_of(catalog[code]))]))
        for code, snapshot in wanted
    ]
    stop = Stop()
    rows: list[tuple[Any, ...]] = []
    with progress_bars() as watch, local_instance(settings) as instance:
        definitions = build_definitions(Platform(settings, catalog))
        _refresh_missing_reference(settings, definitions, instance)
        several = min(parallel, len(pieces)) > 1
        with (
            stop.on_signals(_tell_of_the_end),
            workers(settings, catalog, stop, watch, several=several) as make_worker,
        ):
            run = partial(work, Options(force, rebuild, accept_row_change))
            for piece, future in side_by_side(pieces, run, make_worker, parallel, stop):
                outcome, seconds = _outcome(future)
                if isinstance(future.exception(), BrokenExecutor):
                    bury_killed_runs(instance)  # the next at its host waits for its slot
                _tell(piece.code, piece.snapshot, outcome)
                status, features = outcome.fetched(piece.code)
                error = (outcome.error or "-").partition("\n")[0]
                rows.append((piece.code, piece.snapshot, status, features, f"{seconds:.1f}", error))
        failed = [row for row in rows if row[2] == "failed"]
        if len(wanted) > 1:
            columns = ("utility", "snapshot", "status", "features", "seconds", "error")
            print_table("Rebuilt" if rebuild else "Ingested", columns, sorted(rows))
        if stop.asked:
            left = len(wanted) - len(rows) + len(failed)
            err.print(f"stopped: {left} of {len(wanted)} are not done; the same command goes on with them")
            raise typer.Exit(130)
        national = run_national(definitions, instance)
    if not national.success:
        err.print(f"national tables: FAILED: {national.error}", style="red", markup=False, soft_wrap=True)
    if failed or not national.success:
        raise typer.Exit(1)


def _outcome(future: "Future[tuple[RunOutcome, float]]") -> "tuple[RunOutcome, float]":
    """What became of a run; a worker that died, or anything else that befell one utility, is its failure."""
    from hc_platform.orchestration.local_runs import RunOutcome

    error = future.exception()
    if error is None:
        return future.result()
    told = str(error) or type(error).__name__
    if isinstance(error, BrokenExecutor):
        told = "its process died: was there memory enough?"
    return RunOutcome("", False, told, {}, []), 0.0


def _check_snapshots(catalog: Catalog, wanted: list[tuple[str, str]]) -> None:
    """Raises MistakeError for a snapshot that is none of its utility's."""
    from hc_platform.orchestration.partitions import PARTITIONS

    for code, snapshot in wanted:
        known = PARTITIONS[catalog[code].cadence].get_partition_keys()
        if snapshot not in known:
            raise MistakeError(
                f"{code} has no snapshot {snapshot}; it has {known[0]} to {known[-1]}, {catalog[code].cadence}"
            )


def _refresh_missing_reference(
    settings: Settings, definitions: "dg.Definitions", instance: "dg.DagsterInstance"
) -> None:
    """Read the reference data the first time; later `hc reference` does, or the schedule."""
    from hc_platform.orchestration.local_runs import run_reference

    lake = open_lake(settings.root)
    if all(lake.version(table) >= 0 for table in REFERENCE_TABLES):
        return
    outlines = run_reference(definitions, instance)
    if not outlines.success:
        err.print(f"reference data: FAILED: {outlines.error}", style="red", markup=False, soft_wrap=True)


def _tell(code: str, snapshot: str, outcome: "RunOutcome") -> None:
    told = outcome.told(code) if outcome.success else f"FAILED: {outcome.error}"
    style = None if outcome.success else "red"
    err.print(f"{code} {snapshot}: {told}", style=style, markup=False, soft_wrap=True)
    for warning in outcome.warnings:
        err.print(f"  look at {warning}", markup=False, soft_wrap=True)


def _tell_of_the_end() -> None:
    err.print("stopping: what runs ends at its next page or step; Ctrl-C again ends it at once")


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
