"""Reading reference files: shipped ones, and those that a setting names by a path or an https URL.

What belongs here: opening a file, its columns, its shapes, and what it says of itself. What does not: which file is what
(`datasets`).
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
import yaml
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

SHIPPED: Final = Path(__file__).parent / "data"
NOT_STATED: Final = "not stated"
_WGS84: Final = ({"authority": "EPSG", "code": 4326}, {"authority": "OGC", "code": "CRS84"})
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class ReferenceDataError(Exception):
    """A reference file that cannot be used; the message names the setting, the file and the mend."""


@dataclass(frozen=True)
class Provenance:
    """Who made a file, under which licence, and of when it is."""

    source: str
    licence: str = NOT_STATED
    vintage: str = NOT_STATED


@dataclass(frozen=True)
class Opened:
    """A file on this machine, for as long as the `with` around it, and what it says of itself."""

    setting: str
    name: str
    path: Path
    about: Provenance

    def frame(self, *needed: str) -> pl.DataFrame:
        """Its rows: CSV as texts, GeoParquet with `geometry` as WKB. Raises ReferenceDataError."""
        try:
            is_geo = self.path.suffix == ".parquet"
            rows = geo_frame(self.path) if is_geo else pl.read_csv(self.path, infer_schema=False)
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise self.error(f"cannot be read: {error}") from error
        if lacking := [c for c in needed if c not in rows.columns]:
            raise self.error(f"lacks the columns {', '.join(lacking)}; it has {', '.join(rows.columns)}")
        return rows

    def error(self, what: str) -> ReferenceDataError:
        """What is wrong with the file."""
        return ReferenceDataError(f"{self.name} ({self.setting}) {what}")


@contextmanager
def opened(setting: str, where: str, *, user_agent: str = "hc_platform") -> Iterator[Opened]:
    """The file at a path or an https URL. Raises ReferenceDataError where there is none.

    What it says of itself stands beside it in NAME.about.yaml with the keys source, licence and vintage.
    """
    name = Path(urlsplit(where).path).name if "://" in where else Path(where).name
    with tempfile.TemporaryDirectory(prefix="hc-reference-") as folder:
        path = Path(where)
        beside = path.with_name(path.name + ".about.yaml")
        if "://" in where:
            _refuse_plain_http(setting, where)
            path, beside = Path(folder) / name, Path(folder) / "about.yaml"
            _download(setting, where, path, user_agent)
            _download(setting, where + ".about.yaml", beside, user_agent, optional=True)
        elif not path.is_file():
            raise ReferenceDataError(f"{setting} names {path.name}, which is not there: correct the path")
        try:
            yield Opened(setting, name, path, _about(setting, name, beside))
        except pl.exceptions.PolarsError as error:  # a number that is none, a column of another type
            told = str(error).partition("\n")[0]
            raise ReferenceDataError(f"{name} ({setting}) has values that cannot be: {told}") from error


def geo_frame(path: Path) -> pl.DataFrame:
    """A GeoParquet file's rows, geometry as WKB in EPSG:4326 under the name `geometry`.

    Raises ValueError for another encoding or coordinate system.
    """
    table = pq.read_table(path)
    meta = (table.schema.metadata or {}).get(b"geo")
    if meta is None:
        raise ValueError("it is no GeoParquet file")
    about: dict[str, Any] = json.loads(meta)
    shape: str = about["primary_column"]
    column = about["columns"][shape]
    if column.get("encoding") != "WKB" or not _is_wgs84(column.get("crs")):
        raise ValueError("its shapes must be WKB in WGS 84 (EPSG:4326)")
    at = table.schema.get_field_index(shape)
    kind = table.schema.field(at).type
    values = table.column(at)
    if isinstance(kind, pa.BaseExtensionType):  # geoarrow's name for the same bytes
        values = pa.chunked_array([c.storage for c in values.chunks], kind.storage_type)
    frame = pl.from_arrow(
        table.drop_columns([shape]).append_column("geometry", values.cast(pa.large_binary()))
    )
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table gives a frame
    return frame


def invalid_shapes(wkb: pl.Series) -> int:
    """How many of the geometries that are there cannot be read, are empty or not valid."""
    shapes = shapely.from_wkb(wkb.drop_nulls().to_numpy(), on_invalid="ignore")
    return int((~(shapely.is_valid(shapes) & ~shapely.is_empty(shapes))).sum())


def _about(setting: str, name: str, beside: Path) -> Provenance:
    if not beside.is_file():
        return Provenance(name)
    try:
        told = yaml.safe_load(beside.read_text(encoding="utf-8"))
        return Provenance(**{"source": name, **{str(k): str(v) for k, v in told.items()}})
    except (yaml.YAMLError, TypeError, AttributeError):
        raise ReferenceDataError(
            f"{name}.about.yaml ({setting}) must have the keys source, licence and vintage and no others"
        ) from None


def _is_wgs84(crs: Mapping[str, Any] | None) -> bool:
    return crs is None or crs.get("id") in _WGS84


def _refuse_plain_http(setting: str, where: str) -> None:
    parts = urlsplit(where)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ReferenceDataError(f"{setting} must be a path or an https:// URL, not {parts.scheme}://")


def _download(setting: str, url: str, target: Path, user_agent: str, *, optional: bool = False) -> None:
    @retry(
        retry=retry_if_exception_type(httpx.TransportError),
        stop=stop_after_attempt(3),
        wait=wait_random_exponential(max=10),
        reraise=True,
    )
    def get() -> None:
        part = target.with_name(target.name + ".part")
        headers = {"User-Agent": user_agent}
        with httpx.stream("GET", url, headers=headers, timeout=120, follow_redirects=True) as answer:
            if optional and answer.status_code in (403, 404):
                return
            answer.raise_for_status()
            with part.open("wb") as out:
                for chunk in answer.iter_bytes():
                    out.write(chunk)
        shutil.move(part, target)

    try:
        get()
    except httpx.HTTPStatusError as error:
        told = f"HTTP {error.response.status_code}"
        raise ReferenceDataError(f"{setting}: {_shown(url)} could not be fetched: {told}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        told = type(error).__name__
        raise ReferenceDataError(f"{setting}: {_shown(url)} could not be fetched: {told}") from None


def _shown(url: str) -> str:
    """The address without what may be a credential."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"
