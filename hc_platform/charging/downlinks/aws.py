"""What every AWS downlink shares: one way to make a client, one way to name what went wrong.

What belongs here: timeouts, retries (none: the outbox retries), errors told apart, how long a network may hold a message.
What does not: any one service.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from hc_platform.charging.downlinks.base import DownlinkError, RejectedError, ThrottledError
from hc_platform.charging.models import Command

HOLD_S: Final = 300
"""Seconds that a network may go on trying by itself. Short: neither a late allow nor a late window knows of the newer
command that replaced it, and would undo it; the outbox, which knows, tries again instead."""

_THROTTLED: Final = ("ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded")
_REJECTED: Final = ("ResourceNotFoundException", "ValidationException", "InvalidRequestException")


def utc_now() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(UTC)


def client(
    service: str,
    *,
    region: str | None,
    endpoint_url: str | None,
    timeout_s: float,
    session: boto3.Session | None = None,
) -> Any:
    """A boto3 client that tries once; its keys, and an endpoint not given, come from the environment as boto3 has it.

    Or from the session that is given, which no other thread may be using meanwhile.

    Raises ValueError where it cannot be made (no region, a broken profile): a setting is wrong, no attempt will mend it.
    """
    config = Config(
        connect_timeout=min(5.0, timeout_s),
        read_timeout=timeout_s,
        retries={"total_max_attempts": 1},
        max_pool_connections=32,
    )
    try:
        # a session of its own: boto3's shared one is not made to be used by several threads
        return (session or boto3.Session()).client(
            service, region_name=region, endpoint_url=endpoint_url, config=config
        )  # type: ignore[call-overload]
    except (BotoCoreError, ValueError) as error:
        raise ValueError(f"cannot make a client of AWS {service}: {error}") from error


@contextmanager
def told_apart(what: str) -> Iterator[None]:
    """Turn AWS's errors into ours.

    429: ThrottledError. 400 and 404 of this message or device: RejectedError. All else (500, no answer, no connection,
    no credentials, 403) may be mended by time or people: DownlinkError.
    """
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        message = f"{what}: {status} {error}"
        if status == 429 or code in _THROTTLED:
            raise ThrottledError(message) from error
        if code in _REJECTED:
            raise RejectedError(message) from error
        raise DownlinkError(message) from error
    except ParamValidationError as error:
        raise RejectedError(f"{what}: {error}") from error
    except BotoCoreError as error:
        raise DownlinkError(f"{what}: {error}") from error


def hold_seconds(command: Command, *, now: datetime, most: int) -> int:
    """Whole seconds that the network may hold a command: up to `most`, never past the command's use."""
    ends = [end for end in (command.expires_at, command.window_end) if end is not None]
    left = (min(ends) - now).total_seconds() if ends else most
    return int(max(0, min(left, most, 604_800)))
