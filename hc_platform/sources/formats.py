"""File formats -> rows of text: CSV, Excel, GeoJSON, Parquet, and any of these in a ZIP.

What belongs here: one reader per format. What does not: where a file comes from (`file_source`, `download`), what its
columns mean (`hosting_capacity`).
"""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import fastexcel
import polars as pl
import shapely

from hc_platform.catalog.layers import LayerConfig

MAX_MEMBER_BYTES: Final = 4 << 30
"""A ZIP's member may unpack to so much: a small one that unpacks without end would fill the disk."""


class UnreadableError(ValueError):
    """What is wrong with a file, in words that hold none of its content."""


@dataclass(frozen=True)
class Rows:
    """A file's rows: `attributes`, every column as text, so that leading zeros stay; `geometry`, WKB, or None where
    the format has none; `misplaced`, rows whose place cannot be read.
    """

    attributes: pl.DataFrame
    geometry: pl.Series | None = None
    misplaced: int = 0


def read_rows(path: Path, name: str, layer: LayerConfig) -> Rows:
    """The rows of a file that is known as `name`; its ending tells the format.

    Raises UnreadableError, and whatever the format's reader raises (`READER_ERRORS`).
    """
    if Path(name).suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory(dir=path.parent) as folder:
            member = _member(archive, layer.member)
            unpacked = Path(folder) / f"member{Path(member.filename).suffix}"
            with archive.open(member) as packed, unpacked.open("wb") as out:
                shutil.copyfileobj(packed, out, 1 << 20)
            return _reader(member.filename)(unpacked, layer)
    return _reader(name)(path, layer)


def _reader(name: str) -> Callable[[Path, LayerConfig], Rows]:
    reader = _READERS.get(Path(name).suffix.lower())
    if reader is None:
        raise UnreadableError(f"its ending is not one of {', '.join([*_READERS, '.zip'])}")
    return reader


def _member(archive: zipfile.ZipFile, pattern: str | None) -> zipfile.ZipInfo:
    """The one member that is meant: the one that fits the pattern, or the only one that can be read."""
    files = [member for member in archive.infolist() if not member.is_dir()]
    if pattern:
        fitting = [m for m in files if fnmatchcase(m.filename, pattern)]
    else:
        fitting = [m for m in files if Path(m.filename).suffix.lower() in _READERS]
    if len(fitting) != 1:
        what = (
            f"{len(fitting)} of its members fit {pattern}"
            if pattern
            else f"{len(fitting)} members can be read"
        )
        raise UnreadableError(f"{what}, and one must; say which in member:")
    if fitting[0].file_size > MAX_MEMBER_BYTES:
        raise UnreadableError(f"its member unpacks to more than {MAX_MEMBER_BYTES >> 30} GiB")
    return fitting[0]


def _csv(path: Path, layer: LayerConfig) -> Rows:
    # every column as text: a reader that guesses numbers loses the leading zeros of feeder ids
    frame = pl.read_csv(path, infer_schema=False, encoding="utf8", skip_lines=layer.header_row - 1)
    return Rows(frame.rename({c: c.lstrip("\ufeff").strip() for c in frame.columns}))


def _excel(path: Path, layer: LayerConfig) -> Rows:
    if zipfile.is_zipfile(path):  # as all but the oldest workbooks are
        with zipfile.ZipFile(path) as parts:
            if sum(part.file_size for part in parts.infolist()) > MAX_MEMBER_BYTES:
                raise UnreadableError(f"it unpacks to more than {MAX_MEMBER_BYTES >> 30} GiB")
    book = fastexcel.read_excel(path)
    if layer.sheet is not None and layer.sheet not in book.sheet_names:
        raise UnreadableError("it has no sheet of the name that sheet: gives")
    sheet = book.load_sheet(layer.sheet or 0, header_row=layer.header_row - 1, dtypes="string")
    frame = sheet.to_polars()
    frame = frame.rename({c: c.strip() for c in frame.columns})
    # rows that only formatting left at a sheet's end
    return Rows(frame.filter(pl.any_horizontal(pl.all().is_not_null())) if frame.width else frame)


def _parquet(path: Path, _: LayerConfig) -> Rows:
    frame = pl.read_parquet(path)
    geometry = None
    if "geometry" in frame.columns and frame["geometry"].dtype == pl.Binary:
        frame, geometry = frame.drop("geometry"), frame["geometry"]
    return Rows(frame.select(pl.all().cast(pl.String, strict=False)), geometry)


def _geojson(path: Path, _: LayerConfig) -> Rows:
    whole = json.loads(path.read_text(encoding="utf-8-sig"))
    features = whole.get("features") if isinstance(whole, dict) else None
    if not isinstance(features, list):
        raise UnreadableError("it is JSON, but no GeoJSON FeatureCollection")
    properties = [feature.get("properties") or {} for feature in features]
    names = list(dict.fromkeys(name for row in properties for name in row))
    columns = {name: [_json_text(row.get(name)) for row in properties] for name in names}
    texts = [json.dumps(f["geometry"]) if f.get("geometry") else None for f in features]
    geometry = list(shapely.to_wkb(shapely.from_geojson(texts, on_invalid="ignore")))
    frame = pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))
    misplaced = sum(text is not None and wkb is None for text, wkb in zip(texts, geometry, strict=True))
    return Rows(frame, pl.Series("geometry", geometry, dtype=pl.Binary), misplaced)


def _json_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


_READERS: Final[Mapping[str, Callable[[Path, LayerConfig], Rows]]] = {
    ".csv": _csv,
    ".xlsx": _excel,
    ".xls": _excel,
    ".xlsb": _excel,
    ".ods": _excel,
    ".geojson": _geojson,
    ".json": _geojson,
    ".parquet": _parquet,
}

READER_ERRORS: Final = (
    pl.exceptions.PolarsError,
    fastexcel.FastExcelError,
    zipfile.BadZipFile,
    NotImplementedError,  # a ZIP's compression or encryption
    RuntimeError,  # a ZIP with a password
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    shapely.errors.ShapelyError,
)
"""What a broken file makes the readers raise; their words may quote its content."""


def points(x: pl.Series, y: pl.Series) -> tuple[pl.Series, int]:
    """Points from texts of longitude and latitude, and how many rows name a place that is none in EPSG:4326.

    NULL where there is no place; one that names nothing (two blanks) is not counted.
    """
    x, y = x.str.strip_chars(), y.str.strip_chars()
    lon, lat = x.cast(pl.Float64, strict=False), y.cast(pl.Float64, strict=False)
    valid = (lon.is_between(-180, 180) & lat.is_between(-90, 90)).fill_null(False)
    named = (x.fill_null("") != "") | (y.fill_null("") != "")
    drawn = list(shapely.to_wkb(shapely.points(lon.to_numpy(), lat.to_numpy())))
    wkb = pl.Series("geometry", drawn, dtype=pl.Binary)
    placed = pl.select(pl.when(valid).then(wkb)).to_series().alias("geometry")
    return placed, int((named & ~valid).sum())
