"""Work in threads: order, bounds and errors."""

import threading
from collections.abc import Callable, Iterator

import pytest

from hc_platform.pipeline.threads import in_order


def test_results_come_in_order_and_no_more_than_the_workers_are_begun_ahead() -> None:
    begun: list[int] = []
    both = threading.Barrier(2, timeout=30)

    def pieces() -> Iterator[Callable[[], int]]:
        for number in range(8):
            begun.append(number)
            yield lambda number=number: (both.wait(), number)[1]  # type: ignore[misc]

    got = []
    for result in in_order(pieces(), workers=2):
        got.append(result)
        assert len(begun) <= len(got) + 2
    assert got == list(range(8))


def test_an_error_ends_it_and_is_the_pieces_own() -> None:
    def fail() -> int:
        raise LookupError("the third")

    results = in_order([lambda: 1, lambda: 2, fail, lambda: 4], workers=2)
    assert (next(results), next(results)) == (1, 2)
    with pytest.raises(LookupError, match="the third"):
        next(results)
