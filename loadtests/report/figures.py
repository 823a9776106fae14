"""What a comparison comes to: each figure of both deployments round by round, and their ratios with their spread."""

import statistics
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from thimble.loadtests.report import numbers
from thimble.loadtests.results.comparison import NAMES, Comparison, Name, Turn

# Ratios that are below this, or its inverse, in some round may be noise.
NOISE = 1.05
MILLION = 1e6


class Figure(NamedTuple):
    """`values` are a deployment's, one a round, or one where a round cannot change it. `goal` is the ratio to reach.

    What is shown of them are medians, and `ratio` is theirs, so that whoever divides what he reads gets the same.
    """

    key: str
    title: str
    form: Callable[[float], str]
    values: dict[Name, list[float]]
    better: Literal["less", "more"] = "less"
    goal: float | None = None

    @property
    def pairs(self) -> list[tuple[float, float]]:
        """A and B of the rounds that both have done."""
        return [(a, b) for a, b in zip(self.values["A"], self.values["B"], strict=False) if a > 0 and b > 0]

    @property
    def ratios(self) -> list[float]:
        """How many times better B is than A, round by round."""
        return [self._times(a, b) for a, b in self.pairs]

    @property
    def ratio(self) -> float:
        """The same of the medians, which lies between those of the rounds."""
        return self._times(self.median("A"), self.median("B"))

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.ratios), max(self.ratios)

    def median(self, name: Name) -> float:
        return statistics.median(pair[NAMES.index(name)] for pair in self.pairs)

    @property
    def winner(self) -> Name | None:
        """Who is better in every round; None if the rounds do not tell."""
        low, high = self.spread
        return "B" if low > NOISE else "A" if high < 1 / NOISE else None

    @property
    def reached(self) -> bool | None:
        """Whether the goal is; None without one."""
        return None if self.goal is None else self.ratio >= self.goal

    def _times(self, a: float, b: float) -> float:
        return a / b if self.better == "less" else b / a


def figures(found: Comparison) -> list[Figure]:
    """Those that both deployments have."""
    return [figure for figure in _figures(found) if figure.ratios]


def _figures(found: Comparison) -> Iterator[Figure]:
    built_in = found.settings.tables is not None

    def goal(ratio: float) -> float | None:
        return ratio if built_in else None

    def rounds(value: Callable[[Turn], float | None]) -> dict[Name, list[float]]:
        return {name: [v for v in map(value, found.turns(name)) if v is not None] for name in NAMES}

    def once(value: Callable[[Name], float | None]) -> dict[Name, list[float]]:
        return {name: [v for v in [value(name)] if v is not None] for name in NAMES}

    sizes = once(lambda name: found.sides[name].size if name in found.sides else None)
    yield Figure("bytes", "bytes that a release ships", numbers.size, sizes, goal=goal(100))
    yield Figure(
        "model memory",
        "memory of the model: a server's own pages and those of the model's files, beyond a server without a model",
        numbers.size,
        rounds(lambda turn: model_memory(found, turn)),
        goal=goal(50),
    )
    yield Figure(
        "resident",
        "resident memory beyond a server without a model, the libraries' code that a model makes it use included",
        numbers.size,
        rounds(lambda turn: turn.memory.resident - found.empty.resident if turn.memory and found.empty else None),
    )
    yield Figure(
        "first answers, cold",
        "first answers off a cold disk: from ready until 2,048 rows are answered",
        numbers.seconds,
        rounds(lambda turn: (s.rows - s.ready) if (s := turn.startup(cold=True)) else None),
        goal=goal(10),
    )
    yield Figure(
        "first answer, cold",
        "first answer off a cold disk, from ready",
        numbers.seconds,
        rounds(lambda turn: (s.first - s.ready) if (s := turn.startup(cold=True)) else None),
    )
    yield Figure(
        "start, cold",
        "first answers off a cold disk: from the start of the process until 2,048 rows are answered",
        numbers.seconds,
        rounds(lambda turn: s.rows if (s := turn.startup(cold=True)) else None),
    )
    yield Figure(
        "first answers, warm",
        "first answers with the files in memory: from ready until 2,048 rows are answered",
        numbers.seconds,
        rounds(lambda turn: (s.rows - s.ready) if (s := turn.startup(cold=False)) else None),
    )
    yield Figure(
        "server memory",
        "memory of the whole server, resident",
        numbers.size,
        rounds(lambda turn: turn.memory.resident if turn.memory else None),
    )
    yield Figure(
        "replicas",
        "memory of four replicas on one machine, shared pages counted once",
        numbers.size,
        once(lambda name: next((r.memory.proportional for r in found.replicas.get(name, []) if r.replicas == 4), None)),
    )
    yield from _under_load(found, rounds)
    yield Figure(
        "copy",
        "copying a version's files on this disk",
        numbers.seconds,
        once(lambda name: next((turn.swap.copied for turn in found.turns(name) if turn.swap), None)),
    )
    yield Figure(
        "release",
        "making a version live that is in the repository, while the server answers",
        numbers.seconds,
        rounds(lambda turn: turn.swap.released if turn.swap else None),
    )


def _under_load(
    found: Comparison, rounds: Callable[[Callable[[Turn], float | None]], dict[Name, list[float]]]
) -> Iterator[Figure]:
    if found.rates:
        middle = len(found.rates) // 2
        at = f"at {numbers.number(found.rates[middle])} requests/s"

        def latency(percentile: str) -> Callable[[Turn], float | None]:
            def of(turn: Turn) -> float | None:
                step = turn.steps[middle] if len(turn.steps) > middle else None
                return getattr(step.latency, percentile) if step and step.latency else None

            return of

        yield Figure("p50", f"median latency {at}", numbers.ms, rounds(latency("p50")))
        yield Figure("p99", f"99th percentile of the latency {at}", numbers.ms, rounds(latency("p99")))
    limit = f"{found.settings.max_p99_ms:g} ms"
    yield Figure("knee", f"requests/s with p99 under {limit}", numbers.number, rounds(lambda t: t.knee), better="more")
    yield Figure("cpu", "processor seconds per million rows", numbers.seconds, rounds(cpu_per_million))


def model_memory(found: Comparison, turn: Turn) -> float | None:
    """Bytes that a model adds to a server.

    Unique memory (USS) would not do: a library's pages are unique or not as other processes map them or not, and the
    server without a model has other neighbours than one with.
    """
    if turn.memory is None or found.empty is None:
        return None
    return turn.memory.anonymous + turn.memory.mapped - found.empty.anonymous


def cpu_per_million(turn: Turn) -> float | None:
    return turn.cpu_seconds / turn.rows * MILLION if turn.cpu_seconds and turn.rows else None
