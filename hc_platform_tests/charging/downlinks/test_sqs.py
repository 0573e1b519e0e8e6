"""Events from a queue: moto's SQS over HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest

from hc_platform.charging.downlinks.base import Delivery, DownlinkError, Uplink
from hc_platform.charging.downlinks.opening import open_events
from hc_platform.charging.downlinks.sidewalk import SidewalkDownlink
from hc_platform.charging.downlinks.sqs import SqsEvents
from hc_platform.charging.payloads import encode
from hc_platform.demo.chargers import Fleet
from hc_platform.demo.iot_wireless import IotWireless
from hc_platform_tests.charging.downlinks.making import START, command


def waiting(sqs: Any, url: str) -> tuple[int, int]:
    """Messages in the queue: free, and handed out."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(attributes[names[0]]), int(attributes[names[1]])


def test_case_36_deliveries_and_uplinks_come_through_the_queue(
    queue: tuple[Any, str], aws: IotWireless, fleet: Fleet, tmp_path: Path
) -> None:
    sqs, url = queue
    fleet.chargers["w-ch-2"].reachable = False
    sender = SidewalkDownlink(endpoint_url=aws.url)
    sent = [sender.send(command(device_id=d), encode(command())) for d in ("ch-1", "ch-2")]
    for said in [*aws.events(), *fleet.uplinks(START)]:
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(said))
    events = open_events(url, rejected=tmp_path)
    got = list(events.receive())
    delivered = {e.message_id: e.delivered for e in got if isinstance(e, Delivery)}
    assert delivered == dict(zip(sent, (True, False), strict=True))
    assert [e for e in got if isinstance(e, Uplink)] == [Uplink("ch-1", "pause", START)]
    assert waiting(sqs, url) == (0, 3)
    events.done()
    assert waiting(sqs, url) == (0, 0)


def test_more_than_one_batch_is_taken_and_deleted(queue: tuple[Any, str], tmp_path: Path) -> None:
    sqs, url = queue
    for n in range(23):
        body = json.dumps({"device_id": f"ch-{n}", "state": "allow", "at": n})
        sqs.send_message(QueueUrl=url, MessageBody=body)
    events = SqsEvents(url, rejected=tmp_path, most=20)
    assert len(events.receive()) == 20
    events.done()
    assert waiting(sqs, url) == (3, 0)
    assert len(events.receive()) == 3


def test_what_was_not_done_comes_again(queue: tuple[Any, str], tmp_path: Path) -> None:
    sqs, url = queue
    sqs.send_message(QueueUrl=url, MessageBody='{"device_id": "ch-1", "state": "allow", "at": 1}')
    crashed = SqsEvents(url, rejected=tmp_path)
    assert len(crashed.receive()) == 1
    handle = crashed._handles[0]  # its five minutes pass
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    assert len(SqsEvents(url, rejected=tmp_path).receive()) == 1


def test_what_cannot_be_read_is_kept_before_it_is_deleted(queue: tuple[Any, str], tmp_path: Path) -> None:
    sqs, url = queue
    for body in ("nonsense", '{"device_id": "ch-1", "state": "allow", "at": 1}'):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    blocked = tmp_path / "rejected"
    blocked.write_text("a file where the folder should be")
    events = SqsEvents(url, rejected=blocked)
    assert len(events.receive()) == 1
    with pytest.raises(DownlinkError, match="cannot keep"):
        events.done()
    assert (waiting(sqs, url), events.rejected) == ((0, 2), 0)
    blocked.unlink()
    events.done()
    assert (waiting(sqs, url), events.rejected) == ((0, 0), 1)
    (day,) = blocked.glob("rejected-*.jsonl")
    (kept,) = (json.loads(line) for line in day.read_text().splitlines())
    assert kept["text"] == "nonsense"
    assert kept["reason"]


def test_the_delivery_of_an_uplink_is_counted_and_let_go(queue: tuple[Any, str], tmp_path: Path) -> None:
    sqs, url = queue
    said = {
        "eventType": "success",
        "WirelessDeviceId": "w-1",
        "timestamp": 1,
        "Sidewalk": {"Seq": 7, "MsgType": "CUSTOM_COMMAND_ID_NOTIFY"},
    }
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(said))
    events = SqsEvents(url, rejected=tmp_path)
    assert (events.receive(), events.ignored) == ([], 1)
    events.done()
    assert waiting(sqs, url) == (0, 0)


def test_a_queue_that_does_not_exist_is_told(moto_url: str, tmp_path: Path) -> None:
    with pytest.raises(DownlinkError, match=r"queue .*/none"):
        SqsEvents(f"{moto_url}/123456789012/none", rejected=tmp_path).receive()
