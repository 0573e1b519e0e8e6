"""ArcGIS as a source: what the config and the environment lack is told, and an edit date costs metadata only."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hc_platform.sources import SourceError, SourceOptions, source_for
from hc_platform_tests.hosting_capacity.making import config
from hc_platform_tests.integration.fake_arcgis import FakeLayer, Handler, serve, serve_layer

FAST = SourceOptions(min_interval_s=0, attempts=1)


class Counted(FakeLayer):
    queries = 0

    def query(self, params: dict[str, str]) -> dict[str, Any]:
        self.queries += 1
        return super().query(params)


class Undated(FakeLayer):
    def metadata(self) -> dict[str, Any]:
        return {k: v for k, v in super().metadata().items() if k != "editingInfo"}


def test_the_edit_date_is_asked_of_the_metadata_alone() -> None:
    layer = Counted(10)
    with serve_layer(layer) as url:
        made = config({"name": "Sections", "field_map": {}}, service_url=url)
        edited = source_for(made, made.layers[0], FAST).edited_at(made, made.layers[0])
    assert edited == datetime.fromtimestamp(1_700_000_000, UTC)
    assert layer.queries == 0


def test_a_layer_without_an_edit_date_tells_none() -> None:
    with serve_layer(Undated(10)) as url:
        made = config({"name": "Sections", "field_map": {}}, service_url=url)
        assert source_for(made, made.layers[0], FAST).edited_at(made, made.layers[0]) is None


@pytest.mark.parametrize("question", ["describe", "edited_at", "pull"])
def test_a_secret_that_is_not_set_is_named_and_not_tried_again(
    question: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "abc")
    with serve_layer(FakeLayer(10)) as url:
        layer = {"name": "Sections", "field_map": {}}
        made = config(layer, service_url=url, auth={"secret": "SOME_TOKEN"})
        source = source_for(made, made.layers[0], FAST)
        found = source.describe(made, made.layers[0])
        monkeypatch.delenv("SOME_TOKEN")
        more = (found, tmp_path, lambda *_: None) if question == "pull" else ()
        with pytest.raises(SourceError, match="test must sign in: the secret SOME_TOKEN is not set") as error:
            getattr(source, question)(made, made.layers[0], *more)
    assert not error.value.retryable


@pytest.mark.parametrize(
    ("kept", "attributes"),
    [("named", {"OBJECTID", "FEEDER"}), ("all", {"OBJECTID", "FEEDER", "MW", "NOTE"})],
)
def test_a_layer_that_keeps_named_attributes_alone_fetches_no_other(
    kept: str, attributes: set[str], tmp_path: Path
) -> None:
    """What must not be kept, such as street addresses, must not come at all: answers stand on disk too."""
    with serve_layer(FakeLayer(10)) as url:
        # the config spells the field in another case than the service does
        layer = {"name": "Sections", "attributes": kept, "field_map": {"feeder": "feeder_id_external"}}
        made = config(layer, service_url=url)
        source = source_for(made, made.layers[0], FAST)
        found = source.describe(made, made.layers[0])
        pulled = source.pull(made, made.layers[0], found, tmp_path, lambda *_: None)
    rows = [set(json.loads(text)) for text in pl.read_parquet(pulled.files)["attributes"]]
    assert rows == [attributes] * 10


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html><h1>403 Forbidden</h1><a href='/login'>Sign in</a></html>", "text/html"),
        (b'{"error": {"code": 403, "message": "Access denied", "details": []}}', "application/json"),
    ],
)
def test_a_gateway_that_refuses_us_is_told_with_the_headers_as_the_mend(body: bytes, kind: str) -> None:
    asked: list[str | None] = []

    class Gateway(Handler):
        def respond(self, path: str, params: dict[str, str]) -> None:
            asked.append(self.headers["Referer"])
            self.send(403, body, {"Content-Type": kind})

    with serve(Gateway) as root:
        service = f"{root}/arcgis/rest/services/X/MapServer"
        bare = config({"field_map": {}}, service_url=service)
        with pytest.raises(
            SourceError, match=r"no Referer or User-Agent of its own; .*mend headers in"
        ) as error:
            source_for(bare, bare.layers[0], SourceOptions(min_interval_s=0)).describe(bare, bare.layers[0])
        assert not error.value.retryable
        assert asked == [None]  # asking again would not help
        own = {"field_map": {}, "headers": {"Referer": "https://map.example/b"}}
        made = config(
            own, service_url=service, headers={"Referer": "https://map.example/a", "User-Agent": "Mozilla"}
        )
        with pytest.raises(SourceError, match=r"Referer: https://map\.example/b, User-Agent: Mozilla"):
            source_for(made, made.layers[0], FAST).describe(made, made.layers[0])
    assert asked[-1] == "https://map.example/b"
