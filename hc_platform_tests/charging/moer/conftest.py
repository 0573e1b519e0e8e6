"""A loopback WattTime and a client of it, on a clock that only the test moves."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hc_platform.charging.moer.watttime import WattTime
from hc_platform.demo.watttime import PASSWORD, USERNAME, DemoWattTime, serve_watttime


class Clock:
    """Monotonic seconds and the time of day in one; sleeping moves it at once."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.passed

    def now(self) -> datetime:
        return datetime(2026, 7, 3, 18, 0, tzinfo=UTC) + timedelta(seconds=self.passed)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def demo(clock: Clock) -> Iterator[DemoWattTime]:
    with serve_watttime(now=clock.now) as server:
        yield server


@pytest.fixture
def connect(demo: DemoWattTime, clock: Clock) -> Iterator[Callable[..., WattTime]]:
    opened: list[WattTime] = []

    def made(**changed: Any) -> WattTime:
        given = {"username": USERNAME, "password": PASSWORD, "base_url": demo.url} | changed
        client = WattTime(**given, monotonic=clock.monotonic, clock=clock.now, sleep=clock.sleep)
        opened.append(client)
        return client

    yield made
    for client in opened:
        client.__exit__()


@pytest.fixture
def client(connect: Callable[..., WattTime]) -> WattTime:
    return connect()
