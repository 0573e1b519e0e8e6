"""`hc config verify`: do the published layers still hold what the configs say?

What belongs here: options and what is printed. What does not: the asking (`pipeline.verifying`), the ways to drift
(`sources.contract`).
"""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
import typer

from hc_platform.catalog import LayerConfig, UtilityConfig, load_catalog
from hc_platform.commands.shared import DataDir, settings_of
from hc_platform.ingesting import MistakeError
from hc_platform.terminal import out, print_table

_AT_ONCE = 8  # utilities asked at a time; each host is asked no faster for it


def verify(
    code: Annotated[str, typer.Argument(help="A utility's code, several with commas, or 'all'.")] = "all",
    saved: Annotated[
        Path | None,
        typer.Option(
            help="Folder of saved ?f=json answers to hold the configs against, instead of the network."
        ),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Folder to save the layers' metadata to, for --saved on another day.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Hold each config against its layers' metadata, pull nothing, and record what was found; exit 1 if any is broken."""
    from hc_platform.lake.store import open_lake
    from hc_platform.orchestration.platform import Platform
    from hc_platform.pipeline import verifying
    from hc_platform.sources import source_for
    from hc_platform.sources.base import LayerDescription
    from hc_platform.sources.saved import describe_saved

    settings = settings_of(data_dir)
    catalog = load_catalog(settings.configs)
    chosen = _chosen(catalog, code)
    lake, options = open_lake(settings.root), Platform(settings, catalog).source_options

    def describe(config: UtilityConfig, layer: LayerConfig) -> LayerDescription:
        if saved:
            return describe_saved(saved, config, layer)
        return source_for(config, layer, options).describe(config, layer)

    def one(config: UtilityConfig) -> pl.DataFrame:
        against: Literal["live", "saved"] = "saved" if saved else "live"
        seen: dict[str, LayerDescription] = {}

        def kept(config: UtilityConfig, layer: LayerConfig) -> LayerDescription:
            seen[layer.label] = describe(config, layer)
            return seen[layer.label]

        found = verifying.verify(config, kept, lake, datetime.now(UTC), against=against)
        if save:
            _save(save / config.utility_code, seen)
        return found

    with ThreadPoolExecutor(1 if saved else _AT_ONCE) as pool:
        verified = pl.concat(pool.map(one, chosen))
    verifying.record(lake, verified)
    _print(verified)
    if (verified["verdict"] == "broken").any():
        raise typer.Exit(1)


def _chosen(catalog: Any, code: str) -> list[UtilityConfig]:
    try:
        wanted = list(catalog.values()) if code == "all" else [catalog[c.strip()] for c in code.split(",")]
    except KeyError as error:
        raise MistakeError(str(error.args[0])) from None
    closed = [c for c in wanted if not c.fetchable]
    if code != "all" and closed:
        told = "; ".join(
            f"{c.utility_code} cannot be asked ({c.access_status}): {c.access_reason}" for c in closed
        )
        raise MistakeError(told)
    return [c for c in wanted if c.fetchable]


def _save(folder: Path, seen: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, found in enumerate(seen.values()):
        text = json.dumps(dict(found.metadata), indent=1, default=str)
        (folder / f"{number:02d}.json").write_text(text, encoding="utf-8")


def _print(verified: pl.DataFrame) -> None:
    rows = [
        (row["utility_code"], row["layer"], row["verdict"], row["rows"], "\n".join(_told(row["findings"])))
        for row in verified.iter_rows(named=True)
    ]
    print_table("Verification", ("code", "layer", "verdict", "rows", "findings"), rows)
    counts = dict(verified["verdict"].value_counts().iter_rows())
    told = ", ".join(f"{counts.get(v, 0)} {v}" for v in ("ok", "look", "broken"))
    out.print(f"{verified.height} layers: {told}; recorded in config_verifications", markup=False)


def _told(findings: str) -> list[str]:
    return [f"{f['kind']}{'!' if f['blocking'] else ''}: {f['message']}" for f in json.loads(findings)]
