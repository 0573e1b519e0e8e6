"""What the sub-commands share: the data folder's option, the site it leads to, instants as people write them.

What belongs here: reading what was asked. What does not: answering it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hc_platform.charging.models import Device
from hc_platform.charging.site import Site, open_site
from hc_platform.ingesting import MistakeError
from hc_platform.settings import Settings

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Data folder; default HC_DATA_DIR or ./data.")
]


def settings_of(data_dir: Path | None) -> Settings:
    """The settings, on another data folder if one is given."""
    return Settings(data_dir=data_dir) if data_dir else Settings()


@contextmanager
def opened(settings: Settings) -> Iterator[Site]:
    """The site that the settings lead to, closed in the end. Raises MistakeError for a setting that cannot be."""
    try:
        site = open_site(settings)
    except ValueError as error:
        raise MistakeError(str(error)) from error
    try:
        yield site
    finally:
        site.registry.close()


def instant(text: str) -> datetime:
    """An instant with its offset, ISO 8601, in UTC. Raises MistakeError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise MistakeError(f"{text!r} is no instant: write it like 2026-07-02T17:30:00-06:00") from None
    if at.tzinfo is None:
        raise MistakeError(
            f"{text!r} has no offset: write {text}Z for UTC, or the local offset like {text}-06:00"
        )
    return at.astimezone(UTC)


def known(site: Site, device_id: str) -> Device:
    """The device. Raises MistakeError where there is none."""
    device = site.registry.device(device_id)
    if device is None:
        raise MistakeError(f"no device is called {device_id!r}; `hc devices list` shows all")
    return device
