"""Politeness, long questions, redirects, and what is never fetched."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, formatdate
from typing import Any

import httpx
import pytest

from hc_platform.arcgis import ArcGISError, HttpOptions, transport
from hc_platform.arcgis.transport import Session, run_sync
from hc_platform_tests.integration.fake_arcgis import Handler, serve

HTTP = HttpOptions(min_interval_s=0, max_backoff_s=0.001)


def ask(url: str, params: dict[str, str] | None = None, http: HttpOptions = HTTP) -> Any:
    async def run() -> Any:
        async with Session(http) as session:
            return await session.ask(url, params or {}, json.loads)

    return run_sync(run())


def server(respond: Callable[[Handler, str, dict[str, str]], None]) -> type[Handler]:
    return type("TestHandler", (Handler,), {"respond": respond})


def echo(handler: Handler, path: str, params: dict[str, str]) -> None:
    handler.send(200, json.dumps({"path": path, "method": handler.command, **params}).encode())


def test_long_questions_and_tokens_travel_in_the_body() -> None:
    with serve(server(echo)) as root:
        assert ask(f"{root}/q", {"where": "1=1"})["method"] == "GET"
        assert ask(f"{root}/q", {"where": "x" * 3000})["method"] == "POST"
        assert ask(f"{root}/q?token=abc")["method"] == "POST"
        assert (
            ask(f"{root}/q", http=HttpOptions(min_interval_s=0, token=lambda refused: "abc"))["token"]
            == "abc"
        )


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "/etc/passwd", "gopher://x"])
def test_only_http_is_fetched(url: str) -> None:
    with pytest.raises(ArcGISError, match="only http and https"):
        ask(url)


def test_harmless_redirect_is_followed_and_a_loop_is_not() -> None:
    def respond(handler: Handler, path: str, params: dict[str, str]) -> None:
        if path == "/new":
            echo(handler, path, params)
        else:
            target = "/loop" if path == "/loop" else f"/new?{handler.path.partition('?')[2]}"
            handler.send(301, b"", {"Location": target})

    with serve(server(respond)) as root:
        assert ask(f"{root}/old", {"where": "a"}) == {
            "path": "/new",
            "method": "GET",
            "where": "a",
            "f": "json",
        }
        with pytest.raises(ArcGISError, match="redirects") as caught:
            ask(f"{root}/loop")
    assert caught.value.kind == "moved"


def test_credentials_do_not_follow_to_another_host() -> None:
    seen: list[str] = []

    def elsewhere(handler: Handler, path: str, params: dict[str, str]) -> None:
        seen.append(path)
        echo(handler, path, params)

    with serve(server(elsewhere)) as other:

        def respond(handler: Handler, path: str, params: dict[str, str]) -> None:
            handler.send(302, b"", {"Location": f"{other}/caught"})

        with serve(server(respond)) as root:
            http = HttpOptions(min_interval_s=0, token=lambda refused: "abc")
            with pytest.raises(ArcGISError, match="another host"):
                ask(f"{root}/x", http=http)
            assert not seen
            assert ask(f"{root}/x")["path"] == "/caught"


@pytest.mark.parametrize(
    "http",
    [
        HttpOptions(min_interval_s=0, token=lambda refused: "abc"),
        HttpOptions(min_interval_s=0, headers={"Referer": "https://maps.example.com/"}),
    ],
    ids=["token", "header"],
)
def test_credentials_do_not_travel_in_clear(http: HttpOptions) -> None:
    reached: list[str] = []

    def site(request: httpx.Request) -> httpx.Response:
        reached.append(str(request.url.copy_with(query=None)))
        if request.url.scheme == "http":
            return httpx.Response(200, stream=httpx.ByteStream(b"{}"))
        location = {"Location": "http://maps.example.com/c"}
        return httpx.Response(307, headers=location, stream=httpx.ByteStream(b""))

    async def run(url: str) -> None:
        async with Session(http) as session:
            session._client = httpx.AsyncClient(
                headers=session._client.headers, transport=httpx.MockTransport(site)
            )
            await session.ask(url, {}, json.loads)

    with pytest.raises(ArcGISError, match=r"http://maps\.example\.com/c, where .* in clear") as caught:
        run_sync(run("https://maps.example.com/b"))
    assert caught.value.kind == "moved"
    assert reached == ["https://maps.example.com/b"]


def test_dead_port_is_down() -> None:
    with serve(server(echo)) as root:
        pass
    with pytest.raises(ArcGISError, match="could not connect") as caught:
        ask(root + "/x")
    assert caught.value.kind == "down"


def test_silence_is_a_heavy_page() -> None:
    release = threading.Event()

    def respond(handler: Handler, path: str, params: dict[str, str]) -> None:
        release.wait(10)

    with serve(server(respond)) as root:
        with pytest.raises(ArcGISError, match="no answer within") as caught:
            ask(root + "/x", http=HttpOptions(min_interval_s=0, timeout_s=0.05, attempts=1))
        release.set()
    assert caught.value.kind == "shrink"


def test_oversized_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport.payload, "MAX_BODY", 1000)
    with (
        serve(server(lambda handler, path, params: handler.send(200, b" " * 5000))) as root,
        pytest.raises(ArcGISError, match="larger"),
    ):
        ask(root + "/x")


def test_requests_to_a_host_keep_their_distance_over_layers_and_threads() -> None:
    timetable = transport._Politeness()
    waits = [timetable.wait_s("a", 0.5) for _ in range(4)]
    assert waits == pytest.approx([0.0, 0.5, 1.0, 1.5], abs=0.1)
    assert timetable.wait_s("b", 0.5) == 0.0
    timetable.hold("b", 60)
    assert timetable.wait_s("b", 0.5) == pytest.approx(60, abs=0.5)


def test_retry_after_in_both_forms() -> None:
    assert transport._retry_after_s("7") == 7
    assert transport._retry_after_s("100000") == transport.MAX_RETRY_AFTER_S
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert transport._retry_after_s(soon) == pytest.approx(60, abs=2)
    assert transport._retry_after_s(formatdate(0)) == 0
    assert transport._retry_after_s("soon") is None
    assert transport._retry_after_s(None) is None


def test_works_inside_a_running_loop() -> None:
    with serve(server(echo)) as root:

        async def notebook() -> Any:
            return ask(f"{root}/x")

        assert asyncio.run(notebook())["path"] == "/x"
