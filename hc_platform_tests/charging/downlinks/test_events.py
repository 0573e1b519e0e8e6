"""What a message says, whoever brings it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hc_platform.charging.downlinks.base import Delivery, Uplink
from hc_platform.charging.downlinks.events import SEQUENCES, message_id, parse_event
from hc_platform.settings import PROJECT_DIR

AT = datetime(2026, 7, 1, 23, tzinfo=UTC)


def aws_event(kind: str = "success", **sidewalk: Any) -> dict[str, Any]:
    return {
        "eventId": "e1",
        "eventType": kind,
        "WirelessDeviceId": "w-1",
        "timestamp": "1782946800",
        "Sidewalk": {"Seq": "7", "MsgType": "CUSTOM_COMMAND_ID_RESP", **sidewalk},
    }


@pytest.mark.parametrize("stamp", ["1782946800", 1782946800, 1782946800000, "1782946800.0", AT.isoformat()])
@pytest.mark.parametrize(("kind", "delivered"), [("success", True), ("error", False)])
def test_awss_event_is_a_delivery_of_that_devices_sequence(kind: str, delivered: bool, stamp: object) -> None:
    said = {**aws_event(kind), "timestamp": stamp}
    assert parse_event(json.dumps(said)) == Delivery(message_id("w-1", 7), delivered, AT)


@pytest.mark.parametrize("kind", ["CUSTOM_COMMAND_ID_NOTIFY", "CUSTOM_COMMAND_ID_GET"])
def test_the_delivery_of_a_devices_own_message_acknowledges_nothing(kind: str) -> None:
    assert parse_event(json.dumps(aws_event(MsgType=kind))) is None


@given(ver=st.integers(1, 10**9))
def test_every_version_has_a_sequence_that_sidewalk_knows(ver: int) -> None:
    seq = int(message_id("w-1", ver).rpartition("/")[2])
    assert 0 <= seq < SEQUENCES
    assert message_id("w-1", ver) != message_id("w-1", ver + 1)


def test_the_documents_examples_are_read() -> None:
    text = (PROJECT_DIR / "docs" / "downlink.md").read_text(encoding="utf-8")
    lines = text.partition("```json\n")[2].partition("```")[0].splitlines()
    kinds = [parse_event(line) for line in lines]
    assert [type(kind) for kind in kinds] == [Uplink, Delivery, Delivery]
    assert kinds[2] == Delivery("w-1/7", False, datetime.fromtimestamp(1782945609, UTC))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("nonsense", "Expecting value"),
        ([], "not a JSON object"),
        ({"state": "pause"}, "neither a delivery"),
        ({"device_id": "", "state": "pause", "at": 1}, "device_id is ''"),
        ({"device_id": "ch-1", "state": "pause"}, "at is None"),
        ({"device_id": "ch-1", "state": "pause", "at": "2026-07-01T17:00:00"}, "offset"),
        ({"device_id": "ch-1", "state": "pause", "at": True}, "at is True"),
        ({"device_id": "ch-1", "state": "pause", "at": 1e300}, "at is 1e"),
        ({"device_id": "ch-1", "state": "paused", "at": 1}, "state is 'paused'"),
        ({"message_id": "m", "delivered": "yes", "at": 1}, "delivered is 'yes'"),
        ({"message_id": 4, "delivered": True, "at": 1}, "message_id is 4"),
        ("[" * 60_000, "nested too deeply"),
        ("[" * 200_000, "200000 characters"),
        ('{"state": ' + "[" * 900 + "]" * 900 + ', "device_id": "ch-1", "at": 1}', "state is"),
        ('{"device_id": "\\ud800", "state": "pause", "at": 1}', "device_id is .*ud800"),
        ({"device_id": "a" * 129, "state": "pause", "at": 1}, "device_id is .*at most 128"),
        ({"device_id": "ch-1\n", "state": "pause", "at": 1}, "device_id is"),
        ({"device_id": None, "state": "pause", "at": 1}, "device_id is None"),
        ({"device_id": "ch-1", "state": ["pause"], "at": 1}, "state is"),
        ({"device_id": "ch-1", "state": "pause", "at": "9999-12-31T23:00:00-05:00"}, "at is"),
        ({"device_id": "ch-1", "state": "pause", "at": "\ud800"}, "at is"),
        ({"device_id": "ch-1", "state": "pause", "at": float("nan")}, "at is nan"),
        ('{"message_id": "\\udfff", "delivered": true, "at": 1}', "message_id is .*printable"),
        ({"message_id": "m" * 257, "delivered": True, "at": 1}, "message_id has 257"),
        ({"message_id": "a\x00b", "delivered": True, "at": 1}, "message_id is .*printable"),
        ({**aws_event(), "WirelessDeviceId": "\ud800"}, "WirelessDeviceId is"),
        (aws_event(Seq=[7]), "Seq is"),
        (aws_event("lost"), "eventType is 'lost'"),
        (aws_event(Seq=None), "Seq is None"),
        (aws_event(Seq=True), "Seq is True"),
        ({"WirelessDeviceId": "w-1", "eventType": "success"}, "Sidewalk is missing"),
    ],
)
def test_what_cannot_be_believed_is_refused_by_name(said: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_event(said if isinstance(said, str) else json.dumps(said))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "device_id",
    "state",
    "at",
    "message_id",
    "delivered",
    "WirelessDeviceId",
    "eventType",
    "Sidewalk",
    "Seq",
)


@given(said=st.dictionaries(st.sampled_from(FIELDS), json_values) | st.text())
def test_whatever_is_said_is_an_event_or_a_value_error(said: Any) -> None:
    try:
        event = parse_event(said if isinstance(said, str) else json.dumps(said))
    except ValueError as error:
        str(error).encode()
        return
    assert event is None or isinstance(event, Delivery | Uplink)
