"""Many utilities at once in one process: no two of one host, a bounded number of heavy steps, an end when asked.

What belongs here: who may start when. What does not: what a run does, what is told of it (`ingesting`).

Threads do: fetching waits for servers, and the heavy steps work in Polars and DuckDB, which let the interpreter go; so
one process keeps one timetable of requests per host, and its memory is that of one interpreter.
"""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from hc_platform.sources import SourceError

T = TypeVar("T")
HEAVY_AT_ONCE = max(1, (os.cpu_count() or 1) // 4)
"""A heavy step of millions of sections takes about a gigabyte, and up to four threads by itself."""


class StoppedError(SourceError):
    """Somebody asked for the end: nothing of this step was published, and the next run goes on from there."""


@dataclass
class Stop:
    """Asked for once, every run ends at its next page or before its next step."""

    _asked: threading.Event = field(default_factory=threading.Event)
    _turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(HEAVY_AT_ONCE))

    def ask(self) -> None:
        """End what runs."""
        self._asked.set()

    @property
    def asked(self) -> bool:
        """Whether the end was asked for."""
        return self._asked.is_set()

    def check(self) -> None:
        """Raises StoppedError if the end was asked for."""
        if self.asked:
            raise StoppedError("stopped; what was fetched is kept, and the next run goes on from there")

    @contextmanager
    def on_signals(self, tell: Callable[[], None]) -> Iterator[None]:
        """Ctrl-C and SIGTERM ask for the end; a second one ends the process, whose runs the next one will resume."""

        def asked(signal_number: int, frame: object) -> None:
            if self.asked:
                os._exit(128 + signal_number)  # a thread that waits for a server cannot be ended otherwise
            self.ask()
            tell()

        before = {s: signal.signal(s, asked) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The turn of a heavy step. Raises StoppedError."""
        with self._turns:
            self.check()
            yield


@dataclass(frozen=True)
class Piece:
    """A piece of work, and what it needs for itself alone: hosts, or whatever else has a name."""

    name: str
    snapshot: str
    needs: frozenset[str]


def side_by_side(
    pieces: Sequence[Piece],
    work: Callable[[Piece], T],
    workers: int,
    stop: Stop,
) -> Iterator[tuple[Piece, T]]:
    """Results as they come. Pieces of one need keep their order; the most wanted needs go first, for they last longest.

    Once the end is asked for, nothing more starts, and the iteration ends with what runs. `work` must not raise.
    """
    wanted = Counter(need for piece in pieces for need in piece.needs)
    waiting = sorted(pieces, key=lambda p: -max((wanted[n] for n in p.needs), default=0))
    running: dict[Future[T], Piece] = {}
    with ThreadPoolExecutor(workers, thread_name_prefix="ingest") as pool:
        while running or (waiting and not stop.asked):
            if not stop.asked:
                _start(waiting, running, workers, lambda piece: pool.submit(work, piece))
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()


def _start(
    waiting: list[Piece],
    running: dict[Future[T], Piece],
    workers: int,
    submit: Callable[[Piece], Future[T]],
) -> None:
    """Start what may start; a piece that must wait keeps its needs from those behind it."""
    taken = {need for piece in running.values() for need in piece.needs}
    for piece in list(waiting):
        if len(running) == workers:
            return
        if not taken & piece.needs:
            waiting.remove(piece)
            running[submit(piece)] = piece
        taken |= piece.needs
