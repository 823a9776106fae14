import threading
from collections.abc import Iterator

import pytest

from testing.clicks import arrow_threads
from testing.conditions import until
from thimble.export.clicks.prefetch import mapped_ahead, prefetched


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("prefetch", "reading"))]


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


@pytest.mark.parametrize("number", [1, 2, 16])
def test_a_function_of_each_item_comes_in_the_order_of_the_items(number: int) -> None:
    with arrow_threads(number):
        assert list(mapped_ahead(lambda x: x * x, iter(range(500)))) == [x * x for x in range(500)]
        assert list(mapped_ahead(str, iter([]))) == []
    assert not threads()


def test_items_are_worked_on_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=60)
    with arrow_threads(2):
        assert list(mapped_ahead(lambda x: meeting.wait() < 2 and x, iter(range(8)))) == list(range(8))


def test_several_threads_are_ahead_but_not_far() -> None:
    begun: list[int] = []
    with arrow_threads(2):
        ahead = mapped_ahead(lambda x: x, (begun.append(x) or x for x in range(100)))  # type: ignore[func-returns-value]
        assert next(ahead) == 0 and len(begun) < 10
        ahead.close()  # type: ignore[attr-defined]
    assert len(begun) < 10 and not threads()


@pytest.mark.parametrize("where", ["item", "function"])
def test_what_fails_among_several_threads_fails_in_its_place(where: str) -> None:
    def items() -> Iterator[int]:
        yield from range(20)
        if where == "item":
            raise OSError("the disk is gone")
        yield 20

    def function(item: int) -> int:
        if item == 20:
            raise OSError("the disk is gone")
        return item

    with arrow_threads(4):
        ahead = mapped_ahead(function, items())
        assert [next(ahead) for _ in range(20)] == list(range(20))
        with pytest.raises(OSError, match="the disk is gone"):
            next(ahead)
    assert not threads()
