"""A round of a comparison: everything is measured of both, one after the other."""

import time
from collections.abc import Sequence
from contextlib import ExitStack

from thimble.loadtests import measure
from thimble.loadtests.compare import estimate
from thimble.loadtests.compare.contenders import Contender, Local
from thimble.loadtests.compare.deployments import DeploymentError, Server
from thimble.loadtests.compare.processes import cpu_seconds
from thimble.loadtests.compare.startup import ask_all
from thimble.loadtests.measure import MeasureError
from thimble.loadtests.results.comparison import Attempt, ComparisonJournal, Name, Turn

SHARES_OF_KNEE = (0.1, 0.25, 0.5, 0.75, 0.9)
# Where the search for the knee begins, of what one client that waits for its answers gets, or of a knee found before.
BELOW_PACE, BELOW_KNEE = 0.5, 0.7
UNKNOWN_PACE = 100.0


class Round:
    """The deployments go in the order given, each step of the round for all of them before the next."""

    def __init__(self, journal: ComparisonJournal, number: int, order: Sequence[Contender]) -> None:
        self._journal = journal
        self._comparison = journal.comparison
        self._title = f"round {number + 1} of {self._comparison.settings.rounds}"
        self._order = order
        self._turns = {contender.name: Turn() for contender in order}
        self._servers: dict[Name, Server] = {}
        self._comparison.rounds.append(self._turns)

    def run(self) -> None:
        """DeploymentError, MeasureError, LoadError: a deployment failed."""
        settings = self._comparison.settings
        limit = settings.max_p99_ms
        local = [contender for contender in self._order if isinstance(contender, Local)]
        for own in local:
            self._say(f"{own.name} from a cold disk", estimate.STARTING)
            with own.timed_start(cold=True) as (_, startup):
                self._turns[own.name].startups.append(startup)
            self._journal.write()
        with ExitStack() as stack:
            for own in local:
                server, startup = stack.enter_context(own.timed_start(cold=False))
                self._servers[own.name] = server
                self._turns[own.name].startups.append(startup)
            for contender in self._order:
                self._say(
                    f"the knee of {contender.name}, the highest rate of which 99 % are answered within {limit:g} ms",
                    estimate.searching(settings),
                )
                self._find_knee(contender, self._turns[contender.name])
            self._choose_rates()
            for contender in self._order:
                self._say(f"{contender.name} at {len(self._comparison.rates)} rates", estimate.offering(settings))
                self._offer(contender, self._turns[contender.name])
            for own in local:
                self._say(f"a new version of {own.name}", estimate.RELEASING)
                self._turns[own.name].swap = own.swap(self._servers[own.name])
                self._journal.write()

    def _find_knee(self, contender: Contender, turn: Turn) -> None:
        settings = self._comparison.settings
        run = measure.find_knee(
            contender.url,
            settings.traffic,
            settings.max_p99_ms,
            start=self._start(contender),
            seconds=settings.seconds,
            connections=settings.connections,
            ceiling=self._comparison.ceiling,
        )
        turn.knee = run.knee
        turn.attempts = [
            Attempt(offered=step.offered, achieved=step.achieved, p99_ms=step.latency.p99 if step.latency else None)
            for step in run.steps
        ]
        self._journal.write()

    def _start(self, contender: Contender) -> float:
        """Where to look for the knee first, requests/s."""
        if known := [turn.knee for turn in self._comparison.turns(contender.name) if turn.knee]:
            return known[0] * BELOW_KNEE
        if not (server := self._servers.get(contender.name)):
            return UNKNOWN_PACE
        requests = contender.requests[: len(contender.requests) // 4 + 1]
        start = time.perf_counter()
        ask_all(server, contender.described, requests)
        return len(requests) / (time.perf_counter() - start) * BELOW_PACE

    def _choose_rates(self) -> None:
        """Once: shares of the lower knee, so that both can bear them."""
        if not self._comparison.rates:
            lowest = min(turn.knee or 0 for turn in self._turns.values())
            if not lowest:
                raise DeploymentError(f"no rate kept p99 under {self._comparison.settings.max_p99_ms:g} ms")
            self._comparison.rates = [round(lowest * share, 1) for share in SHARES_OF_KNEE]

    def _offer(self, contender: Contender, turn: Turn) -> None:
        settings = self._comparison.settings
        server = self._servers.get(contender.name)
        before = cpu_seconds([server.pid]) if server else 0
        run = measure.run(
            contender.url,
            settings.traffic,
            "step",
            self._comparison.rates,
            settings.seconds,
            connections=settings.connections,
            ceiling=self._comparison.ceiling,
        )
        turn.steps, turn.rows = run.steps, sum(step.ok_rows for step in run.steps)
        if not run.complete:
            raise MeasureError(run.reason)
        if server and isinstance(contender, Local):
            turn.cpu_seconds = cpu_seconds([server.pid]) - before
            turn.memory = contender.memory([server])
        self._journal.write()

    def _say(self, doing: str, takes: float) -> None:
        self._journal.say(f"{self._title}: {doing}", takes)
