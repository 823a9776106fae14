"""A comparison with known numbers, as one that ran would leave it."""

from thimble.loadtests.results.comparison import (
    NAMES,
    Attempt,
    Comparison,
    ProcessMemory,
    Replicas,
    Settings,
    Side,
    Size,
    Startup,
    Swap,
    Turn,
)
from thimble.loadtests.results.histogram import Histogram
from thimble.loadtests.results.run import Step
from thimble.loadtests.traffic.requests import Traffic

MB = 1_000_000
EMPTY = 60 * MB


def memory(model: int, file: int = 0, replicas: int = 1) -> ProcessMemory:
    """Servers of a model with so many bytes of its own, and so many of a file that they all map."""
    own = (EMPTY + model) * replicas
    return ProcessMemory(
        processes=replicas,
        resident=own + file * replicas,
        proportional=own + file,
        unique=own + (file if replicas == 1 else 0),
        anonymous=own,
        file=file,
        mapped=file,
        cached=file,
    )


def step(rate: float, ms: float, seconds: float = 2) -> Step:
    """All answered right, in about so many milliseconds."""
    count = int(rate * seconds)
    histogram = Histogram()
    for i in range(count):
        histogram.record(ms * (1 + i / count))
    return Step(
        offered=rate, seconds=seconds, elapsed=seconds, due=count, ok=count, ok_rows=64 * count, histogram=histogram
    )


def startups(ready: float, cold: float, warm: float) -> list[Startup]:
    return [
        Startup(cold=True, cached=0, ready=ready, first=ready + cold / 100, rows=ready + cold),
        Startup(cold=False, cached=1, ready=ready, first=ready + warm / 100, rows=ready + warm),
    ]


def comparison(rounds: int = 3) -> Comparison:
    """Full tables of 2 GB (A) against 2 MB (B), which differ as they should and compute the same."""
    found = Comparison(
        settings=Settings(rounds=rounds, tables="criteo-kaggle", traffic=Traffic(scenario="batch", encoding="binary")),
        command=["thimble-load", "compare"],
        tables=2000 * MB,
        sides={
            "A": Side(
                label="full tables",
                source="untrained",
                size=2002 * MB,
                files={"model.onnx": 2 * MB, "model.weights": 2000 * MB},
                served={"name": "full"},
            ),
            "B": Side(label="compressed 10,000x", source="untrained", size=2 * MB, files={"model.onnx": 2 * MB}),
        },
        empty=memory(0),
        ceiling=5000,
        rates=[50, 125, 250],
        complete=True,
        reason=None,
    )
    for number in range(rounds):
        noise = 1 + 0.1 * number if number % 2 else 1 - 0.1 * number
        found.rounds.append(
            {
                "A": Turn(
                    startups=startups(1, 5 + number, 0.2),
                    knee=500,
                    attempts=[Attempt(offered=500, achieved=499, p99_ms=30)],
                    steps=[step(rate, 2) for rate in found.rates],
                    cpu_seconds=1,
                    rows=50_000,
                    memory=memory(10 * MB, 2000 * MB),
                    swap=Swap(copied=10, pushed=None, released=2),
                ),
                "B": Turn(
                    startups=startups(1, 0.1, 0.1),
                    knee=500 * noise,
                    attempts=[Attempt(offered=500, achieved=499, p99_ms=30)],
                    steps=[step(rate, 2 * noise) for rate in found.rates],
                    cpu_seconds=0.9 * noise,
                    rows=50_000,
                    memory=memory(10 * MB),
                    swap=Swap(copied=0.01, pushed=1, released=1),
                ),
            }
        )
    for name, file in zip(NAMES, (2000 * MB, 0), strict=True):
        found.replicas[name] = [Replicas(replicas=n, memory=memory(10 * MB, file, n)) for n in (1, 2, 4)]
    for tables in (500 * MB, 2000 * MB):
        for name, own in zip(NAMES, (tables, tables // 10_000), strict=True):
            found.sizes.setdefault(name, []).append(
                Size(
                    tables=tables,
                    size=own + 2 * MB,
                    startup=startups(1, 1, 1)[0],
                    memory=memory(10 * MB, own),
                    swap=Swap(copied=own / 2e8, pushed=None, released=1),
                )
            )
    return found
