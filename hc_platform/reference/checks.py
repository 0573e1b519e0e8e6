"""What must hold of a reference table before it is committed.

What belongs here: the checks. What does not: showing them.
"""

from typing import Final

import polars as pl

from hc_platform.checking import Check
from hc_platform.reference.datasets import Dataset
from hc_platform.reference.reading import NOT_STATED, invalid_shapes
from hc_platform.settings import Settings

REFERENCE_CHECKS: Final = {
    "is_configured": (False, "It is shipped, or a setting says where it is; else the table stands empty."),
    "rows_are_plausible": (True, "About as many rows as there are such things in the US."),
    "ids_are_unique": (True, "No id stands twice."),
    "geometries_are_valid": (True, "Every outline can be read, is not empty and does not cross itself."),
    "provenance_is_stated": (False, "Source, licence and vintage are known."),
}


def check_reference(
    dataset: Dataset, rows: pl.DataFrame, settings: Settings, *, kept: bool = False
) -> list[Check]:
    """All of REFERENCE_CHECKS, in their order; an empty table of a setting that is not set passes but the first.

    `kept`: the rows are those read before, because the setting is not set now.
    """
    key = dataset.table.key
    there = dataset.configured(settings) or rows.height > 0
    low, high = dataset.rows
    mend = f"set {' and '.join(dataset.environment[:1])} to a path or https URL to fill it"
    said = "shipped with the package" if not dataset.settings else "read from where its setting says"
    repeated = rows.height - rows.select(key).n_unique()
    wrong = invalid_shapes(rows["geometry"]) if "geometry" in rows.columns and rows.height else 0
    silent = [c for c in ("source", "licence", "vintage") if rows.height and (rows[c] == NOT_STATED).any()]
    beside = f"; write them into the file's NAME.about.yaml ({', '.join(dataset.environment)})"
    counts = f"{rows.height:,} rows, expected {low:,} to {high:,}"
    return [
        Check(
            "is_configured",
            there and not kept,
            False,
            f"the rows read before stay: {mend} anew" if kept else said if there else f"empty: {mend}",
        ),
        Check(
            "rows_are_plausible",
            not there or low <= rows.height <= high,
            True,
            counts if there else "not configured",
        ),
        Check("ids_are_unique", repeated == 0, True, f"{repeated} rows repeat {', '.join(key)}"),
        Check("geometries_are_valid", wrong == 0, True, f"{wrong} outlines are not valid"),
        Check(
            "provenance_is_stated",
            not silent,
            False,
            f"not stated: {', '.join(silent)}{beside}" if silent else "source, licence and vintage are there",
        ),
    ]
