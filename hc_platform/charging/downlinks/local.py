"""The downlink and the inbox of a laptop: folders. The default, and enough for a simulator.

What belongs here: the file of what was sent, the folder of what came back.
What does not: what an event means (`events`), any network.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
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


def prune(folder: Path, older_than_days: int, now: datetime) -> int:
    """Remove what a LocalDownlink or FileEvents left in that folder more than so many days ago; how many files.

    Days of sends go by their name's UTC day, files in done/ by when they were last written. What was rejected stays, and
    so does what waits. A file that another process removes meanwhile does no harm. Raises OSError.
    """
    before = now.astimezone(UTC) - timedelta(days=older_than_days)
    old = [p for p in folder.glob("sent-*.jsonl") if p.name < f"sent-{before:%Y-%m-%d}.jsonl"]
    for path in (folder / "done").glob("*.jsonl"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before.timestamp():
                old.append(path)
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


class FileEvents:
    """Reads <folder>/*.jsonl, one event a line as `parse_event` has it, and moves a file to <folder>/done when done.

    Write a file under another name and rename it to .jsonl when it is whole. A crash between `receive` and `done`
    brings it again: acknowledging twice does no harm. Lines that cannot be read are counted and kept, with the reason,
    in <folder>/rejected/rejected-<UTC day>.jsonl, and hold up nothing; a file above `most_bytes` moves there whole.
    """

    def __init__(self, folder: Path, *, most_bytes: int = 64 * 2**20) -> None:
        self.folder = folder
        self._most_bytes = most_bytes
        self.rejected = 0
        self.ignored = 0
        self._read: dict[Path, int] = {}
        self._bad: list[tuple[Path, str, str]] = []
        self._too_large: list[Path] = []
        self._unreadable: list[str] = []

    def waiting(self) -> bool:
        """Whether any file waits."""
        return any(self.folder.glob("*.jsonl"))

    def receive(self) -> list[Delivery | Uplink]:
        """All events in the files that wait now, by file name and line; a file that cannot be read is told by `done`."""
        events: list[Delivery | Uplink] = []
        self._read, self._bad, self._too_large, self._unreadable = {}, [], [], []
        for path in sorted(self.folder.glob("*.jsonl")):
            try:
                if path.stat().st_size > self._most_bytes:
                    self._too_large.append(path)
                    continue
                content = path.read_bytes()
            except FileNotFoundError:  # another run was done with it first
                continue
            except OSError as error:
                self._unreadable.append(f"cannot read {path}: {error}")
                continue
            self._read[path] = len(content)
            for line in content.decode(errors="replace").split("\n"):  # a JSON text may hold other line ends
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

        Raises DownlinkError, last of all also for the files that could not be read: they stay where they are.
        """
        for path, line, reason in self._bad:
            reject(self.folder / "rejected", path.name, line, reason)
            self.rejected += 1
        self._bad = []
        try:
            for path in self._too_large:
                with suppress(FileNotFoundError):  # another run was done with it first
                    self._refuse(path)
            (self.folder / "done").mkdir(parents=True, exist_ok=True)
            for path, size in self._read.items():
                with suppress(FileNotFoundError):  # another run was done with it first
                    if path.stat().st_size == size:
                        path.replace(_resting_place(self.folder / "done" / path.name))
        except OSError as error:
            raise DownlinkError(f"cannot move files of {self.folder} to done/: {error}") from error
        self._read, self._too_large = {}, []
        if self._unreadable:
            raise DownlinkError("; ".join(self._unreadable))

    def _refuse(self, path: Path) -> None:
        folder, size = self.folder / "rejected", path.stat().st_size
        folder.mkdir(parents=True, exist_ok=True)
        place = _resting_place(folder / f"{path.name}.whole")
        path.replace(place)
        self.rejected += 1
        reject(folder, path.name, "", f"{size} bytes, at most {self._most_bytes}; kept whole as {place.name}")


def _resting_place(place: Path) -> Path:
    """That place, or one beside it where a file of that name rests already."""
    return place.with_stem(f"{place.stem}-{uuid.uuid4().hex[:8]}") if place.exists() else place
