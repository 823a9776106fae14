"""Leads a run through its shape: gives the workers their orders, adds up their progress, and ends it."""

import os
import sys
import traceback
import uuid
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import gevent
from locust.runners import MasterRunner

from thimble.loadtests import options as given
from thimble.loadtests.generate import shapes
from thimble.loadtests.generate.worker import Order, Progress, Worker
from thimble.loadtests.results import gates, summary
from thimble.loadtests.results.gates import CUT_SHORT, FAILED
from thimble.loadtests.results.run import Run, RunJournal, Step
from thimble.loadtests.traffic.served import LoadError, served

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
        reason = None
        try:
            self._begin()
            self._follow()
        except LoadError as error:
            reason, self._run = str(error), None
        except CutShortError as error:
            reason = str(error)
        except Exception as error:  # else Locust would wait for ever
            traceback.print_exc()
            reason = f"the generator failed: {error!r}"
        self._end(reason)
        runner = self._environment.runner
        if self._environment.parsed_options.headless:
            runner.quit()
        else:
            runner.stop()

    def _begin(self) -> None:
        """LoadError: the options are wrong, there is no server, or results cannot be written."""
        runner, options = self._environment.runner, self._environment.parsed_options
        self._run = None
        self._number = 0
        self._begun = perf_counter()
        self._progress.clear()
        self._workers = sorted(self._alive())
        traffic = given.traffic(options)
        self._shape = shapes.shape(
            options.shape,
            given.rates(options.rate),
            options.seconds,
            lambda step: gates.sustained(step, options.max_p99_ms or gates.KNEE_P99_MS, options.max_error_share),
        )
        host = self._environment.host
        model, description = served(host, traffic.model)
        self._run = Run(
            command=sys.argv,
            url=host,
            served=description,
            golden=model.known.golden,
            traffic=traffic,
            shape=options.shape,
            pacing=options.pacing,
            connections=runner.user_count,
            generators=len(self._workers),
            ceiling=options.ceiling,
        )
        self._id = uuid.uuid4().hex
        self._journal = RunJournal(self._run, Path(options.results))
        try:
            self._journal.write()
        except OSError as error:
            raise LoadError(f"cannot write {options.results}: {error.strerror}") from None

    def _follow(self) -> None:
        assert self._run is not None
        try:
            offer = next(self._shape)
            while True:
                step = self._step(offer)
                if not self._run.steps[1:]:
                    self._say(summary.HEAD)
                self._say(summary.line(step, self._run.ceiling))
                offer = self._shape.send(step)
        except StopIteration as end:
            self._run.knee = end.value

    def _step(self, offer: shapes.Offer) -> Step:
        """CutShortError: the server, or a worker, is gone."""
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
        print(text, flush=True)

    def _after(self) -> str:
        return f"{perf_counter() - self._begun:.0f} s"

    def _end(self, reason: str | None) -> None:
        """Sum up, whatever became of it."""
        self._greenlet = None
        run, options = self._run, self._environment.parsed_options
        if run is None:
            Path(options.results).unlink(missing_ok=True)
            print(f"thimble-load: {reason or 'it was stopped before it began'}", file=sys.stderr, flush=True)
            return
        if reason and len(run.steps) < self._number:
            self._journal.add(self._added(list(self._current())))
        run.complete, run.reason = reason is None, reason
        run.gates = gates.gates(run, options.max_p99_ms, options.max_error_share)
        self._journal.write()
        self._say(summary.verdict(run, options.results))
        self._environment.process_exit_code = CUT_SHORT if reason else FAILED * (not run.passed)
