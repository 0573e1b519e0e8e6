"""AWS on the loopback: keys that open nothing, the IoT Wireless stand-in, moto's servers."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from hc_platform.demo.chargers import Charger, Fleet
from hc_platform.demo.iot_wireless import IotWireless


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "loopback")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def fleet() -> Fleet:
    return Fleet([Charger("ch-1", "w-ch-1"), Charger("ch-2", "w-ch-2")])


@pytest.fixture
def aws(fleet: Fleet) -> Iterator[IotWireless]:
    with IotWireless(fleet.chargers, deliver=fleet.deliver) as server:
        yield server


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def queue(moto_url: str, keys: None) -> Iterator[tuple[Any, str]]:
    """A client and the URL of an empty queue."""
    sqs = boto3.client("sqs", endpoint_url=moto_url)
    url = sqs.create_queue(QueueName="charge-events")["QueueUrl"]
    yield sqs, url
    sqs.delete_queue(QueueUrl=url)
