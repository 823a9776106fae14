"""When a worker that ended is started again: at once if it had served well, else after longer and longer pauses."""

# Whoever serves for so long serves well: the next end is no part of a loop.
WELL_SECONDS = 10.0
PAUSES_SECONDS = (1, 2, 4, 8, 16, 30)
# Early ends of one worker in a row that are a loop.
LOOP = 3


class Restarts:
    """The workers that are to be started again, by their numbers, and how often each has ended early in a row.

    Times are those of the caller's clock, in seconds.
    """

    def __init__(self) -> None:
        self._early: dict[int, int] = {}
        self._due: dict[int, float] = {}

    def ended(self, number: int, served: float, now: float) -> float:
        """A worker has ended that served for so long. Returns the pause before it is started again."""
        early = self._early[number] = 0 if served >= WELL_SECONDS else self._early.get(number, 0) + 1
        pause = PAUSES_SECONDS[min(early, len(PAUSES_SECONDS)) - 1] if early else 0
        self._due[number] = now + pause
        return pause

    def serves(self, number: int, seconds: float) -> None:
        """A worker serves, for so long now."""
        if seconds >= WELL_SECONDS:
            self._early.pop(number, None)

    def take_due(self, now: float) -> list[int]:
        """Those whose pause is over; they are to be started."""
        due = [number for number, when in self._due.items() if when <= now]
        for number in due:
            del self._due[number]
        return due

    @property
    def problem(self) -> str | None:
        """That workers keep dying, None if they do not."""
        early = max(self._early.values(), default=0)
        if early < LOOP:
            return None
        return f"workers keep dying: {early} in a row ended within {WELL_SECONDS:g} s; the log says why"
