"""Asks the pieces of a plan, judges each answer, splits what was too much, and learns what the server can
do.

Belongs here: when a piece counts as done. Does not belong here: which plan (pull), how to send
(transport).
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import polars as pl

from hc_platform.arcgis.decode import Page
from hc_platform.arcgis.errors import ArcGISError
from hc_platform.arcgis.metadata import LayerInfo, count_rows, query_url
from hc_platform.arcgis.plan import IdList, OidWindow, Piece, RowRange, Tile
from hc_platform.arcgis.store import Store
from hc_platform.arcgis.transport import Session

_SMALLEST_PAGE = 50  # a page limit learnt from failures goes no lower: the fault is then in single rows
_MAX_QUARANTINED = 1000
_MAX_STUCK_TILES = 20


class UnfitPlan(Exception):  # noqa: N818 (a signal inside this package, never seen by callers)
    """The server does not answer this kind of question truthfully: another plan is needed.

    `identity` says that the object ids themselves are no identity, so that no plan by id can work.
    """

    def __init__(self, reason: str, *, identity: bool = False) -> None:
        self.reason = reason
        self.identity = identity
        super().__init__(reason)


@dataclass
class Engine:
    """Runs pieces to the end and writes their rows. One per pull; what it learns holds for later pieces."""

    session: Session
    info: LayerInfo
    store: Store
    where: str
    params: dict[str, str]
    decoder: Callable[[bytes], Page]
    page: int
    density: float = 1.0  # rows per id in a window
    cap: int | None = None  # the most rows the server gives, as metadata says or as learnt
    stop_after: int | None = None
    progress: Callable[[int, int], None] | None = None
    expected: int = 0
    counts: bool = True  # whether the server answers counts, which then tell a heavy page from a dead server
    ids: Sequence[int] | None = None  # all ids that match, ascending, where they had to be asked anyway
    quarantined: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped: bool = False
    # pieces saved that are neither full nor counted, and their rows: what a cap found later puts in doubt
    _open: dict[str, tuple[Piece, int]] = field(default_factory=dict)
    _seen: Counter[int] = field(default_factory=Counter)
    _truncated: Counter[int] = field(default_factory=Counter)
    _flag_lies: int = 0
    _failures: int = 0
    _big_failures: int = 0
    _answered: bool = False
    _probed: bool = False
    _tainted: set[str] = field(default_factory=set)
    _page_starts: list[tuple[int, ...]] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Tell the person who reads the result, once."""
        if text not in self.notes:
            self.notes.append(text)

    async def run(self, pieces: Sequence[Piece]) -> None:
        """Ask every piece until its rows are on disk or it is quarantined.

        Raises ArcGISError where going on is useless, UnfitPlan where this kind of question is answered
        wrongly. What was saved before stays on disk.
        """
        waiting = deque(pieces)
        running: set[asyncio.Task[Sequence[Piece]]] = set()
        # two more than in flight, to decode meanwhile; a sample goes in order, one piece at a time
        workers = self.session.http.in_flight + 2 if self.stop_after is None else 1
        try:
            while waiting or running:
                if self.stop_after is not None and self.store.rows >= self.stop_after:
                    self.stopped = True
                    return
                while waiting and len(running) < workers:
                    running.add(asyncio.create_task(self._ask(waiting.popleft())))
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                failures = [failure for task in done if (failure := task.exception())]
                if failures:
                    raise failures[0]
                for task in done:
                    waiting.extendleft(reversed(task.result()))
                if self.progress:
                    self.progress(self.store.rows, self.expected)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _ask(self, piece: Piece) -> Sequence[Piece]:
        """Work on one piece; the answer is what remains to be asked because of it."""
        likely = (piece.size or 0) * (self.density if isinstance(piece, OidWindow) else 1.0)
        if likely > self.page * 1.5:
            return piece.split(ceil(likely / self.page))
        try:
            page = await self._query(piece)
        except ArcGISError as error:
            return await self._failed(piece, error, likely)
        self._answered, self._failures = True, 0
        for note in page.notes:
            self.note(note)
        return await self._judge(piece, page)

    async def _query(self, piece: Piece) -> Page:
        params = {**self.params, **piece.params(self.where)}
        return await self.session.ask(query_url(self.info), params, self.decoder)

    async def _failed(self, piece: Piece, error: ArcGISError, likely: float) -> Sequence[Piece]:
        if error.kind in ("bad_request", "schema") and not self._answered:
            raise UnfitPlan(error.what, identity=error.kind == "schema") from error
        if error.kind not in ("retry", "shrink"):
            raise error
        if not self._answered and not self._probed:
            self._probed = True
            if not await self._answers_least(piece):
                raise UnfitPlan(error.what) from error
        self._failures += 1
        in_flight = self.session.http.in_flight
        if self._failures > 16 * in_flight:
            raise error  # sixteen halvings everywhere and not one answer
        if self._failures % in_flight == 1 or in_flight == 1:
            try:
                alive = await count_rows(self.session, self.info, {"where": self.where}) is not None
            except ArcGISError:
                alive = False
            if not alive and self.counts:
                raise error
        if piece.name not in self._tainted:
            self._big_failures += 1
            if self._big_failures >= 2:  # two places at once: not a bad row, but pages that are too heavy
                self._big_failures = 0
                self.page = max(_SMALLEST_PAGE, min(self.page, int(likely) // 2))
                self.note(f"the server fails on larger pages, asked for {self.page} rows at a time")
        parts = piece.split(2)
        if not parts:
            self._quarantine(piece, error.what)
        self._tainted.update(part.name for part in parts)
        return parts

    async def _answers_least(self, piece: Piece) -> bool:
        """Whether the server answers this kind of question at all: single rows, at both ends and inside."""
        for path in ((0, 0), (-1, -1), (0, -1), (-1, 0)):
            least, turn = piece, 0
            while parts := least.split(2):
                least, turn = parts[path[min(turn, 1)]], turn + 1
            try:
                await self._query(least)
            except ArcGISError:
                continue
            return True
        return self._answered

    def _quarantine(self, piece: Piece, reason: str) -> None:
        if len(self.quarantined) >= (_MAX_STUCK_TILES if isinstance(piece, Tile) else _MAX_QUARANTINED):
            raise ArcGISError(
                "down",
                f"more than {len(self.quarantined)} rows could not be fetched ({reason})",
                self.info.url,
            )
        entry: dict[str, Any] = {"window": piece.name, "reason": reason}
        if isinstance(piece, OidWindow):
            entry["object_id"] = piece.hi
        elif isinstance(piece, IdList):
            entry["object_id"] = piece.ids[0]
        self.quarantined.append(entry)

    async def _judge(self, piece: Piece, page: Page) -> Sequence[Piece]:
        frame = self._checked(piece, page)
        rows = frame.height
        if isinstance(piece, RowRange):
            return await self._judge_row_range(piece, page, frame)
        # nothing more can be in it; that a row is absent from a window of one, only the last reckoning can tell
        full = rows == piece.size or piece.size == 1 or (rows == 0 and isinstance(piece, Tile))
        counted = False
        expected = self._known_size(piece)
        if not full and (self._doubtful(page, rows) if expected is None else rows < expected):
            if expected is None:
                expected = await count_rows(self.session, self.info, piece.params(self.where))
            if expected is None or expected > rows:
                return self._too_much(piece, rows, expected)
            counted = True
            if page.exceeded:
                self._flag_lies += 1
                self.note(
                    "the server claims that rows are missing where none are; its counts are believed instead"
                )
        await self._save(piece, frame, page)
        if not (full or counted):
            self._open[piece.name] = (piece, rows)
        return []

    def _doubtful(self, page: Page, rows: int) -> bool:
        """Whether rows may be missing: the server's flag, the known cap, or the greatest number seen,
        seen again.
        """
        repeated = rows > 1 and rows >= max(self._seen, default=rows) and self._seen[rows] > 0
        self._seen[rows] += 1
        if page.exceeded and self._flag_lies >= 3:
            return repeated
        return page.exceeded or repeated or (self.cap is not None and rows >= self.cap)

    def _known_size(self, piece: Piece) -> int | None:
        """How many rows the piece must have, where the server's ids are known."""
        if isinstance(piece, IdList):
            return piece.size
        if isinstance(piece, OidWindow) and self.ids is not None:
            return bisect_right(self.ids, piece.hi) - bisect_right(self.ids, piece.lo)
        return None

    def _too_much(self, piece: Piece, rows: int, expected: int | None) -> Sequence[Piece]:
        """The server left rows out: ask in smaller parts, also where it did so before unnoticed."""
        again = [*piece.split(ceil((expected or 0) / max(rows, 1)))]
        if not again:
            self._quarantine(
                piece, f"the server gives {rows} of {expected or 'more'} rows and it cannot be split"
            )
        self._truncated[rows] += 1
        if (
            rows
            and (self._truncated[rows] > 1 or self._seen[rows] > 1)
            and rows < (self.cap or self.page + 1)
        ):
            self.note(f"the server caps pages at {rows} rows, its metadata says {self.info.max_record_count}")
            self.cap, self.page = rows, min(self.page, rows)
            for name, (other, had) in list(self._open.items()):
                if had >= rows:
                    del self._open[name]
                    self.store.drop(name)
                    again += other.split(2)
        return again

    async def _judge_row_range(self, piece: RowRange, page: Page, frame: pl.DataFrame) -> Sequence[Piece]:
        rows = frame.height
        start = tuple(frame.head(20).hash_rows().to_list())
        if rows and any(start[: len(other)] == other[: len(start)] for other in self._page_starts):
            raise UnfitPlan("the server ignores resultOffset")
        if rows:
            self._page_starts.append(start)
        if rows == 0 and page.exceeded and piece.size > 1:
            return piece.split(2)
        got = RowRange(piece.lo, piece.lo + rows, piece.order) if rows else piece
        await self._save(got, frame, page)
        return [RowRange(got.hi, piece.hi, piece.order)] if 0 < rows < piece.size else []

    def _checked(self, piece: Piece, page: Page) -> pl.DataFrame:
        """The page's rows, each once. Raises UnfitPlan where they are not what was asked for."""
        frame = page.frame
        if isinstance(piece, Tile):
            return frame
        if not isinstance(piece, RowRange) or frame["object_id"].null_count() == 0:
            if frame["object_id"].n_unique() < frame.height:
                frame = frame.unique(maintain_order=True)
                self.note("the server sent some rows twice; each was kept once")
            if frame["object_id"].n_unique() < frame.height:
                raise UnfitPlan("different rows have the same object id", identity=True)
        if frame.height and not piece.holds(frame["object_id"].to_numpy()):
            raise UnfitPlan("the server answers with rows that were not asked for")
        return frame

    async def _save(self, piece: Piece, frame: pl.DataFrame, page: Page) -> None:
        await asyncio.to_thread(self.store.save, piece.name, frame, page.null_tokens)
        for identity, reason in page.unreadable:
            self.quarantined.append(
                {"object_id": identity, "window": piece.name, "reason": reason, "kept": True}
            )
