"""Which utilities serve a ZIP code, by NREL's ZIP-to-utility files (EIA-861 based; CC-BY).

What belongs here: reading those files and looking a ZIP up. What does not: choosing among what is found.

More than a third of all ZIPs have several utilities, and ZIPs cross territories: this narrows a choice, no more.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import polars as pl

from hc_platform.charging.commissioning.model import Candidate

UNNAMED: Final = "an investor-owned utility (the ZIP file does not name it)"

_NAMED = {"zip", "eiaid", "utility_name", "ownership"}
_MARKETER = "marketer"
_COLUMNS: Final[dict[str, type[pl.DataType]]] = {
    "zip": pl.String,
    "eia_id": pl.Int64,
    "name": pl.String,
    "ownership": pl.String,
    "source": pl.String,
}


def load_zip_table(paths: Iterable[Path]) -> pl.DataFrame:
    """One row per file, ZIP and utility: zip (5 digits), eia_id, name, ownership (NREL's words), source (file name).

    Takes NREL's CSV files with columns zip, eiaid, utility_name, ownership. A file of zip and rate alone is NREL's
    investor-owned half with its names cut off: it says that such a utility serves the ZIP, so it gives one row a ZIP
    with neither eia_id nor name. ZIPs that lost their leading zeros get them back.
    Raises ValueError naming file and column for anything else, FileNotFoundError for a file that is not there.
    """
    return pl.concat([pl.DataFrame(schema=_COLUMNS), *(_table(path) for path in paths)])


def _table(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise FileNotFoundError(
            f"the ZIP-to-utility file {path.name} is not there: give the path of NREL's CSV file"
        )
    try:
        rows = pl.read_csv(path, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path.name} is no CSV file: {error}") from None
    if set(rows.columns) >= _NAMED:
        named = [
            pl.col("eiaid").cast(pl.Int64, strict=False).alias("eia_id"),
            pl.col("utility_name").alias("name"),
            pl.col("ownership"),
        ]
    elif set(rows.columns) == {"zip", "rate"}:
        cut = pl.lit(None, pl.String)
        named = [
            cut.cast(pl.Int64).alias("eia_id"),
            cut.alias("name"),
            pl.lit("Investor Owned").alias("ownership"),
        ]
    else:
        lacking = ", ".join(sorted(_NAMED - set(rows.columns)))
        raise ValueError(f"{path.name} is no ZIP-to-utility file: it lacks the columns {lacking}")
    found = rows.select(
        pl.col("zip").str.strip_chars().str.zfill(5), *named, pl.lit(path.name).alias("source")
    ).unique(["zip", "eia_id"], keep="first", maintain_order=True)
    wrong = ~pl.col("zip").str.contains(r"^\d{5}$").fill_null(False)
    if "eiaid" in rows.columns:
        wrong = wrong | pl.col("eia_id").is_null()
    if (bad := found.filter(wrong)).height:
        raise ValueError(f"{path.name} has rows without a ZIP code or EIA id, e.g. {bad.row(0)}")
    return found


def utilities_of_zip(table: pl.DataFrame, zip_code: str) -> list[Candidate]:
    """The utilities that `table` (of `load_zip_table`) has for a ZIP, by name; power marketers are marked as such.

    An unnamed investor-owned one is left out where a named one is there: it says no more than that.
    """
    rows = table.filter(pl.col("zip") == zip_code).sort("eia_id", nulls_last=True)
    found: dict[int | None, Candidate] = {}
    for row in rows.iter_rows(named=True):
        source = f"ZIP {zip_code} ({row['source']})"
        before = found.get(row["eia_id"])
        ownership = (row["ownership"] or "").lower()
        found[row["eia_id"]] = Candidate(
            eia_id=row["eia_id"],
            name=row["name"] or UNNAMED,
            investor_owned="investor" in ownership,
            marketer=_MARKETER in ownership,
            sources=(*(before.sources if before else ()), source),
        )
    if any(one.investor_owned and one.eia_id is not None for one in found.values()):
        found.pop(None, None)
    return sorted(found.values(), key=lambda one: (one.eia_id is None, one.name))
