"""A loopback AWS IoT Wireless: SendDataToWirelessDevice, its limits and failures, and the delivery events after it.

What belongs here: HTTP, the checks of AWS's own model, throttling, injected faults, events. What does not: what a device
does with a message (`chargers`).

    with IotWireless(fleet.chargers, deliver=fleet.deliver) as aws:
        SidewalkDownlink(endpoint_url=aws.url).send(command, payload)
        aws.events()  # what AWS would publish since
"""

import base64
import json
import re
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import unquote

import botocore.session

Deliver = Callable[[str, bytes, datetime], bool | None]
"""(wireless_device_id, payload, at) -> it came, it did not, or None: nobody ever tells."""

Trouble = Callable[[str, int], str | None]
"""(wireless_device_id, Seq) of a request that is in order -> the AWS error that it gets all the same, or None."""

_SCOPE: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/us-east-1/iotwireless/aws4_request, "
    r"SignedHeaders=[a-z0-9;-]*\bhost\b[a-z0-9;-]*, Signature=[0-9a-f]{64}"
)
_PATH: Final = re.compile(r"/wireless-devices/([^/]+)/data")
_HTTP: Final = {
    "AccessDeniedException": 403,
    "ThrottlingException": 429,
    "ValidationException": 400,
    "ResourceNotFoundException": 404,
    "InternalServerException": 500,
}


@dataclass(frozen=True)
class Accepted:
    """A message that was answered with 202."""

    message_id: str
    wireless_device_id: str
    payload: bytes
    seq: int
    transmit_mode: int
    message_type: str | None
    hold_s: int | None
    at: datetime


class IotWireless:
    """The server, on a free port of the loopback. Faults are counted down, one for each request."""

    def __init__(
        self,
        devices: Iterable[str],
        *,
        deliver: Deliver = lambda _device, _payload, _at: True,
        trouble: Trouble = lambda _device, _seq: None,
        rate: float = 10.0,
        burst: float = 100.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Knows `devices`; takes `burst` requests at once and `rate` a second, by real time; stamps by `clock`."""
        self.devices = set(devices)
        self.accepted: list[Accepted] = []
        self.answers: Counter[int] = Counter()
        """Requests by HTTP status."""
        self._deliver, self._trouble, self._clock = deliver, trouble, clock
        self._rate, self._burst = rate, burst
        self._tokens, self._filled_at = burst, time.monotonic()
        self._fail = self._hang = self._answer_lost = 0
        self._events: deque[dict[str, Any]] = deque()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._input: Any = (
            botocore.session.get_session()
            .get_service_model("iotwireless")
            .operation_model("SendDataToWirelessDevice")
            .input_shape
        )
        outer = self

        class _Handler(_Requests):
            aws = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def fail(self, times: int) -> None:
        """The next so many requests are answered with 500."""
        self._fail = times

    def hang(self, times: int) -> None:
        """The next so many requests get no answer, and do nothing."""
        self._hang = times

    def lose_answer(self, times: int) -> None:
        """The next so many messages are taken and delivered, and the connection breaks before the answer."""
        self._answer_lost = times

    def events(self) -> list[dict[str, Any]]:
        """AWS's delivery events since the last time, as published: the caller carries them to a queue or an inbox."""
        with self._lock:
            drained = list(self._events)
            self._events.clear()
        return drained

    def close(self) -> None:
        """Stop; requests that hang are let go."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def answer(self, path: str, authorization: str, body: bytes) -> tuple[int, dict[str, str]] | None:
        """The HTTP status and answer to one request; None: no answer at all."""
        with self._lock:
            hangs, self._hang = self._hang > 0, max(0, self._hang - 1)
        if hangs:
            self._closing.wait()
            return None
        with self._lock:
            problem = self._refusal(path, authorization, body)
            if problem:
                status = _HTTP[problem[0]]
                self.answers[status] += 1
                return status, {"__type": problem[0], "message": problem[1]}
            message = self._accept(unquote(_PATH.fullmatch(path)[1]), json.loads(body))  # type: ignore[index]
            self.answers[202] += 1
            lost, self._answer_lost = self._answer_lost > 0, max(0, self._answer_lost - 1)
        return None if lost else (202, {"MessageId": message.message_id})

    def _refusal(self, path: str, authorization: str, body: bytes) -> tuple[str, str] | None:
        if not _SCOPE.fullmatch(authorization):
            return "AccessDeniedException", "the request is not signed for iotwireless in us-east-1"
        if self._fail:
            self._fail -= 1
            return "InternalServerException", "an unexpected error occurred while processing a request"
        if not self._take_token():
            return "ThrottlingException", "the request exceeded the allowed API request rate"
        at = _PATH.fullmatch(path)
        if not at:
            return "ResourceNotFoundException", f"no resource {path}"
        try:
            given = {**json.loads(body), "Id": unquote(at[1])}
        except (ValueError, TypeError):
            return "ValidationException", "the body is not a JSON object"
        problems = list(_violations(self._input, given, "input"))
        if problems:
            return "ValidationException", "; ".join(problems)
        if given["Id"] not in self.devices:
            return "ResourceNotFoundException", f"wireless device {given['Id']} does not exist"
        ordered = self._trouble(
            given["Id"], given.get("WirelessMetadata", {}).get("Sidewalk", {}).get("Seq", 0)
        )
        return (ordered, "ordered") if ordered else None

    def _take_token(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _accept(self, device: str, given: dict[str, Any]) -> Accepted:
        sidewalk = given.get("WirelessMetadata", {}).get("Sidewalk", {})
        message = Accepted(
            message_id=str(uuid.uuid4()),
            wireless_device_id=device,
            payload=base64.b64decode(given["PayloadData"], validate=True),
            seq=sidewalk.get("Seq", 0),
            transmit_mode=given["TransmitMode"],
            message_type=sidewalk.get("MessageType"),
            hold_s=sidewalk.get("AckModeRetryDurationSecs"),
            at=self._clock(),
        )
        self.accepted.append(message)
        came = self._deliver(device, message.payload, message.at)
        if came is not None and message.transmit_mode == 1:
            self._events.append(_event(message, came))
        return message


def _event(message: Accepted, came: bool) -> dict[str, Any]:
    """Source: AWS IoT Wireless developer guide, message delivery status events. It bears no MessageId."""
    told = (
        {"MsgType": "CUSTOM_COMMAND_ID_RESP", "CmdExStatus": "COMMAND_EXEC_STATUS_SUCCESS"}
        if came
        else {"Status": "DeviceNotReachable"}
    )
    return {
        "eventId": str(uuid.uuid4()),
        "eventType": "success" if came else "error",
        "WirelessDeviceId": message.wireless_device_id,
        "timestamp": str(int(message.at.timestamp())),
        "Sidewalk": {"Seq": message.seq, **told},
    }


_TYPES: Final = {"string": str, "integer": int, "structure": dict, "list": list}


def _violations(shape: Any, value: object, where: str) -> Iterable[str]:
    """All that AWS's model of a shape forbids about a value: types, members, ranges, lengths, patterns, enums."""
    wanted = _TYPES.get(shape.type_name, object)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        yield f"{where} is no {shape.type_name}"
        return
    if isinstance(value, dict):
        yield from (f"{where}.{name} is missing" for name in shape.required_members if name not in value)
        for name, member in value.items():
            if name in shape.members:
                yield from _violations(shape.members[name], member, f"{where}.{name}")
            else:
                yield f"{where}.{name} is unknown"
        return
    rules = shape.metadata
    size = value if isinstance(value, int) else len(value) if isinstance(value, str | list) else 0
    if not rules.get("min", size) <= size <= rules.get("max", size):
        yield f"{where} is outside {rules.get('min', '')}..{rules.get('max', '')}"
    if isinstance(value, str) and "pattern" in rules and not re.fullmatch(rules["pattern"], value):
        yield f"{where} does not match {rules['pattern']}"
    if isinstance(value, str) and "enum" in rules and value not in rules["enum"]:
        yield f"{where} is none of {', '.join(rules['enum'])}"


class _Requests(BaseHTTPRequestHandler):
    """One connection, kept open between requests as AWS does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits 40 ms for the client's acknowledgement
    aws: IotWireless

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.aws.answer(self.path, self.headers.get("Authorization", ""), body)
        if answer is None:
            self.close_connection = True
            return
        status, said = answer
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status >= 400:
            self.send_header("x-amzn-ErrorType", said["__type"])
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
