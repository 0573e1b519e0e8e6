"""From one text in the settings to a downlink, or to a source of events.

What belongs here: the forms of that text. What does not: what each of them does. AWS's are imported where they are
asked for: boto3 costs every process of the UI 0.2 s.
"""

from pathlib import Path

from hc_platform.charging.downlinks.base import Downlink, Events
from hc_platform.charging.downlinks.local import FileEvents, LocalDownlink


def open_downlink(
    where: str, *, region: str | None = None, endpoint_url: str | None = None, timeout_s: float = 10.0
) -> Downlink:
    """file:FOLDER, sidewalk, or mqtt:PREFIX.

    Raises ValueError for another text, or where AWS's client cannot be made.
    """
    kind, _, rest = where.partition(":")
    if kind == "file" and rest:
        return LocalDownlink(Path(rest))
    if kind == "sidewalk" and not rest:
        from hc_platform.charging.downlinks.sidewalk import SIDEWALK_REGION, SidewalkDownlink

        return SidewalkDownlink(
            region=region or SIDEWALK_REGION, endpoint_url=endpoint_url, timeout_s=timeout_s
        )
    if kind == "mqtt" and rest:
        from hc_platform.charging.downlinks.mqtt import MqttDownlink

        return MqttDownlink(rest, region=region, endpoint_url=endpoint_url, timeout_s=timeout_s)
    raise ValueError(f"downlink {where!r}: give file:FOLDER, sidewalk, or mqtt:PREFIX")


def open_events(where: str | None, *, rejected: Path, region: str | None = None) -> Events:
    """file:FOLDER, or the URL of an SQS queue; None for nowhere. `rejected` keeps what a queue's messages said.

    Raises ValueError for another text, or a URL that is no queue's.
    """
    if where is None:
        return NoEvents()
    kind, _, rest = where.partition(":")
    if kind == "file" and rest:
        return FileEvents(Path(rest))
    if kind in ("http", "https"):
        from hc_platform.charging.downlinks.sqs import SqsEvents

        return SqsEvents(where, rejected=rejected, region=region)
    raise ValueError(f"events {where!r}: give file:FOLDER or the https URL of an SQS queue")


class NoEvents:
    """Nothing ever comes in."""

    rejected = 0
    ignored = 0

    def waiting(self) -> bool:
        """Never."""
        return False

    def receive(self) -> tuple[()]:
        """Nothing."""
        return ()

    def done(self) -> None:
        """Nothing was handed out."""
