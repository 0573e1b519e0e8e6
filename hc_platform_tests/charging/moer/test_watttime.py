"""The client against a loopback WattTime: what it answers, and all that can go wrong on the way."""

import json
import logging
import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hc_platform.charging.moer.readings import alerts, clock_trusted, percentile_of_forecast
from hc_platform.charging.moer.watttime import (
    DisabledRegionError,
    LoginError,
    WattTime,
    WattTimeError,
    read_regions,
)
from hc_platform.demo.watttime import (
    EMPTY,
    FORBIDDEN,
    PASSWORD,
    SILENT,
    UNAUTHORIZED,
    UNAVAILABLE,
    USERNAME,
    DemoWattTime,
    Fault,
    serve_watttime,
    throttled,
)
from hc_platform_tests.charging.moer.conftest import Clock

INDEX = "/v3/signal-index"
REGIONS = ["CAISO_NORTH", "PSCO", "WACM"]


def logins(demo: DemoWattTime) -> int:
    return demo.requests["/login", ""]


def test_a_run_reads_each_region_once_with_one_login_and_keeps_floats(
    demo: DemoWattTime, client: WattTime, clock: Clock
) -> None:
    demo.index = lambda region, at: {"CAISO_NORTH": 37.9, "PSCO": 70, "WACM": 0.1}[region]
    readings = read_regions(client, [*REGIONS, "PSCO"], now=clock.now(), budget_s=60)
    assert [(r.region, r.percentile, r.failure) for r in readings] == [
        ("CAISO_NORTH", 37.9, None),
        ("PSCO", 70.0, None),
        ("WACM", 0.1, None),
    ]
    assert {(r.point_time, r.fetched_at) for r in readings} == {(clock.now(), clock.now())}
    assert logins(demo) == 1
    assert all(demo.requests[INDEX, region] == 1 for region in REGIONS)
    assert read_regions(client, [], now=clock.now(), budget_s=60) == []


def test_the_token_serves_run_after_run_and_is_renewed_before_its_end(
    demo: DemoWattTime, client: WattTime, clock: Clock
) -> None:
    for _ in range(12):
        assert client.signal_index("PSCO", now=clock.now()).failure is None
        clock.passed += 300
    # An hour: at 0, 25 and 50 minutes; the server would refuse at 30, and never had to.
    assert logins(demo) == 3
    assert demo.requests[INDEX, "PSCO"] == 12


def test_case_29_a_401_costs_one_new_login(demo: DemoWattTime, client: WattTime, clock: Clock) -> None:
    client.login()
    demo.revoke_tokens()
    readings = read_regions(client, REGIONS, now=clock.now(), budget_s=60)
    assert [r.failure for r in readings] == [None] * 3
    assert logins(demo) == 2


def test_case_29_a_401_for_ever_is_no_loop(demo: DemoWattTime, client: WattTime, clock: Clock) -> None:
    demo.order(INDEX, UNAUTHORIZED, times=1_000)
    regions = [f"R{i}" for i in range(40)]
    readings = read_regions(client, regions, now=clock.now(), budget_s=60)
    assert {(r.failure or "")[:8] for r in readings} == {"http 401"}
    assert logins(demo) == 2, "one more for the whole run, not one a region"
    assert max(demo.requests[INDEX, region] for region in regions) <= 2


def test_case_29_a_403_disables_the_region_and_only_that(
    demo: DemoWattTime, client: WattTime, clock: Clock
) -> None:
    demo.denied = {"PSCO"}
    readings = {r.region: r for r in read_regions(client, REGIONS, now=clock.now(), budget_s=60)}
    assert readings["PSCO"].disabled
    assert readings["PSCO"].percentile is None
    assert "403" in (readings["PSCO"].failure or "")
    assert [readings[r].disabled for r in ("CAISO_NORTH", "WACM")] == [False, False]
    assert demo.requests[INDEX, "PSCO"] == 1, "a 403 is not healed by asking again"
    [alert] = alerts(readings.values(), client.clock_offset_s)
    assert "PSCO" in alert
    with pytest.raises(DisabledRegionError):
        client.forecast("PSCO")


@pytest.mark.parametrize("fault", [throttled(), UNAVAILABLE, Fault(status=500), Fault(status=504)])
def test_case_29_a_passing_failure_is_tried_again_after_a_pause(
    demo: DemoWattTime, client: WattTime, clock: Clock, fault: Fault
) -> None:
    demo.order(INDEX, fault, times=2)
    assert client.signal_index("PSCO", now=clock.now()).failure is None
    assert demo.requests[INDEX, "PSCO"] == 3
    assert len(clock.slept) == 2
    assert len(set(clock.slept)) == 2, "with jitter"


def test_case_29_retry_after_is_honoured_when_it_fits(
    demo: DemoWattTime, client: WattTime, clock: Clock
) -> None:
    demo.order(INDEX, throttled("17"))
    assert client.signal_index("PSCO", now=clock.now(), budget_s=30).failure is None
    assert 17 <= clock.slept[0] < 30
    before = clock.passed
    demo.order(INDEX, throttled("17"))
    reading = client.signal_index("PSCO", now=clock.now(), budget_s=10)
    assert reading.failure == "http 429"
    assert not reading.disabled
    assert clock.passed == before, "a wait that does not fit is not begun"


def test_case_29_retry_after_may_be_a_date(demo: DemoWattTime, client: WattTime, clock: Clock) -> None:
    demo.order(INDEX, throttled("Fri, 03 Jul 2026 18:00:20 GMT"), throttled("nonsense"))
    assert client.signal_index("PSCO", now=clock.now(), budget_s=60).failure is None
    assert 20 <= clock.slept[0] < 22


def test_case_29_a_dead_server_takes_no_longer_than_the_budget(
    demo: DemoWattTime, client: WattTime, clock: Clock
) -> None:
    demo.order(INDEX, UNAVAILABLE, times=1_000)
    [reading] = read_regions(client, ["PSCO"], now=clock.now(), budget_s=20)
    assert reading.failure == "http 503"
    assert clock.passed <= 20
    with pytest.raises(WattTimeError, match="no time left"):
        client.forecast("PSCO", budget_s=0)


def test_a_server_that_does_not_answer_is_a_timeout(
    demo: DemoWattTime, connect: Callable[..., WattTime], clock: Clock
) -> None:
    client = connect(timeout_s=0.3)
    demo.order(INDEX, SILENT, SILENT, region="PSCO", times=10)
    found = read_regions(client, ["PSCO", "WACM"], now=clock.now(), budget_s=5)
    assert [r.failure for r in found] == ["timeout", None]


def test_no_server_at_all_is_told_without_raising(clock: Clock) -> None:
    with serve_watttime() as gone:
        url = gone.url
    client = WattTime(USERNAME, PASSWORD, base_url=url, monotonic=clock.monotonic, sleep=clock.sleep)
    [reading] = read_regions(client, ["PSCO"], now=clock.now(), budget_s=5)
    assert "login at WattTime failed: no connection" in (reading.failure or "")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_fails_every_region_with_one_alert_and_one_request(
    demo: DemoWattTime, client: WattTime, clock: Clock, status: int
) -> None:
    demo.order("/login", Fault(status=status), times=100)
    readings = read_regions(client, REGIONS, now=clock.now(), budget_s=60)
    assert [r.region for r in readings] == REGIONS
    assert not any(r.disabled for r in readings)
    assert logins(demo) == 1
    assert not any(demo.requests[INDEX, region] for region in REGIONS)
    [alert] = alerts(readings)
    assert f"http {status}" in alert
    assert "WATTTIME_USERNAME" in alert


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"token": 7}', b'{"token": "a\\nb"}', b"<html>"])
def test_a_login_without_a_token_is_a_failed_login(demo: DemoWattTime, client: WattTime, body: bytes) -> None:
    demo.order("/login", Fault(status=200, body=body))
    with pytest.raises(LoginError):
        client.login()


@pytest.mark.parametrize("value", [-1, 150, 1e300, -0.5])
def test_case_27_a_number_out_of_range_is_told_as_it_is(
    demo: DemoWattTime, client: WattTime, clock: Clock, value: float
) -> None:
    demo.order(INDEX, Fault(value=value))
    reading = client.signal_index("PSCO", now=clock.now())
    assert (reading.percentile, reading.failure) == (value, None)
    demo.order(INDEX, Fault(value=value))
    assert client.get_moer_percent("PSCO") is None


def test_case_27_nan_stays_nan(demo: DemoWattTime, client: WattTime, clock: Clock) -> None:
    demo.order(INDEX, Fault(value=math.nan), times=2)
    assert math.isnan(client.signal_index("PSCO", now=clock.now()).percentile or 0)
    assert client.get_moer_percent("PSCO") is None


def _answer(**changed: Any) -> bytes:
    body = {"data": [{"point_time": "2026-07-03T18:00:00Z", "value": 37.9}], "meta": {"units": "percentile"}}
    return json.dumps(body | changed).encode()


@pytest.mark.parametrize(
    "body",
    [
        EMPTY.body,
        b"",
        b"<html>busy</html>",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        b"\xff\xfe",
        _answer(data=None),
        _answer(data=[None]),
        _answer(data=[{"value": 37.9}]),
        _answer(data=[{"point_time": "2026-07-03T18:00:00Z"}]),
        _answer(data=[{"point_time": "2026-07-03T18:00:00", "value": 37.9}]),
        _answer(data=[{"point_time": "yesterday", "value": 37.9}]),
        _answer(data=[{"point_time": 1783101600, "value": 37.9}]),
        _answer(data=[{"point_time": "2026-07-03T18:00:00Z", "value": "37.9"}]),
        _answer(data=[{"point_time": "2026-07-03T18:00:00Z", "value": True}]),
        _answer(data=[{"point_time": "2026-07-03T18:00:00Z", "value": None}]),
        _answer(data=[{"point_time": "2026-07-03T18:00:00Z", "value": 10**400}]),
        _answer(data=[{"point_time": "0001-01-01T00:00:00+10:00", "value": 37.9}]),
        _answer(meta={"units": "lbs_co2_per_mwh"}),
        _answer(meta={"region": "CAISO_NORTH"}),
        _answer() + b" " * (17 * 2**20),
    ],
    ids=lambda body: repr(body[:70]),
)
def test_case_27_what_cannot_be_read_is_a_failure_and_no_value(
    demo: DemoWattTime, client: WattTime, clock: Clock, body: bytes
) -> None:
    demo.order(INDEX, Fault(status=200, body=body))
    reading = client.signal_index("PSCO", now=clock.now())
    assert reading.percentile is None
    assert reading.failure
    assert demo.requests[INDEX, "PSCO"] == 1, "asking again would bring the same"


def test_case_28_a_point_keeps_its_own_time(demo: DemoWattTime, client: WattTime, clock: Clock) -> None:
    demo.order(INDEX, Fault(shift_s=-3_600), Fault(shift_s=600))
    old, ahead = (client.signal_index("PSCO", now=clock.now()) for _ in range(2))
    assert old.point_time == clock.now() - timedelta(hours=1)
    assert ahead.point_time == clock.now() + timedelta(minutes=10)


@pytest.mark.parametrize(("ahead_s", "trusted"), [(0, True), (100, True), (-3_600, False), (180, False)])
def test_case_41_the_offset_of_our_clock_is_measured(
    demo: DemoWattTime, client: WattTime, clock: Clock, ahead_s: float, trusted: bool
) -> None:
    assert client.clock_offset_s is None
    demo.date_offset_s = ahead_s
    read_regions(client, REGIONS, now=clock.now(), budget_s=60)
    assert client.clock_offset_s == pytest.approx(-ahead_s, abs=1)
    assert clock_trusted(client.clock_offset_s) is trusted
    assert bool(alerts([], client.clock_offset_s)) is not trusted


def test_case_41_one_odd_answer_does_not_move_the_offset(
    demo: DemoWattTime, client: WattTime, clock: Clock
) -> None:
    demo.order(INDEX, Fault(status=404, headers={"Age": "never"}))
    for odd in (0, 0, 0, 0, 9_000):
        demo.date_offset_s = odd
        client.signal_index("PSCO", now=clock.now())
    assert client.clock_offset_s == pytest.approx(0, abs=1)


def test_case_41_a_clock_that_was_set_right_is_trusted_at_the_next_run(
    demo: DemoWattTime, client: WattTime, clock: Clock
) -> None:
    for ahead_s in (-3_600, 0, -3_600):
        demo.date_offset_s = ahead_s
        read_regions(client, ["PSCO"], now=clock.now(), budget_s=60)
        assert client.clock_offset_s == pytest.approx(-ahead_s, abs=1)
        clock.passed += 300
    assert client.clock_offset_s == pytest.approx(3_600, abs=1), "without news it stands"


def test_forecast_history_and_index_agree(demo: DemoWattTime, client: WattTime, clock: Clock) -> None:
    now = clock.now()
    history = client.historical("PSCO", now - timedelta(days=70), now)
    assert history.columns == ["time", "moer"]
    assert history.height == 70 * 288 + 1, "three pieces, their common ends once"
    assert demo.requests["/v3/historical", "PSCO"] == 3
    assert history["time"].is_sorted()
    forecast = client.forecast("PSCO", horizon_hours=25)
    assert forecast["time"][0] == now
    value, ahead = forecast["moer"][0], forecast["moer"][1:289].to_list()
    assert value == history["moer"][-1]
    assert client.get_moer_percent("PSCO") == pytest.approx(percentile_of_forecast(value, ahead), abs=0.05)


def test_the_region_of_a_place(demo: DemoWattTime, client: WattTime) -> None:
    assert client.region_from_loc(38.83, -104.82).region == "WACM"
    with pytest.raises(WattTimeError, match="404"):
        client.region_from_loc(0, 0)


def test_no_redirect_is_followed(demo: DemoWattTime, client: WattTime, clock: Clock) -> None:
    with serve_watttime() as elsewhere:
        demo.order(INDEX, Fault(status=302, headers={"Location": f"{elsewhere.url}{INDEX}"}))
        demo.order("/login", Fault(status=307, headers={"Location": f"{elsewhere.url}/login"}))
        with pytest.raises(LoginError, match="307"):
            client.login()
        assert client.signal_index("PSCO", now=clock.now()).failure == "http 302"
        assert not elsewhere.requests


def test_the_password_goes_over_https_or_the_loopback_only() -> None:
    with pytest.raises(ValueError, match="https") as caught:
        WattTime(USERNAME, "hidden-word", base_url="http://watttime.example")
    assert "hidden-word" not in str(caught.value)


def test_no_secret_is_ever_told(
    demo: DemoWattTime,
    connect: Callable[..., WattTime],
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    bad = connect(username="some-user", password="some-word")
    echo = json.dumps({"error": "some-user some-word token-1"}).encode()
    demo.order("/login", Fault(status=401, body=echo))
    for client in (bad, connect()):
        demo.order(INDEX, Fault(status=400, body=echo), UNAUTHORIZED, FORBIDDEN)
        told += [r.failure for r in read_regions(client, REGIONS, now=clock.now(), budget_s=60)]
        told += [repr(client), str(vars(client).get("_http")), repr(client._auth)]
    monkeypatch.delenv("WATTTIME_PASSWORD", raising=False)
    monkeypatch.setenv("WATTTIME_USERNAME", "some-user")
    with pytest.raises(LookupError, match="WATTTIME_PASSWORD") as caught:
        WattTime.from_environment(base_url=demo.url)
    told += [str(caught.value), caplog.text]
    for secret in ("some-user", "some-word", PASSWORD, "token-", "Basic ", "Bearer"):
        assert not [text for text in told if secret in (text or "")], secret


def test_credentials_come_from_the_environment(
    demo: DemoWattTime, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setenv("SOME_USER", USERNAME)
    monkeypatch.setenv("WATTTIME_PASSWORD", PASSWORD)
    with WattTime.from_environment("SOME_USER", base_url=demo.url) as client:
        assert client.signal_index("PSCO", now=clock.now()).failure is None


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "path"), [("signal_index", INDEX), ("forecast", "/v3/forecast")])
def test_documented_answers_are_read_and_the_loopback_has_their_shape(
    shared_data: Path, demo: DemoWattTime, client: WattTime, clock: Clock, name: str, path: str
) -> None:
    sample = (shared_data / "charge" / "watttime" / f"sample_v3_{name}.json").read_bytes()
    demo.order(path, Fault(status=200, body=sample))
    if name == "signal_index":
        assert client.signal_index("CAISO_NORTH", now=clock.now()).percentile == 37.1
    else:
        assert client.forecast("CAISO_NORTH")["moer"].to_list() == [870.0, 860.0]
    client.login()
    asked = {"region": "CAISO_NORTH", "signal_type": "co2_moer"}
    ours = json.loads(demo.answer(path, asked, f"Bearer {client._token}")[2])
    documented = json.loads(sample)
    assert documented["meta"].keys() <= ours["meta"].keys()
    assert documented["data"][0].keys() == ours["data"][0].keys()
    assert documented["meta"]["units"] == ours["meta"]["units"]
