"""What the sub-commands share: the data folder's option, the site it leads to, instants, mistakes in words.

What belongs here: reading what was asked. What does not: answering it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from hc_platform.charging.models import Device
from hc_platform.charging.registry.base import ConflictError
from hc_platform.charging.site import Site, open_site
from hc_platform.ingesting import MistakeError
from hc_platform.settings import Settings

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Data folder; default HC_DATA_DIR or ./data.")
]


def settings_of(data_dir: Path | None) -> Settings:
    """The settings, on another data folder if one is given. Raises MistakeError naming the variable that cannot be."""
    try:
        return Settings(data_dir=data_dir) if data_dir else Settings()
    except ValidationError as error:
        told = (f"HC_{str(e['loc'][0]).upper()}={e['input']!r}: {e['msg']}" for e in error.errors())
        raise MistakeError("; ".join(told)) from error


@contextmanager
def opened(settings: Settings, *, sends: bool = False) -> Iterator[Site]:
    """The site that the settings lead to, closed in the end; only with `sends` one that can command.

    Raises MistakeError for a setting that cannot be, OSError where the registry cannot be reached or another has it.
    """
    try:
        try:
            site = open_site(settings, sends=sends)
        except ValueError as error:
            raise MistakeError(str(error)) from error
        try:
            yield site
        finally:
            site.registry.close()
    except (sqlite3.Error, BotoCoreError, ClientError) as error:
        raise OSError(f"the registry {settings.registry_at} cannot be used: {error}") from error
    except ConflictError as error:
        raise OSError(str(error)) from error


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


def in_words(error: ValidationError) -> str:
    """What is wrong with which field, in one line."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in error.errors())


def known(site: Site, device_id: str) -> Device:
    """The device. Raises MistakeError where there is none."""
    device = site.registry.device(device_id)
    if device is None:
        raise MistakeError(f"no device is called {device_id!r}; `hc devices list` shows all")
    return device
