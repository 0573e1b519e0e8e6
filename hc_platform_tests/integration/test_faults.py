"""Each way in which real ArcGIS servers fail: every row exactly once, or a loud refusal. Never something between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import shapely

from hc_platform.arcgis import ArcGISError, HttpOptions, LayerPull, describe_layer, pull_layer, transport
from hc_platform_tests.integration.fake_arcgis import FakeLayer, serve_layer
from hc_platform_tests.integration.fault_proxy import fault_proxy

FAST = HttpOptions(min_interval_s=0, max_backoff_s=0.005)
LAYER = FakeLayer(10_000)
IDS = sorted(LAYER.rows)
HIDDEN = IDS[7777]


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with serve_layer(LAYER) as url:
        yield url


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that the client wanted; none of them is really waited."""
    wanted: list[float] = []

    async def record(seconds: float) -> None:
        wanted.append(seconds)

    monkeypatch.setattr(transport, "_sleep", record)
    return wanted


def pull(url: str, folder: Path, http: HttpOptions = FAST, where: str = "1=1") -> LayerPull:
    info = describe_layer(url, name="Sections", http=http)
    return pull_layer(info, folder, where=where, http=http)


def read(pulled: LayerPull) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in pulled.files])


def assert_every_row_once(pulled: LayerPull, ids: list[int] = IDS) -> None:
    frame = read(pulled)
    assert frame["object_id"].to_list() == ids
    attributes = frame["attributes"].str.json_decode(pl.Struct({"OBJECTID": pl.Int64, "FEEDER": pl.String}))
    assert attributes.struct.field("OBJECTID").to_list() == ids
    assert attributes.struct.field("FEEDER").to_list() == [f"{oid % 500:05d}" for oid in ids]
    assert pulled.rows == len(ids)
    assert pulled.missing_count == 0


SURVIVED = [
    "none", "err200_once", "e503_once", "e429_once", "html200_once", "truncated_once", "truncated_plain_once",
    "false_encoding", "reset_once", "cap1000", "cap1000_unflagged", "big504", "bigerr200", "offset_ignored",
    "unstable_order", "flag_never", "flag_always", "no_statistics", "no_ids", "no_count", "out_sr_ignored",
    "ids_refused_in_where", "only_offsets", "where_ignored", "neither_statistics_nor_ids",
]  # fmt: skip


PLANS = {
    "ids_refused_in_where": "object_ids",
    "only_offsets": "offset",
    "where_ignored": "object_ids",
    "neither_statistics_nor_ids": "offset",
}


@pytest.mark.parametrize("mode", SURVIVED)
def test_every_row_comes_exactly_once(mode: str, service: str, tmp_path: Path, waits: list[float]) -> None:
    with fault_proxy(service, mode) as (url, _):
        pulled = pull(url, tmp_path)
    assert pulled.status == "complete", pulled.notes
    assert_every_row_once(pulled)
    assert pulled.plan == PLANS.get(mode, "oid_windows")
    shapes = shapely.from_wkb(read(pulled)["geometry"].to_list())
    for oid, shape in list(zip(IDS, shapes, strict=True))[::997]:
        assert shapely.get_coordinates(shape) == pytest.approx(np.array(LAYER.path(oid)), abs=1e-8)


LOUD = {
    "err200_always": ("shrink", "Error performing query operation"),
    "html200_always": ("blocked", "text/html"),
    "reset_always": ("retry", "connection"),
    "token_required": ("auth", "Token Required"),
    "token_expires": ("auth", "Invalid token"),
    "not_started": ("down", "not started"),
    "invalid_url": ("moved", "Invalid URL"),
    "referer_gate": ("blocked", "403"),
    "login_redirect": ("auth", "login page"),
    "file_redirect": ("blocked", "redirect"),
}


@pytest.mark.parametrize("mode", LOUD)
def test_what_cannot_work_is_said_in_one_sentence(
    mode: str, service: str, tmp_path: Path, waits: list[float]
) -> None:
    kind, words = LOUD[mode]
    with fault_proxy(service, mode) as (url, proxy):
        with pytest.raises(ArcGISError, match=words) as caught:
            pull(url, tmp_path)
        assert proxy.requests < 1000, "a failing server is not flooded"
    assert caught.value.kind == kind
    assert url.split("/arcgis")[0] in str(caught.value)


def test_retry_after_is_honoured_up_to_two_minutes(service: str, tmp_path: Path, waits: list[float]) -> None:
    with fault_proxy(service, "e503_once") as (url, _):
        pull(url, tmp_path / "503")
    assert 7.0 in waits
    with fault_proxy(service, "e429_once") as (url, _):
        pull(url, tmp_path / "429")
    assert 120.0 in waits


def test_cap_below_the_metadata_is_learnt_and_told(service: str, tmp_path: Path) -> None:
    with fault_proxy(service, "cap1000") as (url, proxy):
        pulled = pull(url, tmp_path)
    assert any("caps pages at 1000" in note for note in pulled.notes)
    assert proxy.requests < 40


def test_lying_flag_is_told(service: str, tmp_path: Path) -> None:
    with fault_proxy(service, "flag_always") as (url, _):
        pulled = pull(url, tmp_path)
    assert any("claims that rows are missing" in note for note in pulled.notes)


def test_row_that_always_fails_is_quarantined(service: str, tmp_path: Path, waits: list[float]) -> None:
    with fault_proxy(service, "poisoned_row") as (url, proxy):
        pulled = pull(url, tmp_path)
        bad = proxy.state["poison"]
        assert pulled.status == "partial"
        assert pulled.missing_object_ids == [bad]
        assert pulled.missing_count == 1
        assert [entry["object_id"] for entry in pulled.quarantined] == [bad]
        assert read(pulled)["object_id"].to_list() == [oid for oid in IDS if oid != bad]
        proxy.mode = "none"
        before = proxy.pages
        healed = pull(url, tmp_path)
        assert proxy.pages - before == 1, "only the missing row is asked again"
    assert healed.status == "complete"
    assert healed.resumed_rows == len(IDS) - 1
    assert_every_row_once(healed)


def test_row_deleted_during_the_download(service: str, tmp_path: Path) -> None:
    with fault_proxy(service, "row_deleted", hidden=IDS[10]) as (url, _):
        pulled = pull(url, tmp_path, HttpOptions(min_interval_s=0, in_flight=1))
    assert pulled.status == "changed"
    assert (pulled.count_before, pulled.count_after) == (10_000, 9_999)
    assert_every_row_once(pulled, [oid for oid in IDS if oid != IDS[10]])


def test_row_inserted_during_the_download(service: str, tmp_path: Path) -> None:
    with fault_proxy(service, "row_inserted", hidden=IDS[10]) as (url, _):
        pulled = pull(url, tmp_path, HttpOptions(min_interval_s=0, in_flight=1))
    assert pulled.status == "changed"
    assert_every_row_once(pulled)


def test_expired_token_is_asked_for_once_more(service: str, tmp_path: Path) -> None:
    tokens = iter(["stale-secret", "fresh"])
    with fault_proxy(service, "token_expires") as (url, _):
        http = HttpOptions(min_interval_s=0, in_flight=1, token=lambda refused: next(tokens))
        info = describe_layer(url, name="Sections", http=http)
        always_fresh = HttpOptions(min_interval_s=0, token=lambda refused: "fresh")
        assert_every_row_once(pull_layer(info, tmp_path, http=always_fresh))


def test_no_token_in_messages(service: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with fault_proxy(service, "token_expires") as (url, _), pytest.raises(ArcGISError) as caught:
        pull(url, tmp_path, HttpOptions(min_interval_s=0, token=lambda refused: "s3cr3t"))
    assert "s3cr3t" not in str(caught.value) + repr(caught.value.args) + caught.value.what
    assert "s3cr3t" not in caplog.text


def test_referer_opens_the_gate(service: str, tmp_path: Path) -> None:
    headers = {"Referer": "https://maps.example.com/"}
    with fault_proxy(service, "referer_gate") as (url, _):
        assert_every_row_once(pull(url, tmp_path, HttpOptions(min_interval_s=0, headers=headers)))


def test_nan_becomes_null_and_is_counted(service: str, tmp_path: Path) -> None:
    with fault_proxy(service, "bare_nan") as (url, _):
        pulled = pull(url, tmp_path)
    assert pulled.status == "complete"
    assert_every_row_once(pulled)
    bad = [oid for oid in IDS if LAYER.rows[oid]["MW"] in (1.0, 2.0)]
    assert pulled.null_tokens == len(bad)
    decoded = read(pulled)["attributes"].str.json_decode(pl.Struct({"OBJECTID": pl.Int64, "MW": pl.Float64}))
    nulls = decoded.struct.unnest().filter(pl.col("MW").is_null())["OBJECTID"].to_list()
    assert nulls == bad


def test_curve_is_kept_without_a_shape_and_listed(service: str, tmp_path: Path) -> None:
    with fault_proxy(service, "curves", hidden=HIDDEN) as (url, _):
        pulled = pull(url, tmp_path)
    assert_every_row_once(pulled)
    frame = read(pulled)
    assert frame.filter(pl.col("geometry").is_null())["object_id"].to_list() == [HIDDEN]
    assert [(entry["object_id"], entry["reason"]) for entry in pulled.quarantined] == [
        (HIDDEN, "true curve geometry")
    ]


def test_null_geometry_keeps_its_row(service: str, tmp_path: Path) -> None:
    with fault_proxy(service, "null_geometry") as (url, _):
        pulled = pull(url, tmp_path)
    assert pulled.status == "complete"
    assert_every_row_once(pulled)
    assert read(pulled)["geometry"].null_count() >= 4


def test_layer_without_object_id_is_read_by_tiles(service: str, tmp_path: Path) -> None:
    with fault_proxy(service, "no_identity") as (url, _):
        pulled = pull(url, tmp_path)
    assert (pulled.status, pulled.plan, pulled.weak_identity) == ("complete", "envelope", True)
    frame = read(pulled)
    assert frame["object_id"].null_count() == frame.height == 10_000
    notes = frame["attributes"].str.json_decode(pl.Struct({"NOTE": pl.String})).struct.field("NOTE")
    assert set(notes) == {row["NOTE"] for row in LAYER.rows.values()}


def test_ignored_where_is_refused_when_it_matters(service: str, tmp_path: Path) -> None:
    with (
        fault_proxy(service, "where_ignored") as (url, _),
        pytest.raises(ArcGISError, match="ignores where") as caught,
    ):
        pull(url, tmp_path, where="MW > 11")
    assert caught.value.kind == "bad_request"


def test_where_is_kept_in_every_window(service: str, tmp_path: Path) -> None:
    pulled = pull(service, tmp_path, where="MW > 11 OR MW < 1")  # OR binds looser than the window's AND
    assert pulled.status == "complete"


def test_dying_server_is_loud_and_the_next_run_resumes(service: str, tmp_path: Path) -> None:
    with fault_proxy(service, "dies") as (url, proxy):
        with pytest.raises(ArcGISError, match="not started") as caught:
            pull(url, tmp_path, HttpOptions(min_interval_s=0, in_flight=1))
        assert caught.value.kind == "down"
        on_disk = sum(pl.read_parquet(path).height for path in tmp_path.glob("*.parquet"))
        assert 0 < on_disk < 10_000
        proxy.mode = "none"
        before = proxy.pages
        pulled = pull(url, tmp_path)
    assert pulled.status == "complete"
    assert pulled.resumed_rows == on_disk
    assert proxy.pages - before <= 3
    assert_every_row_once(pulled)


def test_nothing_is_fetched_twice(service: str, tmp_path: Path) -> None:
    with fault_proxy(service, "none") as (url, proxy):
        pull(url, tmp_path)
        before = proxy.pages
        again = pull(url, tmp_path)
    assert proxy.pages == before
    assert again.status == "complete"
    assert again.resumed_rows == 10_000


def test_other_question_clears_the_folder(service: str, tmp_path: Path) -> None:
    pull(service, tmp_path)
    pulled = pull(service, tmp_path, where="MW < 1")
    assert pulled.resumed_rows == 0
    assert set(read(pulled)["object_id"]) == {oid for oid in IDS if LAYER.rows[oid]["MW"] < 1}


def test_damaged_window_on_disk_is_fetched_again(service: str, tmp_path: Path) -> None:
    first = pull(service, tmp_path)
    first.files[1].write_bytes(first.files[1].read_bytes()[:-100])
    (tmp_path / "half.tmp").write_bytes(b"left by a killed process")
    pulled = pull(service, tmp_path)
    assert pulled.status == "complete"
    assert pulled.resumed_rows < 10_000
    assert_every_row_once(pulled)


def test_sample_stops_early_and_is_partial(service: str, tmp_path: Path) -> None:
    info = describe_layer(service, name="Sections", http=FAST)
    pulled = pull_layer(info, tmp_path, http=HttpOptions(min_interval_s=0, in_flight=1), stop_after=2000)
    assert pulled.status == "partial"
    assert 2000 <= pulled.rows < 10_000


@pytest.mark.parametrize(("first", "gap"), [(2**53, 7), (-5000, 7), (1, 2), (1, 0)])
def test_odd_object_ids(first: int, gap: int, tmp_path: Path) -> None:
    layer = FakeLayer(5_000, first=first, gap=gap)
    with serve_layer(layer) as url:
        pulled = pull(url, tmp_path)
    assert pulled.status == "complete"
    assert read(pulled)["object_id"].to_list() == sorted(layer.rows)


def test_sparse_ids(tmp_path: Path) -> None:
    layer = FakeLayer(3_000)
    layer.rows = {oid * 1_000_003: layer.attributes(oid * 1_000_003) for oid in sorted(layer.rows)}
    with serve_layer(layer) as url, fault_proxy(url, "none") as (proxied, proxy):
        pulled = pull(proxied, tmp_path)
    assert read(pulled)["object_id"].to_list() == sorted(layer.rows)
    assert proxy.pages == 2


def test_sparse_and_uneven_without_ids(tmp_path: Path) -> None:
    layer = FakeLayer(3_000, max_record_count=500)
    ids = [*range(1, 2500), *(100_000_000 + i * 9_999_991 for i in range(500))]
    layer.rows = {oid: layer.attributes(oid) for oid in ids}
    with serve_layer(layer) as url, fault_proxy(url, "no_ids") as (proxied, _):
        pulled = pull(proxied, tmp_path)
    assert pulled.status == "complete"
    assert read(pulled)["object_id"].to_list() == ids


def test_empty_layer(tmp_path: Path) -> None:
    with serve_layer(FakeLayer(0)) as url:
        pulled = pull(url, tmp_path)
    assert (pulled.status, pulled.rows, pulled.files) == ("complete", 0, [])


class Table(FakeLayer):
    """A table without geometry, and with rows that are equal to each other."""

    @staticmethod
    def attributes(oid: int) -> dict[str, object]:
        return {"OBJECTID": oid, "FEEDER": f"{oid // 3 % 500:05d}", "MW": oid // 3 / 8, "NOTE": "same"}

    def metadata(self) -> dict[str, object]:
        return super().metadata() | {"geometryType": None, "type": "Table"}

    def query(self, params: dict[str, str]) -> dict[str, object]:
        answer = super().query(params | {"returnGeometry": "false"})
        answer.pop("geometryType", None)
        return answer


def test_table_without_object_id_is_read_in_an_order(tmp_path: Path) -> None:
    table = Table(5_000, gap=0)
    with serve_layer(table) as url, fault_proxy(url, "no_identity") as (proxied, _):
        pulled = pull(proxied, tmp_path)
    assert (pulled.status, pulled.plan, pulled.weak_identity) == ("complete", "offset", True)
    feeders = read(pulled)["attributes"].str.json_path_match("$.FEEDER").to_list()
    assert sorted(feeders) == sorted(row["FEEDER"] for row in table.rows.values()), (
        "equal rows are several rows"
    )


def test_equal_rows_without_object_id_are_all_kept(tmp_path: Path) -> None:
    layer = FakeLayer(600, max_record_count=50)
    layer.attributes = lambda oid: {"OBJECTID": oid, "FEEDER": "x", "MW": 1, "NOTE": ""}  # type: ignore[method-assign]
    layer.rows = {oid: layer.attributes(oid) for oid in layer.rows}
    layer.path = lambda oid: FakeLayer.path(oid // 2)  # type: ignore[method-assign]
    with serve_layer(layer) as url, fault_proxy(url, "no_identity") as (proxied, _):
        pulled = pull(proxied, tmp_path)
    assert (pulled.status, pulled.plan, pulled.rows) == ("complete", "envelope", 600)


@pytest.mark.parametrize("mode", ["offset_ignored", "unstable_order"])
def test_without_ids_bad_paging_is_never_called_complete(mode: str, tmp_path: Path) -> None:
    table = Table(5_000, gap=0)
    with (
        serve_layer(table) as url,
        fault_proxy(url, mode) as (faulty, _),
        fault_proxy(faulty, "no_identity") as (proxied, _),
        pytest.raises(ArcGISError, match="no way of paging") as caught,
    ):
        pull(proxied, tmp_path)
    assert caught.value.kind == "schema"
