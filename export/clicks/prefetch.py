"""What comes next is made while what is there is used."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_AHEAD = 2


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
