"""Files as a source: CSV, GeoJSON and Parquet, by URL or from the import folder.

What belongs here: reading such a file into the same window files an ArcGIS pull gives, values as text.
What does not: requests (`download`), what the columns mean (`hosting_capacity`).
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import shapely

from hc_platform.arcgis.errors import mask
from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.sources.base import (
    ContractError,
    LayerDescription,
    LayerPull,
    Progress,
    SourceError,
    SourceOptions,
    published_name,
)
from hc_platform.sources.download import Downloads

_WINDOW_ROWS = 50_000


@dataclass(frozen=True)
class _File:
    """A file's rows as text columns, with its geometry as WKB. `misplaced`: rows whose place cannot be read."""

    attributes: pl.DataFrame
    geometry: pl.Series
    misplaced: int = 0


class _UnreadableError(ValueError):
    """What is wrong with a file, in words that hold none of its content."""


@dataclass(frozen=True)
class FileSource:
    """CSV, GeoJSON (.json, .geojson) and Parquet files."""

    options: SourceOptions

    def edited_at(self, config: UtilityConfig, layer: LayerConfig) -> datetime | None:
        """The server's Last-Modified (a HEAD request), or the local file's time."""
        url = _url(config, layer)
        if url:
            return Downloads(config, self.options).edited_at(url)
        return _mtime(self._local(config, layer))

    def describe(self, config: UtilityConfig, layer: LayerConfig) -> LayerDescription:
        """Read the file (a URL is downloaded first) and tell its columns and rows.

        The rows go with the description: a pull reads and downloads nothing again.
        """
        url = _url(config, layer)
        if url is None:
            path = self._local(config, layer)
            return self._described(config, layer, path, path.name, _mtime(path))
        with Downloads(config, self.options).fetch(url) as got:
            name = Path(urlsplit(url).path).name
            return self._described(config, layer, got.path, name, got.edited_at)

    def _described(
        self, config: UtilityConfig, layer: LayerConfig, path: Path, name: str, edited_at: datetime | None
    ) -> LayerDescription:
        file = _read(path, name, config, layer)
        object_id = layer.object_id_field
        return LayerDescription(
            url=str(layer.path),
            name=layer.label,
            layer_index=None,
            fields={name: str(dtype) for name, dtype in file.attributes.schema.items()},
            object_id_field=object_id
            and _column(object_id, "object_id_field", file.attributes, config, layer),
            count=file.attributes.height,
            edited_at=edited_at,
            metadata={"file": name, "bytes": path.stat().st_size, "sha256": _sha256(path)},
            native=file,
        )

    def pull(
        self,
        config: UtilityConfig,
        layer: LayerConfig,
        found: LayerDescription,
        directory: Path,
        progress: Progress,
    ) -> LayerPull:
        """Write the rows as window files; the row number is the object id where the file has none."""
        file: _File = found.native
        directory.mkdir(parents=True, exist_ok=True)
        names = file.attributes.columns
        texts = [json.dumps(dict(zip(names, row, strict=True))) for row in file.attributes.iter_rows()]
        if found.object_id_field:
            column = file.attributes[found.object_id_field]
            ids = column.cast(pl.Float64, strict=False).cast(pl.Int64, strict=False)
            if ids.null_count() or ids.n_unique() != len(ids):
                raise SourceError(
                    f"{config.utility_code}, layer {layer.label}: object_id_field {found.object_id_field} is not a "
                    "unique integer in every row; choose another, or leave it out to use the row number"
                )
        else:
            ids = pl.Series(range(1, len(texts) + 1), dtype=pl.Int64)
        rows = pl.DataFrame(
            {"object_id": ids, "attributes": pl.Series(texts, dtype=pl.String), "geometry": file.geometry}
        ).sort("object_id")
        files = []
        for start in range(0, max(rows.height, 1), _WINDOW_ROWS):
            target = directory / f"{start:012d}.parquet"
            rows.slice(start, _WINDOW_ROWS).write_parquet(target)
            files.append(target)
            progress(layer.label, min(start + _WINDOW_ROWS, rows.height), rows.height)
        notes = []
        if file.misplaced:
            notes.append(
                f"{file.misplaced} of {rows.height} rows have a place that is none in EPSG:4326: they were kept "
                "without geometry"
            )
        size = int(found.metadata["bytes"])
        return LayerPull("complete", files, rows.height, found.count, "file", 1, size, notes)

    def _local(self, config: UtilityConfig, layer: LayerConfig) -> Path:
        """The file on this machine. It must lie in the import folder: a config must not read others."""
        assert layer.path is not None  # noqa: S101 - UtilityConfig refuses a file layer without a path
        imports = self.options.import_dir.resolve()
        path = (imports / layer.path).resolve()
        if not path.is_relative_to(imports):
            raise SourceError(
                f"{config.utility_code}, layer {layer.label}: {layer.path} leads out of the import folder {imports}; "
                "put the file there or set HC_IMPORT_DIR"
            )
        if not path.is_file():
            raise SourceError(f"{config.utility_code}, layer {layer.label}: there is no file {path}")
        return path


def _url(config: UtilityConfig, layer: LayerConfig) -> str | None:
    """The address of a file that is to be downloaded; None for one in the import folder."""
    if layer.path is None or "://" not in layer.path:
        return None
    if urlsplit(layer.path).scheme not in ("http", "https"):
        raise SourceError(f"{config.utility_code}: {mask(layer.path)}: only http:// and https:// are fetched")
    return layer.path


def _mtime(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _column(name: str, key: str, frame: pl.DataFrame, config: UtilityConfig, layer: LayerConfig) -> str:
    """The file's spelling of a column that the config names under `key`."""
    published = published_name(name, frame.columns)
    if published is None:
        raise ContractError(
            f"{config.utility_code}, layer {layer.label}: the file has no column {name}, which {key} names; it has "
            f"{', '.join(frame.columns)}. Mend utility_configs/{config.utility_code}.yaml"
        )
    return published


def _read(path: Path, name: str, config: UtilityConfig, layer: LayerConfig) -> _File:
    """The rows of a file known as `name`. Of a download, no error tells more than names of columns."""
    readers: dict[str, Callable[[Path], tuple[pl.DataFrame, pl.Series | None, int]]] = {
        ".csv": _read_csv,
        ".geojson": _read_geojson,
        ".json": _read_geojson,
        ".parquet": _read_parquet,
    }
    where = f"{config.utility_code}, layer {layer.label}"
    reader = readers.get(Path(name).suffix.lower())
    if reader is None:
        raise SourceError(f"{where}: cannot read {name}; known endings: {', '.join(readers)}")
    try:
        frame, geometry, misplaced = reader(path)
    except _UnreadableError as error:
        raise SourceError(f"{where}: {name} is not readable: {error}") from None
    except (
        pl.exceptions.PolarsError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        shapely.errors.ShapelyError,
    ) as error:
        if _url(config, layer):  # a parser's words quote what it read, and that may be anybody's page
            kind = type(error).__name__
            raise SourceError(f"{where}: {name} is not readable ({kind})") from None
        raise SourceError(f"{where}: {name} is not readable: {error}") from error
    if geometry is not None:
        return _File(frame, geometry, misplaced)
    if layer.x_field is None or layer.y_field is None:
        return _File(frame, pl.Series("geometry", [None] * frame.height, dtype=pl.Binary))
    x = _column(layer.x_field, "x_field", frame, config, layer)
    y = _column(layer.y_field, "y_field", frame, config, layer)
    return _File(frame, *_points(frame[x], frame[y]))


def _read_csv(path: Path) -> tuple[pl.DataFrame, None, int]:
    # every column as text: a reader that guesses numbers loses the leading zeros of feeder ids
    frame = pl.read_csv(path, infer_schema=False, encoding="utf8")
    return frame.rename({c: c.lstrip("\ufeff").strip() for c in frame.columns}), None, 0


def _read_parquet(path: Path) -> tuple[pl.DataFrame, pl.Series | None, int]:
    frame = pl.read_parquet(path)
    if "geometry" in frame.columns and frame["geometry"].dtype == pl.Binary:
        return _as_text(frame.drop("geometry")), frame["geometry"], 0
    return _as_text(frame), None, 0


def _read_geojson(path: Path) -> tuple[pl.DataFrame, pl.Series, int]:
    whole = json.loads(path.read_text(encoding="utf-8-sig"))
    features = whole.get("features") if isinstance(whole, dict) else None
    if not isinstance(features, list):
        raise _UnreadableError("it is JSON, but no GeoJSON FeatureCollection")
    properties = [feature.get("properties") or {} for feature in features]
    names = list(dict.fromkeys(name for row in properties for name in row))
    columns = {name: [_json_text(row.get(name)) for row in properties] for name in names}
    texts = [json.dumps(f["geometry"]) if f.get("geometry") else None for f in features]
    geometry = list(shapely.to_wkb(shapely.from_geojson(texts, on_invalid="ignore")))
    frame = pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))
    misplaced = sum(text is not None and wkb is None for text, wkb in zip(texts, geometry, strict=True))
    return frame, pl.Series("geometry", geometry, dtype=pl.Binary), misplaced


def _json_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _as_text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.all().cast(pl.String, strict=False))


def _points(x: pl.Series, y: pl.Series) -> tuple[pl.Series, int]:
    """Points from texts of longitude and latitude, and how many rows name a place that is none in EPSG:4326.

    NULL where there is no place; one that names nothing (two blanks) is not counted.
    """
    x, y = x.str.strip_chars(), y.str.strip_chars()
    lon, lat = x.cast(pl.Float64, strict=False), y.cast(pl.Float64, strict=False)
    valid = (lon.is_between(-180, 180) & lat.is_between(-90, 90)).fill_null(False)
    named = (x.fill_null("") != "") | (y.fill_null("") != "")
    points = list(shapely.to_wkb(shapely.points(lon.to_numpy(), lat.to_numpy())))
    wkb = pl.Series("geometry", points, dtype=pl.Binary)
    placed = pl.select(pl.when(valid).then(wkb)).to_series().alias("geometry")
    return placed, int((named & ~valid).sum())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
