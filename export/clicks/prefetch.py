"""What comes next is made while what is there is used."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2
# Arrow and numpy, which do most of the reading, let other threads run meanwhile. What is left to Python, about a
# sixth, would have more than these wait for each other.
_MOST_THREADS = 4


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """The same items, made by a thread that is _AHEAD of them ahead at most.

    What is raised on the way is raised here, in its place. The thread ends with the last item, or when the iterator is
    closed.
    """
    end = object()
    with ThreadPoolExecutor(1, "prefetch") as thread:
        pending = deque(thread.submit(next, items, end) for _ in range(_AHEAD))
        try:
            while (item := pending.popleft().result()) is not end:
                pending.append(thread.submit(next, items, end))
                yield item  # type: ignore[misc]
        finally:
            for future in pending:
                future.cancel()


def mapped_ahead(function: Callable[[T], R], items: Iterator[T]) -> Iterator[R]:
    """What a function makes of each item, in the order of the items, made by several threads ahead of whoever asks.

    There are as many as Arrow takes, which is the number of cores or OMP_NUM_THREADS, up to _MOST_THREADS. What is
    raised on the way is raised here, in its place. The threads end with the last item, or when the iterator is closed.
    """
    threads = min(pa.cpu_count(), _MOST_THREADS)
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, "reading") as pool:
        try:
            for future in _submitted(pool, function, items):
                pending.append(future)
                if len(pending) > _AHEAD * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _submitted(pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterator[T]) -> Iterator[Future[R]]:
    """An item that cannot be had is one that fails, so that all before it come first."""
    try:
        for item in items:
            yield pool.submit(function, item)
    except Exception as error:
        failed: Future[R] = Future()
        failed.set_exception(error)
        yield failed
