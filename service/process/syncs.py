"""Changes that one worker made and the others are to follow, from the supervisor's side."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from thimble.service.process.channel import PROBLEMS, shortened
from thimble.service.process.worker_process import WorkerProcess

# A worker may have a sandbox verify the file, which has 600 s for it, and loads it then.
TIMEOUT_SECONDS = 660.0


@dataclass
class _Sync:
    answer: Callable[[list[str]], None]
    waiting: set[WorkerProcess]
    ends: float
    problems: list[str] = field(default_factory=list)


class Syncs:
    """The syncs under way. Whoever asked for one is told how it went, whatever becomes of the others."""

    def __init__(self) -> None:
        self._syncs: dict[int, _Sync] = {}
        self._numbers = itertools.count()

    def begin(
        self,
        model: str,
        release: str | None,
        others: list[WorkerProcess],
        now: float,
        answer: Callable[[list[str]], None],
    ) -> None:
        """Have the others follow, and `answer` what kept them from it.

        Those that are just starting follow before they serve, so nobody waits for them.
        """
        number = next(self._numbers)
        waiting = {other for other in others if other.serves}
        sync = self._syncs[number] = _Sync(answer, waiting, now + TIMEOUT_SECONDS)
        for other in others:
            other.channel.post("sync", number, model, release)
        self._tell_if_done(number, sync)

    def done(self, worker: WorkerProcess, number: int, problem: str | None) -> None:
        """A worker has followed, or says what kept it from it."""
        sync = self._syncs.get(number)
        if sync is not None and worker in sync.waiting:
            self._leave(sync, worker, problem)
            self._tell_if_done(number, sync)

    def left(self, worker: WorkerProcess) -> None:
        """A worker ends: the one that takes its place reads what is written down."""
        for number, sync in [*self._syncs.items()]:
            sync.waiting.discard(worker)
            self._tell_if_done(number, sync)

    def expire(self, now: float) -> None:
        """Wait no longer for those that had their time."""
        for number, sync in [*self._syncs.items()]:
            if sync.ends <= now:
                for worker in [*sync.waiting]:
                    self._leave(sync, worker, f"it did not follow within {TIMEOUT_SECONDS:g} s")
                self._tell_if_done(number, sync)

    def _leave(self, sync: _Sync, worker: WorkerProcess, problem: str | None) -> None:
        sync.waiting.discard(worker)
        if problem is not None:
            sync.problems.append(shortened(f"worker {worker.pid}: {problem}"))

    def _tell_if_done(self, number: int, sync: _Sync) -> None:
        if not sync.waiting:
            del self._syncs[number]
            problems, more = sync.problems[:PROBLEMS], len(sync.problems) - PROBLEMS
            sync.answer([*problems, f"and {more} more"] if more > 0 else problems)
