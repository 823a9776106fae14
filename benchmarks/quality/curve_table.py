"""What the runs of a curve come to; of a file of results:

python -m benchmarks.quality.curve_table benchmarks/quality/results/curve-movielens.json
"""

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thimble.export.tradeoff.chance import scatter

Results = Sequence[dict[str, Any]]

FULL = "full tables"


def table(results: Results) -> str:
    """Markdown: means over the seeds, and how far they are from full tables', seed by seed, with 95 % intervals."""
    full = {run["seed"]: run for run in chosen(results, FULL, 1)}
    lines = [
        "| model | times smaller | bytes | AUC | of the seeds | over full tables | normalised entropy | epochs "
        "| rows until it is as good as full tables, times theirs | AUC that int8 MLPs cost |",
        "| --- | ---: | ---: | ---: | --- | --- | ---: | --- | --- | --- |",
    ]
    for model, times in sorted({(run["model"], run["times"]) for run in results}, key=lambda it: (it[1], it[0])):
        runs = chosen(results, model, times)
        aucs = [run["metrics"]["auc"] for run in runs]
        over = [run["metrics"]["auc"] - full[run["seed"]]["metrics"]["auc"] for run in runs if run["seed"] in full]
        entropy = statistics.mean(run["metrics"]["normalised_entropy"] for run in runs)
        needed = [_times_rows(run, full[run["seed"]]) for run in runs if run["seed"] in full]
        lines.append(
            f"| {model} | {times:,} | {runs[0]['embedding_bytes']:,} | {statistics.mean(aucs):.4f} | "
            f"{', '.join(f'{auc:.4f}' for auc in aucs)} | {_interval(over)} | {entropy:.4f} | "
            f"{', '.join(str(_epochs(run)) for run in runs)} | {', '.join(needed)} | "
            f"{', '.join(_int8_cost(run) for run in runs)} |"
        )
    return "\n".join(lines)


def chosen(results: Results, model: str, times: int) -> list[dict[str, Any]]:
    """One run a seed: of several trials the one that was best on validation rows."""
    best: dict[int, dict[str, Any]] = {}
    for run in results:
        if (run["model"], run["times"]) == (model, times):
            other = best.get(run["seed"])
            if other is None or _loss(run) < _loss(other):
                best[run["seed"]] = run
    return [best[seed] for seed in sorted(best)]


def _loss(run: dict[str, Any]) -> float:
    return min(float(after["log_loss"]) for after in run["validation"])


def _epochs(run: dict[str, Any]) -> int:
    """After which it was best."""
    losses = [after["log_loss"] for after in run["validation"]]
    return 1 + losses.index(min(losses))


def _interval(differences: Sequence[float]) -> str:
    if not differences:
        return ""
    mean, spread = statistics.mean(differences), scatter([differences])
    return f"{mean:+.4f}" + (f" ± {spread.half_width(len(differences)):.4f}" if spread else "")


def _times_rows(run: dict[str, Any], full: dict[str, Any]) -> str:
    """By the AUC on the first validation rows, which is taken ten times in an epoch."""
    if "history" not in run:
        return "never"
    theirs = [point for point in full["history"] if point["epoch"] <= _epochs(full)]
    goal = max(theirs, key=lambda point: float(point["auc"]))
    rows = next((point["rows"] for point in run["history"] if point["auc"] >= goal["auc"]), None)
    return "never" if rows is None else f"{rows / goal['rows']:.2f}"


def _int8_cost(run: dict[str, Any]) -> str:
    cost = run.get("int8_cost")
    return "" if cost is None else f"{-cost['auc']:+.5f}"


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text())["runs"]))
