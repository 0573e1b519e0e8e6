"""A layer that is edited while it is pulled, or between two runs of a pull: old rows and new ones are never mixed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hc_platform.arcgis import HttpOptions, LayerPull, describe_layer, pull_layer, reckoning
from hc_platform_tests.integration.fake_arcgis import FakeLayer, serve_layer
from hc_platform_tests.integration.fault_proxy import fault_proxy

ONE_AT_A_TIME = HttpOptions(min_interval_s=0, in_flight=1, max_backoff_s=0.005)


class EditedLayer(FakeLayer):
    """Edited by `edit` when so many pages of rows were sent; counts what is asked for."""

    def __init__(self, edit: Callable[[EditedLayer], None], *, dated: bool, at_page: int = 4) -> None:
        super().__init__(4_000, max_record_count=500)
        self.edit, self.at_page, self.dated = edit, at_page, dated
        self.edited_ms = 1_700_000_000_000
        self.pages = 0
        self.refused: set[str] = set()
        self.most_ids: int | None = None
        self.ids_shown: int | None = None
        self.asked: list[str] = []

    def metadata(self) -> dict[str, Any]:
        told = super().metadata()
        told.pop("editingInfo")
        return told | ({"editingInfo": {"lastEditDate": self.edited_ms}} if self.dated else {})

    def query(self, params: dict[str, str]) -> dict[str, Any]:
        kinds = ("returnIdsOnly", "returnCountOnly", "outStatistics")
        kind = next((name for name in kinds if name in params), "rows")
        self.asked.append(kind)
        if kind == "rows":
            self.pages += 1
            if self.pages == self.at_page and self.edit is not nothing:
                self.edited_ms += 1000
                self.edit(self)
        window = "OBJECTID" in params.get("where", "")
        if kind in self.refused or (window and f"{kind} by id" in self.refused):
            return {"error": {"code": 400, "message": "Unable to complete operation."}}
        answer = super().query(params)
        ids = answer.get("objectIds")
        if ids is not None and self.most_ids is not None and len(ids) > self.most_ids:
            return {"error": {"code": 400, "message": "Unable to complete operation."}}
        if ids is not None and self.ids_shown is not None:
            answer["objectIds"] = ids[: self.ids_shown]
        return answer


def swap(layer: EditedLayer, first: int = 100) -> None:
    """50 rows of the windows that came already are deleted, and 50 new ones inserted there."""
    ids = sorted(layer.rows)
    unused = [oid for oid in range(1, ids[-1]) if oid not in layer.rows]
    for oid in ids[first : first + 50]:
        del layer.rows[oid]
    new = [oid for oid in unused if oid < ids[first]][:50]
    for oid in new[:50]:
        layer.rows[oid] = layer.attributes(oid)


def swap_far(layer: EditedLayer) -> None:
    """The same, but what is new lies in other windows that came, and beyond all ids there were."""
    ids = sorted(layer.rows)
    for oid in ids[100:150]:
        del layer.rows[oid]
    inside = [oid for oid in range(ids[600], ids[1300]) if oid not in layer.rows][:25]
    for oid in [*inside, *range(ids[-1] + 5, ids[-1] + 30)]:
        layer.rows[oid] = layer.attributes(oid)


def nothing(layer: EditedLayer) -> None:
    pass


def pull(url: str, folder: Path) -> LayerPull:
    return pull_layer(describe_layer(url, name="Sections", http=ONE_AT_A_TIME), folder, http=ONE_AT_A_TIME)


def ids_on_disk(pulled: LayerPull) -> list[int]:
    return pl.concat([pl.read_parquet(path) for path in pulled.files])["object_id"].to_list()


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("edit", [lambda layer: swap(layer, 300), swap_far], ids=["near", "far"])
def test_rows_swapped_under_an_equal_count(
    edit: Callable[[EditedLayer], None], dated: bool, tmp_path: Path
) -> None:
    layer = EditedLayer(edit, dated=dated)
    with serve_layer(layer) as url:
        pulled = pull(url, tmp_path)
    assert (pulled.count_before, pulled.count_after) == (4_000, 4_000)
    assert pulled.status == "changed"
    assert ids_on_disk(pulled) == sorted(layer.rows)
    assert (pulled.missing_count, pulled.missing_object_ids) == (0, [])
    assert any("fetched by id" in note for note in pulled.notes)


def test_an_unmoved_edit_date_spares_the_comparison(tmp_path: Path) -> None:
    layer = EditedLayer(nothing, dated=True)
    with serve_layer(layer) as url:
        pulled = pull(url, tmp_path)
    assert (pulled.status, pulled.notes) == ("complete", [])
    assert layer.asked.count("returnIdsOnly") == 0


def test_without_an_edit_date_the_ids_are_compared_and_it_is_said(tmp_path: Path) -> None:
    layer = EditedLayer(nothing, dated=False)
    with serve_layer(layer) as url:
        pulled = pull(url, tmp_path)
    assert pulled.status == "complete"
    assert layer.asked.count("returnIdsOnly") == 1
    assert pulled.notes == ["the ids on disk were compared with the server's: 4000 on both sides"]


def test_where_ids_are_refused_the_counts_of_windows_are_compared(tmp_path: Path) -> None:
    layer = EditedLayer(swap_far, dated=False)
    layer.refused = {"returnIdsOnly"}
    with serve_layer(layer) as url:
        pulled = pull(url, tmp_path)
    assert ids_on_disk(pulled) == sorted(layer.rows)
    assert pulled.status == "changed"
    assert any("windows whose count differed were fetched again" in note for note in pulled.notes)
    assert any("replaced by another of the same window would go unseen" in note for note in pulled.notes)


def test_where_only_a_total_is_told_that_is_said(tmp_path: Path) -> None:
    layer = EditedLayer(nothing, dated=False)
    layer.refused = {"returnIdsOnly", "returnCountOnly by id"}
    with serve_layer(layer) as url:
        pulled = pull(url, tmp_path)
    assert pulled.status == "complete"
    assert any("only the total could be compared" in note for note in pulled.notes)


def test_ids_that_are_too_many_at_once_are_compared_in_spans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reckoning, "_IDS_AT_ONCE", 900)
    layer = EditedLayer(lambda layer: swap(layer, 300), dated=False)
    layer.most_ids = 1_000
    with serve_layer(layer) as url:
        pulled = pull(url, tmp_path)
    assert pulled.status == "changed"
    assert ids_on_disk(pulled) == sorted(layer.rows)


def test_a_list_of_ids_cut_short_drops_no_rows(tmp_path: Path) -> None:
    layer = EditedLayer(nothing, dated=False)
    layer.ids_shown = 1_000
    with serve_layer(layer) as url:
        pulled = pull(url, tmp_path)
    assert pulled.status == "complete"
    assert ids_on_disk(pulled) == sorted(layer.rows)
    assert any("lists 1000 ids but counts 4000 rows" in note for note in pulled.notes)


def test_a_layer_that_never_rests_is_never_complete(tmp_path: Path) -> None:
    class Restless(EditedLayer):
        def query(self, params: dict[str, str]) -> dict[str, Any]:
            answer = super().query(params)
            if "returnIdsOnly" in params:
                swap(self, 300 + len(self.asked))
            return answer

    layer = Restless(lambda layer: swap(layer, 300), dated=False)
    with serve_layer(layer) as url:
        pulled = pull(url, tmp_path)
    assert pulled.status == "partial"
    assert any("not proved" in note for note in pulled.notes)


def recalculate(layer: FakeLayer) -> None:
    for row in layer.rows.values():
        row["NOTE"] = "second study"


def age(folder: Path, by: timedelta) -> None:
    """As if the staged windows had been begun so long ago."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["started_at"] = (datetime.now(UTC) - by).isoformat()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("hours", [-1, 7, 21 * 24])
def test_old_windows_of_an_undated_layer_are_fetched_anew(hours: int, tmp_path: Path) -> None:
    layer = EditedLayer(nothing, dated=False)
    with serve_layer(layer) as url, fault_proxy(url, "dies") as (proxied, proxy):
        with pytest.raises(Exception, match="not started"):
            pull(proxied, tmp_path)
        assert len(list(tmp_path.glob("*.parquet"))) > 1
        recalculate(layer)
        age(tmp_path, timedelta(hours=hours))
        proxy.mode = "none"
        pulled = pull(proxied, tmp_path)
    assert (pulled.status, pulled.resumed_rows, pulled.rows) == ("complete", 0, 4_000)
    texts = pl.concat([pl.read_parquet(path) for path in pulled.files])["attributes"]
    assert texts.str.contains("second study").all()


def test_young_windows_of_an_undated_layer_are_resumed_and_keep_their_age(tmp_path: Path) -> None:
    layer = EditedLayer(nothing, dated=False)
    with serve_layer(layer) as url, fault_proxy(url, "dies") as (proxied, proxy):
        with pytest.raises(Exception, match="not started"):
            pull(proxied, tmp_path)
        age(tmp_path, timedelta(hours=2))
        begun = json.loads((tmp_path / "manifest.json").read_text())["started_at"]
        proxy.mode = "none"
        pulled = pull(proxied, tmp_path)
    assert pulled.status == "complete"
    assert pulled.resumed_rows > 0
    assert any("are of an attempt begun at" in note for note in pulled.notes)
    assert json.loads((tmp_path / "manifest.json").read_text())["started_at"] == begun


def test_windows_of_a_dated_layer_do_not_age(tmp_path: Path) -> None:
    layer = EditedLayer(nothing, dated=True)
    with serve_layer(layer) as url:
        pull(url, tmp_path)
        age(tmp_path, timedelta(days=20))
        assert pull(url, tmp_path).resumed_rows == 4_000
