"""Commands for the tests of the downlinks."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hc_platform.charging.models import Command, command_id

START = datetime(2026, 7, 1, 23, tzinfo=UTC)  # 17:00 in Denver
END = START + timedelta(hours=4)


def command(desired: str = "pause", *, device_id: str = "ch-1", ver: int = 7, **fields: Any) -> Command:
    """A command as the outbox would hand it over; a pause has the window START to END unless told otherwise."""
    window = {"window_start": START, "window_end": END} if desired == "pause" else {}
    given = {
        "wireless_device_id": f"w-{device_id}",
        "protocol": "window",
        "status": "sending",
        "created_at": START - timedelta(hours=1),
        "updated_at": START - timedelta(hours=1),
        **window,
        **fields,
    }
    return Command(
        device_id=device_id, ver=ver, command_id=command_id(device_id, ver), desired=desired, **given
    )
