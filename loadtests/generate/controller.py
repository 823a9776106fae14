"""Leads a run through its shape: gives the workers their orders, adds up their progress, and ends it."""

import argparse
import os
import sys
import traceback
import uuid
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import gevent
from locust.runners import MasterRunner
from locust.stats import StatsError

from thimble.loadtests import options as given
from thimble.loadtests.generate import shapes
from thimble.loadtests.generate.prepared import prepared
from thimble.loadtests.generate.status import Status
from thimble.loadtests.generate.worker import Order, Progress, Worker
from thimble.loadtests.results import gates, summary
from thimble.loadtests.results.gates import CUT_SHORT, FAILED
from thimble.loadtests.results.run import Run, RunJournal, Step
from thimble.loadtests.traffic.served import LoadError

ORDER = "thimble_order"
PROGRESS = "thimble"
POLL_SECONDS = 0.05
WRITE_SECONDS = 1.0
# A server that has answered nothing for so long, while so many requests failed, is gone.
GONE_SECONDS = 3.0
GONE_FAILURES = 3


class CutShortError(Exception):
    """Why a run ends before its shape does, in one sentence."""


class Controller:
    """Of one run at a time, in the process that is no worker."""

    def __init__(self, environment: Any, worker: Worker) -> None:
        self._environment = environment
        self._local = worker
        self._greenlet: Any = None
        self._run: Run | None = None
        self._progress: dict[str, Progress] = {}
        self._workers: list[str] = []

    def reset(self) -> None:
        """Before users are spawned for a new run: until it ends well, it has failed."""
        self._environment.process_exit_code = FAILED

    def check(self, options: argparse.Namespace, host: str, users: int) -> None:
        """Before Locust's page starts a test, or changes the one that is going on.

        LoadError: it could not begin, or it would change more of one that is going on than its users.
        """
        if not self._greenlet or not self._run:
            prepared(options, host, users)
        elif (given.traffic(options), given.plan(options), host) != (self._run.traffic, self._plan, self._run.url):
            raise LoadError("a test is going on: only the number of users can be changed before it is stopped")

    def start(self) -> None:
        """Begin, unless a run is going on."""
        if not self._greenlet:
            self._greenlet = gevent.spawn(self._go)

    def receive(self, worker: str, progress: Progress) -> None:
        """From a worker in another process."""
        self._progress[worker] = progress

    def stopped(self) -> None:
        """The test is being stopped, or the process."""
        if self._greenlet and self._greenlet is not gevent.getcurrent():
            self._greenlet.kill()
            self._end(self._loss() or "it was stopped before its end")
            if self._distributed() and self._environment.parsed_options.headless:
                gevent.spawn(self._environment.runner.quit)  # a master stays when its last worker goes missing

    def _go(self) -> None:
        runner, headless = self._environment.runner, self._environment.parsed_options.headless
        reason = self._attempt()
        try:
            self._end(reason)
        except Exception:  # else Locust would wait for ever
            traceback.print_exc()
        if reason and not headless:  # Locust's page shows it among the failures
            runner.stats.errors[reason] = StatsError("", "thimble-load", reason, occurrences=1)
        if headless:
            runner.quit()
        else:
            runner.stop()

    def _attempt(self) -> str | None:
        """The whole run. Returns why it came to no end; there is a run then only if it began."""
        try:
            self._begin()
            self._follow()
        except LoadError as error:
            if self._run:  # a worker says so: nothing was measured
                self._plan.results.unlink(missing_ok=True)
                self._run = None
            return str(error)
        except CutShortError as error:
            return str(error)
        except OSError as error:
            return self._not_written(error)
        except Exception as error:
            traceback.print_exc()
            return f"the generator failed: {error!r}"
        return None

    def _begin(self) -> None:
        """LoadError: it cannot begin. OSError: its results cannot be written."""
        environment = self._environment
        self._run = None
        self._number = 0
        self._begun = perf_counter()
        self._progress.clear()
        self._workers = sorted(self._alive())
        self._plan, self._run = prepared(
            environment.parsed_options, environment.host, environment.runner.user_count, len(self._workers)
        )
        plan = self._plan
        limit = plan.max_p99_ms or gates.KNEE_P99_MS
        self._shape = shapes.shape(
            plan.shape,
            plan.rate,
            plan.seconds,
            lambda step: gates.sustained(step, limit, plan.max_error_share),
        )
        looking = f"looking for the highest rate of which 99 % are answered within {limit:g} ms (the knee)"
        self._status = Status(looking, at_least=True) if plan.shape == "knee" else Status()
        self._id = uuid.uuid4().hex
        self._journal = RunJournal(self._run, plan.results)
        self._journal.write()

    def _follow(self) -> None:
        assert self._run is not None
        try:
            offer = next(self._shape)
            while True:
                self._status.step(offer)
                step = self._step(offer)
                if not self._run.steps[1:]:
                    self._say(summary.HEAD)
                self._say(summary.line(step, self._run.ceiling))
                offer = self._shape.send(step)
        except StopIteration as end:
            self._run.knee = end.value

    def _step(self, offer: shapes.Offer) -> Step:
        """CutShortError: the server, or a worker, is gone. OSError as above."""
        self._number += 1
        self._offer = offer
        for share, worker in enumerate(self._workers):
            order = Order(
                run=self._id,
                number=self._number,
                rate=offer.rate,
                seconds=offer.seconds,
                share=share,
                shares=len(self._workers),
            )
            self._environment.runner.send_message(ORDER, order.model_dump(), worker)
        written = answered_at = perf_counter()
        answered = failed = 0
        while True:
            gevent.sleep(POLL_SECONDS)
            shares = list(self._current())
            if error := next((share.error for share in shares if share.error), None):
                raise LoadError(error)
            if shares:
                self._status.tell()
            if len(shares) == len(self._workers) and all(share.finished for share in shares):
                step = self._added(shares)
                self._journal.add(step)
                self._journal.write()
                return step
            if loss := self._loss():
                raise CutShortError(loss)
            if os.environ.get(given.PARENT, parent := str(os.getppid())) != parent:
                raise CutShortError("the process that started it is gone")
            if (now := perf_counter()) - written >= WRITE_SECONDS:
                written = now
                step = self._added(shares)
                self._journal.write(step)
                if step.ok + sum(step.rejected.values()) > answered or not step.due:
                    answered, failed, answered_at = step.ok + sum(step.rejected.values()), step.failures, now
                elif now - answered_at >= GONE_SECONDS and step.failures - failed >= GONE_FAILURES:
                    raise CutShortError(f"the server stopped answering after {self._after()}: {step.worst}")

    def _added(self, shares: list[Progress]) -> Step:
        whole = Step(offered=self._offer.rate, seconds=self._offer.seconds)
        for share in shares:
            if share.step:
                whole.add(share.step)
        return whole

    def _current(self) -> Iterator[Progress]:
        """Of the shares of this step, those that are known."""
        if not self._distributed() and (progress := self._local.progress()):
            self._progress = dict.fromkeys(self._workers, progress)
        for progress in self._progress.values():
            if (progress.run, progress.number) == (self._id, self._number):
                yield progress

    def _distributed(self) -> bool:
        return isinstance(self._environment.runner, MasterRunner)

    def _alive(self) -> set[str]:
        if not self._distributed():
            return {"local"}
        clients = self._environment.runner.clients
        return {client.id for client in clients.ready + clients.spawning + clients.running}

    def _loss(self) -> str | None:
        """That workers are gone, if some are."""
        lost = len(set(self._workers) - self._alive())
        if not lost:
            return None
        return (
            f"{lost} of {len(self._workers)} workers lost after {self._after()}, and with them their share of the load"
        )

    def _say(self, text: str) -> None:
        self._status.clear()
        print(text, flush=True)

    def _after(self) -> str:
        return f"{perf_counter() - self._begun:.0f} s"

    def _end(self, reason: str | None) -> None:
        """Sum up, whatever became of it."""
        self._greenlet = None
        run = self._run
        if run is None:
            print(f"thimble-load: {reason or 'it was stopped before it began'}", file=sys.stderr, flush=True)
            return
        if reason and len(run.steps) < self._number:
            self._journal.add(self._added(list(self._current())))
        run.complete, run.reason = reason is None, reason
        run.gates = gates.gates(run, self._plan.max_p99_ms, self._plan.max_error_share)
        try:
            self._journal.write()
        except OSError as error:
            run.complete, run.reason = False, reason or self._not_written(error)
        self._say(summary.verdict(run, self._plan.results))
        self._environment.process_exit_code = CUT_SHORT if run.reason else FAILED * (not run.passed)

    def _not_written(self, error: OSError) -> str:
        return f"cannot write {self._plan.results}: {error.strerror}"
