"""`hc coverage`: the resources of the DOE Atlas, and which of them the configs fetch.

What belongs here: options and what is printed. What does not: the list (`catalog.coverage`).
"""

from pathlib import Path
from typing import Annotated

import typer

from hc_platform.catalog import load_catalog
from hc_platform.catalog.coverage import coverage as covered
from hc_platform.catalog.coverage import coverage_markdown, load_atlas
from hc_platform.commands.shared import DataDir, settings_of
from hc_platform.terminal import out, print_table


def coverage(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Markdown file to write, as docs/coverage.md.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Every resource of the Atlas with its config: what is fetched of it, how that was verified, and why not."""
    catalog, atlas = load_catalog(settings_of(data_dir).configs), load_atlas()
    if output:
        output.write_text(coverage_markdown(atlas, catalog), encoding="utf-8")
        return
    rows = covered([*atlas.resources, *atlas.beyond], catalog)
    shown = [(r.state, r.resource, r.utility_code, r.status, r.fetched or r.reason) for r in rows]
    print_table("Coverage", ("state", "resource", "config", "status", "fetched, or why not"), shown)
    out.print(f"{atlas.unnamed} of the Atlas's {atlas.resources_in_atlas} could not be named", markup=False)
