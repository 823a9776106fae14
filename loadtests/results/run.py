"""What a load test found, as it lies on disk."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, computed_field

from thimble.loadtests.results.files import replace
from thimble.loadtests.results.histogram import Histogram
from thimble.loadtests.results.machine import Machine, this_machine, versions
from thimble.loadtests.traffic.requests import Traffic

NEAR_CEILING = 0.8
GOING_ON = "it was still going on when this was written"


class Latency(BaseModel):
    """Milliseconds from when a request was due to its right answer."""

    p50: float
    p90: float
    p99: float
    p99_9: float
    max: float
    mean: float

    @classmethod
    def of(cls, histogram: Histogram) -> Self:
        p50, p90, p99, p99_9, longest = histogram.percentiles(50, 90, 99, 99.9, 100)
        return cls(p50=p50, p90=p90, p99=p99, p99_9=p99_9, max=longest, mean=histogram.mean_ms)


class Step(BaseModel):
    """What came of the requests that fell due while one rate was offered.

    `offered` is that rate, requests/s, for `seconds`. Every request that fell `due` is in one of: `ok`, answered right;
    `rejected`, refused by a server that was full, draining or out of time, by status 429, 503 or 504; `failed`, by
    reason. `ok_rows` are the rows scored. `histogram` holds the latencies of those in `ok`. `elapsed` is how long it
    took until the last answer, seconds, so above `seconds` where there was a backlog.
    """

    offered: float
    seconds: float
    due: int = 0
    ok: int = 0
    ok_rows: int = 0
    rejected: dict[str, int] = {}
    failed: dict[str, int] = {}
    elapsed: float = 0
    histogram: Histogram = Field(default_factory=Histogram)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def achieved(self) -> float:
        """Right answers a second, requests/s."""
        return self.ok / max(self.elapsed, self.seconds)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def rows_per_second(self) -> float:
        return self.ok_rows / max(self.elapsed, self.seconds)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def latency(self) -> Latency | None:
        """None where nothing was answered right."""
        return Latency.of(self.histogram) if self.ok else None

    @property
    def error_share(self) -> float:
        """Share of the requests without a right answer: failed or rejected."""
        return 1 - self.ok / self.due if self.due else 0.0

    @property
    def failures(self) -> int:
        return sum(self.failed.values())

    @property
    def worst(self) -> str:
        """The most frequent reason of failures; empty without any."""
        return max(self.failed, key=lambda reason: self.failed[reason], default="")

    def add(self, other: "Step") -> None:
        """Another process's share of this step, or a repetition of it: rates stay, counts and latencies add up."""
        self.elapsed = max(self.elapsed, other.elapsed)
        self.due += other.due
        self.ok += other.ok
        self.ok_rows += other.ok_rows
        for mine, theirs in ((self.rejected, other.rejected), (self.failed, other.failed)):
            for reason, count in theirs.items():
                mine[reason] = mine.get(reason, 0) + count
        self.histogram.add(other.histogram)


def near(step: Step, ceiling: float | None) -> bool:
    """Whether so much was offered that the generator itself may have been measured."""
    return ceiling is not None and step.offered > NEAR_CEILING * ceiling


class Gate(BaseModel):
    """A limit that decides the exit status. `found` is None where there was nothing to measure it on."""

    name: str
    limit: float
    found: float | None
    passed: bool


class Run(BaseModel):
    """A load test. While it is going on, and where it was cut short, `complete` is false and `reason` says why.

    `golden` says whether answers were checked by a golden row, and not by an example that the server itself scored.
    `ceiling` is what the generator reached on this machine against a server that does nothing, requests/s.
    `knee` is the highest rate sustained, requests/s, where the shape looks for it.
    """

    started: datetime = Field(default_factory=lambda: datetime.now(UTC))
    machine: Machine = Field(default_factory=this_machine)
    versions: dict[str, str] = Field(default_factory=versions)
    command: list[str] = []
    url: str
    served: dict[str, Any] = {}
    golden: bool = True
    traffic: Traffic
    shape: str
    pacing: str = "poisson"
    connections: int
    generators: int = 1
    steps: list[Step] = []
    knee: float | None = None
    ceiling: float | None = None
    gates: list[Gate] = []
    complete: bool = False
    reason: str | None = GOING_ON

    @computed_field  # type: ignore[prop-decorator]
    @property
    def near_ceiling(self) -> list[int]:
        """Indices of the steps whose rate is above 80 % of the generator's ceiling: they may measure it instead."""
        return [i for i, step in enumerate(self.steps) if near(step, self.ceiling)]

    @property
    def going_on(self) -> bool:
        return self.reason == GOING_ON

    @property
    def passed(self) -> bool:
        return self.complete and all(gate.passed for gate in self.gates)

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls.model_validate_json(path.read_text())

    def write(self, path: Path) -> None:
        """At once, or not at all."""
        replace(path, self.model_dump_json())


class RunJournal:
    """The results file of a run that is going on.

    Writing takes time from the load that the same process generates, so steps that are done are put in text once.
    """

    def __init__(self, run: Run, path: Path) -> None:
        self._run = run
        self._path = path
        self._done: list[str] = []

    def add(self, step: Step) -> None:
        """A step that is done."""
        self._run.steps.append(step)
        self._done.append(step.model_dump_json())

    def write(self, current: Step | None = None) -> None:
        """With the step that is going on."""
        going_on = [current.model_dump_json(exclude={"latency"})] if current else []  # to sort takes longest
        steps = [*self._done, *going_on]
        rest = self._run.model_dump_json(exclude={"steps"})
        replace(self._path, f'{rest[:-1]},"steps":[{",".join(steps)}]}}')


def joined(steps: Sequence[Step]) -> Step:
    """Repetitions of one step as one: their counts and latencies together, over all of their seconds."""
    whole = Step(
        offered=steps[0].offered,
        seconds=sum(step.seconds for step in steps),
        elapsed=sum(max(step.elapsed, step.seconds) for step in steps),
    )
    for step in steps:
        whole.add(step)
    return whole
