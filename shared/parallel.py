"""Work on the parts of a file in parallel. Arrow, numpy and the network release Python's lock."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_WORKERS = 2

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(work: Callable[[int, T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield the results of `work` on the number of each item, from 0, and the item; in order."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        running: deque[Future[R]] = deque()
        for number, item in enumerate(items):
            running.append(pool.submit(work, number, item))
            # The bound limits the items in memory.
            if len(running) > _WORKERS:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
