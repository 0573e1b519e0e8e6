"""The whole download against a simulated server: any ids, any cap, any flag, with every row exactly once."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hc_platform.arcgis import ArcGISError, HttpOptions, LayerPull, payload
from hc_platform.arcgis.metadata import layer_info
from hc_platform.arcgis.pull import _Pull
from hc_platform.arcgis.transport import Counters
from hc_platform_tests.integration.fake_arcgis import FakeLayer

T = TypeVar("T")


class SimulatedSession:
    """Answers as a server with a real cap, which its metadata may not admit, and a flag that may lie."""

    def __init__(self, layer: FakeLayer, cap: int, flag: str, broken: set[int], refuses: set[str]) -> None:
        self.http = HttpOptions(in_flight=3)
        self.counters = Counters()
        self.layer, self.cap, self.flag, self.broken, self.refuses = layer, cap, flag, broken, refuses

    async def ask(self, url: str, params: Mapping[str, str], decoder: Callable[[bytes], T]) -> T:
        await asyncio.sleep(0)
        self.counters.requests += 1
        answer = self.layer.answer(url.split("test", 1)[1], dict(params))
        if self.refuses & set(params):
            answer = {"error": {"code": 400, "message": "Unable to complete operation."}}
        features: Any = answer.get("features")
        if features is not None and "outStatistics" not in params:
            if any(feature["attributes"]["OBJECTID"] in self.broken for feature in features):
                answer = {"error": {"code": 500, "message": "Error performing query operation"}}
            else:
                cut = len(features) > self.cap
                answer["features"] = features[: self.cap]
                honest = cut or "exceededTransferLimit" in answer
                answer.pop("exceededTransferLimit", None)
                if {"honest": honest, "always": True, "never": False}[self.flag]:
                    answer["exceededTransferLimit"] = True
        return payload.parse(json.dumps(answer).encode(), decoder, url)


def download(session: SimulatedSession, folder: Path, page: int | None) -> LayerPull:
    info = layer_info("test/FeatureServer", session.layer.metadata())
    return asyncio.run(_Pull(info, folder, "1=1", ("*",), page, 4326, None, None, True).run(session))  # type: ignore[arg-type]


IDS = st.one_of(
    st.sets(st.integers(-50, 400), max_size=200),
    st.sets(st.integers(-(2**40), 2**40), max_size=60),
    st.builds(
        lambda a, b: a | b,
        st.sets(st.integers(1, 150), max_size=150),
        st.sets(st.integers(10**6, 10**9), max_size=9),
    ),
)
REFUSALS = st.sets(st.sampled_from(["outStatistics", "returnIdsOnly", "returnCountOnly"]), max_size=2)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ids=IDS,
    claimed=st.integers(1, 60),
    cap=st.integers(1, 60),
    flag=st.sampled_from(["honest", "always", "never"]),
    page=st.none() | st.integers(1, 60),
    refuses=REFUSALS,
)
def test_every_row_exactly_once_or_partial(
    ids: set[int], claimed: int, cap: int, flag: str, page: int | None, refuses: set[str]
) -> None:
    layer = FakeLayer(0, max_record_count=max(claimed, cap))
    layer.rows = {oid: layer.attributes(oid) for oid in ids}
    layer.metadata = lambda original=layer.metadata: original() | {"maxRecordCount": claimed}  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        session = SimulatedSession(layer, cap, flag, set(), refuses)
        try:
            pulled = download(session, Path(folder), page)
        except ArcGISError:
            assert refuses == {"returnCountOnly", "returnIdsOnly"}, (
                "only a server that tells nothing may end so"
            )
            return
        frame = (
            pl.concat([pl.read_parquet(path) for path in pulled.files]) if pulled.files else pl.DataFrame()
        )
    told = (
        frame["attributes"].str.json_path_match("$.OBJECTID").cast(pl.Int64).to_list() if frame.height else []
    )
    assert len(told) == len(set(told)), "no row twice"
    found = sorted(told)
    assert pulled.weak_identity or told == found, "files and rows are in the order of the ids"
    if pulled.status == "complete":
        assert set(found) == ids
    else:
        assert pulled.status == "partial"
        assert pulled.missing_count > 0 or pulled.count_after is None
    if not refuses or (refuses == {"outStatistics"}):
        assert pulled.status == "complete", "nothing prevents this one"


@settings(max_examples=25, deadline=None)
@given(
    ids=st.sets(st.integers(1, 300), min_size=30, max_size=200),
    data=st.data(),
    cap=st.integers(5, 60),
)
def test_broken_rows_are_named_and_the_next_run_heals(ids: set[int], data: st.DataObject, cap: int) -> None:
    broken = data.draw(st.sets(st.sampled_from(sorted(ids)), max_size=3))
    layer = FakeLayer(0, max_record_count=cap)
    layer.rows = {oid: layer.attributes(oid) for oid in ids}
    with tempfile.TemporaryDirectory() as folder:
        first = download(SimulatedSession(layer, cap, "honest", broken, set()), Path(folder), None)
        assert first.status == ("partial" if broken else "complete")
        assert first.missing_object_ids == sorted(broken)
        session = SimulatedSession(layer, cap, "honest", set(), set())
        second = download(session, Path(folder), None)
        assert second.status == "complete"
        assert second.resumed_rows == first.rows == len(ids) - len(broken)
        found = [oid for path in second.files for oid in pl.read_parquet(path)["object_id"].to_list()]
    assert found == sorted(ids)
