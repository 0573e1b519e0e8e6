"""Files as a source: CSV, GeoJSON and Parquet, by URL or from the import folder.

What belongs here: reading such a file into the same window files an ArcGIS pull gives, values as text.
What does not: what the columns mean (`hosting_capacity`).
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import polars as pl
import shapely
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

from hc_platform.catalog.models import LayerConfig, UtilityConfig
from hc_platform.sources.base import LayerDescription, LayerPull, Progress, SourceError, SourceOptions

_WINDOW_ROWS = 50_000
_MAX_BYTES = 2 << 30


@dataclass(frozen=True)
class _File:
    """A file's rows as text columns, with its geometry as WKB."""

    attributes: pl.DataFrame
    geometry: pl.Series
    path: Path


@dataclass(frozen=True)
class FileSource:
    """CSV, GeoJSON (.json, .geojson) and Parquet files."""

    options: SourceOptions

    def describe(self, config: UtilityConfig, layer: LayerConfig) -> LayerDescription:
        """Read the file (a URL is downloaded first) and tell its columns and rows."""
        path, edited_at = self._local(config, layer)
        file = _read(path, config, layer)
        return LayerDescription(
            url=layer.path if layer.path and "://" in layer.path else str(layer.path),
            name=layer.label,
            layer_index=None,
            fields={name: str(dtype) for name, dtype in file.attributes.schema.items()},
            object_id_field=layer.object_id_field,
            count=file.attributes.height,
            edited_at=edited_at,
            metadata={"file": path.name, "bytes": path.stat().st_size, "sha256": _sha256(path)},
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
        if layer.object_id_field:
            ids = (
                file.attributes[layer.object_id_field]
                .cast(pl.Float64, strict=False)
                .cast(pl.Int64, strict=False)
            )
            if ids.null_count() or ids.n_unique() != len(ids):
                raise SourceError(
                    f"{config.utility_code}, layer {layer.label}: object_id_field {layer.object_id_field} is not a "
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
        return LayerPull("complete", files, rows.height, found.count, "file", 1, file.path.stat().st_size, [])

    def _local(self, config: UtilityConfig, layer: LayerConfig) -> tuple[Path, datetime | None]:
        """The file on this machine. Local paths must lie in the import folder: a config must not read others."""
        assert layer.path is not None  # noqa: S101 - UtilityConfig refuses a file layer without a path
        imports = self.options.import_dir.resolve()
        if "://" in layer.path:
            if urlsplit(layer.path).scheme not in ("http", "https"):
                raise SourceError(
                    f"{config.utility_code}: {layer.path}: only http:// and https:// are fetched"
                )
            return _download(layer.path, imports / ".downloads" / config.utility_code, config, self.options)
        path = (imports / layer.path).resolve()
        if not path.is_relative_to(imports):
            raise SourceError(
                f"{config.utility_code}, layer {layer.label}: {layer.path} leads out of the import folder {imports}; "
                "put the file there or set HC_IMPORT_DIR"
            )
        if not path.is_file():
            raise SourceError(f"{config.utility_code}, layer {layer.label}: there is no file {path}")
        return path, datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _read(path: Path, config: UtilityConfig, layer: LayerConfig) -> _File:
    readers: dict[str, Callable[[Path, LayerConfig], _File]] = {
        ".csv": _read_csv,
        ".geojson": _read_geojson,
        ".json": _read_geojson,
        ".parquet": _read_parquet,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise SourceError(
            f"{config.utility_code}, layer {layer.label}: cannot read {path.name}; known endings: {', '.join(readers)}"
        )
    try:
        return reader(path, layer)
    except (
        pl.exceptions.PolarsError,
        ValueError,
        KeyError,
        UnicodeDecodeError,
        shapely.errors.ShapelyError,
    ) as error:
        raise SourceError(
            f"{config.utility_code}, layer {layer.label}: {path.name} is not readable: {error}"
        ) from error


def _read_csv(path: Path, layer: LayerConfig) -> _File:
    # every column as text: a reader that guesses numbers loses the leading zeros of feeder ids
    frame = pl.read_csv(path, infer_schema=False, encoding="utf8")
    frame = frame.rename({c: c.lstrip("\ufeff").strip() for c in frame.columns})
    return _File(frame, _points(frame, layer), path)


def _read_parquet(path: Path, layer: LayerConfig) -> _File:
    frame = pl.read_parquet(path)
    if "geometry" in frame.columns and frame["geometry"].dtype == pl.Binary:
        return _File(_as_text(frame.drop("geometry")), frame["geometry"], path)
    return _File(_as_text(frame), _points(frame, layer), path)


def _read_geojson(path: Path, layer: LayerConfig) -> _File:
    whole = json.loads(path.read_text(encoding="utf-8-sig"))
    features = whole.get("features") if isinstance(whole, dict) else None
    if not isinstance(features, list):
        raise ValueError("it is JSON, but no GeoJSON FeatureCollection")
    properties = [feature.get("properties") or {} for feature in features]
    names = list(dict.fromkeys(name for row in properties for name in row))
    columns = {name: [_json_text(row.get(name)) for row in properties] for name in names}
    shapes = shapely.from_geojson(
        [json.dumps(f["geometry"]) if f.get("geometry") else None for f in features], on_invalid="ignore"
    )
    return _File(
        pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String)),
        pl.Series("geometry", list(shapely.to_wkb(shapes)), dtype=pl.Binary),
        path,
    )


def _json_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _as_text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.all().cast(pl.String, strict=False))


def _points(frame: pl.DataFrame, layer: LayerConfig) -> pl.Series:
    """Points from the config's x and y columns; NULL where one is missing or outside of EPSG:4326."""
    if (
        not (layer.x_field and layer.y_field)
        or layer.x_field not in frame.columns
        or layer.y_field not in frame.columns
    ):
        return pl.Series("geometry", [None] * frame.height, dtype=pl.Binary)
    lon = frame[layer.x_field].cast(pl.Float64, strict=False)
    lat = frame[layer.y_field].cast(pl.Float64, strict=False)
    valid = (lon.is_between(-180, 180) & lat.is_between(-90, 90)).fill_null(False)
    wkb = pl.Series(
        "geometry", list(shapely.to_wkb(shapely.points(lon.to_numpy(), lat.to_numpy()))), dtype=pl.Binary
    )
    return pl.select(pl.when(valid).then(wkb)).to_series().alias("geometry")


def _download(
    url: str, folder: Path, config: UtilityConfig, options: SourceOptions
) -> tuple[Path, datetime | None]:
    """Fetch a file into the import folder, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (Path(urlsplit(url).path).name or "download")
    headers = {"User-Agent": options.user_agent, **config.headers}

    @retry(
        retry=retry_if_exception(_is_passing),
        stop=stop_after_attempt(options.attempts),
        wait=wait_random_exponential(max=30),
        reraise=True,
    )
    def fetch() -> datetime | None:
        with (
            _partial(target) as part,
            httpx.Client(timeout=options.timeout_s, headers=headers, follow_redirects=True) as client,
            client.stream("GET", url) as response,
        ):
            response.raise_for_status()
            size = 0
            with part.open("wb") as out:
                for chunk in response.iter_bytes():
                    size += len(chunk)
                    if size > _MAX_BYTES:
                        raise SourceError(
                            f"{config.utility_code}: {url} is larger than {_MAX_BYTES >> 30} GiB"
                        )
                    out.write(chunk)
            modified = response.headers.get("last-modified")
            return parsedate_to_datetime(modified).astimezone(UTC) if modified else None

    try:
        return target, fetch()
    except httpx.HTTPError as error:
        raise SourceError(
            f"{config.utility_code}: {url} could not be fetched: {error}", retryable=True
        ) from error


@contextmanager
def _partial(target: Path) -> Iterator[Path]:
    part = target.with_name(target.name + ".part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in (429, 500, 502, 503, 504)
    return isinstance(error, httpx.TransportError)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
