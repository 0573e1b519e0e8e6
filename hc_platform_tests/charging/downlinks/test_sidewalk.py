"""Unmodified boto3 against the loopback IoT Wireless: what is sent, and what every failure is called."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from hc_platform.charging.downlinks.base import DownlinkError, RejectedError, ThrottledError
from hc_platform.charging.downlinks.events import message_id, parse_event
from hc_platform.charging.downlinks.sidewalk import SidewalkDownlink, quota_from_service_quotas
from hc_platform.charging.payloads import encode
from hc_platform.demo.chargers import Fleet
from hc_platform.demo.iot_wireless import IotWireless
from hc_platform_tests.charging.downlinks.making import END, START, command

PAYLOAD = encode(command())


def downlink(aws: IotWireless, *, now: datetime = START, **settings: Any) -> SidewalkDownlink:
    return SidewalkDownlink(endpoint_url=aws.url, clock=lambda: now, **settings)


def deliveries(aws: IotWireless) -> Iterator[Any]:
    return (parse_event(json.dumps(event)) for event in aws.events())


def test_it_sends_the_bytes_in_acknowledged_mode_under_the_versions_number(
    aws: IotWireless, fleet: Fleet
) -> None:
    what = command(ver=16_384 + 7)
    assert downlink(aws).send(what, PAYLOAD) == "w-ch-1/7"
    (message,) = aws.accepted
    assert message.payload == PAYLOAD
    assert (message.transmit_mode, message.message_type) == (1, "CUSTOM_COMMAND_ID_SET")
    assert (message.seq, message.wireless_device_id) == (7, "w-ch-1")


def test_a_resend_is_the_same_message_again(aws: IotWireless) -> None:
    sender = downlink(aws)
    assert sender.send(command(), PAYLOAD) == sender.send(command(), PAYLOAD)
    first, second = aws.accepted
    assert (first.seq, first.payload) == (second.seq, second.payload)


@pytest.mark.parametrize(
    ("fields", "now", "hold_s"),
    [
        ({}, START, 300),
        ({}, END - timedelta(seconds=40), 40),
        ({"expires_at": START + timedelta(seconds=90)}, START, 90),
        ({}, END + timedelta(seconds=5), 0),
    ],
)
def test_the_network_holds_a_command_no_longer_than_it_is_of_use(
    aws: IotWireless, fields: dict[str, Any], now: datetime, hold_s: int
) -> None:
    downlink(aws, now=now).send(command(**fields), PAYLOAD)
    assert aws.accepted[0].hold_s == hold_s


def test_the_network_never_holds_an_allow_longer_than_it_was_let(aws: IotWireless) -> None:
    downlink(aws, hold_s=10**9).send(command("allow"), encode(command("allow")))
    assert aws.accepted[0].hold_s == 604_800


def test_case_36_accepted_and_never_delivered_is_told_apart_by_the_event(
    aws: IotWireless, fleet: Fleet
) -> None:
    fleet.chargers["w-ch-2"].reachable = False
    sender = downlink(aws)
    for device in ("ch-1", "ch-2"):
        assert sender.send(command(device_id=device), PAYLOAD) == message_id(f"w-{device}", 7)
    assert aws.answers == {202: 2}
    assert {d.message_id: d.delivered for d in deliveries(aws)} == {"w-ch-1/7": True, "w-ch-2/7": False}
    assert list(deliveries(aws)) == []
    assert fleet.chargers["w-ch-2"].received == 0


def test_case_36_a_message_may_vanish_without_any_event(keys: None) -> None:
    with IotWireless(["w-ch-1"], deliver=lambda *_: None) as aws:
        downlink(aws).send(command(), PAYLOAD)
        assert (len(aws.accepted), aws.events()) == (1, [])


def test_case_42_too_many_are_throttled_and_not_tried_again_by_boto3(fleet: Fleet) -> None:
    with IotWireless(fleet.chargers, rate=0, burst=2) as aws:
        sender = downlink(aws)
        for _ in range(2):
            sender.send(command(), PAYLOAD)
        with pytest.raises(ThrottledError, match="429"):
            sender.send(command(), PAYLOAD)
        assert aws.answers == {202: 2, 429: 1}


def test_case_42_of_many_senders_at_once_exactly_the_burst_gets_through(fleet: Fleet) -> None:
    with IotWireless(fleet.chargers, deliver=fleet.deliver, rate=0, burst=100) as aws:
        sender = downlink(aws)

        def send(ver: int) -> str | None:
            try:
                return sender.send(command(ver=ver), PAYLOAD)
            except ThrottledError:
                return None

        with ThreadPoolExecutor(8) as pool:
            sent = [message for message in pool.map(send, range(1, 161)) if message]
        assert aws.answers == {202: 100, 429: 60}
        assert sorted(sent) == sorted(d.message_id for d in deliveries(aws))
        assert len(set(sent)) == 100


def test_case_43_an_unknown_device_is_rejected_for_good(aws: IotWireless) -> None:
    with pytest.raises(RejectedError, match=r"404.*w-ch-9 does not exist"):
        downlink(aws).send(command(device_id="ch-9"), PAYLOAD)
    with pytest.raises(RejectedError, match="no wireless_device_id"):
        downlink(aws).send(command(wireless_device_id=None), PAYLOAD)
    assert aws.answers == {404: 1}


def test_what_aws_would_refuse_is_rejected_for_good(aws: IotWireless) -> None:
    with pytest.raises(RejectedError, match=r"400.*outside ..256"):
        downlink(aws).send(command(wireless_device_id="w" * 257), PAYLOAD)
    with pytest.raises(RejectedError, match="Sidewalk carries 19"):
        downlink(aws).send(command(), bytes(20))


def test_a_server_error_is_worth_another_attempt(aws: IotWireless) -> None:
    aws.fail(1)
    sender = downlink(aws)
    with pytest.raises(DownlinkError, match="500") as failed:
        sender.send(command(), PAYLOAD)
    assert type(failed.value) is DownlinkError
    assert sender.send(command(), PAYLOAD) == "w-ch-1/7"
    assert aws.answers == {500: 1, 202: 1}


def test_no_answer_in_time_is_worth_another_attempt(aws: IotWireless) -> None:
    aws.hang(1)
    with pytest.raises(DownlinkError, match="timeout") as failed:
        downlink(aws, timeout_s=0.3).send(command(), PAYLOAD)
    assert type(failed.value) is DownlinkError
    assert aws.accepted == []


def test_case_34_an_answer_lost_after_delivery_leads_to_the_same_message_again(
    aws: IotWireless, fleet: Fleet
) -> None:
    aws.lose_answer(1)
    sender = downlink(aws)
    with pytest.raises(DownlinkError):
        sender.send(command(), PAYLOAD)
    sender.send(command(), PAYLOAD)
    assert {d.message_id for d in deliveries(aws)} == {"w-ch-1/7"}
    assert fleet.chargers["w-ch-1"].received == 2


def test_nobody_listening_and_no_keys_are_worth_another_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(DownlinkError, match="Could not connect"):
            SidewalkDownlink(endpoint_url=url).send(command(), PAYLOAD)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        with pytest.raises(DownlinkError, match="credentials"):
            SidewalkDownlink(endpoint_url=url).send(command(), PAYLOAD)


def test_the_stand_in_believes_no_unsigned_or_wrongly_signed_request(aws: IotWireless) -> None:
    assert httpx.post(f"{aws.url}/wireless-devices/w-ch-1/data", json={}).status_code == 403
    with pytest.raises(DownlinkError, match="403") as refused:
        SidewalkDownlink(endpoint_url=aws.url, region="eu-west-1").send(command(), PAYLOAD)
    assert type(refused.value) is DownlinkError


@pytest.mark.parametrize(
    "wrong",
    [
        {"PayloadData": "***"},
        {"PayloadData": "A" * 2052},
        {"TransmitMode": 2},
        {"WirelessMetadata": {"Sidewalk": {"Seq": 16_384}}},
        {"WirelessMetadata": {"Sidewalk": {"AckModeRetryDurationSecs": 604_801}}},
        {"WirelessMetadata": {"Sidewalk": {"MessageType": "SET"}}},
    ],
)
def test_the_stand_in_holds_to_awss_model(aws: IotWireless, wrong: dict[str, Any]) -> None:
    client = boto3.client("iotwireless", endpoint_url=aws.url)
    with pytest.raises(ClientError, match="ValidationException"):
        client.send_data_to_wireless_device(
            **{"Id": "w-ch-1", "TransmitMode": 1, "PayloadData": "EAEAAA==", **wrong}
        )
    assert aws.accepted == []


def quota(**fields: Any) -> dict[str, Any]:
    return {"Quotas": [{"QuotaName": "Rate of SendDataToWirelessDevice requests", "Value": 600.0, **fields}]}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([quota()], 600.0),
        ([quota(Period={"PeriodValue": 1, "PeriodUnit": "MINUTE"})], 10.0),
        ([{"Quotas": []}, quota(Value=25.0)], 25.0),
        ([{"Quotas": []}, {"Quotas": []}], None),
        (["AccessDeniedException", "AccessDeniedException"], None),
        (["NoSuchResourceException", quota(Value=25.0)], 25.0),
    ],
)
def test_the_quota_is_read_where_service_quotas_tells_it(answers: list[Any], expected: float | None) -> None:
    client = boto3.client("service-quotas", region_name="us-east-1")
    with Stubber(client) as stub:
        for call, answer in zip(
            ("list_service_quotas", "list_aws_default_service_quotas"), answers, strict=False
        ):
            if isinstance(answer, str):
                stub.add_client_error(call, answer)
            else:
                stub.add_response(call, answer, {"ServiceCode": "iotwireless"})
        assert quota_from_service_quotas(client) == expected
