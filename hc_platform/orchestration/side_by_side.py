"""Many utilities at once: no two of one host, and an end when asked.

What belongs here: who may start when, and how the end is asked for. What does not: what a run does (`workers`), what is
told of it (`ingesting`).
"""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from hc_platform.sources import SourceError

T = TypeVar("T")
SPAWN = multiprocessing.get_context("spawn")
"""Polars and DuckDB have threads, which a fork would lose."""
HEAVY_AT_ONCE = max(1, (os.cpu_count() or 1) // 4)
"""A heavy step of millions of sections takes about a gigabyte, and up to four threads by itself."""


class StoppedError(SourceError):
    """Somebody asked for the end: nothing of this step was published, and the next run goes on from there."""


class Stop:
    """Asked for once, every run ends at its next page or before its next heavy step, in whatever process it is."""

    def __init__(self) -> None:
        self._asked = SPAWN.Event()
        self._turns = SPAWN.Semaphore(HEAVY_AT_ONCE)

    @property
    def asked(self) -> bool:
        """Whether the end was asked for."""
        return self._asked.is_set()

    def ask(self) -> None:
        """End what runs."""
        self._asked.set()

    def check(self) -> None:
        """Raises StoppedError if the end was asked for."""
        if self.asked:
            raise StoppedError("stopped; what was fetched is kept, and the next run goes on from there")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The turn of a heavy step. Raises StoppedError."""
        with self._turns:
            self.check()
            yield

    @contextmanager
    def on_signals(self, tell: Callable[[], None]) -> Iterator[None]:
        """Ctrl-C and SIGTERM ask for the end; a second one ends the process, whose runs the next one resumes."""

        def asked(signal_number: int, frame: object) -> None:
            if self.asked:
                os._exit(128 + signal_number)  # one that waits for a server cannot be ended otherwise
            self.ask()
            tell()

        before = {s: signal.signal(s, asked) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass(frozen=True)
class Piece:
    """One utility's snapshot, and what it needs for itself alone: hosts, or whatever else has a name."""

    code: str
    snapshot: str
    needs: frozenset[str]


def side_by_side(
    pieces: Sequence[Piece],
    work: Callable[[Piece], T],
    make_worker: Callable[[], Executor],
    workers: int,
    stop: Stop,
) -> Iterator[tuple[Piece, Future[T]]]:
    """The finished futures as they come, those that raised too.

    Pieces of one need keep their order; the most wanted needs go first, for they last longest. A worker that dies costs
    its piece only. Once the end is asked for, nothing more starts, and the iteration ends with what runs.
    """
    wanted = Counter(need for piece in pieces for need in piece.needs)
    waiting = sorted(pieces, key=lambda p: -max((wanted[n] for n in p.needs), default=0))
    free = [make_worker() for _ in range(min(workers, len(pieces)))]
    running: dict[Future[T], tuple[Piece, Executor]] = {}
    try:
        while running or (waiting and not stop.asked):
            if not stop.asked:
                for piece in _next(waiting, [its for its, _ in running.values()], len(free)):
                    waiting.remove(piece)
                    worker = free.pop()
                    running[worker.submit(work, piece)] = (piece, worker)
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                piece, worker = running.pop(future)
                free.append(make_worker() if isinstance(future.exception(), BrokenExecutor) else worker)
                yield piece, future
    finally:
        for worker in free:
            worker.shutdown()


def _next(waiting: list[Piece], running: list[Piece], free: int) -> list[Piece]:
    """What may start now; a piece that must wait keeps its needs from those behind it."""
    taken = {need for piece in running for need in piece.needs}
    chosen: list[Piece] = []
    for piece in waiting:
        if len(chosen) < free and not taken & piece.needs:
            chosen.append(piece)
        taken |= piece.needs
    return chosen
