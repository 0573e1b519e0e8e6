"""The runs of `hc ingest`, each in a worker of its own.

What belongs here: what a worker holds, how it is told to end, how it tells of its progress. What does not: who may start
when (`side_by_side`).

Workers are processes: at the start of every run Dagster configures Python's logging anew (DagsterInstance's
get_yaml_python_handlers calls logging.config.dictConfig), under a lock that another thread's event waits for while it
holds one that this needs; two runs in threads of one process stop each other for ever (seen with 1.13). One run at a time
is well served by a thread, beside which the main thread is free for signals.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg

from hc_platform.catalog import Catalog
from hc_platform.definitions import build_definitions
from hc_platform.orchestration.hosts import host_pool
from hc_platform.orchestration.local_runs import RunOutcome, holders, run_utility
from hc_platform.orchestration.platform import Platform
from hc_platform.orchestration.side_by_side import SPAWN, Piece, Stop
from hc_platform.settings import Settings
from hc_platform.sources.base import Progress

_PARENT_GONE_S = 0.5


@dataclass(frozen=True)
class Options:
    """How the runs are to be; see run_utility."""

    force: bool = False
    rebuild: bool = False
    accept_row_change: bool = False


@dataclass(frozen=True)
class _Site:
    """What a worker holds for all its runs."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    catalog: Catalog
    watch: Progress


_site: _Site | None = None


@contextmanager
def workers(
    settings: Settings, catalog: Catalog, stop: Stop, watch: Progress, *, several: bool
) -> Iterator[Callable[[], Executor]]:
    """What makes a worker: a thread here for one at a time, else processes, whose progress reaches `watch` too."""
    if not several:
        _enter(settings, catalog, stop, watch)
        yield partial(ThreadPoolExecutor, 1)
        return
    told = SPAWN.Queue()

    def listen() -> None:
        while (news := told.get()) is not None:
            watch(*news)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        start = (settings, catalog, stop, told, os.getpid())
        yield partial(ProcessPoolExecutor, 1, mp_context=SPAWN, initializer=_start, initargs=start)
    finally:
        told.put(None)
        listener.join()


def work(options: Options, piece: Piece) -> tuple[RunOutcome, float]:
    """One utility's run, and the seconds that it took."""
    if _site is None:
        raise RuntimeError("a worker works only after it was started")
    began = time.monotonic()
    config = _site.catalog[piece.code]
    if not options.rebuild and (busy := holders(_site.instance, host_pool(config))):
        # another process of this machine; it is told like a layer that has not begun
        _site.watch(f"{piece.code}: waits for run {', '.join(busy)} at the same host", 0, 1)
    outcome = run_utility(
        _site.definitions,
        _site.instance,
        piece.code,
        piece.snapshot,
        force=options.force,
        fetch=not options.rebuild,
        accept_row_change=options.accept_row_change,
    )
    return outcome, time.monotonic() - began


def _start(settings: Settings, catalog: Catalog, stop: Stop, told: Any, parent: int) -> None:
    """Make this process a worker: Ctrl-C is the parent's to hear, and without a parent there is no work."""
    os.setpgrp()
    atexit.register(os._exit, 0)  # DuckDB would tell at length of what it did not free
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _enter(settings, catalog, stop, lambda *news: told.put(news))


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_GONE_S)
    os._exit(1)


def _enter(settings: Settings, catalog: Catalog, stop: Stop, watch: Progress) -> None:
    global _site

    def watch_or_stop(layer: str, done: int, total: int) -> None:
        stop.check()
        watch(layer, done, total)

    platform = Platform(settings, catalog, watch=watch_or_stop, turn=stop.turn)
    _site = _Site(build_definitions(platform), dg.DagsterInstance.get(), catalog, watch)
