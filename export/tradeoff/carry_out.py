"""As many runs as a time allows, side by side."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event

from thimble.export.tradeoff.choice import next_run, wanted
from thimble.export.tradeoff.grid import Grid, Run, Setting
from thimble.export.tradeoff.memory import available_bytes, run_bytes
from thimble.export.tradeoff.outcomes import Folder, Outcome
from thimble.export.tradeoff.processes import Processes
from thimble.export.tradeoff.step_times import time_steps
from thimble.export.tradeoff.worker import Task, train_one
from thimble.export.training.stop_requests import stop_requests
from thimble.export.wording import counted, size

# How often it is looked whether somebody wants an end.
LOOK_SECONDS = 0.2
# Of the time, for the steps that are timed when all runs are over, if there are such.
TIMING_SHARE = 0.1


@dataclass
class State:
    """What there is of a trade-off: finished runs, those that failed and why, and those that time did not allow.

    `models` are those of the grid, all of which are to be trained at least once.
    """

    outcomes: list[Outcome]
    failed: dict[Run, str] = field(default_factory=dict)
    left_out: list[Run] = field(default_factory=list)
    models: Sequence[Setting] = ()

    @property
    def untrained(self) -> list[Setting]:
        """Models that had no time yet."""
        tried = {it.setting for it in self.outcomes} | {run.setting for run in self.failed}
        return [model for model in self.models if model not in tried]

    @property
    def figures(self) -> dict[Run, float]:
        """The AUC of each run."""
        return {it.run: it.metrics.auc for it in self.outcomes if it.metrics.auc is not None}

    @property
    def seconds(self) -> dict[Run, float]:
        return {it.run: it.whole_seconds for it in self.outcomes}


Changed = Callable[[State, Mapping[Run, str | None]], object]
"""Called with what there is, and with the runs that have ended since, which failed for a reason or have none."""


@dataclass(frozen=True)
class Limits:
    """What runs may take: all of them together `seconds`, and so many `jobs` side by side."""

    seconds: float
    jobs: int


def carry_out(task: Task, grid: Grid, allowed: float, limits: Limits, training_rows: int, changed: Changed) -> State:
    """Train what is worth its time until nothing is, or the time is over. KeyboardInterrupt: somebody wants an end.

    A run that is under way when the time is over, or when an end is wanted, is saved, and goes on in the next call.
    `allowed` is how far the AUC may be below that of full tables.
    """
    with stop_requests() as stop:
        work = _Work(task, grid, allowed, limits, training_rows, changed, stop)
        try:
            while work.step():
                pass
            if not stop.is_set():
                work.time_steps()
        finally:
            work.processes.kill()
        changed(work.state, {})
        if stop.is_set():
            raise KeyboardInterrupt
    return work.state


class _Work:
    def __init__(
        self, task: Task, grid: Grid, allowed: float, limits: Limits, training_rows: int, changed: Changed, stop: Event
    ) -> None:
        self.task, self.grid, self.allowed, self.limits, self.changed = task, grid, allowed, limits, changed
        self.training_rows, self.stop = training_rows, stop
        self.folder = Folder(task.folder)
        self.state = State(self.folder.outcomes(), models=grid.settings)
        self.processes: Processes[Run] = Processes()
        self.end = time.monotonic() + limits.seconds
        kept = TIMING_SHARE * limits.seconds if self._untimed(grid.compressed) else 0.0
        self.runs_end = self.end - kept
        self.memory = available_bytes()
        self.stopping = False

    def step(self) -> bool:
        """Begin what can be begun, and wait a moment for what ends. False: nothing is under way any more."""
        left = self.runs_end - time.monotonic()
        if (self.stop.is_set() or left <= 0) and not self.stopping:
            self.stopping = True
            self.processes.stop()
        while not self.stopping and (run := self._next(left)) is not None:
            self.processes.start(run, train_one, self.task, run)
        if not self.processes.running:
            self.state.left_out = self._left()
            return False
        self._take_ended()
        return True

    def time_steps(self) -> None:
        """Time steps of the models that have been trained and not been timed yet, until the time is over."""
        trained = list(dict.fromkeys(it.setting for it in self.state.outcomes if not it.setting.is_full))
        untimed = self._untimed(trained)
        if untimed and time.monotonic() < self.end:
            self._time(untimed)
        if not self.stop.is_set() and (missing := len(self._untimed(trained))):
            print(f"steps of {counted(missing, 'model')} are not timed yet; the same command goes on", file=sys.stderr)

    def _untimed(self, settings: Sequence[Setting]) -> list[Setting]:
        timed = {it.setting for it in self.folder.step_times()}
        return [setting for setting in settings if setting not in timed]

    def _time(self, untimed: Sequence[Setting]) -> None:
        processes: Processes[str] = Processes()
        processes.start("step times", time_steps, self.task, untimed)
        try:
            stopping = False
            while processes.running:
                for ended in processes.wait(LOOK_SECONDS):
                    if ended.failed:
                        print(f"not all steps could be timed: {ended.failed}", file=sys.stderr)
                if not stopping and (self.stop.is_set() or time.monotonic() > self.end):
                    stopping = True
                    processes.stop()
        finally:
            processes.kill()

    def _next(self, left: float) -> Run | None:
        """One that can be begun now. What has no room even alone fails on the way."""
        running = self.processes.running
        if len(running) >= self.limits.jobs:
            return None
        passed_over = running | self.state.failed.keys()
        run = next_run(self.grid, self.state.figures, self.allowed, passed_over, self.state.seconds, left)
        if run is None or self._has_room(*running, run):
            return run
        if running:
            return None
        if run.setting.is_full:  # what these take is known only when they are there
            return run
        self._fail(run, f"it needs about {size(self._bytes(run))} of memory, and {size(self.memory or 0)} are free")
        return self._next(left)

    def _has_room(self, *runs: Run) -> bool:
        return self.memory is None or sum(map(self._bytes, runs)) <= self.memory

    def _bytes(self, run: Run) -> int:
        return run_bytes(self.task.base, run, self.training_rows)

    def _fail(self, run: Run, reason: str) -> None:
        self.state.failed[run] = reason
        self.changed(self.state, {run: reason})

    def _take_ended(self) -> None:
        news: dict[Run, str | None] = {}
        for ended in self.processes.wait(LOOK_SECONDS):
            failed, wanted = ended.failed, self.stopping or self.stop.is_set()
            if ended.stopped and not wanted:
                failed = "its process was asked to stop, and not by this one"
            if failed:
                self.state.failed[ended.key] = failed
            elif outcome := self.folder.outcome(ended.key):
                self.state.outcomes.append(outcome)
                self.folder.remove_run(ended.key)
            if failed or not ended.stopped:
                news[ended.key] = failed
        if news:
            self.changed(self.state, news)

    def _left(self) -> list[Run]:
        return [run for run in wanted(self.grid, self.state.figures, self.allowed) if run not in self.state.failed]
