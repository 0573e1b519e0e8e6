"""What is held against the last pull before anything comes: types, names, and files that were not written since."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.tables import RAW_FEATURES
from hc_platform.sources import ContractError, SourceOptions, source_for
from hc_platform.sources.base import LayerDescription
from hc_platform_tests.hosting_capacity.making import config
from hc_platform_tests.pipeline.stub import Bench, StubSource, month

FIELDS = {"Id": "feeder_id_external", "kW": "hosting_capacity_mw"}
LAYER = {"title": "lines", "layer_index": 0, "capacity_unit": "kw", "field_map": FIELDS}
ROWS = [{"Id": "0022", "kW": "5"}, {"Id": "0023", "kW": "6"}]


class Retyped(StubSource):
    """The same layer, republished."""

    types: ClassVar[dict[str, str]] = {}
    name: ClassVar[str] = "lines"

    def describe(self, config: UtilityConfig, layer: object) -> LayerDescription:
        found = super().describe(config, layer)  # type: ignore[arg-type]
        fields = {**found.fields, **self.types}
        return LayerDescription(
            found.url, self.name, 0, fields, "OBJECTID", found.count, None, {"name": self.name}
        )


def test_a_feeder_id_that_became_a_number_is_not_pulled(bench: Bench) -> None:
    made = config(LAYER)
    assert bench.fetch(made, Retyped({"lines": ROWS}), month(5)).fetched == 2
    number = Retyped({"lines": ROWS})
    number.types = {"Id": "esriFieldTypeInteger"}  # type: ignore[misc]
    with pytest.raises(ContractError, match="field Id is a number now, was a text") as error:
        bench.fetch(made, number, month(6))
    assert "field_types" in str(error.value)
    assert number.written == []
    accepted = config({**LAYER, "field_types": {"Id": "number"}})
    assert bench.fetch(accepted, number, month(6)).fetched == 2


def test_another_layer_at_the_index_is_not_pulled(bench: Bench) -> None:
    made = config(LAYER)
    bench.fetch(made, Retyped({"lines": ROWS}), month(5))
    other = Retyped({"lines": ROWS})
    other.name = "substations"  # type: ignore[misc]
    with pytest.raises(ContractError, match="index 0 holds 'substations' now, and held 'lines'"):
        bench.fetch(made, other, month(6))


class _Files(BaseHTTPRequestHandler):
    """One file with a date, and a list of what was asked."""

    asked: ClassVar[list[str]] = []
    body: ClassVar[bytes] = b"Id,kW\n0022,5\n"
    date: ClassVar[str] = "Fri, 01 May 2026 00:00:00 GMT"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()
        self.wfile.write(self.body)

    def _answer(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        self.send_response(200)
        self.send_header("Last-Modified", self.date)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def files() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    _Files.asked.clear()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_file_that_was_not_written_since_is_not_downloaded(
    bench: Bench, files: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = config(
        {**LAYER, "title": None, "layer_index": None, "path": f"{files}/a.csv"},
        {**LAYER, "title": None, "layer_index": None, "path": f"{files}/b.csv"},
        data_source_type="file",
        service_url=None,
    )
    options = SourceOptions(min_interval_s=0, import_dir=bench.folder / "imports")
    source = partial(source_for, made, options=options)
    first = bench.fetch(made, None, month(5), source_for=source)
    assert (first.status, first.fetched) == ("complete", 2)
    _Files.asked.clear()
    again = bench.fetch(made, None, month(6), source_for=source)
    assert (again.status, again.same_as) == ("unchanged", "2026-05")
    assert _Files.asked == ["HEAD /a.csv", "HEAD /b.csv"]

    monkeypatch.setattr(_Files, "date", "Mon, 01 Jun 2026 00:00:00 GMT")
    monkeypatch.setattr(_Files, "body", b"Id,kW\n0022,7\n0023,8\n")
    moved = bench.fetch(made, None, month(7), source_for=source)
    assert (moved.status, moved.fetched) == ("complete", 4)
    assert bench.lake.scan(RAW_FEATURES, snapshot="2026-07").collect().height == 4


def test_another_place_in_a_file_that_was_not_written_since_is_read(bench: Bench) -> None:
    (bench.folder / "imports").mkdir()
    (bench.folder / "imports" / "own.csv").write_text("Id,kW\nId,kW\n0001,5\n")
    source_of = {"data_source_type": "file", "service_url": None}
    layer = {**LAYER, "layer_index": None, "path": "own.csv"}
    options = SourceOptions(import_dir=bench.folder / "imports")
    for number, (header_row, rows) in enumerate([(1, 2), (2, 1), (2, 1)]):
        made = config({**layer, "header_row": header_row}, **source_of)
        done = bench.fetch(
            made, None, month(5 + number), source_for=partial(source_for, made, options=options)
        )
        assert (done.status, done.fetched) == ("unchanged" if number == 2 else "complete", rows)


def test_one_changed_file_brings_the_other_too(
    bench: Bench, files: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot has all layers or none: what was not read because it had not changed is then read."""
    (bench.folder / "imports").mkdir()
    (bench.folder / "imports" / "own.csv").write_text("Id,kW\n0001,5\n")
    made = config(
        {**LAYER, "title": None, "layer_index": None, "path": f"{files}/a.csv"},
        {**LAYER, "title": None, "layer_index": None, "path": "own.csv"},
        data_source_type="file",
        service_url=None,
    )
    options = SourceOptions(min_interval_s=0, import_dir=bench.folder / "imports")
    source = partial(source_for, made, options=options)
    bench.fetch(made, None, month(5), source_for=source)
    monkeypatch.setattr(_Files, "date", "Mon, 01 Jun 2026 00:00:00 GMT")
    monkeypatch.setattr(_Files, "body", b"Id,kW\n0022,7\n0023,8\n")
    moved = bench.fetch(made, None, month(6), source_for=source)
    assert (moved.status, moved.fetched) == ("complete", 3)
