"""`hc config`: look at and check utility_configs/.

What belongs here: options and what is printed. What does not: the reading and its rules (`catalog`).
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from hc_platform.catalog import json_schema, load_catalog, load_config
from hc_platform.commands.shared import DataDir, settings_of
from hc_platform.commands.verifying import verify
from hc_platform.ingesting import MistakeError
from hc_platform.terminal import out

app = typer.Typer(help="Look at and check utility_configs/.", no_args_is_help=True)
app.command()(verify)


@app.command("lint")
def lint(
    code: Annotated[str | None, typer.Argument(help="One utility; default all.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Check the configs; every mistake with its file, line, key and mend."""
    folder = settings_of(data_dir).configs
    if code:
        path = folder / f"{code}.yaml"
        if not path.is_file():
            raise MistakeError(f"there is no {path}")
        load_config(path)
        out.print(f"{path}: in order", markup=False)
    else:
        out.print(f"{len(load_catalog(folder))} configs in {folder}: in order", markup=False)


@app.command("schema")
def schema(
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
