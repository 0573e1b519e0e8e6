"""The `hc` command.

What belongs here: words, tables and exit codes. What does not: work; every command calls the function that does it.
Exit codes: 0 done, 1 something failed (a message says what), 2 a mistake in what was asked.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from hc_platform.catalog import Catalog, ConfigError, UtilityConfig, load_catalog
from hc_platform.commands import charge, config, devices, tariffs
from hc_platform.commands.changes import changes
from hc_platform.commands.coverage import coverage
from hc_platform.commands.near import near
from hc_platform.commands.shared import DataDir
from hc_platform.commands.shared import settings_of as _settings
from hc_platform.commands.utilities import utilities
from hc_platform.ingesting import MistakeError, dry_run_of, execute, refresh_reference, running
from hc_platform.lake.store import open_lake
from hc_platform.pipeline.snapshots import raw_snapshots
from hc_platform.settings import PROJECT_DIR
from hc_platform.terminal import err, out, print_table, say

app = typer.Typer(
    help="Where the US distribution grid has room, and the chargers that should use it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(config.app, name="config")
app.add_typer(charge.app, name="charge")
app.add_typer(devices.app, name="devices")
app.add_typer(tariffs.app, name="tariffs")
app.command()(near)
app.command()(utilities)
app.command()(changes)
app.command()(coverage)


AcceptRowChange = Annotated[
    bool, typer.Option(help="The rows may have moved by more than half: somebody has looked.")
]


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
        OSError,
        LookupError,
    ) as error:
        # an OSError's first argument may be a mere number, a KeyError's text is quoted
        plain = str(error) if isinstance(error, OSError) or not error.args else error.args[0]
        err.print(f"error: {plain}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)


@app.command()
def ingest(
    utility: Annotated[
        str | None, typer.Option(help="A utility's code, several with commas, or 'all'.")
    ] = None,
    category: Annotated[str | None, typer.Option(help="Only utilities of this data_source_type.")] = None,
    wave: Annotated[int | None, typer.Option(help="Only utilities of this wave of the rollout.")] = None,
    snapshot: Annotated[str | None, typer.Option(help="YYYY-MM; default the running one.")] = None,
    parallel: Annotated[
        int, typer.Option(min=1, max=16, help="Utilities at once, each on its own hosts.")
    ] = 4,
    force: Annotated[bool, typer.Option(help="Download although nothing changed.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Fetch and normalize, write nothing.")] = False,
    accept_row_change: AcceptRowChange = False,
    list_utilities: Annotated[bool, typer.Option(help="The same as `hc utilities`.")] = False,
    discover_: Annotated[bool, typer.Option("--discover", help="The same as `hc discover`.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Fetch utilities and bring them into the tables, as runs on the instance that the UI shows."""
    if list_utilities:
        utilities(data_dir=data_dir)
        return
    settings = _settings(data_dir)
    catalog = load_catalog(settings.configs)
    codes, closed = _chosen(catalog, utility, category, wave)
    if discover_:
        for code in codes:
            discover(utility=code, url=None, data_dir=data_dir)
    elif dry_run:
        for code in codes:
            dry_run_of(settings, catalog, code)
    else:
        wanted = running(catalog, codes, snapshot)
        past = [f"{code} {s}" for code, s in wanted if (code, s) not in running(catalog, codes)]
        if force and past:
            raise MistakeError(
                f"--force downloads, and only the running snapshot can be: not {', '.join(past)}"
            )
        try:
            execute(
                settings,
                catalog,
                wanted,
                parallel=parallel,
                force=force,
                accept_row_change=accept_row_change,
            )
        finally:
            for config in closed:
                say(f"not fetched: {config.utility_code} ({config.access_status}): {config.access_reason}")


@app.command()
def discover(
    utility: Annotated[str | None, typer.Option(help="A configured utility.")] = None,
    url: Annotated[str | None, typer.Option(help="Any ArcGIS FeatureServer or MapServer.")] = None,
    data_dir: DataDir = None,
) -> None:
    """List the layers and fields of a service, to write a config from."""
    from hc_platform.arcgis import HttpOptions, discover_layers
    from hc_platform.orchestration.platform import Platform
    from hc_platform.sources import candidates, http_for

    if (utility is None) == (url is None):
        raise MistakeError("give either --utility CODE or --url URL")
    settings = _settings(data_dir)
    services: dict[str, HttpOptions] = {}
    if url:
        agent = {"User-Agent": settings.user_agent}
        services[url] = HttpOptions(timeout_s=settings.timeout_s, attempts=settings.attempts, headers=agent)
    if utility:
        catalog = load_catalog(settings.configs)
        wanted, options = _known(catalog, utility), Platform(settings, catalog).source_options
        for layer in (x for x in wanted.layers if x.path is None):
            rotates = wanted.discovery_of(layer) is not None
            place = candidates(wanted, layer, options)[0].url if rotates else wanted.layer_service_url(layer)
            services[place] = http_for(wanted, layer, options, place)
    for service, http in services.items():
        for found in discover_layers(service, http=http):
            title = f"{found['id']}: {found['name']} ({found['geometry_type'] or 'table'})  {service}"
            fields = ((f["name"], f["type"], f.get("alias")) for f in found.get("fields") or ())
            print_table(title, ("field", "type", "alias"), fields)


@app.command()
def warehouse(data_dir: DataDir = None) -> None:
    """Publish the lake's newest state as warehouse.duckdb."""
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
    from hc_platform.lake.warehouse import export as write

    counts = write(open_lake(_settings(data_dir).root), target)
    print_table(str(target), ["table", "rows"], counts.items())


@app.command()
def rebuild(
    utility: Annotated[str, typer.Option(help="A utility's code, several with commas, or 'all'.")],
    snapshot: Annotated[str, typer.Option(help="YYYY-MM, or 'all' that have raw rows.")] = "all",
    accept_row_change: AcceptRowChange = False,
    data_dir: DataDir = None,
) -> None:
    """Make sections and feeders anew from the raw rows in the lake, as after a config fix; fetches nothing."""
    settings = _settings(data_dir)
    catalog = load_catalog(settings.configs)
    lake = open_lake(settings.root)
    codes, _ = _chosen(catalog, utility)
    wanted = {code: raw_snapshots(lake, code) if snapshot == "all" else [snapshot] for code in codes}
    empty = [code for code, held in wanted.items() if not held]
    if empty and utility != "all":
        raise MistakeError(f"the lake has no raw rows of {', '.join(empty)}; run hc ingest first")
    pairs = [(code, s) for code, held in wanted.items() for s in held]
    execute(settings, catalog, pairs, rebuild=True, accept_row_change=accept_row_change)


@app.command()
def reference(data_dir: DataDir = None) -> None:
    """Read the reference data anew: outlines of states and territories, price nodes, substations (docs/reference.md)."""
    settings = _settings(data_dir)
    refresh_reference(settings, load_catalog(settings.configs))


@app.command()
def tables() -> None:
    """Every table and column: type, unit, meaning; as Markdown (docs/tables.md)."""
    from hc_platform.charging.tables import LAKE_TABLES as CHARGING_TABLES
    from hc_platform.geo.tables import LAKE_TABLES as SPATIAL_TABLES
    from hc_platform.hosting_capacity.tables import LAKE_TABLES
    from hc_platform.reference.tables import LAKE_TABLES as REFERENCE_TABLES

    every = (*LAKE_TABLES, *SPATIAL_TABLES, *REFERENCE_TABLES, *CHARGING_TABLES)
    sys.stdout.write("\n".join(table.markdown for table in every))


@app.command()
def demo(
    data_dir: Annotated[Path, typer.Option(help="Where the demo's own data go.")] = Path("data/demo"),
    scale: Annotated[float, typer.Option(min=0.01, max=100, help="1 is about 56,000 features.")] = 1.0,
    devices: Annotated[int, typer.Option(min=0, help="Simulated chargers; 0: none, 50 or more.")] = 500,
) -> None:
    """Ingest six synthetic utilities and control a simulated fleet for a day; needs no account and no network."""
    from hc_platform.demo.run import run_demo

    if 0 < devices < 50:
        raise MistakeError(
            f"a fleet of {devices} is too small for all that befalls it; give --devices 50 or more"
        )
    run_demo(
        data_dir, scale, devices, ingest=lambda s, c: execute(s, c, running(c, c)), table=print_table, say=say
    )


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
        "HC_LAKE_ROOT": settings.root,
        "HC_TARIFF_DIR": str(settings.tariffs.resolve()),
        "HC_POLICY_FILE": str(settings.policies.resolve()),
        "HC_REGISTRY": settings.registry_at,
        "HC_DOWNLINK": settings.downlink_to,
        "HC_EVENTS": settings.events_from,
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


def _known(catalog: Catalog, code: str) -> UtilityConfig:
    try:
        return catalog[code]
    except KeyError as error:
        raise MistakeError(str(error.args[0])) from None


def _chosen(
    catalog: Catalog, utility: str | None, category: str | None = None, wave: int | None = None
) -> tuple[list[str], list[UtilityConfig]]:
    """The codes of what is asked for and can be fetched, and what cannot: a mistake only where it was named."""
    if utility is None:
        raise MistakeError("give --utility CODE, or --utility all")
    codes = list(catalog) if utility == "all" else [c.strip() for c in utility.split(",")]
    chosen = [_known(catalog, code) for code in codes]
    chosen = [c for c in chosen if category in (None, c.data_source_type) and wave in (None, c.wave)]
    closed = [c for c in chosen if not c.fetchable]
    if utility != "all" and closed:
        raise MistakeError(
            "; ".join(
                f"{c.utility_code} cannot be fetched ({c.access_status}): {c.access_reason}" for c in closed
            )
        )
    codes = [c.utility_code for c in chosen if c.fetchable]
    if not codes:
        asked = (("utility", utility), ("category", category), ("wave", wave))
        raise MistakeError(
            "no utility that can be fetched fits " + " ".join(f"--{k} {v}" for k, v in asked if v)
        )
    return codes, closed


if __name__ == "__main__":
    main()
