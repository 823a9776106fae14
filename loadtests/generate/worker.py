"""A worker: generates its share of the load of each step, as it is told, and says how far it is."""

import gc
from typing import Any

import gevent
from pydantic import BaseModel

from thimble.loadtests import options as given
from thimble.loadtests.generate.generator import Generator
from thimble.loadtests.generate.users import Scorer
from thimble.loadtests.results.run import Step
from thimble.loadtests.traffic.requests import Prepared, Traffic, prepare
from thimble.loadtests.traffic.served import LoadError, Served, served


class Order(BaseModel):
    """A share of a step to be done."""

    run: str
    number: int
    rate: float
    seconds: float
    share: int
    shares: int


class Progress(BaseModel):
    """How far it is. `error` says why it cannot begin."""

    run: str
    number: int
    finished: bool = False
    step: Step | None = None
    error: str | None = None


class Worker:
    """`options` are Locust's, which a worker gets from its master."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self.reset()

    def reset(self) -> None:
        """Before users are spawned for a new run."""
        self._environment.host = (self._environment.host or "").rstrip("/")
        self._order: Order | None = None
        self._prepared = False
        self._error: str | None = None
        Scorer.generator = Generator()
        self._plan = given.plan(self._environment.parsed_options)
        self._traffic = given.traffic(self._environment.parsed_options)
        Scorer.network_timeout = Scorer.connection_timeout = self._plan.timeout_s

    def begin(self, order: Order) -> None:
        self._order, self._error = None, None
        try:
            if not self._prepared:
                self._prepare(order)
                self._prepared = True
            Scorer.generator.begin(order.rate, order.seconds, self._traffic.seed, order.number, self._plan.timeout_s)
        except LoadError as error:
            self._error = str(error)
        self._order = order

    def _prepare(self, order: Order) -> None:
        traffic = self._traffic
        model, _ = served(self._environment.host, traffic.model)
        Scorer.tolerance = model.tolerance
        Scorer.label = f"{traffic.scenario} {traffic.encoding}"
        # beside the event loop: a worker without a heartbeat for seconds is taken for lost
        requests = gevent.get_hub().threadpool.apply(_prepared, (traffic, model))
        if isinstance(requests, LoadError):
            raise requests
        Scorer.generator.use(requests, self._plan.pacing, order.share, order.shares)
        gc.collect()
        gc.freeze()  # else each full collection walks all that was prepared, and requests wait

    def progress(self) -> Progress | None:
        """None before the first order."""
        if self._order is None:
            return None
        progress = Progress(run=self._order.run, number=self._order.number, error=self._error)
        if self._error is None:
            progress.finished = Scorer.generator.finished()
            progress.step = Scorer.generator.step
        return progress


def _prepared(traffic: Traffic, model: Served) -> list[Prepared] | LoadError:
    """The requests, or why there are none: what is raised in a thread, gevent prints."""
    try:
        return prepare(traffic, model)
    except LoadError as error:
        return error
