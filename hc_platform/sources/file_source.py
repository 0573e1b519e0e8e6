"""Files as a source, by URL or from the import folder.

What belongs here: turning a file's rows into the same window files an ArcGIS pull gives, values as text.
What does not: requests (`download`), formats (`formats`), what the columns mean (`hosting_capacity`).
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl

from hc_platform.arcgis.errors import mask
from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.sources.base import (
    AbsentError,
    ContractError,
    LayerDescription,
    LayerPull,
    Progress,
    SourceError,
    SourceOptions,
    published_name,
)
from hc_platform.sources.download import Downloads
from hc_platform.sources.formats import READER_ERRORS, UnreadableError, points, read_rows

_WINDOW_ROWS = 50_000


@dataclass(frozen=True)
class _File:
    """A file's rows as text columns, with its geometry as WKB. `misplaced`: rows whose place cannot be read."""

    attributes: pl.DataFrame
    geometry: pl.Series
    misplaced: int = 0


@dataclass(frozen=True)
class FileSource:
    """CSV, Excel, GeoJSON and Parquet files, also in a ZIP."""

    options: SourceOptions

    def edited_at(self, config: UtilityConfig, layer: LayerConfig) -> datetime | None:
        """The server's Last-Modified (a HEAD request), or the local file's time."""
        url = _url(config, layer)
        if url:
            return Downloads(config, self.options).state(url)[0]
        return _mtime(self._local(config, layer))

    def same(self, config: UtilityConfig, layer: LayerConfig, edited_at: datetime | None, size: int) -> bool:
        """Whether the file still has this date and this size in bytes, asked without reading it. Raises SourceError."""
        url = _url(config, layer)
        if url:
            date, length = Downloads(config, self.options).state(url)
        else:
            path = self._local(config, layer)
            date, length = _mtime(path), path.stat().st_size
        return date is not None and date == edited_at and length in (None, size)

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
        """Write the rows as window files; the row number is the object id where the file has none.

        A description without the file, of one that was not read because it had not changed, is made anew.
        """
        if found.native is None:
            found = self.describe(config, layer)
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
            raise AbsentError(f"{config.utility_code}, layer {layer.label}: there is no file {path}")
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
    where = f"{config.utility_code}, layer {layer.label}"
    try:
        rows = read_rows(path, name, layer)
    except UnreadableError as error:
        raise SourceError(f"{where}: {name} is not readable: {error}") from None
    except READER_ERRORS as error:
        if _url(config, layer):  # a parser's words quote what it read, and that may be anybody's page
            kind = type(error).__name__
            raise SourceError(f"{where}: {name} is not readable ({kind})") from None
        raise SourceError(f"{where}: {name} is not readable: {error}") from error
    keep = _kept(rows.attributes, layer.where, where)
    frame = rows.attributes.filter(keep)
    if rows.geometry is not None:
        return _File(frame, rows.geometry.filter(keep), rows.misplaced)
    if layer.x_field is None or layer.y_field is None:
        return _File(frame, pl.Series("geometry", [None] * frame.height, dtype=pl.Binary))
    x = _column(layer.x_field, "x_field", frame, config, layer)
    y = _column(layer.y_field, "y_field", frame, config, layer)
    return _File(frame, *points(frame[x], frame[y]))


def _kept(rows: pl.DataFrame, condition: str, where: str) -> pl.Series:
    """Which rows the config's `where` keeps, as a server would; every column is text there."""
    if condition == "1=1":
        return pl.Series([True]).new_from_index(0, rows.height)
    try:
        return rows.select(pl.sql_expr(condition).alias("kept").cast(pl.Boolean)).to_series().fill_null(False)
    except pl.exceptions.PolarsError as error:
        message = str(error).splitlines()[0]
        raise SourceError(
            f"{where}: where: {condition} cannot be applied to the file: {message}; it has the columns "
            f"{', '.join(rows.columns)}, all of them text"
        ) from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
