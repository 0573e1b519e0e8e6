"""The downlink and the inbox of a laptop: folders. The default, and enough for a simulator.

What belongs here: the file of what was sent, the folder of what came back.
What does not: what an event means (`events`), any network.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hc_platform.charging.downlinks.base import Delivery, DownlinkError, Uplink
from hc_platform.charging.downlinks.events import parse_event, reject
from hc_platform.charging.downlinks.writing import append_line
from hc_platform.charging.models import Command
from hc_platform.charging.payloads import PayloadError, decode


def _utc_now() -> datetime:
    return datetime.now(UTC)


class LocalDownlink:
    """Appends one JSON line for each send to <folder>/sent-<UTC day>.jsonl; safe for several processes at once."""

    name = "file"
    confirms = False

    def __init__(
        self, folder: Path, *, durable: bool = False, clock: Callable[[], datetime] = _utc_now
    ) -> None:
        self.folder = folder
        self._durable = durable
        self._clock = clock

    def send(self, command: Command, payload: bytes) -> str:
        """Write it down; the message id is a new UUID. Raises DownlinkError where the file takes no more."""
        at, message_id = self._clock(), str(uuid.uuid4())
        try:
            meaning = str(decode(payload))
        except PayloadError as error:
            meaning = f"unreadable: {error}"
        line = {
            "message_id": message_id,
            "device_id": command.device_id,
            "wireless_device_id": command.wireless_device_id,
            "command_id": command.command_id,
            "ver": command.ver,
            "payload": payload.hex(),
            "meaning": meaning,
            "at": at.isoformat(),
        }
        path = self.folder / f"sent-{at.astimezone(UTC):%Y-%m-%d}.jsonl"
        try:
            append_line(path, line, durable=self._durable)
        except OSError as error:
            raise DownlinkError(f"cannot append to {path}: {error}") from error
        return message_id


def sent(folder: Path) -> Iterator[dict[str, Any]]:
    """What a LocalDownlink wrote to that folder, oldest day first, in the order of writing."""
    for path in sorted(folder.glob("sent-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                yield json.loads(line)


class FileEvents:
    """Reads <folder>/*.jsonl, one event a line as `parse_event` has it, and moves a file to <folder>/done when done.

    Write a file under another name and rename it to .jsonl when it is whole. A crash between `receive` and `done`
    brings it again: acknowledging twice does no harm. Lines that cannot be read are counted and kept, with the reason,
    in <folder>/rejected/rejected.jsonl, and hold up nothing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rejected = 0
        self.ignored = 0
        self._read: dict[Path, int] = {}
        self._bad: list[tuple[Path, str, str]] = []

    def waiting(self) -> bool:
        """Whether any file waits."""
        return any(self.folder.glob("*.jsonl"))

    def receive(self) -> list[Delivery | Uplink]:
        """All events in the files that wait now, by file name and line. Raises DownlinkError for an unreadable file."""
        events: list[Delivery | Uplink] = []
        self._read, self._bad = {}, []
        for path in sorted(self.folder.glob("*.jsonl")):
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # another run was done with it first
                continue
            except OSError as error:
                raise DownlinkError(f"cannot read {path}: {error}") from error
            self._read[path] = len(content)
            for line in content.decode(errors="replace").splitlines():
                if not line.strip():
                    continue
                try:
                    event = parse_event(line)
                except ValueError as error:
                    self._bad.append((path, line, str(error)))
                    continue
                if event is None:
                    self.ignored += 1
                else:
                    events.append(event)
        return events

    def done(self) -> None:
        """Keep the bad lines, then move the files that were read; one that grew since stays, and comes again whole.

        Raises DownlinkError.
        """
        for path, line, reason in self._bad:
            reject(self.folder / "rejected", path.name, line, reason)
            self.rejected += 1
        self._bad = []
        try:
            (self.folder / "done").mkdir(parents=True, exist_ok=True)
            for path, size in self._read.items():
                with suppress(FileNotFoundError):  # another run was done with it first
                    if path.stat().st_size == size:
                        path.replace(self._resting_place(path))
        except OSError as error:
            raise DownlinkError(f"cannot move files of {self.folder} to done/: {error}") from error
        self._read = {}

    def _resting_place(self, path: Path) -> Path:
        """Under its own name in done/, or a new one where a file of that name rests already."""
        place = self.folder / "done" / path.name
        return place.with_stem(f"{path.stem}-{uuid.uuid4().hex[:8]}") if place.exists() else place
