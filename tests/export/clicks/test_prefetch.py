import threading
from collections.abc import Iterator

import pytest

from testing.conditions import until
from thimble.export.clicks.prefetch import prefetched


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_the_same_items_in_the_same_order() -> None:
    assert list(prefetched(iter(range(1000)))) == list(range(1000))
    assert list(prefetched(iter([]))) == []
    assert not threads()


def test_it_is_ahead_but_not_far() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    ahead = prefetched(items())
    assert next(ahead) == 0
    until(lambda: made == [0, 1, 2])
    assert next(ahead) == 1
    until(lambda: made == [0, 1, 2, 3])
    ahead.close()  # type: ignore[attr-defined]
    assert len(made) <= 5 and not threads()


def test_what_is_raised_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the disk is gone")

    ahead = prefetched(items())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(ahead)
    assert list(ahead) == [] and not threads()
