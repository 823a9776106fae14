from thimble.loadtests.results.gates import gates, sustained
from thimble.loadtests.results.run import Run, Step
from thimble.loadtests.traffic.requests import Traffic


def step(ms: float = 5, ok: int = 100, rejected: int = 0, failed: int = 0) -> Step:
    found = Step(offered=100, seconds=1, due=ok + rejected + failed, ok=ok)
    found.rejected = {"429": rejected} if rejected else {}
    found.failed = {"status 500": failed} if failed else {}
    for _ in range(ok):
        found.histogram.record(ms)
    return found


def run(*steps: Step, shape: str = "step", knee: float | None = None) -> Run:
    return Run(url="", traffic=Traffic(), shape=shape, connections=1, steps=list(steps), knee=knee)


def test_every_step_must_keep_the_limits() -> None:
    assert [gate.passed for gate in gates(run(step(5), step(8)), 10, 0)] == [True, True]
    error_share, p99 = gates(run(step(5), step(12, failed=1)), 10, 0)
    assert not error_share.passed
    assert not p99.passed
    assert p99.found == 12


def test_refusals_count_as_errors_to_a_gate() -> None:
    (gate,) = gates(run(step(ok=90, rejected=10)), None, 0.05)
    assert not gate.passed
    assert gate.found is not None
    assert round(gate.found, 3) == 0.1
    assert gates(run(step(ok=90, rejected=10)), None, 0.2)[0].passed


def test_nothing_measured_keeps_no_gate() -> None:
    assert not any(gate.passed for gate in gates(run(), 10, 1))
    assert not gates(run(step(ok=0, failed=3)), 10, 1)[1].passed


def test_a_search_for_the_knee_is_held_to_finding_one() -> None:
    assert gates(run(step(99), shape="knee", knee=80), 10, 0)[0].passed
    assert not gates(run(step(99), shape="knee", knee=0), 10, 0)[0].passed
    assert not gates(run(step(99), shape="knee"), 10, 0)[0].passed


def test_a_rate_is_sustained_when_latency_and_errors_stay_low() -> None:
    assert sustained(step(5), 10, 0)
    assert not sustained(step(11), 10, 0)
    assert not sustained(step(5, rejected=2), 10, 0.01)
    assert sustained(step(5, rejected=2), 10, 0.05)
