"""Files by URL: whole, once, for each reader its own; and never from where nobody sent us."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hc_platform.catalog.models import UtilityConfig
from hc_platform.sources import SourceError, SourceOptions
from hc_platform.sources.base import LayerDescription
from hc_platform.sources.download import Downloads
from hc_platform.sources.file_source import FileSource
from hc_platform_tests.sources.test_file_source import made, pulled, told

MODIFIED = "Fri, 01 May 2026 10:00:00 GMT"


@dataclass
class Site:
    """`answer` gets a path and gives status, headers and body; `asked` is what came, `headers` with what."""

    answer: Callable[[str], tuple[int, dict[str, str], bytes]]
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def site(
    answer: Callable[[str], tuple[int, dict[str, str], bytes]] | bytes, *failures: int
) -> Iterator[Site]:
    """A server; bytes are its one file, sent after these failures."""
    waiting = list(failures)

    def one_file(_: str) -> tuple[int, dict[str, str], bytes]:
        assert isinstance(answer, bytes)
        return (waiting.pop(0), {}, b"") if waiting else (200, {"Last-Modified": MODIFIED}, answer)

    told = Site(one_file if isinstance(answer, bytes) else answer)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append((self.command, self.path))
            told.headers.append(dict(self.headers))
            status, headers, body = told.answer(self.path)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        told.url = f"http://127.0.0.1:{server.server_port}"
        yield told
        server.shutdown()


def left(imports: Path) -> list[Path]:
    return [p for p in (imports / ".downloads").rglob("*") if p.is_file()]


def edited_at(imports: Path, url: str) -> Any:
    found = made(url)
    return FileSource(SourceOptions(import_dir=imports, attempts=1)).edited_at(found, found.layers[0])


def test_a_download_survives_one_failure(tmp_path: Path) -> None:
    with site(b"Id\n007\n", 503) as here:
        rows, _ = pulled(tmp_path, f"{here.url}/data/a.csv?year=2026")
        assert (
            here.asked == [("GET", "/data/a.csv?year=2026")] * 2
        )  # the failure, and once for the whole ingest
        found = told(tmp_path, f"{here.url}/data/a.csv")
    assert rows == [{"Id": "007"}]
    assert here.headers[0]["User-Agent"] == "hc_platform"
    assert str(found.edited_at) == "2026-05-01 10:00:00+00:00"
    assert found.metadata["file"] == "a.csv"
    assert left(tmp_path) == []


def test_a_download_that_is_not_there_is_not_asked_for_twice(tmp_path: Path) -> None:
    with site(b"", 404, 404) as here:
        with pytest.raises(SourceError, match=r"could not be fetched: HTTP 404") as error:
            told(tmp_path, f"{here.url}/a.csv")
        assert len(here.asked) == 1
    assert not error.value.retryable
    assert left(tmp_path) == []


def test_two_at_once_read_each_its_own_file(tmp_path: Path) -> None:
    """The one begins while the other is half through, with another edition of the file."""
    editions = iter([b"Id\n" + b"1\n" * 20_000, b"Id\n" + b"2\n" * 30_000])
    half, second = threading.Event(), threading.Event()

    def answer(_: str) -> tuple[int, dict[str, str], bytes]:
        body = next(editions)
        if not half.is_set():
            half.set()
            second.wait(10)
        return 200, {}, body

    with site(answer) as here, ThreadPoolExecutor(2) as pool:

        def describe() -> LayerDescription:
            return told(tmp_path, f"{here.url}/a.csv")

        first = pool.submit(describe)
        half.wait(10)
        other = pool.submit(describe).result()
        second.set()
        whole = first.result()
    assert [d.count for d in (whole, other)] == [20_000, 30_000]
    assert set(whole.native.attributes["Id"]) == {"1"}
    assert left(tmp_path) == []


def test_downloads_of_one_url_share_no_path(tmp_path: Path) -> None:
    downloads = Downloads(made("a.csv"), SourceOptions(import_dir=tmp_path))
    with site(b"Id\n1\n") as here, downloads.fetch(f"{here.url}/a.csv") as one:
        with downloads.fetch(f"{here.url}/a.csv") as two:
            assert one.path != two.path
        assert one.path.read_bytes() == b"Id\n1\n"
        assert not two.path.exists()
    assert left(tmp_path) == []


def test_the_edit_date_costs_no_download(tmp_path: Path) -> None:
    with site(b"Id\n1\n") as here:
        assert str(edited_at(tmp_path, f"{here.url}/a.csv")) == "2026-05-01 10:00:00+00:00"
    assert here.asked == [("HEAD", "/a.csv")]
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "headers"),
    [(200, {}), (200, {"Last-Modified": "yesterday"}), (405, {}), (501, {})],
)
def test_an_edit_date_that_is_not_told_is_none(status: int, headers: dict[str, str], tmp_path: Path) -> None:
    with site(lambda _: (status, headers, b"")) as here:
        assert edited_at(tmp_path, f"{here.url}/a.csv") is None


def test_an_edit_date_of_nothing_is_an_error(tmp_path: Path) -> None:
    with site(b"", 404) as here, pytest.raises(SourceError, match="HTTP 404"):
        edited_at(tmp_path, f"{here.url}/a.csv")


def with_header(url: str) -> UtilityConfig:
    return made(url).model_copy(update={"headers": {"Referer": "https://maps.example.com/"}})


def test_redirects_within_a_host_are_followed(tmp_path: Path) -> None:
    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        number = int(path.strip("/").partition(".")[0])
        return (302, {"Location": f"/{number - 1}.csv"}, b"") if number else (200, {}, b"Id\n1\n")

    with site(answer) as here:
        assert pulled(tmp_path, f"{here.url}/5.csv")[0] == [{"Id": "1"}]
        with pytest.raises(SourceError, match="redirects more than 5 times"):
            told(tmp_path, f"{here.url}/6.csv")
        assert edited_at(tmp_path, f"{here.url}/3.csv") is None
    assert left(tmp_path) == []


@pytest.mark.parametrize("method", ["describe", "edited_at"])
def test_redirects_elsewhere_are_refused(method: str, tmp_path: Path) -> None:
    """Another port is another server: the metadata service of a cloud, say, whose answer nobody may see."""
    with site(b"internal-secret,b\n1,2\n") as internal:
        location = {"Location": f"{internal.url}/latest/meta-data?sig=s3cr3t"}
        with site(lambda _: (302, location, b"")) as here:
            found = with_header(f"{here.url}/a.csv")
            source = FileSource(SourceOptions(import_dir=tmp_path, attempts=1))
            with pytest.raises(SourceError, match="is not followed") as error:
                getattr(source, method)(found, found.layers[0])
    assert internal.asked == []
    assert "internal-secret" not in str(error.value)
    assert "s3cr3t" not in str(error.value)
    assert not error.value.retryable


@pytest.mark.parametrize(
    ("source", "location", "follows"),
    [
        ("http://h.example.com/a", "https://h.example.com/a", True),
        ("http://h.example.com/a", "//h.example.com/b", True),
        ("https://h.example.com/a", "http://h.example.com/a", False),
        ("https://h.example.com/a", "https://h.example.com:444/a", False),
        ("http://h.example.com/a", "https://h.example.com:444/a", False),
        ("https://h.example.com/a", "https://h.example.com.evil.example/a", False),
        ("https://h.example.com/a", "https://user:pw@h.example.com/a", False),
        ("https://h.example.com/a", "file:///etc/passwd", False),
        ("https://h.example.com/a", "https://[/", False),
    ],
)
def test_where_a_redirect_may_lead(source: str, location: str, follows: bool) -> None:
    downloads = Downloads(made("a.csv"), SourceOptions())
    if follows:
        assert downloads._redirected(source, source, location).split("/")[2] == "h.example.com"
    else:
        with pytest.raises(SourceError, match="redirects to") as error:
            downloads._redirected(source, source, location)
        assert "pw" not in str(error.value)


@pytest.mark.parametrize("name", ["a.geojson", "a.csv", "a.parquet"])
def test_an_answer_that_is_no_such_file_is_not_quoted(name: str, tmp_path: Path) -> None:
    body = b'{"features": [{"properties": {"a": 1}, "geometry": "s3cr3t'
    if name == "a.csv":
        body = b"a\n1,s3cr3t,3,4\n\xff\n"
    with site(body) as here, pytest.raises(SourceError, match=f"{name} is not readable") as error:
        told(tmp_path, f"{here.url}/{name}")
    shown = f"{error.value} {error.value.__cause__} "
    assert "s3cr3t" not in shown
    assert left(tmp_path) == []


def test_a_credential_in_an_address_is_masked(tmp_path: Path) -> None:
    downloads = Downloads(made("a.csv"), SourceOptions(import_dir=tmp_path, attempts=1))
    with (
        site(b"", 403) as here,
        pytest.raises(SourceError, match=r"token=\*\*\*") as error,
        downloads.fetch(f"{here.url}/a.csv?token=s3cr3t"),
    ):
        pass
    assert "s3cr3t" not in str(error.value)
