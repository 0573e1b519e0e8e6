"""The last reckoning: are the rows on disk the server's rows, and if not, which are to be fetched or dropped.

Belongs here: comparing by edit date, by ids or by counts, and mending the difference. Does not belong here:
choosing a plan and passing judgement (pull), rewriting files (merge).
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import polars as pl

from hc_platform.arcgis import merge, metadata, plan
from hc_platform.arcgis.engine import Engine, UnfitPlan
from hc_platform.arcgis.errors import ArcGISError
from hc_platform.arcgis.metadata import LayerInfo
from hc_platform.arcgis.result import LayerPull
from hc_platform.arcgis.store import Store
from hc_platform.arcgis.transport import Session

MISSING_SHOWN = 1000
_ROUNDS = 3  # how often the difference to the server is fetched while the server keeps changing
_IDS_AT_ONCE = 100_000  # servers that cannot list millions of ids can list so many


@dataclass(frozen=True)
class _Span:
    """The rows with `lo < id <= hi`; None is an open end."""

    lo: int | None
    hi: int | None

    def where(self, where: str, oid_field: str) -> str:
        ends = [f"{oid_field} > {self.lo}"] if self.lo is not None else []
        ends += [f"{oid_field} <= {self.hi}"] if self.hi is not None else []
        return " AND ".join([f"({where})", *ends]) if ends else where

    def of(self, ids: pl.Series) -> pl.Series:
        """Those of the ids, ascending, that are in it."""
        start = 0 if self.lo is None else int(ids.search_sorted(self.lo, side="right"))
        end = len(ids) if self.hi is None else int(ids.search_sorted(self.hi, side="right"))
        return ids.slice(start, end - start)


def _spans(ids: pl.Series, size: int) -> list[_Span]:
    """Spans with `size` of the ids (ascending) in each; together they hold every id that there can be."""
    edges = [None, *ids.gather_every(size, offset=size - 1).to_list(), None]
    return [_Span(lo, hi) for lo, hi in pairwise(edges)]


@dataclass
class Reckoning:
    """Makes the rows on disk the server's rows. One per pull, after `engine` has run.

    `edited_at`: the layer's edit date at the last look. `adjusted`: rows were taken out or exchanged.
    """

    session: Session
    info: LayerInfo
    where: str
    store: Store
    engine: Engine
    result: LayerPull
    new_engine: Callable[[], Engine]
    edited_at: datetime | None = None
    adjusted: bool = False

    async def look(self) -> int | None:
        """Ask the count and the edit date anew. The answer is the count."""
        self.result.count_after = await metadata.count_rows(self.session, self.info, {"where": self.where})
        self.edited_at = await metadata.edited_at(self.session, self.info)
        return self.result.count_after

    async def reconcile(self) -> bool:
        """Fetch what is missing, drop what is gone. Returns whether the rows are the server's now.

        Equal counts prove nothing by themselves: as many rows may have been deleted as inserted. They are
        enough only where the server tells an edit date and it has not moved.
        """
        for _ in range(_ROUNDS):
            have, counted = self._tidy(), self.result.count_after
            if counted is not None and counted == len(have) == self.result.count_before and self._unedited():
                return self._agreed(True)
            ids = await self._ids(have, counted)
            verdict = await (self._by_counts(have) if ids is None else self._by_ids(ids, have))
            if verdict is not None:
                return self._agreed(verdict)
            await self.look()
        self.result.missing_count = max(0, (self.result.count_after or 0) - len(self._tidy()))
        self.engine.note(
            f"after {_ROUNDS} corrections the rows on disk still are not proved to be the server's"
        )
        return False

    def _tidy(self) -> pl.Series:
        """The object ids on disk, ascending, each once."""
        have = self.store.ids()
        if have.n_unique() < len(have) or not have.is_sorted():
            merge.sort_and_unite(self.store)
            have = self.store.ids()
        return have

    def _unedited(self) -> bool:
        return self.info.edited_at is not None and self.edited_at == self.info.edited_at

    def _agreed(self, verdict: bool) -> bool:
        if verdict:
            self.result.missing_count, self.result.missing_object_ids = 0, []
        return verdict

    @property
    def _known_bad(self) -> set[int]:
        entries = [entry for entry in self.engine.quarantined if not entry.get("kept")]
        return {entry["object_id"] for entry in entries if entry.get("object_id") is not None}

    async def _ids(self, have: pl.Series, counted: int | None) -> list[int] | None:
        """The server's distinct ids, ascending, or None where it cannot list them."""
        ids: list[int] | None = None
        if len(have) > _IDS_AT_ONCE:
            ids = await self._ids_in_spans(have)
        if ids is None:
            ids = await metadata.list_ids(self.session, self.info, self.where)
        if ids is not None and len(ids) < min(counted or 0, len(have)) and await self.look() == counted:
            # believing a list that was cut short would drop good rows
            self.engine.note(
                f"the server lists {len(ids)} ids but counts {counted} rows: the list was not used"
            )
            return None
        return ids

    async def _ids_in_spans(self, have: pl.Series) -> list[int] | None:
        ids: set[int] = set()
        for span in _spans(have, _IDS_AT_ONCE):
            where = span.where(self.where, self.info.object_id_field or "")
            part = await metadata.list_ids(self.session, self.info, where)
            if part is None:
                return None
            ids.update(part)
        return sorted(ids)

    async def _by_ids(self, ids: list[int], have: pl.Series) -> bool | None:
        """Mend the difference to the server's ids. None: something was mended, so look again."""
        result = self.result
        counted = result.count_after
        if counted is None:
            result.count_after = counted = len(ids)
        there, ours = set(ids), set(have.to_list())
        missing, gone = sorted(there - ours), ours - there
        result.missing_count, result.missing_object_ids = len(missing), missing[:MISSING_SHOWN]
        if not missing and not gone:
            if counted != len(ids):
                self.engine.note(f"the server counts {counted} rows but lists {len(ids)} ids")
            elif not self._unedited():
                self.engine.note(f"the ids on disk were compared with the server's: {len(ids)} on both sides")
            return counted == len(ids)
        if gone:
            self.adjusted = True
            self.engine.note(f"{len(gone)} rows were deleted at the source during the download and left out")
            merge.remove(self.store, gone)
        self.adjusted |= self._inserted(missing)
        wanted = sorted(set(missing) - self._known_bad)
        if wanted:
            await self._fetch_missing(wanted)
        return False if missing and not wanted else None

    def _inserted(self, ids: list[int]) -> bool:
        """Whether some of the ids (ascending) lie beyond all that there were at the start."""
        covered = [span for span in map(plan.span_of, self.store.names) if span]
        if not ids or not covered:
            return False
        return ids[0] <= min(covered)[0] or ids[-1] > max(hi for _, hi in covered)

    async def _by_counts(self, have: pl.Series) -> bool | None:
        """Compare by count, span by span, and fetch anew what differs. None: something was, so look again."""
        result, total = self.result, self.result.count_after
        spans = _spans(have, self.engine.page)
        oid_field = self.info.object_id_field or ""
        told = await asyncio.gather(
            *(self._count({"where": span.where(self.where, oid_field)}) for span in spans)
        )
        counts = [number for number in told if number is not None]
        if len(counts) < len(spans):
            self.engine.note(f"{len(have)} rows came, the server counts {total} and cannot list its ids")
            if total == len(have):
                self.engine.note(
                    "only the total could be compared: a row replaced during the download would go unseen"
                )
            result.missing_count = abs((total or 0) - len(have))
            return total == len(have)
        bad = pl.Series(sorted(self._known_bad), dtype=pl.Int64)
        lacking = [number - len(span.of(have)) for span, number in zip(spans, counts, strict=True)]
        excused = [len(span.of(bad)) for span in spans]
        result.missing_count = sum(max(0, number) for number in lacking)
        again = [span for span, n, known in zip(spans, lacking, excused, strict=True) if n not in (0, known)]
        if again:
            return None if await self._fetch_spans(again, have) else False
        result.count_after = sum(counts)
        self.engine.note(
            f"the server cannot list its ids: its counts in {len(spans)} windows were compared with the rows "
            "on disk; a row replaced by another of the same window would go unseen"
        )
        return not any(lacking)

    async def _count(self, params: dict[str, str]) -> int | None:
        try:
            return await metadata.count_rows(self.session, self.info, params)
        except ArcGISError as error:
            if error.kind in ("auth", "moved", "down", "blocked"):
                raise
            return None

    async def _fetch_spans(self, spans: list[_Span], have: pl.Series) -> bool:
        """Fetch whole spans anew in place of what is on disk of them. Returns whether they all came."""
        bounds = await metadata.id_bounds(self.session, self.info, self.where)
        known = [*have.head(1), *have.tail(1), *((bounds.least, bounds.greatest) if bounds else ())]
        if not known:
            return False
        ends = [
            (min(known) - 1 if s.lo is None else s.lo, max(known) if s.hi is None else s.hi) for s in spans
        ]
        pieces = [plan.OidWindow(lo, hi, self.info.object_id_field or "") for lo, hi in ends if lo < hi]
        aside, whole = await self._aside(pieces)
        if whole:
            stale = {number for span in spans for number in span.of(have).to_list()}
            fresh = sorted(aside.ids().to_list())
            self.adjusted |= bool(stale.difference(fresh)) or self._inserted(fresh)
            self.engine.note(
                f"{len(spans)} windows whose count differed were fetched again: {aside.rows} rows in place of "
                f"{len(stale)}"
            )
            merge.remove(self.store, stale)
            merge.merge(self.store, aside)
        shutil.rmtree(aside.directory)
        return whole

    async def _fetch_missing(self, ids: list[int]) -> None:
        """Fetch rows by id and merge them into the files they belong to."""
        aside, _ = await self._aside(plan.id_lists(ids, self.engine.page))
        self.engine.note(f"{aside.rows} of {len(ids)} rows that the windows did not bring were fetched by id")
        merge.merge(self.store, aside)
        shutil.rmtree(aside.directory)

    async def _aside(self, pieces: Sequence[plan.Piece]) -> tuple[Store, bool]:
        """Pieces fetched into a folder of their own, and whether all of their rows came."""
        aside = Store(self.store.directory / "missing", {"at": datetime.now(UTC).isoformat()})
        engine = self.new_engine()
        engine.store, engine.progress = aside, None
        engine.page, engine.cap, engine.density = self.engine.page, self.engine.cap, self.engine.density
        engine.quarantined = self.engine.quarantined
        before = len(engine.quarantined)
        try:
            await engine.run(pieces)
        except UnfitPlan:  # then the ids stay missing, and the pull partial
            return aside, False
        return aside, len(engine.quarantined) == before
