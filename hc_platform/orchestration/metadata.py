"""What a data engineer sees of a run in the UI: tables, counts, a small bar.

What belongs here: rendering reports as Dagster metadata. What does not: computing them.
"""

from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from html import escape
from typing import Any

import dagster as dg
import polars as pl

from hc_platform.checking import Check
from hc_platform.tables import Table

_COLOURS = ("#2f7d4f", "#c0532b", "#8a8f98", "#c99a2e", "#3f6fb5", "#7b5aa6")


@cache
def column_schema(table: Table) -> dg.TableSchema:
    """A table's columns with types, meanings and units, for the Columns tab."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=c.name,
                type=c.type,
                description=c.comment,
                constraints=dg.TableColumnConstraints(nullable=not c.required),
            )
            for c in table.columns
        ]
    )


def markdown(frame: pl.DataFrame, limit: int = 50) -> dg.MarkdownMetadataValue:
    """A frame as a Markdown table; says so when rows are left out."""
    if frame.is_empty():
        return dg.MetadataValue.md("none")
    lines = ["| " + " | ".join(frame.columns) + " |", "|" + "---|" * frame.width]
    for row in frame.head(limit).iter_rows():
        lines.append("| " + " | ".join(_cell(value) for value in row) + " |")
    if frame.height > limit:
        lines.append(f"\n{frame.height - limit} more rows")
    return dg.MetadataValue.md("\n".join(lines))


def bar(parts: Mapping[str, float]) -> dg.MarkdownMetadataValue:
    """A small stacked bar (SVG in a data URI) with its legend."""
    total = sum(parts.values()) or 1
    width, x, shapes, legend = 360.0, 0.0, [], []
    for (name, value), colour in zip(parts.items(), _COLOURS * 9, strict=False):
        share = width * value / total
        title = f"<title>{escape(name)}: {value:g}</title>"
        shapes.append(f'<rect x="{x:.1f}" width="{share:.1f}" height="14" fill="{colour}">{title}</rect>')
        legend.append(f"{name} {value:g}")
        x += share
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="14">{"".join(shapes)}</svg>'
    image = b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(
        f"![{' / '.join(legend)}](data:image/svg+xml;base64,{image})\n\n{' · '.join(legend)}"
    )


def check_result(check: Check, asset: dg.AssetKey) -> dg.AssetCheckResult:
    """A check as Dagster shows it."""
    return dg.AssetCheckResult(
        check_name=check.name,
        asset_key=asset,
        passed=check.passed,
        severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
        description=check.message,
        metadata={k: _plain(v) for k, v in check.metadata.items()},
    )


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:,.3f}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool) else str(value)
