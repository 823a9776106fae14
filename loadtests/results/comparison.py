"""What a comparison of two deployments found, as it lies on disk."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field

from thimble.loadtests.results.files import replace
from thimble.loadtests.results.machine import Machine, this_machine, versions
from thimble.loadtests.results.run import GOING_ON, Step
from thimble.loadtests.results.summary import duration
from thimble.loadtests.traffic.requests import Traffic

Name = Literal["A", "B"]
NAMES: tuple[Name, Name] = ("A", "B")
FIRST_ROWS = 2048


class Settings(BaseModel):
    """`seconds` is how long each rate is offered, `price` what a core costs an hour, in whatever currency.

    `tables` is the preset whose full tables are compared with their compressed form, None where A and B were given.
    """

    rounds: Annotated[int, Field(gt=0)] = 3
    seconds: Annotated[float, Field(gt=0)] = 2.0
    max_p99_ms: Annotated[float, Field(gt=0)] = 50.0
    memory_gb: Annotated[float, Field(gt=0)] = 16.0
    price: Annotated[float, Field(ge=0)] = 0.04
    connections: Annotated[int, Field(gt=0)] = 100
    tables: str | None = None
    table_rows: Annotated[int, Field(ge=1000)] | None = None
    traffic: Traffic = Traffic()


class Side(BaseModel):
    """One of the two deployments. `size` are the bytes of a release; None for a server that was running already."""

    label: str
    source: str
    size: int | None = None
    files: dict[str, int] = {}
    served: dict[str, Any] = {}


class Startup(BaseModel):
    """Seconds since the process was started: until it says that it is ready, until its first answer, until FIRST_ROWS
    rows are answered, one request after the other.

    `cached` is the share of the model's files that was in the page cache before, as it should be `cold` or not.
    """

    cold: bool
    cached: float
    ready: float
    first: float
    rows: float


class Swap(BaseModel):
    """Seconds. `copied` is how long the disk took to copy the files of a version, `pushed` how long the server took to
    take it over HTTP and to verify it (None where it is more than one file, which cannot be pushed), `released` how
    long the call took that makes a version in the repository the live one, while the server goes on."""

    copied: float
    pushed: float | None
    released: float


class ProcessMemory(BaseModel):
    """Of several processes together, bytes.

    `resident` counts a page once for each process that maps it, `proportional` once in all, `unique` only where no
    other process maps it. `proportional` is `anonymous` (its own) and `file` (pages of files: code, and what is mapped
    of a model); `mapped` is what of `file` belongs to the model's files. `cached` is what of the model's files is in
    the page cache, mapped or not.
    """

    processes: int = 0
    resident: int = 0
    proportional: int = 0
    unique: int = 0
    anonymous: int = 0
    file: int = 0
    mapped: int = 0
    cached: int = 0


class Attempt(BaseModel):
    """A rate, requests/s, that was tried in the search for the knee, and the p99 that it had."""

    offered: float
    achieved: float
    p99_ms: float | None


class Turn(BaseModel):
    """What one deployment did in a round.

    `cpu_seconds` is the processor time of its server for the `rows` that were scored in `steps`. `memory` is what one
    server weighs after them. `knee` is the highest rate sustained, requests/s.
    """

    startups: list[Startup] = []
    knee: float | None = None
    attempts: list[Attempt] = []
    steps: list[Step] = []
    cpu_seconds: float | None = None
    rows: int = 0
    memory: ProcessMemory | None = None
    swap: Swap | None = None

    def startup(self, *, cold: bool) -> Startup | None:
        return next((startup for startup in self.startups if startup.cold == cold), None)


class Replicas(BaseModel):
    """So many servers of one artifact on this machine, after each has scored the same rows."""

    replicas: int
    memory: ProcessMemory


class Size(BaseModel):
    """A deployment with tables of another size: one server, from a cold disk. `tables` is what the full tables weigh,
    `size` what a release of it weighs, bytes."""

    tables: int
    size: int
    startup: Startup
    memory: ProcessMemory
    swap: Swap


class Comparison(BaseModel):
    """Two deployments side by side. Where it was cut short, `complete` is false and `reason` says why.

    `busy` is the load average before it began. `tables` is what the full tables weigh, bytes. `empty` is a server
    without a model. `rates` are what was offered to both, requests/s. `rounds` holds the turns by deployment, A and B;
    so do the others.
    """

    started: datetime = Field(default_factory=lambda: datetime.now(UTC))
    seconds: float = 0
    machine: Machine = Field(default_factory=this_machine)
    versions: dict[str, str] = Field(default_factory=versions)
    command: list[str] = []
    settings: Settings
    busy: float = 0
    tables: int | None = None
    sides: dict[Name, Side] = {}
    empty: ProcessMemory | None = None
    ceiling: float | None = None
    rates: list[float] = []
    rounds: list[dict[Name, Turn]] = []
    replicas: dict[Name, list[Replicas]] = {}
    sizes: dict[Name, list[Size]] = {}
    complete: bool = False
    reason: str | None = GOING_ON

    def turns(self, name: Name) -> Iterator[Turn]:
        """A deployment's turns, round by round."""
        return (turns[name] for turns in self.rounds if name in turns)

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls.model_validate_json(path.read_text())

    def write(self, path: Path) -> None:
        """At once, or not at all."""
        replace(path, self.model_dump_json())


class ComparisonJournal:
    """A comparison that is going on, and the file that it is written to after every step of it."""

    def __init__(self, comparison: Comparison, path: Path, tell: Callable[[str], None]) -> None:
        """`tell` is for the user, and is told what is being done, how long it has taken and what about is left.

        `left` is about how many seconds the rest takes.
        """
        self.comparison = comparison
        self.path = path
        self.doing = "the beginning"
        self.left = 0.0
        self._tell = tell
        self._begun = time.perf_counter()

    def say(self, doing: str, takes: float) -> None:
        """What is done next, and about how many seconds it takes."""
        self.doing = doing
        gone = time.perf_counter() - self._begun
        self._tell(f"{duration(gone)} gone, about {duration(max(self.left, takes))} left: {doing}")
        self.left -= takes

    def write(self) -> None:
        self.comparison.seconds = time.perf_counter() - self._begun
        self.comparison.write(self.path)
