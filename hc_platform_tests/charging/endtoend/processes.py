"""Runs in processes of their own, for kills and races that no thread can show.

What belongs here: what a child does. What does not: assertions.
"""

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from datetime import datetime
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from hc_platform.charging.downlinks.sidewalk import SidewalkDownlink
from hc_platform.charging.tick import tick
from hc_platform_tests.charging.endtoend.crashing import Fuse, fused, kill
from hc_platform_tests.charging.endtoend.world import Clock, site_in

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])


def run(
    folder: Path,
    at: datetime,
    *,
    watttime: str | None = None,
    sidewalk: str | None = None,
    dies_at: int = 0,
    dies_after_s: float | None = None,
    meet: Barrier | None = None,
) -> None:
    """One run at an instant. It kills itself before its `dies_at`-th call or after so long, wherever it is then.

    `meet`: all runs have decided before any of them writes.
    """
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ[name] = "loopback"
    now = Clock(at)
    downlink = SidewalkDownlink(endpoint_url=sidewalk, clock=now) if sidewalk else None
    site = site_in(folder, now, watttime=watttime, downlink=downlink)
    if meet:
        site = replace(site, registry=_Meeting(site.registry, meet))
    if dies_after_s is not None:
        threading.Thread(target=_kill_after, args=(dies_after_s,), daemon=True).start()
    tick(fused(site, Fuse(dies_at, kill)), at, cause="child")


def start(*args: Any, **kwargs: Any) -> ForkServerProcess:
    child = PROCESSES.Process(target=run, args=args, kwargs=kwargs)
    child.start()
    return child


def killed(child: ForkServerProcess) -> bool:
    """Whether it killed itself, once it is over; False where it came to its end."""
    child.join(120)
    if child.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the child ended with {child.exitcode}")
    return child.exitcode == -signal.SIGKILL


def _kill_after(seconds: float) -> None:
    time.sleep(seconds)
    kill()


class _Meeting:
    """A registry whose first commit waits for the other runs'."""

    def __init__(self, registry: Any, meet: Barrier) -> None:
        self._registry, self._meet = registry, meet

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)

    def commit(self, *args: Any, **kwargs: Any) -> Any:
        self._meet.wait(60)
        return self._registry.commit(*args, **kwargs)
