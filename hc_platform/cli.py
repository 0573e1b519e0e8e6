"""The `hc` command.

What belongs here: words, tables and exit codes. What does not: work; every command calls the function that does it.
Exit codes: 0 done, 1 something failed (a message says what), 2 a mistake in what was asked.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable

from hc_platform.catalog import Catalog, ConfigError, UtilityConfig, json_schema, load_catalog, load_config
from hc_platform.settings import PROJECT_DIR, Settings

app = typer.Typer(
    help="Hosting capacity of the US distribution grid, as tables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Look at and check utility_configs/.", no_args_is_help=True)
app.add_typer(config_app, name="config")

out = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
err = Console(stderr=True, width=None if sys.stderr.isatty() else 140, highlight=False)

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Data folder; default HC_DATA_DIR or ./data.")
]


class MistakeError(Exception):
    """Something asked for that cannot be; one sentence, exit code 2."""


def main() -> None:
    """Run the command; a user's mistake or a dead server ends in one message, never in a traceback."""
    from hc_platform.arcgis import ArcGISError
    from hc_platform.pipeline.normalize import NoRawSnapshotError
    from hc_platform.sources import SourceError

    try:
        app()
    except (MistakeError, ConfigError) as error:
        err.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(2)
    except (
        SourceError,
        ArcGISError,
        NoRawSnapshotError,
        FileNotFoundError,
        FileExistsError,
        LookupError,
    ) as error:
        err.print(
            f"error: {error.args[0] if error.args else error}", style="red", markup=False, soft_wrap=True
        )
        sys.exit(1)


@app.command()
def ingest(
    utility: Annotated[
        str | None, typer.Option(help="A utility's code, several with commas, or 'all'.")
    ] = None,
    category: Annotated[str | None, typer.Option(help="Only utilities of this data_source_type.")] = None,
    snapshot: Annotated[str | None, typer.Option(help="YYYY-MM; default the running one.")] = None,
    force: Annotated[bool, typer.Option(help="Download although nothing changed.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Fetch and normalize, write nothing.")] = False,
    list_utilities: Annotated[bool, typer.Option(help="The same as `hc utilities`.")] = False,
    discover_: Annotated[bool, typer.Option("--discover", help="The same as `hc discover`.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Fetch utilities and bring them into the tables, as runs on the instance that the UI shows."""
    if list_utilities:
        utilities(data_dir)
        return
    settings = _settings(data_dir)
    catalog = load_catalog(settings.configs)
    codes = _chosen(catalog, utility, category)
    if discover_:
        for code in codes:
            discover(utility=code, url=None, data_dir=data_dir)
    elif dry_run:
        for code in codes:
            _dry_run(settings, catalog, code)
    else:
        _ingest(settings, catalog, codes, snapshot, force)


def _ingest(
    settings: Settings, catalog: Catalog, codes: list[str], snapshot: str | None, force: bool
) -> None:
    from hc_platform.definitions import build_definitions
    from hc_platform.orchestration.local_runs import local_instance, run_national, run_utility
    from hc_platform.orchestration.platform import Platform
    from hc_platform.pipeline.snapshots import snapshot_at

    failed: list[str] = []
    with _bars() as watch, local_instance(settings) as instance:
        platform = Platform(settings, catalog, watch=watch)
        definitions = build_definitions(platform)
        for code in codes:
            wanted = snapshot or snapshot_at(platform.now(), catalog[code].cadence)
            outcome = run_utility(definitions, instance, code, wanted, force=force)
            raw = outcome.materialized.get(f"raw_features/{code}", {})
            if outcome.success:
                rows = outcome.materialized[f"sections/{code}"].get("dagster/row_count", "the same")
                err.print(
                    f"{code} {wanted}: {raw.get('status')}, {raw.get('dagster/row_count')} features, {rows} sections"
                )
            else:
                failed.append(code)
                err.print(
                    f"{code} {wanted}: FAILED: {outcome.error}", style="red", markup=False, soft_wrap=True
                )
            for warning in outcome.warnings:
                err.print(f"  look at {warning}", markup=False, soft_wrap=True)
        national = run_national(definitions, instance)
    if not national.success:
        err.print(f"national tables: FAILED: {national.error}", style="red", markup=False, soft_wrap=True)
    if failed or not national.success:
        raise typer.Exit(1)


def _dry_run(settings: Settings, catalog: Catalog, code: str) -> None:
    from hc_platform.lake.store import Lake
    from hc_platform.orchestration.platform import Platform
    from hc_platform.pipeline.fetch import fetch
    from hc_platform.pipeline.normalize import prepared_sections
    from hc_platform.pipeline.snapshots import snapshot_at
    from hc_platform.sources import source_for

    config = catalog[code]
    with tempfile.TemporaryDirectory(prefix="hc-dry-run-") as folder, _bars() as watch:
        lake, platform = Lake(f"{folder}/lake"), Platform(settings, catalog)
        now = platform.now()
        snapshot = snapshot_at(now, config.cadence)
        result = fetch(
            config,
            snapshot,
            source=source_for(config, platform.source_options),
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
    _print("By layer", report.by_layer.columns, report.by_layer.iter_rows())
    _print("Fields", report.quality.columns, report.quality.iter_rows())
    for check in report.checks(None):
        out.print(f"{'ok ' if check.passed else 'BAD'} {check.name}: {check.message}", markup=False)
    if not all(c.passed for c in report.checks(None) if c.blocking):
        raise typer.Exit(1)


@app.command()
def discover(
    utility: Annotated[str | None, typer.Option(help="A configured utility.")] = None,
    url: Annotated[str | None, typer.Option(help="Any ArcGIS FeatureServer or MapServer.")] = None,
    data_dir: DataDir = None,
) -> None:
    """List the layers and fields of a service, to write a config from."""
    from hc_platform.arcgis import discover_layers

    if (utility is None) == (url is None):
        raise MistakeError("give either --utility CODE or --url URL")
    urls = [url] if url else []
    if utility:
        config = _known(load_catalog(_settings(data_dir).configs), utility)
        urls = list(
            dict.fromkeys(config.layer_service_url(layer) for layer in config.layers if layer.path is None)
        )
    for service in urls:
        for layer in discover_layers(service):
            title = f"{layer['id']}: {layer['name']} ({layer['geometry_type'] or 'table'})  {service}"
            fields = ((f["name"], f["type"], f.get("alias")) for f in layer.get("fields") or ())
            _print(title, ("field", "type", "alias"), fields)


@app.command()
def utilities(data_dir: DataDir = None) -> None:
    """Every configured utility: access, verification, when it was last ingested, whether that is fresh."""
    from datetime import UTC, datetime

    import polars as pl

    from hc_platform.hosting_capacity.tables import INGESTION_EVENTS
    from hc_platform.lake.store import open_lake
    from hc_platform.orchestration.partitions import STALE_AFTER
    from hc_platform.pipeline.national import fold_runs

    settings = _settings(data_dir)
    catalog = load_catalog(settings.configs)
    runs = fold_runs(open_lake(settings.root).scan(INGESTION_EVENTS).collect())
    rows = []
    for config in catalog.values():
        own = runs.filter(pl.col("utility_code") == config.utility_code)
        good = own.filter(pl.col("status").is_in(["complete", "changed", "unchanged"]))
        last: datetime | None = (
            good.sort("completed_at")["completed_at"].to_list()[-1] if good.height else None
        )
        age = datetime.now(UTC) - last if last else None
        rows.append(
            (
                config.utility_code,
                config.utility_name,
                ",".join(config.states),
                ",".join(config.resources),
                config.access_status,
                f"{config.verification.status} {config.verification.on}",
                own["status"].to_list()[-1] if own.height else "-",
                f"{last:%Y-%m-%d %H:%M}Z" if last else "-",
                "never" if age is None else "fresh" if age < STALE_AFTER[config.cadence] else "stale",
            )
        )
    shown = (
        "code",
        "name",
        "states",
        "resources",
        "access",
        "verification",
        "last run",
        "last ingested",
        "freshness",
    )
    _print("Utilities", shown, rows)


@config_app.command("lint")
def config_lint(
    code: Annotated[str | None, typer.Argument(help="One utility; default all.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Check the configs; every mistake with its file, line, key and mend."""
    folder = _settings(data_dir).configs
    if code:
        path = folder / f"{code}.yaml"
        if not path.is_file():
            raise MistakeError(f"there is no {path}")
        load_config(path)
        out.print(f"{path}: in order", markup=False)
    else:
        out.print(f"{len(load_catalog(folder))} configs in {folder}: in order", markup=False)


@config_app.command("schema")
def config_schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; default stdout.")
    ] = None,
) -> None:
    """The JSON Schema of a utility config, for editors."""
    text = json.dumps(json_schema(), indent=2) + "\n"
    if output:
        output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


@app.command()
def warehouse(data_dir: DataDir = None) -> None:
    """Publish the lake's newest state as warehouse.duckdb."""
    from hc_platform.lake.store import open_lake
    from hc_platform.lake.warehouse import publish

    settings = _settings(data_dir)
    rebuilt = publish(open_lake(settings.root), settings.warehouse_path, memory=settings.warehouse_memory)
    out.print(
        f"{settings.warehouse_path}: {'rebuilt' if rebuilt else 'stood at the newest state already'}",
        markup=False,
    )


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="A .duckdb file to write.")], data_dir: DataDir = None
) -> None:
    """Write one portable .duckdb file with every row of every table in it."""
    from hc_platform.lake.store import open_lake
    from hc_platform.lake.warehouse import export as write

    counts = write(open_lake(_settings(data_dir).root), target)
    _print(str(target), ["table", "rows"], counts.items())


@app.command()
def demo(
    data_dir: Annotated[Path, typer.Option(help="Where the demo's own data go.")] = Path("data/demo"),
    scale: Annotated[float, typer.Option(min=0.01, max=100, help="1 is about 56,000 features.")] = 1.0,
) -> None:
    """Ingest six synthetic utilities from a loopback server through the real path; needs no account and no network."""
    from hc_platform.demo.run import run_demo

    run_demo(data_dir, scale, ingest=lambda s, c: _ingest(s, c, list(c), None, False), table=_print, say=_say)


@app.command()
def ui(
    data_dir: DataDir = None,
    port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to bind to.")] = "127.0.0.1",
) -> None:
    """Run the Dagster UI and daemon (dg dev) on this data folder."""
    from hc_platform.orchestration.local_runs import dagster_home

    settings = _settings(data_dir)
    home = dagster_home(settings)
    os.environ |= {
        "HC_DATA_DIR": str(settings.data_dir.resolve()),
        "HC_CONFIG_DIR": str(settings.configs.resolve()),
        "HC_IMPORT_DIR": str(settings.imports),
    }
    os.chdir(home)  # in the project's folder Dagster warns of its dagster.yaml, of which the home has a copy
    command = [
        str(Path(sys.executable).with_name("dg")),
        "dev",
        "--workspace",
        str(PROJECT_DIR / "workspace.yaml"),
        "--host",
        host,
        "--port",
        str(port),
    ]
    os.execv(command[0], command)  # noqa: S606 - our own interpreter's dg, no shell


def _settings(data_dir: Path | None) -> Settings:
    return Settings(data_dir=data_dir) if data_dir else Settings()


def _known(catalog: Catalog, code: str) -> UtilityConfig:
    try:
        return catalog[code]
    except KeyError as error:
        raise MistakeError(str(error.args[0])) from None


def _chosen(catalog: Catalog, utility: str | None, category: str | None) -> list[str]:
    if utility is None:
        raise MistakeError("give --utility CODE, or --utility all")
    codes = list(catalog) if utility == "all" else [c.strip() for c in utility.split(",")]
    chosen = [_known(catalog, code) for code in codes]
    if category:
        chosen = [c for c in chosen if c.data_source_type == category]
    closed = [c for c in chosen if not c.fetchable]
    if utility != "all" and closed:
        raise MistakeError(
            "; ".join(
                f"{c.utility_code} cannot be fetched ({c.access_status}): {c.access_reason}" for c in closed
            )
        )
    codes = [c.utility_code for c in chosen if c.fetchable]
    if not codes:
        raise MistakeError(
            f"no utility fits --utility {utility}" + (f" --category {category}" if category else "")
        )
    return codes


def _print(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    table = RichTable(title=title, title_justify="left")
    for column in columns:
        table.add_column(str(column), overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    out.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"


def _say(text: str) -> None:
    out.print(text, markup=False, soft_wrap=True)


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar per layer on a terminal, a line at every quarter otherwise."""
    if not err.is_terminal:
        told: dict[str, int] = {}

        def line(layer: str, done: int, total: int) -> None:
            quarter = 4 * done // max(total, 1)
            if told.get(layer) != quarter:
                told[layer] = quarter
                err.print(f"  {layer}: {done:,} of {total:,}", markup=False)

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        tasks: dict[str, Any] = {}

        def bar(layer: str, done: int, total: int) -> None:
            if layer not in tasks:
                tasks[layer] = progress.add_task(layer, total=total)
            progress.update(tasks[layer], completed=done, total=total)

        yield bar


if __name__ == "__main__":
    main()
