"""The sensor that notices an edited source.

What belongs here: whom to ask, how long, what to request. What does not: how a source tells its edit date (`sources`).

Each tick asks as many as fit into its time, those first that were asked longest ago, hosts side by side and each host's
utilities one after the other. Who did not answer is asked again in its turn: nobody's silence holds up the others.
"""

import json
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import dagster as dg
import polars as pl

from hc_platform.catalog.models import UtilityConfig
from hc_platform.hosting_capacity.tables import SOURCE_LAYERS
from hc_platform.orchestration.hosts import hosts_of
from hc_platform.orchestration.platform import Platform
from hc_platform.orchestration.requests import run_request, under_way
from hc_platform.orchestration.utility_assets import asset_keys
from hc_platform.pipeline.snapshots import snapshot_at
from hc_platform.sources import SourceError, source_for

TICK_S: Final = 40.0
"""Dagster ends a tick at 60."""
_ASK_S: Final = 5.0
_HOSTS_AT_ONCE: Final = 8


@dataclass(frozen=True)
class Answer:
    """What a utility's source told: the newest edit date of its layers, None where it tells none; or what went wrong."""

    edited_at: datetime | None = None
    error: str | None = None


def upstream_edits(platform: Platform) -> dg.SensorDefinition:
    """A sensor that requests a utility whose source was edited since it was last ingested."""
    utilities = [c for c in platform.catalog.values() if c.fetchable]
    keys = [key for c in utilities for key in asset_keys(c.utility_code)]

    @dg.sensor(
        asset_selection=dg.AssetSelection.assets(*keys),
        minimum_interval_seconds=900,
        description="Requests a utility whose source was edited since it was last ingested.",
    )
    def upstream_edit_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        past = _read(context.cursor)
        answers = ask(platform, sorted(utilities, key=lambda c: past.get(c.utility_code, ("", 0))[0]))
        today = platform.now()
        busy = under_way(context.instance)
        requests = []
        for code, answer in answers.items():
            failures = past.get(code, ("", 0))[1] + 1 if answer.error else 0
            past[code] = (today.isoformat(timespec="seconds"), failures)
            if answer.error:
                context.log.warning(f"{code}: no answer ({failures} in a row): {answer.error}")
            held = None if answer.error else _held_edit(platform, code)
            snapshot = snapshot_at(today, platform.catalog[code].cadence)
            edited = answer.edited_at
            if edited and held and edited > held and (code, snapshot) not in busy:
                # once a day at most, until the lake has caught up: a run that failed is asked for again
                key = f"{code}:{edited.isoformat()}:{today:%Y-%m-%d}"
                requests.append(run_request(platform.catalog[code], snapshot, "upstream-edit", key))
        known = {c.utility_code for c in utilities}
        return dg.SensorResult(
            run_requests=requests,
            cursor=json.dumps({code: its for code, its in past.items() if code in known}),
            skip_reason=None if requests else dg.SkipReason(_told(answers, past, len(utilities))),
        )

    return upstream_edit_sensor


def ask(platform: Platform, utilities: Iterable[UtilityConfig]) -> dict[str, Answer]:
    """The answers of those whose turn came within TICK_S, in the order given at each host."""
    at_host: dict[str, list[UtilityConfig]] = defaultdict(list)
    for utility in utilities:
        at_host[next(iter(hosts_of(utility)), "")].append(utility)
    answers: dict[str, Answer] = {}
    deadline = time.monotonic() + TICK_S

    def ask_host(queue: list[UtilityConfig]) -> None:
        for utility in queue:
            if time.monotonic() > deadline:
                return
            try:
                answers[utility.utility_code] = Answer(_edited_at(platform, utility))
            except Exception as error:  # one utility's trouble, whatever it is, is not the others'
                answers[utility.utility_code] = Answer(error=str(error) or type(error).__name__)

    pool = ThreadPoolExecutor(_HOSTS_AT_ONCE, thread_name_prefix="edits")
    wait([pool.submit(ask_host, queue) for queue in at_host.values()], timeout=TICK_S + _ASK_S)
    pool.shutdown(wait=False, cancel_futures=True)  # one that drips in must not hold the tick
    return dict(answers)


def _edited_at(platform: Platform, utility: UtilityConfig) -> datetime | None:
    """The newest edit date of a utility's layers; None where its source tells none. Asked once, briefly."""
    options = replace(platform.source_options, timeout_s=_ASK_S, attempts=1)
    dates = []
    for layer in utility.layers:
        # an optional layer may not be there
        with suppress(SourceError) if layer.optional else nullcontext():
            dates.append(source_for(utility, layer, options=options).edited_at(utility, layer))
    return max((d for d in dates if d is not None), default=None)


def _held_edit(platform: Platform, code: str) -> datetime | None:
    """The newest edit date that the lake has of a utility; None before its first ingestion."""
    held = platform.lake.scan(SOURCE_LAYERS, utility_code=code)
    return held.select(pl.col("source_edited_at").max()).collect().item()  # type: ignore[no-any-return]


def _read(cursor: str | None) -> dict[str, tuple[str, int]]:
    """code -> (when it was last asked, how often in a row it gave no answer)."""
    try:
        return {code: (at, failures) for code, (at, failures) in json.loads(cursor or "{}").items()}
    except (ValueError, TypeError, AttributeError):  # of an older version: all are asked anew
        return {}


def _told(answers: dict[str, Answer], past: dict[str, tuple[str, int]], of: int) -> str:
    failed = [f"{code} ({past[code][1]} in a row)" for code, a in answers.items() if a.error]
    told = f"asked {len(answers)} of {of}: nothing is newer than the lake"
    return told + (f"; no answer from {', '.join(sorted(failed))}" if failed else "")
