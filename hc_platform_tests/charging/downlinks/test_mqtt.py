"""boto3's data plane against moto's server: topic, bytes, failures."""

import socket

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iotdata.models import iotdata_backends

from hc_platform.charging.downlinks.base import DownlinkError, RejectedError
from hc_platform.charging.downlinks.mqtt import MqttDownlink
from hc_platform.charging.payloads import encode
from hc_platform_tests.charging.downlinks.making import command

PAYLOAD = encode(command())


def test_the_raw_bytes_go_to_the_devices_topic(moto_url: str) -> None:
    downlink = MqttDownlink("fleet/a", endpoint_url=moto_url)
    ids = {downlink.send(command(), PAYLOAD), downlink.send(command(wireless_device_id=None), PAYLOAD)}
    assert len(ids) == 2
    assert not downlink.confirms
    published = iotdata_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].published_payloads
    assert published[-2:] == [("fleet/a/w-ch-1/charge", PAYLOAD), ("fleet/a/ch-1/charge", PAYLOAD)]


@pytest.mark.parametrize("thing", ["a/b", "+", "#", "$aws"])
def test_an_id_that_would_reach_other_topics_is_rejected(moto_url: str, thing: str) -> None:
    with pytest.raises(RejectedError, match="cannot be a level"):
        MqttDownlink("fleet", endpoint_url=moto_url).send(command(wireless_device_id=thing), PAYLOAD)


@pytest.mark.parametrize("prefix", ["", "/", "a//b", "a/+", "#", "$aws/things", "a/"])
def test_a_prefix_that_is_no_topic_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="mqtt prefix"):
        MqttDownlink(prefix)


def test_nobody_listening_is_worth_another_attempt() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(DownlinkError, match="Could not connect"):
            MqttDownlink("fleet", endpoint_url=url).send(command(), PAYLOAD)
