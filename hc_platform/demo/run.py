"""`hc demo`: six synthetic utilities, and a fleet of chargers over a day, through the very path that real ones take.

What belongs here: setting the stage and showing the result. What does not: ingesting (the caller hands that in), the
fleet's day (`fleet`).
"""

import json
import os
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from hc_platform.catalog import Catalog, load_catalog
from hc_platform.demo.fleet_report import live_fleet, show
from hc_platform.demo.server import local_catalog, serve
from hc_platform.demo.synthetic import SHAPES, synthetic_layers
from hc_platform.lake.store import open_lake
from hc_platform.lake.warehouse import connect, publish
from hc_platform.settings import PROJECT_DIR, Settings

_COVERAGE = """
    SELECT u.utility_code, u.utility_name, r.status, r.expected_count AS counted, r.records_fetched AS fetched,
           r.records_written AS accepted, r.rejected, r.snapshot
    FROM utilities u JOIN hc_ingestion_runs r USING (utility_code)
    QUALIFY row_number() OVER (PARTITION BY utility_code ORDER BY r.started_at DESC) = 1
    ORDER BY 1
"""
_SUMMARY = """
    SELECT utility_code, resource, total_feeders AS feeders, total_hosting_capacity_mw AS hosting_mw,
           total_installed_dg_mw AS installed_mw, total_remaining_capacity_mw AS remaining_mw,
           constrained_feeders_count AS full, null_capacity_count AS no_value, censored_count AS at_bound
    FROM hosting_capacity_summaries_latest ORDER BY ALL
"""
SAMPLE = """
    SELECT utility_code, feeder_id_external, substation_name, voltage_kv, remaining_capacity_mw, constraining_metric
    FROM hosting_capacity_records_latest
    WHERE resource = 'generation' AND remaining_capacity_mw > 2
    ORDER BY remaining_capacity_mw DESC LIMIT 5
"""


def run_demo(
    data_dir: Path,
    scale: float,
    devices: int,
    *,
    ingest: Callable[[Settings, Catalog], None],
    table: Callable[[str, Iterable[str], Iterable[Any]], None],
    say: Callable[[str], None],
) -> None:
    """Serve, ingest, let a fleet of so many chargers live a day, and print what came of both and what to do next.

    The demo has a data folder and configs of its own, so that made-up numbers never stand beside real ones.
    """
    shipped = load_catalog(PROJECT_DIR / "utility_configs")
    layers = {code: synthetic_layers(shipped[code], scale) for code in SHAPES}
    with serve({c: its for c, its in layers.items() if its}) as url:
        catalog = local_catalog(shipped, url)
        _write_configs(catalog, data_dir / "utility_configs")
        # said outright, whatever the environment says: this must reach no real lake and no real instance
        settings = Settings(
            data_dir=data_dir,
            lake_root=None,
            config_dir=None,
            import_dir=None,
            min_interval_s=0.0,
            in_flight=4,
        )
        os.environ.pop("DAGSTER_HOME", None)
        say(f"synthetic ArcGIS server on {url}: {len(catalog)} utilities, a few broken pages on purpose")
        ingest(settings, catalog)
        with urllib.request.urlopen(f"{url}/_demo/stats") as answer:  # noqa: S310 - our own loopback server
            injected = json.load(answer)
    with connect(str(data_dir)) as connection:
        for title, query in (
            ("Coverage", _COVERAGE),
            ("Summaries", _SUMMARY),
            ("Room for 2 MW of solar", SAMPLE),
        ):
            answer = connection.sql(query)
            table(title, answer.columns, answer.fetchall())
    survived: Counter[str] = sum((Counter(f) for f in injected["faults"].values()), Counter())
    told = ", ".join(f"{n} x {fault.replace('_', ' ')}" for fault, n in sorted(survived.items()))
    say(f"broken pages injected and survived: {told or 'none'}\n")
    if devices:
        show(live_fleet(data_dir, devices=devices), table, say)
        publish(open_lake(settings.root), settings.warehouse_path)
    say("\nall numbers above are synthetic")
    folder = Path(sys.executable).parent
    bin_ = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    query = f"import hc_platform; hc_platform.connect('{data_dir}').sql('FROM utilities').show()"
    say(f'query it:    {bin_}/python -c "{query}"')
    if devices:
        decisions = query.replace("FROM utilities", "FROM charge_decisions")
        say(f'             {bin_}/python -c "{decisions}"')
    say(f"open the UI: {bin_}/hc ui --data-dir {data_dir}    then http://127.0.0.1:3000")


def _write_configs(catalog: Catalog, folder: Path) -> None:
    """The loopback configs as YAML, so that the UI on this data folder loads the same utilities."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.yaml"):
        old.unlink()
    for code, config in catalog.items():
        data = config.model_dump(mode="json", exclude_defaults=True)
        (folder / f"{code}.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
