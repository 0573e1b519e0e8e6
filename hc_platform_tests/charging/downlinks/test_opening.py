"""The texts of the settings."""

from pathlib import Path

import pytest

from hc_platform.charging.downlinks.local import FileEvents, LocalDownlink
from hc_platform.charging.downlinks.mqtt import MqttDownlink
from hc_platform.charging.downlinks.opening import NoEvents, open_downlink, open_events
from hc_platform.charging.downlinks.sidewalk import SidewalkDownlink
from hc_platform.charging.downlinks.sqs import SqsEvents


@pytest.mark.parametrize(
    ("where", "kind", "confirms"),
    [
        ("file:out", LocalDownlink, False),
        ("sidewalk", SidewalkDownlink, True),
        ("mqtt:fleet/a", MqttDownlink, False),
    ],
)
def test_each_downlink_is_opened_by_its_text(where: str, kind: type, confirms: bool) -> None:
    downlink = open_downlink(where)
    assert isinstance(downlink, kind)
    assert downlink.confirms is confirms


@pytest.mark.parametrize("where", ["", "file:", "mqtt:", "sidewalk:x", "sms:1", "out"])
def test_another_text_is_refused_with_those_that_are_not(where: str) -> None:
    with pytest.raises(ValueError, match="give file:FOLDER, sidewalk, or mqtt:PREFIX"):
        open_downlink(where)


def test_events_come_from_a_folder_a_queue_or_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert isinstance(open_events(f"file:{tmp_path}", rejected=tmp_path), FileEvents)
    nowhere = open_events(None, rejected=tmp_path)
    assert isinstance(nowhere, NoEvents)
    assert list(nowhere.receive()) == []
    queue = open_events("https://sqs.eu-west-1.amazonaws.com/123456789012/events", rejected=tmp_path)
    assert isinstance(queue, SqsEvents)
    assert queue._client.meta.region_name == "eu-west-1"


@pytest.mark.parametrize("where", ["", "file:", "sqs:x"])
def test_another_source_of_events_is_refused(where: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give file:FOLDER or the https URL"):
        open_events(where, rejected=tmp_path)


@pytest.mark.parametrize("where", ["https://", "https://example.org", "http://host/queue"])
def test_a_url_that_is_no_queues_is_refused(where: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no SQS queue URL"):
        open_events(where, rejected=tmp_path)


def test_without_a_region_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(ValueError, match="iot-data: You must specify a region"):
        open_downlink("mqtt:fleet")
