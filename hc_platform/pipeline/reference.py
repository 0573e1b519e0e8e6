"""Reference files and the utilities' own substation layers -> the reference tables.

What belongs here: building a table's rows, committing them, and what a join reads when none were committed.
What does not: the files (`reference.datasets`), the joins (`locations`, `feeder_substations`, `device_feeders`).
"""

import polars as pl

from hc_platform.catalog import Catalog
from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.tables import SECTIONS
from hc_platform.lake.store import Lake
from hc_platform.pipeline.near import newest_sections
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
    newest = sorted(newest_sections(lake).items())
    own = [_published(catalog[code], lake, snapshot) for code, snapshot in newest if code in catalog]
    return _first(pl.concat([SUBSTATIONS.empty(), *own]), listed_substations(settings))


def substations_of(config: UtilityConfig, lake: Lake, snapshot: str, settings: Settings) -> pl.DataFrame:
    """One utility's substations: as this very snapshot publishes them, else as the reference table has them."""
    known = reference(lake, SUBSTATIONS, settings).filter(pl.col("utility_code") == config.utility_code)
    return _first(_published(config, lake, snapshot), known)


def _first(published: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([published, others.join(published, on=["utility_code", "substation_id"], how="anti")])


def _published(config: UtilityConfig, lake: Lake, snapshot: str) -> pl.DataFrame:
    """The points of a utility's own substation layer, which is one of grain point called so."""
    layers = [x.label for x in config.layers if x.grain == "point" and "substation" in x.label.lower()]
    if not layers:
        return SUBSTATIONS.empty()
    points = (
        lake.scan(SECTIONS, utility_code=config.utility_code, snapshot=snapshot)
        .filter(pl.col("layer").is_in(layers) & pl.col("centroid_lat").is_not_null())
        .select("utility_code", "substation_name", "centroid_lat", "centroid_lon")
        .collect()
    )
    about = Provenance(f"{config.utility_name}, its own layer", config.licence or NOT_STATED, snapshot)
    return published_substations(points, about)
