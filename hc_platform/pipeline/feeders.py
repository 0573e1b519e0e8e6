"""sections -> hosting_capacity_records of one utility and snapshot.

What belongs here: reading what the roll-up needs, committing what it gives. What does not: its rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.feeders import build_records, disagreeing, unplaced
from hc_platform.hosting_capacity.tables import RAW_FEATURES, RECORDS, SECTIONS
from hc_platform.lake.store import Lake

_SHARE_ROWS: Final = 1_000_000


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
    parts = [build_records(share, attributes, least) for share in _shares(sections)]
    records = pl.concat(parts) if parts else RECORDS.empty()
    return PreparedRecords(records, disagreeing(sections), unplaced(sections), partition)


def _shares(sections: pl.LazyFrame) -> Iterator[pl.LazyFrame]:
    """The sections in shares of some _SHARE_ROWS, every feeder of a resource whole in one: a roll-up holds its rows."""
    counts = sections.group_by("resource").len().sort("resource").collect(engine="streaming")
    for resource, rows in counts.iter_rows():
        of_resource = sections.filter(resource=resource)
        shares = -(-rows // _SHARE_ROWS)
        if shares == 1:
            yield of_resource
            continue
        draw = pl.coalesce("feeder_id_external", "record_key").hash(seed=3) % shares
        yield from (of_resource.filter(draw == share) for share in range(shares))
