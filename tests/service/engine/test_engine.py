from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from testing.artifacts import write_artifact
from testing.samples import HEADS, random_batch, small_spec
from thimble.models.heads import together
from thimble.models.spec import ModelSpec, answering
from thimble.service.engine.artifact import read_artifact
from thimble.service.engine.buffers import BucketRunner, CpuRunner, HostBuffers, sizes
from thimble.service.engine.engine import Engine
from thimble.service.releases.sandbox.confirmation import rows_with_scores

SPECS = {"both": small_spec(), "ids": small_spec(dense=0), "numbers": small_spec(kinds=())}
SPECS["several"] = answering(small_spec(), HEADS)


@pytest.fixture(scope="module", params=SPECS)
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    return SPECS[request.param]


@pytest.fixture(scope="module")
def path(spec: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(spec, tmp_path_factory.mktemp("engine"))


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def test_any_number_of_rows_is_scored_in_batches(path: Path, spec: ModelSpec) -> None:
    engine = Engine(read_artifact(path, 1 << 20), "cpu", 1, batch_rows=16)
    for rows in (1, 15, 16, 17, 100):
        batch = random_batch(spec, rows)
        expected = together(session(path).run(spec.outputs, batch.fed()))
        np.testing.assert_allclose(engine.score(batch), expected, atol=1e-6)


def test_sizes_are_powers_of_two_up_to_the_batch() -> None:
    assert sizes(1) == [1]
    assert sizes(16) == [1, 2, 4, 8, 16]
    assert sizes(20) == [1, 2, 4, 8, 16, 20]


@pytest.mark.parametrize("kind", ["cpu", "buckets"])
def test_bound_buffers_score_as_separate_runs_do(path: Path, spec: ModelSpec, kind: str) -> None:
    """Buckets are for GPUs; they are run on a CPU here, which has no graphs to capture."""
    host = HostBuffers(spec.inputs, 20)
    if kind == "cpu":
        runs: CpuRunner | BucketRunner = CpuRunner(session(path), host, spec.outputs)
    else:
        runs = BucketRunner(session(path), host, "cpu", spec.outputs)
    kept = []
    for rows in (20, 1, 3, 16, 17, 2, 20, 5):
        batch = random_batch(spec, rows, seed=rows)
        half = rows // 2
        parts = [batch.part(0, half), batch.part(half, rows)]
        assert host.fill(parts) == rows
        expected = together(session(path).run(spec.outputs, batch.fed()))
        kept.append((runs.run(rows), expected))
    for found, expected in kept:  # no run writes over what another gave
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_rows_come_to_another_process_as_bytes(path: Path, spec: ModelSpec) -> None:
    batch = random_batch(spec, 3)
    engine = Engine(read_artifact(path, 1 << 20), "cpu", 1)
    assert rows_with_scores(engine, [array.tobytes() for array in batch]) == [True] * 3


def test_what_it_costs_is_known_before_the_first_request(path: Path) -> None:
    cost = Engine(read_artifact(path, 1 << 20), "cpu", 1).warm_up()
    assert 0 < cost.expected(1) < cost.expected(10_000)
