"""sections -> hosting_capacity_records of one utility and snapshot.

What belongs here: reading what the roll-up needs, committing what it gives. What does not: its rules.
"""

from dataclasses import dataclass

import polars as pl

from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.feeders import build_records, disagreeing, unplaced
from hc_platform.hosting_capacity.tables import RAW_FEATURES, RECORDS, SECTIONS
from hc_platform.lake.store import Lake


@dataclass(frozen=True)
class PreparedRecords:
    """Records waiting for their checks. `disagreeing`: column -> feeders whose sections do not agree on it.
    `unplaced`: count and MW of the generators whose feeder is not known; they stand in no record."""

    records: pl.DataFrame
    disagreeing: dict[str, int]
    unplaced: dict[str, float]
    partition: dict[str, str]

    @property
    def distinct(self) -> int:
        """Distinct (resource, feeder_id_external) pairs; must equal the rows."""
        return self.records.select("resource", "feeder_id_external").n_unique()

    def commit(self, lake: Lake, run_id: str | None = None) -> None:
        """Replace the partition."""
        lake.replace(RECORDS, self.partition, self.records, run_id=run_id)


def prepare_records(config: UtilityConfig, snapshot: str, lake: Lake) -> PreparedRecords:
    """Roll one utility's sections up to feeders."""
    partition = {"utility_code": config.utility_code, "snapshot": snapshot}
    sections = lake.scan(SECTIONS, **partition)
    feeder_layers = [layer.label for layer in config.layers if layer.grain == "feeder"]
    attributes = (
        lake.scan(RAW_FEATURES, **partition)
        .filter(pl.col("layer").is_in(feeder_layers))
        .select("feature_key", "layer", "raw_attributes")
        .collect()
    )
    least = {
        resource
        for layer in config.layers
        for resource, spec in layer.resources.items()
        if spec.feeder_rule == "least"
    }
    # one resource after the other: half the memory, where a layer's rows carry two
    resources = sections.select(pl.col("resource").unique().sort()).collect(engine="streaming").to_series()
    parts = [build_records(sections.filter(resource=r), attributes, least) for r in resources]
    records = pl.concat(parts) if parts else RECORDS.empty()
    return PreparedRecords(records, disagreeing(sections), unplaced(sections), partition)
