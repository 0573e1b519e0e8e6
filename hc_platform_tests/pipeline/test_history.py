"""Normalizing the past again with a mended config: nothing upstream is touched, and it equals a fresh run."""

import socket
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.tables import (
    RAW_FEATURES,
    RECORDS,
    REJECTED_FEATURES,
    SECTIONS,
    SOURCE_LAYERS,
)
from hc_platform.lake.store import Lake, open_lake
from hc_platform.pipeline import standing
from hc_platform.pipeline.feeders import prepare_records
from hc_platform.pipeline.normalize import is_normalized, prepared_sections
from hc_platform_tests.hosting_capacity.making import config
from hc_platform_tests.pipeline.stub import Bench, StubSource, month

MONTHS = range(1, 13)


def made(unit: str, ceiling: float | None, extra: dict[str, Any] | None = None) -> UtilityConfig:
    fields = {
        "Id": "feeder_id_external",
        "C": {"to": "hosting_capacity_mw", "unit": unit, "ceiling": ceiling},
    }
    return config({"name": "lines", "record_key": ["Id", "No"], "field_map": {**fields, **(extra or {})}})


OLD, NEW = made("mw", None), made("kw", 400)


def rows(number: int) -> list[dict[str, Any]]:
    """Another value each month, a duplicate, an unreadable one, a namesake; in autumn a new field."""
    more = {"Why": "Thermal"} if number > 9 else {}
    return [
        *[{"Id": f"0{i % 3}", "No": i, "C": 100 * i + number, **more} for i in range(6)],
        {"Id": "00", "No": 0, "C": 50 + number, **more},
        {"Id": "00", "No": 0, "C": 50 + number, **more},
        {"Id": "01", "No": 9, "C": "see note", **more},
    ]


def build(lake: Lake, made: UtilityConfig, snapshot: str) -> None:
    with prepared_sections(made, snapshot, lake) as prepared:
        prepared.commit(lake)
    prepare_records(made, snapshot, lake).commit(lake)


def everything(lake: Lake) -> dict[str, pl.DataFrame]:
    keys = {
        "sections": "record_key",
        "rejected_features": "feature_key",
        "hosting_capacity_records": "feeder_id_external",
    }
    tables = (SECTIONS, REJECTED_FEATURES, RECORDS)
    return {
        t.name: lake.scan(t)
        .sort("snapshot", "resource" if t is not REJECTED_FEATURES else "layer", keys[t.name])
        .collect()
        for t in tables
    }


def test_twelve_snapshots_are_normalized_again(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Bench(tmp_path / "fresh", open_lake(str(tmp_path / "fresh" / "lake")))
    for number in MONTHS:
        done = bench.fetch(OLD, StubSource({"lines": rows(number)}), month(number))
        assert done.status == "complete"
        build(bench.lake, OLD, done.snapshot)
        fresh.fetch(NEW, StubSource({"lines": rows(number)}), month(number))
        build(fresh.lake, NEW, done.snapshot)
    before = everything(bench.lake)
    upstream = [(bench.lake.version(t), bench.lake.files(t)) for t in (RAW_FEATURES, SOURCE_LAYERS)]
    stamps = [Path(f).stat().st_mtime_ns for _, files in upstream for f in files]

    def refused(*_: object) -> None:
        raise AssertionError("a request was made")

    monkeypatch.setattr(socket.socket, "connect", refused)
    for number in MONTHS:
        build(bench.lake, NEW, f"2026-{number:02d}")

    assert [(bench.lake.version(t), bench.lake.files(t)) for t in (RAW_FEATURES, SOURCE_LAYERS)] == upstream
    assert [Path(f).stat().st_mtime_ns for _, files in upstream for f in files] == stamps
    after = everything(bench.lake)
    for name, frame in everything(fresh.lake).items():
        assert after[name].equals(frame), name
    assert after["sections"].height == 12 * 7
    assert after["rejected_features"]["reason"].value_counts().sort("reason").rows() == [
        ("duplicate_feature", 12),
        ("unparseable_capacity", 12),
    ]
    # and it did make a difference: kW are no longer read as MW, and 400 kW are the study's end
    assert before["sections"]["hosting_capacity_mw"].sum() == pytest.approx(
        1000 * after["sections"]["hosting_capacity_mw"].sum()
    )
    assert set(before["sections"]["censored"]) == {"none"}
    assert (after["sections"]["censored"] == "at_ceiling").sum() == 12 * 2


def test_the_contract_is_that_of_the_snapshots_own_time(bench: Bench) -> None:
    """A field mapped since autumn: its snapshots have it; those before fail naming it, and keep their rows."""
    for number in (9, 10):
        done = bench.fetch(OLD, StubSource({"lines": rows(number)}), month(number))
        build(bench.lake, OLD, done.snapshot)
    newer = made("mw", None, {"Why": "constraining_metric"})
    build(bench.lake, newer, "2026-10")
    with pytest.raises(Exception, match="Why"):
        build(bench.lake, newer, "2026-09")
    metrics = (
        bench.lake.scan(SECTIONS).group_by("snapshot").agg(pl.col("constraining_metric").count()).collect()
    )
    assert dict(metrics.rows()) == {"2026-09": 0, "2026-10": 7}


def test_a_layer_added_to_the_config_since_is_told_of(bench: Bench) -> None:
    done = bench.fetch(OLD, StubSource({"lines": rows(1)}), month(1))
    both = UtilityConfig.model_validate(
        {
            **OLD.model_dump(),
            "layers": [
                *OLD.model_dump()["layers"],
                {"name": "new", "grain": "tile", "resources": {"load": {}}},
            ],
        }
    )
    with prepared_sections(both, done.snapshot, bench.lake) as prepared:
        assert prepared.report.skipped_layers == ["new"]
        assert prepared.report.checks(None)[0].passed


def test_normalizing_again_gives_the_very_same_rows(bench: Bench) -> None:
    done = bench.fetch(OLD, StubSource({"lines": rows(1)}), month(1))
    build(bench.lake, OLD, done.snapshot)
    first = everything(bench.lake)
    build(bench.lake, OLD, done.snapshot)
    assert all(first[name].equals(frame) for name, frame in everything(bench.lake).items())


def test_prepared_but_not_committed_leaves_the_lake_alone(bench: Bench) -> None:
    done = bench.fetch(OLD, StubSource({"lines": rows(1)}), month(1))
    build(bench.lake, OLD, done.snapshot)
    versions = [bench.lake.version(t) for t in (SECTIONS, REJECTED_FEATURES)]
    with prepared_sections(NEW, done.snapshot, bench.lake, scratch=bench.folder / "scratch") as prepared:
        assert prepared.report.rows == 7
        assert list((bench.folder / "scratch").iterdir())
    assert [bench.lake.version(t) for t in (SECTIONS, REJECTED_FEATURES)] == versions
    assert not list((bench.folder / "scratch").iterdir())


def test_a_mended_rule_makes_an_unchanged_months_rows_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fetch(NEW, StubSource({"lines": rows(5)}), month(5))
    build(bench.lake, NEW, "2026-05")
    assert is_normalized(NEW, "2026-05", bench.lake)
    monkeypatch.setattr(standing, "rules", lambda: "others")
    assert not is_normalized(NEW, "2026-05", bench.lake)
