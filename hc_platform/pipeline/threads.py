"""Work in threads, results in order, memory bounded.

What belongs here: the loop. What does not: any work.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
WORKERS = min(4, os.cpu_count() or 1)


def in_order(work: Iterable[Callable[[], T]], workers: int = WORKERS) -> Iterator[T]:
    """The results of the pieces of work, in their order.

    Only as many pieces as there are workers are in memory, and one result. Threads do, because the work is done in
    Polars, DuckDB and NumPy, which let the interpreter go. The first error ends the iteration.
    """
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for piece in work:
                waiting.append(pool.submit(piece))
                if len(waiting) >= workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
