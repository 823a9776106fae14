"""A run in a few lines of text."""

from pathlib import Path

from thimble.loadtests.results.ids import ids_a_row
from thimble.loadtests.results.run import NEAR_CEILING, Run, Step, near
from thimble.loadtests.traffic.served import KEY

HEAD = f"{'offered/s':>10} {'achieved/s':>10} {'rows/s':>9} {'p50 ms':>9} {'p90 ms':>9} {'p99 ms':>9} {'p99.9 ms':>9}"


def duration(seconds: float) -> str:
    """For people: 9.5 s, 40 s, 3 min 20 s."""
    if seconds < 10:
        return f"{float(f'{seconds:.1f}'):g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def line(step: Step, ceiling: float | None) -> str:
    """One step: rates, percentiles of the latency, and what was not answered right."""
    found = step.latency
    times = (found.p50, found.p90, found.p99, found.p99_9) if found else (float("nan"),) * 4
    columns = [f"{step.offered:10.1f} {step.achieved:10.1f} {step.rows_per_second:9.0f}", *(f"{t:9.2f}" for t in times)]
    notes = [f"{count} refused with {status}" for status, count in sorted(step.rejected.items())]
    notes += [f"{count} failed: {reason}" for reason, count in sorted(step.failed.items())]
    notes += [f"above {NEAR_CEILING:.0%} of the generator's ceiling"] * near(step, ceiling)
    return "  ".join([" ".join(columns), "; ".join(notes)]).rstrip()


def verdict(run: Run, path: Path) -> str:
    """What it comes to. `path` is where all of it lies."""
    lines = []
    if (ids := ids_a_row(run.served, run.traffic)) is not None:
        lines.append(f"rows: {ids}")
    if not run.golden:
        lines.append(
            f"scores were checked by one that the server gave; with a key, from {KEY}, by one of the model's file"
        )
    if run.ceiling:
        lines.append(f"generator's ceiling: {run.ceiling:.0f} requests/s, the most that it can send here itself")
    if run.near_ceiling:
        lines.append("steps that near it may have measured the generator: use more --processes, or another machine")
    if run.knee is not None:
        lines.append(
            f"knee, the highest rate sustained: {run.knee:.1f} requests/s" if run.knee else "no rate was sustained"
        )
    for gate in run.gates if run.knee is None else []:
        found = "nothing to measure" if gate.found is None else f"{gate.found:.4g}"
        lines.append(f"{gate.name}: {found}, limit {gate.limit:g}: {'kept' if gate.passed else 'NOT KEPT'}")
    lines.append(f"PARTIAL: {run.reason}" if run.reason else "complete")
    lines.append(f"results: {path}")
    return "\n".join(lines)


def text(run: Run, path: Path) -> str:
    """All of it."""
    return "\n".join([HEAD, *(line(step, run.ceiling) for step in run.steps), verdict(run, path)])
