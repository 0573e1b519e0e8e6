"""The downlink over Amazon Sidewalk: AWS IoT Wireless, SendDataToWirelessDevice.

What belongs here: that one call, and its quota. What does not: its delivery events (`events`, `sqs`), the bytes.
"""

import base64
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from hc_platform.charging.downlinks.aws import HOLD_S, client, hold_seconds, told_apart, utc_now
from hc_platform.charging.downlinks.base import RejectedError
from hc_platform.charging.downlinks.events import SEQUENCES, message_id
from hc_platform.charging.models import Command
from hc_platform.charging.payloads import MTU

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_iotwireless import IoTWirelessClient

# What a cloud sends to make a device act. Devices send NOTIFY, so the delivery events of their messages can be told
# from those of ours.
_MESSAGE_TYPE: Final = "CUSTOM_COMMAND_ID_SET"
_ACKNOWLEDGED: Final = 1

SIDEWALK_REGION: Final = "us-east-1"
"""The only region that AWS runs Sidewalk in."""
_PERIOD_S: Final = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400, "WEEK": 604_800}


class SidewalkDownlink:
    """Sends in acknowledged mode. 202 says only that AWS took the message; delivery is told by an event.

    A version's sequence number is its `ver` modulo 16,384: every attempt of a version has the same. The message id is
    device/sequence (`events.message_id`), because AWS's delivery event names these and not AWS's own MessageId.
    """

    name = "sidewalk"
    confirms = True

    def __init__(
        self,
        *,
        region: str = SIDEWALK_REGION,
        endpoint_url: str | None = None,
        timeout_s: float = 10.0,
        hold_s: int = HOLD_S,
        clock: Callable[[], datetime] = utc_now,
        session: "boto3.Session | None" = None,
    ) -> None:
        """Sidewalk is in one region only; `hold_s` as in `aws.HOLD_S`.

        Keys come from `session`, or from the environment where none is given.
        """
        self._client: IoTWirelessClient = client(
            "iotwireless", region=region, endpoint_url=endpoint_url, timeout_s=timeout_s, session=session
        )
        self._hold_s = hold_s
        self._clock = clock

    def send(self, command: Command, payload: bytes) -> str:
        """See Downlink. Also rejected: a device without wireless_device_id, a payload above Sidewalk's 19 bytes."""
        to = command.wireless_device_id
        if not to:
            raise RejectedError(f"{command.device_id} has no wireless_device_id; register it")
        if len(payload) > MTU:
            raise RejectedError(f"{command.device_id}: {len(payload)} bytes; Sidewalk carries {MTU}")
        with told_apart(f"{command.device_id} ({to})"):
            self._client.send_data_to_wireless_device(
                Id=to,
                TransmitMode=_ACKNOWLEDGED,
                PayloadData=base64.b64encode(payload).decode(),
                WirelessMetadata={
                    "Sidewalk": {
                        "Seq": command.ver % SEQUENCES,
                        "MessageType": _MESSAGE_TYPE,
                        "AckModeRetryDurationSecs": hold_seconds(
                            command, now=self._clock(), most=self._hold_s
                        ),
                    }
                },
            )
        return message_id(to, command.ver)


def quota_from_service_quotas(service_quotas: Any) -> float | None:
    """Sends a second that this account may make, as Service Quotas says; None where it does not say, or may not.

    `service_quotas` is boto3.client("service-quotas"). The account's own value goes before AWS's default.
    """
    for listing in ("list_service_quotas", "list_aws_default_service_quotas"):
        try:
            for page in service_quotas.get_paginator(listing).paginate(ServiceCode="iotwireless"):
                for quota in page["Quotas"]:
                    name = quota.get("QuotaName", "").replace(" ", "").lower()
                    if "senddatatowirelessdevice" in name and quota.get("Value"):
                        period = quota.get("Period", {})
                        unit_s = _PERIOD_S.get(period.get("PeriodUnit", "SECOND"))
                        if unit_s:
                            return float(quota["Value"]) / float(period.get("PeriodValue", 1) * unit_s)
        except (ClientError, BotoCoreError):  # not allowed, or no network: the setting holds
            continue
    return None
