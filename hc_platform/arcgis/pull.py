"""Download a whole layer into a folder, resumable, and prove that nothing is missing.

Belongs here: choosing a plan, resuming, the final judgement. Does not belong here: single pieces (engine),
comparing with the server (reckoning), what the rows mean (other packages).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from hc_platform.arcgis import merge, metadata, plan
from hc_platform.arcgis.decode import page_decoder
from hc_platform.arcgis.engine import Engine, UnfitPlan
from hc_platform.arcgis.errors import ArcGISError, mask
from hc_platform.arcgis.metadata import LayerInfo
from hc_platform.arcgis.reckoning import Reckoning
from hc_platform.arcgis.result import LayerPull, Plan
from hc_platform.arcgis.store import Store
from hc_platform.arcgis.transport import HttpOptions, Session, run_sync

Geometry = Literal["full", "centroid", "none"]
DEFAULT_PAGE = 2000  # rows; more only where asked for, since heavy pages are what servers fail on
_DENSE = 0.7  # from this share of used ids on, windows as wide as a page can never hold more than a page
# Without an edit date (every MapServer) nobody tells that all values were recalculated under the same ids. A
# crash is retried within minutes or hours; studies are days apart. So windows begun earlier than this may be of
# another study than today's, and are fetched anew.
_UNDATED_LIFE = timedelta(hours=6)


def pull_layer(
    info: LayerInfo,
    directory: Path,
    *,
    where: str = "1=1",
    out_fields: Sequence[str] = ("*",),
    page_size: int | None = None,
    out_sr: int = 4326,
    http: HttpOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop_after: int | None = None,
    geometry: Geometry = "full",
) -> LayerPull:
    """Download every row of a layer that matches `where` into `directory`, one Parquet file per window.

    The files have object_id (int64), attributes (the JSON text that the server sent) and geometry (WKB in
    `out_sr`). When `directory` holds windows of the same question (layer, where, fields, out_sr, time of
    last edit, or begun a few hours ago where the server tells none) they are kept and only the rest is
    fetched; otherwise it is cleared. `page_size` is rows per request, at most what the server allows.
    `progress` is called with rows on disk and rows expected.
    `stop_after` ends the download once so many rows are there (status `partial`), for samples. `geometry`
    says what is asked for: outlines, the centroids of polygons as the server reckons them, or no place.

    Raises ArcGISError where going on makes no sense (auth, blocked, moved, down, bad_request), and `schema`
    where the layer has no centroids to give; what was fetched stays on disk for the next call.
    """
    if geometry == "centroid":
        _check_centroids(info)
    work = _Pull(info, directory, where, tuple(out_fields), page_size, out_sr, progress, stop_after, geometry)

    async def run() -> LayerPull:
        async with Session(http or HttpOptions()) as session:
            return await work.run(session)

    return run_sync(run())


def _check_centroids(info: LayerInfo) -> None:
    """Raise unless the layer says that it gives centroids: one that does not sends rows without any place."""
    if info.geometry_type != "esriGeometryPolygon":
        what = (
            f"its geometry is {info.geometry_type}, and only polygons have centroids: ask for geometry full"
        )
        raise ArcGISError("schema", what, info.url)
    if not (info.raw.get("advancedQueryCapabilities") or {}).get("supportsReturningGeometryCentroid"):
        raise ArcGISError("schema", "the server gives no centroids: ask for geometry full or none", info.url)


@dataclass
class _Pull:
    info: LayerInfo
    directory: Path
    where: str
    out_fields: tuple[str, ...]
    page_size: int | None
    out_sr: int
    progress: Callable[[int, int], None] | None
    stop_after: int | None
    geometry: Geometry

    session: Session = field(init=False)
    store: Store = field(init=False)
    engine: Engine = field(init=False)
    result: LayerPull = field(init=False)

    async def run(self, session: Session) -> LayerPull:
        self.session = session
        info = self.info
        self.result = LayerPull(info, self.where, "oid_windows", datetime.now(UTC))
        count = await metadata.count_rows(session, info, {"where": self.where})
        self.result.count_before = count
        max_age = None if info.edited_at else _UNDATED_LIFE
        self.store = Store(self.directory, self._fingerprint(count), max_age=max_age)
        self.result.resumed_rows = self.store.rows if self.store.plan in ("oid_windows", "object_ids") else 0
        await self._fetch()
        await self._finish()
        return self.result

    def _fingerprint(self, count: int | None) -> dict[str, Any]:
        edited = self.info.edited_at
        return {
            "layer": mask(self.info.url),
            "where": self.where,
            "out_fields": list(self.out_fields),
            "out_sr": self.out_sr,
            "geometry": self.geometry,
            "edited_at": edited.isoformat() if edited else None,
            "count": None if edited else count,
            "object_id_field": self.info.object_id_field,
        }

    def _engine(self, oid_field: str | None) -> Engine:
        info = self.info
        page = min(self.page_size or DEFAULT_PAGE, info.max_record_count or self.page_size or 1000)
        fields = list(self.out_fields)
        if oid_field and "*" not in fields and oid_field.lower() not in (name.lower() for name in fields):
            fields.insert(0, oid_field)
        outlines = self.geometry == "full"
        params = {"outFields": ",".join(fields), "returnGeometry": "true" if outlines else "false"}
        if info.geometry_type and self.geometry != "none":
            params |= {"outSR": str(self.out_sr)}
            params |= {"returnTrueCurves": "false"} if outlines else {"returnCentroid": "true"}
            if outlines and info.raw.get("hasZ"):
                params["returnZ"] = "true"
        geometry_type = info.geometry_type if outlines else None
        centroids = self.geometry == "centroid"
        return Engine(
            session=self.session,
            info=info,
            store=self.store,
            where=self.where,
            params=params,
            decoder=page_decoder(
                oid_field, geometry_type, self.out_sr, info.spatial_wkid, centroids=centroids
            ),
            page=max(1, min(page, self.stop_after or page)),
            cap=info.max_record_count,
            stop_after=self.stop_after,
            progress=self.progress,
            expected=self.result.count_before or 0,
            counts=self.result.count_before is not None,
            notes=self.result.notes,
        )

    async def _fetch(self) -> None:
        """Run the plans in the order of trust until one is answered truthfully."""
        plans: list[Plan] = list(get_args(Plan))
        identity = self.info.object_id_field is not None
        if self.store.plan in ("oid_windows", "object_ids"):
            plans = plans[[*map(str, plans)].index(self.store.plan) :]
        else:
            self.store.clear()  # row numbers and tiles of an earlier run prove nothing
        failure: UnfitPlan | None = None
        while plans:
            kind = plans.pop(0)
            if not identity and kind in ("oid_windows", "object_ids"):
                continue
            if not identity and kind == "offset" and self._has_shapes() and "envelope" in plans:
                plans.append(kind)  # without ids, row numbers prove least
                continue
            self.result.plan, self.result.weak_identity = kind, not identity or kind == "envelope"
            self.engine = self._engine(None if self.result.weak_identity else self.info.object_id_field)
            try:
                pieces = await self._pieces(kind)
                self.store.begin(kind)
                await self.engine.run(pieces)
                if kind == "offset" and self.result.weak_identity and not merge.equal_rows_adjoin(self.store):
                    raise UnfitPlan("the order of the rows changes between pages")
            except UnfitPlan as unfit:
                failure = unfit
                self.engine.note(f"{kind} given up: {unfit.reason}")
                self.store.clear()
                self.result.resumed_rows = 0
                identity = identity and not unfit.identity
                if "not asked for" in unfit.reason and self.where.replace(" ", "") != "1=1":
                    raise ArcGISError(
                        "bad_request", f"the server ignores where clauses, {self.where!r} too", self.info.url
                    ) from None
            else:
                if kind == "envelope":
                    merge.drop_copies(self.store)
                return
        assert failure is not None  # noqa: S101 (every plan was tried, so one has failed)
        if isinstance(failure.__cause__, ArcGISError):
            raise failure.__cause__
        raise ArcGISError(
            "schema", f"no way of paging is answered truthfully ({failure.reason})", self.info.url
        )

    def _has_shapes(self) -> bool:
        return self.info.geometry_type is not None

    async def _pieces(self, kind: Plan) -> Sequence[plan.Piece]:
        """The pieces of a plan that are not on disk yet."""
        if kind == "envelope":
            if not self._has_shapes() and (self.result.count_before or 0) > self.engine.page:
                raise UnfitPlan("a table cannot be cut by place")
            return [self._whole_layer()]
        if kind == "offset":
            total = self.result.count_before
            if total is None:
                raise UnfitPlan("the server cannot count")
            order = self.info.object_id_field if not self.result.weak_identity else self._any_order()
            return plan.row_ranges(0, total, self.engine.page, order or "")
        if kind == "object_ids":
            ids = await metadata.list_ids(self.session, self.info, self.where)
            if ids is None:
                raise UnfitPlan("the server cannot list its ids")
            have = set(self.store.ids().to_list())
            return plan.id_lists([number for number in ids if number not in have], self.engine.page)
        return await self._windows()

    async def _windows(self) -> Sequence[plan.Piece]:
        count = self.result.count_before
        oid_field = self.info.object_id_field or ""
        page = self.engine.page
        bounds = await metadata.id_bounds(self.session, self.info, self.where) if count else None
        ids: list[int] | None = None
        span = bounds.greatest - bounds.least + 1 if bounds else 0
        if not bounds or count is None or span < count or count < _DENSE * span:
            ids = await metadata.list_ids(self.session, self.info, self.where)
            if ids is None and (not bounds or count is None):
                raise UnfitPlan("the server tells neither bounds nor ids")
            if ids is None and count and span < count:
                raise UnfitPlan("fewer object ids than rows", identity=True)
        if ids is not None:
            if count is None:
                self.result.count_before = self.engine.expected = count = len(ids)
            if len(ids) < count:
                raise UnfitPlan(f"{len(ids)} distinct object ids for {count} rows", identity=True)
            if not ids:
                return []
            bounds = metadata.Bounds(ids[0], ids[-1])
            self.engine.ids = ids
        assert bounds is not None  # noqa: S101
        done = [span for span in map(plan.span_of, self.store.names) if span]
        pieces: list[plan.Piece] = []
        for lo, hi in plan.gaps(bounds.least - 1, bounds.greatest, done):
            if ids is not None:
                pieces += plan.windows_between(ids, page, lo, hi, oid_field)
            else:
                density = (count or 0) / (bounds.greatest - bounds.least + 1)
                self.engine.density = density
                width = page if density >= _DENSE else int(0.75 * page / density)
                pieces += plan.windows(lo, hi, width, oid_field)
        if ids is not None:
            self.engine.density = (
                min(1.0, page / max((piece.size or 1) for piece in pieces)) if pieces else 1.0
            )
        return pieces

    def _any_order(self) -> str:
        plain = ("String", "Integer", "Double", "Single", "Date", "GUID", "GlobalID", "BigInteger", "OID")
        return ",".join(
            column.name
            for column in self.info.fields
            if column.type.removeprefix("esriFieldType").endswith(plain)
        )

    def _whole_layer(self) -> plan.Tile:
        extent = self.info.raw.get("extent") or {}
        reference = extent.get("spatialReference") or {}
        corners: list[Any] = [extent.get(name) for name in ("xmin", "ymin", "xmax", "ymax")]
        known = all(isinstance(number, int | float) for number in corners)
        return plan.Tile(
            wkid=reference.get("latestWkid") or reference.get("wkid"),
            inside=(corners[0], corners[1], corners[2], corners[3]) if known else None,
        )

    async def _finish(self) -> None:
        """Compare with the server, fetch what differs, and pass judgement."""
        result, engine = self.result, self.engine
        reckoning = Reckoning(
            self.session,
            self.info,
            self.where,
            self.store,
            engine,
            result,
            lambda: self._engine(self.info.object_id_field),
        )
        counted = await reckoning.look()
        agree = False
        if engine.stopped:
            engine.note(f"stopped after {self.store.rows} rows as asked")
        elif result.weak_identity:
            agree = counted is not None and self.store.rows == counted
            result.missing_count = max(0, (counted or 0) - self.store.rows)
            engine.note("the layer has no usable object id: rows were told apart by their content")
            if self.info.edited_at is None:
                engine.note("it tells no edit date either: a row replaced during the download goes unseen")
            if counted is None:
                engine.note("the server does not count its rows, so nobody can tell whether all of them came")
        else:
            agree = await reckoning.reconcile()
            self._tell_resumed()
        edited = reckoning.edited_at
        if agree:  # then what failed was empty, or came by another way
            engine.quarantined = [entry for entry in engine.quarantined if entry.get("kept")]
        if not agree:
            result.status = "partial"
        elif reckoning.adjusted or result.count_after != result.count_before or edited != self.info.edited_at:
            result.status = "changed"
            engine.note("the layer was edited during the download")
        else:
            result.status = "complete"
        result.rows, result.files, result.null_tokens = (
            self.store.rows,
            self.store.files,
            self.store.null_tokens,
        )
        result.quarantined = engine.quarantined
        counters = self.session.counters
        result.requests, result.retries = counters.requests, counters.retries
        result.bytes_received, result.completed_at = counters.bytes_received, datetime.now(UTC)

    def _tell_resumed(self) -> None:
        if self.result.resumed_rows and self.info.edited_at is None and self.store.started_at:
            self.engine.note(
                f"{self.result.resumed_rows} rows are of an attempt begun at {self.store.started_at:%Y-%m-%d %H:%M} "
                "UTC; the server tells no edit date, so their values may be of then"
            )
