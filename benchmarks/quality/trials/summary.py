"""The tables of docs/adr/0022-small-array.md, from the results that are there.

python -m benchmarks.quality.trials.summary
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

RESULTS = Path(__file__).parents[1] / "results"
COLUMNS = {"100x": "MovieLens, 100x", "100x-hot": "long tail, 100x", "10x": "MovieLens, 10x"}
Results = list[dict[str, Any]]


class Row(NamedTuple):
    """Trials of a suite that share a line of the table, and what became of them. They are held against the suite's
    first trial, or against another one.
    """

    tried: str
    labels: Sequence[str]
    kept: str = "no"
    suite: str = "bits"
    over: str | None = None


def _chunks(weights: str) -> list[str]:
    return [f"{weights}, chunks of {chunk}" for chunk in (2, 8, 16)]


ROWS = [
    Row("full float32 tables, 100 or 10 times the bytes", ["full tables"], ""),
    Row("float32", ["fp32"], ""),
    Row("float16", ["fp16"], ""),
    Row("8 bits", ["8 bits"], "as an option"),
    Row("the step's rate .03 in place of .003", ["the step ten times as fast"], "no difference"),
    Row("LSQ's first step (from the first weights), rate .03", ["that, from LSQ's step"]),
    Row("the same, rate .003", ["slow, from LSQ's step"], "no, stuck"),
    Row("the step itself instead of its logarithm", ["LSQ's step itself, not its logarithm"]),
    Row("a step that follows the weights' deviation", ["a step that follows the weights' deviation"]),
    Row("gradients of cut-off weights: those that lead inwards", ["cut-off weights get gradients that lead inwards"]),
    Row("the same: all", ["cut-off weights get all gradients"]),
    Row("a learnt scale a field", ["a scale a field beside the step"]),
    Row("a learnt scale a field's chunk", ["a scale a field's chunk"]),
    Row("16 learnt values in place of even ones", ["16 learnt values"]),
    Row("first weights from ±.03, ±.1", ["from 0.03", "from 0.1"]),
    Row("half of the bytes on hot rows", ["half of it hot rows"], "by traffic"),
    Row("none on hot rows", ["without hot rows"], "by traffic"),
    Row(
        "the array's rate x 1/2, 2, 4",
        ["half the array's rate", "twice the array's rate", "four times the array's rate"],
        suite="training",
    ),
    Row("the MLPs' rate x 1/2, 2", ["half the MLPs' rate", "twice the MLPs' rate"], suite="training"),
    Row(
        "Adagrad, rate .025, .05, .1",
        ["Adagrad, half its rate", "Adagrad for the array", "Adagrad, twice its rate"],
        suite="training",
    ),
    Row("100 steps of warm-up", ["100 steps of warm-up"], suite="training"),
    Row("a slot's rate by how many ids share it", ["a slot's rate by how many ids share it"], suite="training"),
    Row("chunks of 2, 8, 16 in place of 4", _chunks("4 bits"), "4", "chunks"),
    Row("the same in float32", _chunks("fp32"), "4", "chunks", "fp32, chunks of 4"),
]


def tables() -> str:
    """Markdown: how many seeds there are, and what each trial has over the first."""
    return f"{_seeds()}\n\n{_trials()}"


def _seeds() -> str:
    lines = [f"| seeds | {' | '.join(COLUMNS.values())} |", "| --- " * (1 + len(COLUMNS)) + "|"]
    for suite in dict.fromkeys(row.suite for row in ROWS):
        cells = []
        for size in COLUMNS:
            results = _results(suite, size)
            counts = [sum(it["label"] == label for it in results) for label in {it["label"] for it in results}]
            cells.append(", some ".join(map(str, sorted({*counts}, reverse=True))))
        lines.append(f"| {suite} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _trials() -> str:
    first = [
        f"{np.mean([it['auc'] for it in runs if it['label'] == runs[0]['label']]):.4f}".lstrip("0")
        for runs in (_results("bits", size) for size in COLUMNS)
    ]
    lines = [
        f"| tried | {' | '.join(COLUMNS.values())} | kept? |",
        "| --- " * (2 + len(COLUMNS)) + "|",
        "| **4 bits, one step, its logarithm trained, values that reach .25 at the start** "
        f"| {' | '.join(first)} | yes |",
    ]
    for row in ROWS:
        cells = [
            ", ".join(cell for label in row.labels if (cell := _over(_results(row.suite, size), label, row.over)))
            for size in COLUMNS
        ]
        lines.append(f"| {row.tried} | {' | '.join(cells)} | {row.kept} |")
    return "\n".join(lines)


def _over(results: Results, label: str, other: str | None) -> str:
    """Mean AUC over the other trial's, seed by seed, with the standard error where it is .001 or more."""
    runs = [it for it in results if it["label"] == label]
    if not runs:
        return ""
    theirs = {it["seed"]: it["auc"] for it in results if it["label"] == (other or results[0]["label"])}
    over = [run["auc"] - theirs[run["seed"]] for run in runs]
    error = round(float(np.std(over, ddof=1)) / len(over) ** 0.5, 3) if len(over) > 1 else 0
    return f"{np.mean(over):+.3f}".replace("0.", ".") + (f" ± {error:.3f}".replace("0.", ".") if error else "")


def _results(suite: str, size: str) -> Results:
    file = RESULTS / f"trials-{suite}-{size}.json"
    results: Results = json.loads(file.read_text()) if file.exists() else []
    return results


if __name__ == "__main__":
    print(tables())
