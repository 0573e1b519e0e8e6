"""Every utility of the catalogue from one server, end to end, against the truth that its layers were drawn from."""

from datetime import UTC, datetime

import polars as pl
import pytest

from hc_platform.demo.catalogue.layers import DrawnLayer
from hc_platform.demo.catalogue.truth import differences, expected_sections, rejected_features
from hc_platform.hosting_capacity.tables import RECORDS, REJECTED_FEATURES, SECTIONS
from hc_platform.pipeline.feeders import prepare_records
from hc_platform.pipeline.fetch import Fetched, fetch
from hc_platform.pipeline.normalize import prepared_sections
from hc_platform.pipeline.snapshots import snapshot_at
from hc_platform.sources import SourceError, SourceOptions, source_for
from hc_platform_tests.catalogue.conftest import CONFIGS, FETCHABLE, Served

NOW = datetime(2026, 8, 20, tzinfo=UTC)
HOSTS = 20


def pulled(served: Served, code: str) -> Fetched:
    """One fetch of a utility into the lake that all share."""
    config = served.host.local(served.catalog[code])
    options = SourceOptions(min_interval_s=0, import_dir=served.folder / "imports")
    return fetch(
        config,
        snapshot_at(NOW, config.cadence),
        source=lambda layer, within=None: source_for(config, layer, options, within),
        lake=served.lake,
        staging=served.folder / "staging",
        now=NOW,
    )


def rejects(drawn: list[DrawnLayer]) -> list[tuple[str, str, int]]:
    """Layer, reason, features: what must be rejected."""
    found = [(d.layer.label, reason) for d in drawn for reason in rejected_features(d).values()]
    return sorted((*pair, found.count(pair)) for pair in set(found))


@pytest.mark.parametrize("code", FETCHABLE)
def test_every_utility_comes_out_as_it_was_drawn(served: Served, code: str) -> None:
    drawn = served.drawn[code]
    config = served.host.local(served.catalog[code])
    snapshot = snapshot_at(NOW, config.cadence)

    result = pulled(served, code)
    assert result.fetched == result.expected == sum(sum(d.served) for d in drawn)

    with prepared_sections(config, snapshot, served.lake, scratch=served.folder) as prepared:
        report = prepared.report
        assert [c.message for c in report.checks(None) if c.blocking and not c.passed] == []
        prepared.commit(served.lake)
    assert report.accepted + report.rejected == result.fetched
    gone = served.lake.scan(REJECTED_FEATURES, utility_code=code).group_by("layer", "reason").len().collect()
    assert sorted(gone.rows()) == rejects(drawn)
    sections = served.lake.scan(SECTIONS, utility_code=code).collect()
    assert differences(expected_sections(drawn), sections).rows() == []

    prepare_records(config, snapshot, served.lake).commit(served.lake)
    records = served.lake.scan(RECORDS, utility_code=code).collect()
    known = set(sections.filter(pl.col("grain") == "feeder")["feeder_id_external"].drop_nulls())
    assert known <= set(records["feeder_id_external"])

    before = served.host.pages[code]
    again = pulled(served, code)
    assert (again.status, again.source_hash) == ("unchanged", result.source_hash)
    if result.layers["source_edited_at"].null_count() == 0:
        assert served.host.pages[code] == before, "what is known not to have changed is not downloaded"


def test_the_utilities_stand_under_many_names(served: Served) -> None:
    """Each only under its own: a config that leads to a wrong host finds nothing there."""
    assert len(served.host.names) >= HOSTS
    assert {code for code in FETCHABLE if served.drawn[code]} == set(served.host.names.values())
    config = served.host.local(CONFIGS["pge"])
    wrong = (config.service_url or "").replace("pge.services2.arcgis.com", "sce.drpep.sce.com")
    moved = config.model_copy(update={"service_url": wrong})
    source = source_for(moved, moved.layers[0], SourceOptions(min_interval_s=0, attempts=1))
    with pytest.raises(SourceError, match="not found"):
        source.describe(moved, moved.layers[0])
