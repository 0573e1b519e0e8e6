"""What the command line shows: tables, progress, plain lines.

What belongs here: how a row or a progress looks on a terminal and in a pipe. What does not: what is shown.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable

_PIPE_WIDTH = 140
out = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
err = Console(stderr=True, width=None if sys.stderr.isatty() else _PIPE_WIDTH, highlight=False)


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """A table on stdout."""
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


def say(text: str) -> None:
    """A line on stdout, as it stands."""
    out.print(text, markup=False, soft_wrap=True)


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
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
