"""A run in a few lines of text."""

from loadtests.results import NEAR_CEILING, Run, Step

HEAD = f"{'offered/s':>10} {'achieved/s':>10} {'rows/s':>9} {'p50 ms':>9} {'p90 ms':>9} {'p99 ms':>9} {'p99.9 ms':>9}"


def line(step: Step) -> str:
    """One step: rates, percentiles of the latency, and what was not answered right."""
    found = step.latency
    times = (found.p50, found.p90, found.p99, found.p99_9) if found else (float("nan"),) * 4
    columns = [f"{step.offered:10.1f} {step.achieved:10.1f} {step.rows_per_second:9.0f}", *(f"{t:9.2f}" for t in times)]
    refused = [f"{count} refused with {status}" for status, count in sorted(step.rejected.items())]
    failed = [f"{count} failed: {reason}" for reason, count in sorted(step.failed.items())]
    return " ".join(columns) + "".join(f"  {text}" for text in refused + failed)


def text(run: Run, path: str) -> str:
    """All of it. `path` is where the whole of it lies."""
    lines = [HEAD]
    for number, step in enumerate(run.steps):
        lines.append(line(step) + ("  near the generator's ceiling" if number in run.near_ceiling else ""))
    if run.ceiling:
        lines.append(f"the generator's ceiling here is {run.ceiling:.0f} requests/s")
    if run.near_ceiling:
        lines.append(f"steps above {NEAR_CEILING:.0%} of it may have measured the generator")
    if run.knee is not None:
        lines.append(f"highest rate sustained: {run.knee:.1f} requests/s" if run.knee else "no rate was sustained")
    for gate in run.gates:
        found = "nothing to measure" if gate.found is None else f"{gate.found:.4g}"
        lines.append(f"{gate.name}: {found}, limit {gate.limit:g}: {'kept' if gate.passed else 'NOT KEPT'}")
    lines.append(f"PARTIAL: {run.reason}" if run.reason else "complete")
    lines.append(f"results: {path}")
    return "\n".join(lines)
