"""Death at a chosen call: a fuse that burns down with every call to registry, lake, downlink or inbox.

What belongs here: the fuse, and a site whose every part burns it. What does not: what must hold after (`holding`).
"""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hc_platform.charging.site import Site


class Died(BaseException):
    """This process would not exist any more."""


def die() -> None:
    """In process: nothing after this call happens; the files stay as they are."""
    raise Died


def kill() -> None:
    """For good: no cleanup, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)


class Fuse:
    """Dies before the `at`-th call (0: never), and at every later one: the dead do nothing."""

    def __init__(self, at: int = 0, how: Callable[[], None] = die) -> None:
        self.at, self.how = at, how
        self.calls: list[str] = []
        self._lock = threading.Lock()

    def burn(self, name: str) -> None:
        with self._lock:
            self.calls.append(name)
            ends = self.at and len(self.calls) >= self.at
        if ends:
            self.how()


class _Fused:
    """One part of a site, as it is, but for the fuse."""

    def __init__(self, part: Any, name: str, fuse: Fuse) -> None:
        self._part, self._name, self._fuse = part, name, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._fuse.burn(f"{self._name}.{name}")
            return found(*args, **kwargs)

        return call


def fused(site: Site, fuse: Fuse) -> Site:
    """The site with every part on the fuse."""
    parts = {
        name: _Fused(getattr(site, name), name, fuse) for name in ("registry", "lake", "downlink", "events")
    }
    return replace(site, **parts)


def telling_points(calls: list[str]) -> list[int]:
    """Where to die: before the first, the second and the last call of each kind, and after them all.

    Between two calls nothing is written, so dying before one is dying after the one before it.
    """
    where: dict[str, list[int]] = {}
    for n, name in enumerate(calls, start=1):
        where.setdefault(name, []).append(n)
    return sorted({n for found in where.values() for n in (*found[:2], found[-1])})
