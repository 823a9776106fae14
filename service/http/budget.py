"""Room for the bodies of requests, shared by all that are received and read at a time.

Each body has a limit of its own, and many at once would still fill the memory. So room is taken for a body before it
comes, and who finds none is refused while only headers are read. For the event loop's thread.
"""

from types import TracebackType
from typing import Self

from thimble.service.errors import RequestError

# So small a body always finds room: what these weigh together is bounded by the number of connections, and nobody who
# sends large ones, or says so and dawdles, keeps them out.
SMALL_BYTES = 64 << 10
RETRY_SECONDS = 1


class ByteBudget:
    """So many bytes for all bodies together."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0

    def hold(self) -> "Hold":
        """For a body of which nothing has come yet."""
        return Hold(self)


class Hold:
    """The room that one body has taken. It is given back by `release`, or at the end of a `with`."""

    __slots__ = ("_budget", "_bytes")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()

    def grow_to(self, size: int) -> None:
        """Have room for so many bytes, unless there is already. RequestError 429: there is not so much."""
        if size <= max(self._bytes, SMALL_BYTES):
            return
        budget = self._budget
        if budget.held_bytes + size - self._bytes > budget.max_bytes:
            raise RequestError(
                429,
                f"bodies of {budget.held_bytes} bytes are being read, and with this one they would be more than the "
                f"limit of {budget.max_bytes} for all together",
                retry_after=RETRY_SECONDS,
            )
        budget.held_bytes += size - self._bytes
        self._bytes = size

    def release(self) -> None:
        """Give all of it back; nothing is left to give back then."""
        self._budget.held_bytes -= self._bytes
        self._bytes = 0
