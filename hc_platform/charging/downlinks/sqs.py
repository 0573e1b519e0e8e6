"""Events from an SQS queue, into which IoT rules put delivery events and uplinks (docs/downlink.md has the rules).

What belongs here: taking from the queue, and deleting. What does not: what a message says (`events`).
"""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hc_platform.charging.downlinks.aws import client, told_apart
from hc_platform.charging.downlinks.base import Delivery, DownlinkError, Uplink
from hc_platform.charging.downlinks.events import parse_event, reject

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_BATCH = 10
_BUSY_S = 300


class SqsEvents:
    """Reads up to `most` messages at a time; they are deleted when done, and come again after 5 minutes if not.

    What cannot be read is counted and kept in <rejected>/rejected-<UTC day>.jsonl first, and only then deleted.
    """

    def __init__(
        self,
        queue_url: str,
        *,
        rejected: Path,
        region: str | None = None,
        endpoint_url: str | None = None,
        most: int = 5_000,
        wait_s: int = 1,
    ) -> None:
        """The region and endpoint are read from the queue's URL where not given. Raises ValueError where it is none."""
        parts = urlsplit(queue_url)
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or not host or parts.path.count("/") < 2:
            raise ValueError(
                f"{queue_url!r} is no SQS queue URL (https://sqs.REGION.amazonaws.com/ACCOUNT/NAME)"
            )
        if host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
            region = region or next((part for part in host.split(".") if part.count("-") >= 2), None)
        else:
            endpoint_url = endpoint_url or f"{parts.scheme}://{parts.netloc}"
        self.queue_url = queue_url
        self.rejected = 0
        self.ignored = 0
        self._folder = rejected
        self._most = most
        self._wait_s = wait_s
        self._client: SQSClient = client(
            "sqs", region=region, endpoint_url=endpoint_url, timeout_s=wait_s + 10
        )
        self._handles: list[str] = []
        self._bad: list[tuple[str, str]] = []

    def waiting(self) -> bool:
        """No: looking costs a request. The next run reads the queue, at the latest the schedule's."""
        return False

    def receive(self) -> list[Delivery | Uplink]:
        """What waits, until the queue is empty or `most` is reached. Raises DownlinkError (ThrottledError)."""
        events: list[Delivery | Uplink] = []
        self._handles, self._bad = [], []
        while len(self._handles) < self._most:
            with told_apart(f"queue {self.queue_url}"):
                got = self._client.receive_message(
                    QueueUrl=self.queue_url,
                    MaxNumberOfMessages=_BATCH,
                    VisibilityTimeout=_BUSY_S,
                    WaitTimeSeconds=0 if self._handles else self._wait_s,
                ).get("Messages", [])
            if not got:
                break
            for message in got:
                self._handles.append(message["ReceiptHandle"])
                body = message["Body"]
                try:
                    event = parse_event(body)
                except ValueError as error:
                    self._bad.append((body, str(error)))
                    continue
                if event is None:
                    self.ignored += 1
                else:
                    events.append(event)
        return events

    def done(self) -> None:
        """Keep the bad ones, then delete all that was handed out. Raises DownlinkError; what is left comes again."""
        while self._bad:
            body, reason = self._bad[0]
            reject(self._folder, self.queue_url, body, reason)
            self.rejected += 1
            self._bad.pop(0)
        handles, self._handles = self._handles, []
        for first in range(0, len(handles), _BATCH):
            batch = handles[first : first + _BATCH]
            with told_apart(f"queue {self.queue_url}"):
                answer = self._client.delete_message_batch(
                    QueueUrl=self.queue_url,
                    Entries=[{"Id": str(n), "ReceiptHandle": handle} for n, handle in enumerate(batch)],
                )
            if failed := answer.get("Failed"):
                raise DownlinkError(
                    f"queue {self.queue_url}: {len(failed)} not deleted: {failed[0].get('Message')}"
                )
