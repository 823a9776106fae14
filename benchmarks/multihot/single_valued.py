"""Whether bags cost anybody who has none: training steps of single-valued models by this checkout and another one.

    python -m benchmarks.multihot.single_valued OTHER_CHECKOUT

OTHER_CHECKOUT has an environment of its own in .venv. Both make the steps of the same models upon the same rows, in
processes that take turns, one thread each, and what is counted is their own processor time. Where a process lies in
memory changes a step by a few percent, so there are several pairs of processes. Prints the median over pairs of what a
step takes here against there, and writes it with all times into `results/`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import ROOT, measured_on, record
from testing.samples import criteo_spec
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.training.recipe import Recipe
from thimble.export.training.schema import preset_spec
from thimble.export.training.start import started
from thimble.export.training.step import Step
from thimble.models.spec import ModelSpec

RESULTS = Path(__file__).parent / "results"
BATCH, STEPS = 512, 8
MODELS = ["block, int4, 10 MB", "block, fp32, 1 MB", "robe-v1, 10 MB", "full tables"]


def spec_of(model: str) -> ModelSpec:
    """Of Criteo-Kaggle's fields, 16 floats an embedding."""
    match model.split(", "):
        case ["block", "int4", _]:
            return preset_spec("criteo-kaggle", None, "block", 10_000_000, None, 0)
        case ["block", *_]:
            return preset_spec("criteo-kaggle", None, "block", 1_000_000, None, 0, "fp32")
        case ["robe-v1", _]:
            return preset_spec("criteo-kaggle", None, "robe-v1", 10_000_000, None, 0)
        case _:
            return criteo_spec("full", rows=100_000, dim=16)


def work(model: str) -> None:
    """Take STEPS steps for each line of stdin and print their seconds of processor time."""
    torch.set_num_threads(1)
    spec = spec_of(model)
    step = Step(started(spec, 0, torch.device("cpu")), Recipe(batch_size=BATCH))
    batches = [*GeneratedClicks(spec, BATCH * STEPS, 0).read(0, BATCH * STEPS, BATCH)]
    print("ready", flush=True)
    for _ in sys.stdin:
        begun = time.process_time()
        for clicks in batches:
            step(clicks)
        print((time.process_time() - begun) / STEPS, flush=True)


class Worker:
    """`work` in a checkout."""

    def __init__(self, checkout: Path, model: str) -> None:
        code = Path(__file__).read_text()  # this one, whatever the checkout has
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(checkout)}
        self.process = subprocess.Popen(
            [checkout / ".venv/bin/python", "-c", code.replace("__file__", repr(__file__)), "--work", model, "."],
            cwd=checkout,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._said()
        self.take()  # the first steps allocate what the others use

    def take(self) -> float:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self._said())

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()

    def _said(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()


def compared(here: Path, there: Path, model: str, rounds: int, first: int) -> dict[str, Any]:
    """Of one pair of processes: the ms of each round, here and there. `first` says whose process is begun first."""
    places = here, there
    workers = {which: Worker(places[which], model) for which in (first, 1 - first)}
    taken: tuple[list[float], list[float]] = [], []
    for number in range(rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            taken[which].append(round(workers[which].take() * 1e3, 3))
    for worker in workers.values():
        worker.end()
    ratio = statistics.median(a / b for a, b in zip(*taken, strict=True))
    return {"model": model, "here_ms": taken[0], "there_ms": taken[1], "ratio": round(ratio, 4)}


def table(pairs: list[dict[str, Any]]) -> str:
    lines = [
        "| model | a step before, ms | now, ms | ratio, median of pairs | pairs |",
        "| --- " * 5 + "|",
    ]
    for model in dict.fromkeys(pair["model"] for pair in pairs):
        mine = [pair for pair in pairs if pair["model"] == model]
        here, there = (statistics.median(ms for pair in mine for ms in pair[key]) for key in ("here_ms", "there_ms"))
        ratios = sorted(pair["ratio"] for pair in mine)
        spread = f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
        lines.append(f"| {model} | {there:.2f} | {here:.2f} | {spread} | {len(mine)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    parser.add_argument("--work", choices=MODELS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work)
        return
    pairs: list[dict[str, Any]] = []
    for number in range(given.pairs):
        for model in MODELS:
            pairs.append(compared(ROOT, given.other.resolve(), model, given.rounds, number % 2))
            record(given.results, "single-valued", {"measured_on": measured_on(), "pairs": pairs}, table(pairs))
    print(table(pairs))


if __name__ == "__main__":
    main()
