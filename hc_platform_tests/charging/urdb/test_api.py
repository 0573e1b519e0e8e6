"""OpenEI's API on loopback: rates by label, its errors, and a key that never shows."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hc_platform.charging.tariffs.urdb import Rate, UrdbError, api_client, fetch_rate, read_urdb
from hc_platform.charging.tariffs.urdb_import import PlanReport, plan_import, reimport_report
from hc_platform_tests.charging.urdb.making import ON, peak, rate, stamp

KEY = "s3cr3tk3y"
A, B = "a" * 24, "b" * 24
Get = Callable[[str], list[Rate]]


class OpenEI:
    """Answers as api.openei.org/utility_rates does, for the parameters that the importer sends."""

    def __init__(self) -> None:
        self.rates: dict[str, dict[str, Any]] = {}
        self.down = False

    def answer(self, query: dict[str, list[str]]) -> tuple[int, bytes]:
        if self.down:
            return 502, b"<html>Bad Gateway</html>"
        if query.get("api_key") != [KEY]:
            given = query.get("api_key", [""])[0]
            error = {"code": "API_KEY_INVALID", "message": f"An invalid api_key was supplied: {given}"}
            return 403, json.dumps({"error": error}).encode()
        found = self.rates.get(query["getpage"][0])
        full = query["version"] == ["8"] and query["format"] == ["json"] and query["detail"] == ["full"]
        keys = None if full else ("label", "name", "utility")
        items = [{k: v for k, v in found.items() if keys is None or k in keys}] if found else []
        return 200, json.dumps({"items": items}).encode()


@pytest.fixture
def openei() -> Iterator[tuple[OpenEI, str]]:
    api = OpenEI()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = api.answer(parse_qs(urlsplit(self.path).query))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield api, f"http://127.0.0.1:{server.server_port}/utility_rates"
    server.shutdown()
    server.server_close()


@pytest.fixture
def get(openei: tuple[OpenEI, str]) -> Iterator[Get]:
    with api_client(KEY) as client:
        yield partial(fetch_rate, client=client, url=openei[1])


def report(get: Get, *rates: dict[str, Any]) -> PlanReport:
    """What the schedule finds for the file that these rates gave."""
    file = plan_import(None, rates, on=ON, timezone="America/Denver").file
    assert file is not None
    [told] = reimport_report([file], get, on=ON)
    assert told.schedule == "example_power_co/time_of_use"
    return told


FIRST = rate(A, enddate=stamp("2020-12-31"))
SECOND = rate(B, startdate=stamp("2021-01-01"))


def test_rates_that_say_the_same_are_equal(openei: tuple[OpenEI, str], get: Get) -> None:
    openei[0].rates = {A: FIRST, B: {**SECOND, "revisions": [1, 2], "description": "Reworded."}}
    assert report(get, FIRST, SECOND) == PlanReport("example_power_co/time_of_use", "equal")


def test_a_moved_peak_and_an_end_are_told(openei: tuple[OpenEI, str], get: Get) -> None:
    changed = {**SECOND, "energyweekdayschedule": peak(17, 21), "enddate": stamp("2025-12-31")}
    openei[0].rates = {A: FIRST, B: changed}
    told = report(get, FIRST, SECOND)
    assert told.status == "differs"
    assert told.lines == (
        "version 2021-01-01..: ends on 2025-12-31 (had none)",
        "version 2021-01-01..2025-12-31: weekdays 16:00-17:00: on_peak -> off_peak (261 h a year)",
    )


def test_a_rate_gone_bad_or_gone_is_refused(openei: tuple[OpenEI, str], get: Get) -> None:
    openei[0].rates = {A: {**FIRST, "enddate": stamp("2019-01-01")}}
    told = report(get, FIRST, SECOND)
    assert told.status == "refused"
    assert "enddate 2019-01-01 is before startdate 2020-01-01" in "\n".join(told.lines)
    assert f"{B}: http://127.0.0.1" in told.lines[0]


def test_an_api_that_is_down_is_told_per_rate(openei: tuple[OpenEI, str], get: Get) -> None:
    openei[0].down = True
    told = report(get, FIRST)
    assert told.status == "refused"
    assert told.lines == (f"{A}: {openei[1]}: HTTP 502, not JSON",)


def test_a_plan_by_hand_differs_rather_than_being_refused(openei: tuple[OpenEI, str], get: Get) -> None:
    openei[0].rates = {A: rate(A, energyweekdayschedule=peak(17, 21))}
    file = plan_import(None, [rate(A)], on=ON, timezone="America/Denver").file
    assert file is not None
    [plan] = file.rate_plans.values()
    checked = plan.verification.model_copy(update={"status": "checked_against_tariff"})
    by_hand = file.model_copy(
        update={"rate_plans": {"time_of_use": plan.model_copy(update={"verification": checked})}}
    )
    [told] = reimport_report([by_hand], get, on=ON)
    assert told.status == "differs"
    assert told.lines == ("version 2020-01-01..: weekdays 16:00-17:00: on_peak -> off_peak (262 h a year)",)


def test_no_message_and_no_log_shows_the_key(
    openei: tuple[OpenEI, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with api_client(KEY) as client:
        with pytest.raises(UrdbError, match="no USURDB rate in it"):
            fetch_rate(A, client, url=openei[1])
        with pytest.raises(UrdbError, match="not reached"):
            fetch_rate(A, client, url="http://127.0.0.1:1/utility_rates")
    wrong = f"wrong{KEY}"
    with api_client(wrong) as client, pytest.raises(UrdbError) as refused:
        fetch_rate(A, client, url=openei[1])
    assert "API_KEY_INVALID" in str(refused.value)
    with pytest.raises(UrdbError) as refused_too:
        read_urdb(f"{openei[1]}?getpage={A}&api_key={wrong}")
    assert KEY not in caplog.text + str(refused.value) + str(refused_too.value)
    assert "HTTP Request: GET http://127.0.0.1" in caplog.text


def test_the_apis_own_address_needs_the_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENEI_API_KEY", raising=False)
    with pytest.raises(LookupError, match="OPENEI_API_KEY"):
        read_urdb(f"https://api.openei.org/utility_rates?getpage={A}")


def test_an_address_with_a_key_of_its_own_is_read(openei: tuple[OpenEI, str]) -> None:
    openei[0].rates = {A: rate(A)}
    query = f"version=8&format=json&detail=full&getpage={A}&api_key={KEY}"
    assert read_urdb(f"{openei[1]}?{query}") == [rate(A)]
