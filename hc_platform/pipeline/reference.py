"""Reference files and the utilities' own substation layers -> the reference tables.

What belongs here: building a table's rows, committing them, and what a join reads when none were committed.
What does not: the files (`reference.datasets`), the joins (`locations`, `feeder_substations`, `device_feeders`).
"""

from typing import Final

import polars as pl

from hc_platform.catalog import Catalog
from hc_platform.hosting_capacity.tables import SECTIONS
from hc_platform.lake.store import Lake
from hc_platform.reference.datasets import (
    DATASETS,
    Dataset,
    listed_substations,
    published_substations,
)
from hc_platform.reference.reading import NOT_STATED, Provenance
from hc_platform.reference.tables import SUBSTATIONS
from hc_platform.settings import Settings
from hc_platform.tables import Table

_SUBSTATION_LAYER: Final = "(?i)substation"


def build_reference(dataset: Dataset, settings: Settings, lake: Lake, catalog: Catalog) -> pl.DataFrame:
    """The table's rows as they are now; none where no setting names a file. Raises ReferenceDataError."""
    if dataset.table is SUBSTATIONS:
        return _substations(settings, lake, catalog)
    return dataset.build(settings) if dataset.configured(settings) else dataset.table.empty()


def reference(lake: Lake, table: Table, settings: Settings) -> pl.DataFrame:
    """A reference table's rows: as committed, else as shipped; none where it was neither."""
    rows = lake.scan(table).collect()
    dataset = DATASETS[table.name]
    if rows.is_empty() and not dataset.settings and lake.version(table) < 0:
        return dataset.build(settings)
    return rows


def _substations(settings: Settings, lake: Lake, catalog: Catalog) -> pl.DataFrame:
    """The utilities' own substation layers of their newest snapshots; the configured file for all other names."""
    newest: dict[str, str] = {}
    for held in lake.partitions(SECTIONS):
        code, snapshot = held["utility_code"], held["snapshot"]
        newest[code] = max(snapshot, newest.get(code, snapshot))
    points = [
        lake.scan(SECTIONS, utility_code=code, snapshot=snapshot)
        .filter(
            (pl.col("grain") == "point")
            & pl.col("layer").str.contains(_SUBSTATION_LAYER)
            & pl.col("centroid_lat").is_not_null()
        )
        .select("utility_code", "substation_name", "centroid_lat", "centroid_lon")
        .collect()
        for code, snapshot in sorted(newest.items())
        if code in catalog and _has_substations(catalog, code)
    ]
    about = {
        code: Provenance(
            f"{catalog[code].utility_name}, its own layer", catalog[code].licence or NOT_STATED, snapshot
        )
        for code, snapshot in newest.items()
        if code in catalog
    }
    published = published_substations(points, about)
    listed = listed_substations(settings)
    return pl.concat([published, listed.join(published, on=["utility_code", "substation_name"], how="anti")])


def _has_substations(catalog: Catalog, code: str) -> bool:
    layers = catalog[code].layers
    return any(layer.grain == "point" and "substation" in layer.label.lower() for layer in layers)
