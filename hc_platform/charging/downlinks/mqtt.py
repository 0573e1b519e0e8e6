"""The downlink over MQTT: AWS IoT Core's data plane, for chargers with a connection of their own.

What belongs here: that one publish. What does not: the bytes, what the device answers (an uplink, see `sqs`).
"""

import re
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from hc_platform.charging.downlinks.aws import HOLD_S, client, hold_seconds, told_apart, utc_now
from hc_platform.charging.downlinks.base import RejectedError
from hc_platform.charging.models import Command

if TYPE_CHECKING:
    from mypy_boto3_iot_data import IoTDataPlaneClient

_TOPIC_LEVEL = re.compile(r"[^/+#\x00$][^/+#\x00]*")


class MqttDownlink:
    """Publishes the payload's raw bytes to <prefix>/<wireless_device_id, else device_id>/charge, QoS 1.

    The bytes are those of every other downlink, so one firmware, one set of vectors and one tag serve all; JSON would
    only wrap them. QoS 1 ends at the broker: only the device's uplink tells that it came.
    """

    name = "mqtt"
    confirms = False

    def __init__(
        self,
        prefix: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        timeout_s: float = 10.0,
        hold_s: int = HOLD_S,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Raises ValueError for a prefix that is no topic. A broker may queue a message for `hold_s`, then drops it."""
        if not all(_TOPIC_LEVEL.fullmatch(level) for level in prefix.split("/")):
            raise ValueError(
                f"mqtt prefix {prefix!r}: give levels joined by /, without + and #, like fleet/a"
            )
        self._prefix = prefix
        self._client: IoTDataPlaneClient = client(
            "iot-data", region=region, endpoint_url=endpoint_url, timeout_s=timeout_s
        )
        self._hold_s = hold_s
        self._clock = clock

    def topic(self, command: Command) -> str:
        """Where its device listens. Raises RejectedError for an id that is no level of a topic."""
        device = command.wireless_device_id or command.device_id
        if not _TOPIC_LEVEL.fullmatch(device):
            raise RejectedError(f"{command.device_id}: {device!r} cannot be a level of an MQTT topic")
        return f"{self._prefix}/{device}/charge"

    def send(self, command: Command, payload: bytes) -> str:
        """See Downlink; the message id is a new UUID, as the broker gives none."""
        topic = self.topic(command)
        # 0 would mean that it never expires
        expiry = max(1, hold_seconds(command, now=self._clock(), most=self._hold_s))
        with told_apart(f"{command.device_id} (topic {topic})"):
            self._client.publish(topic=topic, qos=1, payload=payload, messageExpiry=expiry)
        return str(uuid.uuid4())
