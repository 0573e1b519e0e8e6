"""Many utilities at once: no two at one host, all of them done, and an end when it is asked for."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hc_platform.catalog.models import UtilityConfig
from hc_platform.orchestration.hosts import alone_at, host_pool, hosts_of
from hc_platform.orchestration.side_by_side import (
    HEAVY_AT_ONCE,
    SPAWN,
    Piece,
    Stop,
    StoppedError,
    side_by_side,
)
from hc_platform_tests.laws import law


def piece(code: str, *needs: str, snapshot: str = "2026-10") -> Piece:
    return Piece(code, snapshot, frozenset(needs))


def results(
    pieces: Sequence[Piece],
    work: Callable[[Piece], Any],
    workers: int,
    stop: Stop | None = None,
    make: Callable[[], Executor] = lambda: ThreadPoolExecutor(1),
) -> list[tuple[str, Any]]:
    """(code, result or error) in the order in which they came."""
    found = side_by_side(pieces, work, make, workers, stop or Stop())
    return [(one.code, future.exception() or future.result()) for one, future in found]


@law(60)
@given(
    st.lists(st.sets(st.sampled_from("abcd"), max_size=3), max_size=12),
    st.integers(min_value=1, max_value=4),
)
def test_needs_are_never_shared_and_every_piece_is_worked_once(needs: list[set[str]], workers: int) -> None:
    lock, held = threading.Lock(), Counter[str]()
    running = 0
    together, at_once = [], []

    def work(one: Piece) -> str:
        nonlocal running
        with lock:
            held.update(one.needs)
            running += 1
            together.append(max(held.values(), default=0))
            at_once.append(running)
        threading.Event().wait(0.001)  # another thread gets its chance
        with lock:
            held.subtract(one.needs)
            running -= 1
        return one.code

    pieces = [piece(str(n), *its) for n, its in enumerate(needs)]
    assert sorted(results(pieces, work, workers)) == sorted((one.code, one.code) for one in pieces)
    assert max(together, default=0) <= 1
    assert max(at_once, default=0) <= workers


def test_pieces_of_one_need_keep_their_order() -> None:
    months = [piece("pge", "pge", snapshot=f"2026-{n:02d}") for n in range(1, 7)]
    done = [month for _, month in results(months, lambda one: one.snapshot, 4)]
    assert done == [one.snapshot for one in months]


def test_utilities_of_different_hosts_run_at_once() -> None:
    both_here = threading.Barrier(2, timeout=20)  # breaks if the second starts only after the first
    found = results([piece("a", "x"), piece("b", "y")], lambda one: both_here.wait() >= 0, 2)
    assert [reached for _, reached in found] == [True, True]


def test_the_host_that_most_wait_for_goes_first() -> None:
    pieces = [piece("lone", "z"), piece("one", "busy"), piece("two", "busy"), piece("three", "busy")]
    assert [code for code, _ in results(pieces, lambda one: True, 1)] == [
        "one", "two", "three", "lone",
    ]  # fmt: skip


def test_once_the_end_is_asked_for_nothing_more_starts() -> None:
    stop = Stop()
    begun: list[str] = []

    def work(one: Piece) -> None:
        begun.append(one.code)
        stop.ask()

    assert len(results([piece("a"), piece("b"), piece("c")], work, 1, stop)) == len(begun) == 1
    with pytest.raises(StoppedError), stop.turn():
        raise AssertionError("a heavy step began after the end was asked for")


def test_heavy_steps_take_turns() -> None:
    stop, lock, inside, most = Stop(), threading.Lock(), 0, 0

    def work(one: Piece) -> None:
        nonlocal inside, most
        with stop.turn():
            with lock:
                inside += 1
                most = max(most, inside)
            threading.Event().wait(0.005)
            with lock:
                inside -= 1

    many = [piece(str(n)) for n in range(4 * HEAVY_AT_ONCE)]
    assert len(results(many, work, 4 * HEAVY_AT_ONCE, stop)) == len(many)
    assert 1 <= most <= HEAVY_AT_ONCE


def _dies_for_one(one: Piece) -> str:
    if one.code == "bad":
        os._exit(9)  # as the kernel ends a process that wants too much memory
    return one.code


def test_a_worker_that_dies_costs_its_own_piece_only() -> None:
    pieces = [piece("bad", "x"), piece("good", "x"), piece("other", "y")]
    found = dict(results(pieces, _dies_for_one, 2, make=partial(ProcessPoolExecutor, 1, mp_context=SPAWN)))
    assert isinstance(found.pop("bad"), BrokenExecutor)
    assert found == {"good": "good", "other": "other"}


def utility(**more: object) -> UtilityConfig:
    layer = {"grain": "feeder", "resources": {"generation": {"field_map": {"ID": "feeder_id_external"}}}}
    layers = [{**layer, **dict(one)} for one in more.pop("layers")]  # type: ignore[attr-defined]
    return UtilityConfig.model_validate(
        {
            "utility_code": "utility",
            "utility_name": "U",
            "states": ["NY"],
            "data_source_type": "arcgis_feature",
            "verification": {"status": "documented", "on": "2026-08-15", "sources": ["a test"]},
            "layers": layers,
            **more,
        }
    )


def test_all_hosts_of_a_utility_are_known_the_one_of_most_layers_first() -> None:
    config = utility(
        service_url="https://maps.example.com/rest/services/A/FeatureServer",
        layers=[
            {"name": "x", "service_url": "https://other.example.com:6443/rest/services/B/FeatureServer"},
            {"name": "y"},
            {"name": "z"},
        ],
    )
    assert hosts_of(config) == ["maps.example.com", "other.example.com"]
    assert host_pool(config) == "host_maps_example_com"


def test_a_rotating_service_is_held_at_the_portal_where_it_is_looked_for() -> None:
    config = utility(
        url_discovery_method="agol_search",
        discovery={"owner": "someone", "title": "Hosting.*"},
        layers=[{"name": "x"}],
    )
    assert hosts_of(config) == ["www.arcgis.com"]


def test_local_files_need_no_host_and_no_pool() -> None:
    config = utility(data_source_type="file", layers=[{"name": "x", "path": "a.csv"}])
    assert (hosts_of(config), host_pool(config)) == ([], None)


def test_a_second_fetch_from_a_host_waits_although_its_pool_is_another(tmp_path: Path) -> None:
    """The pool is of one host; the lock file holds for the others."""
    shared = {"name": "x", "service_url": "https://shared.example.com/rest/services/B/FeatureServer"}
    first = utility(
        service_url="https://one.example.com/rest/services/A/FeatureServer",
        layers=[{"name": "y"}, {"name": "z"}, shared],
    )
    second = utility(layers=[shared])
    assert host_pool(first) != host_pool(second)
    entered, ended = threading.Event(), threading.Event()

    def other() -> None:
        with alone_at(second, tmp_path):
            entered.set()
        ended.set()

    with alone_at(first, tmp_path):
        thread = threading.Thread(target=other)
        thread.start()
        assert not entered.wait(0.3)
    assert ended.wait(20)
    thread.join()
