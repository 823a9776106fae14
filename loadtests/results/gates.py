"""Limits that a run must keep."""

from collections.abc import Sequence

from thimble.loadtests.results.run import Gate, Run, Step

KNEE_P99_MS = 50.0
FAILED, USAGE, CUT_SHORT = 1, 2, 3
"""Exit statuses: a gate was not kept, or nothing could be measured; bad flags; the run is not complete."""


def sustained(step: Step, max_p99_ms: float, max_error_share: float) -> bool:
    """Whether the server kept up."""
    return all(gate.passed for gate in _gates([step], max_p99_ms, max_error_share))


def gates(run: Run, max_p99_ms: float | None, max_error_share: float) -> list[Gate]:
    """What a run is held to: every step keeps the limits or, where the knee is looked for, some rate does."""
    if run.shape == "knee":
        return [Gate(name="knee", limit=0, found=run.knee, passed=bool(run.knee))]
    return _gates(run.steps, max_p99_ms, max_error_share)


def _gates(steps: Sequence[Step], max_p99_ms: float | None, max_error_share: float) -> list[Gate]:
    share = max((step.error_share for step in steps), default=None)
    passed = share is not None and share <= max_error_share
    found = [Gate(name="error share", limit=max_error_share, found=share, passed=passed)]
    if max_p99_ms is not None:
        answered = [step.latency.p99 for step in steps if step.latency]
        worst = max(answered, default=None)
        kept = worst is not None and len(answered) == len(steps) and worst <= max_p99_ms
        found.append(Gate(name="p99 ms", limit=max_p99_ms, found=worst, passed=kept))
    return found
