"""A memory that begins as near as it can to full tables."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from testing.clicks import ClicksInMemory
from testing.samples import small_spec
from thimble.export.clicks.frequent_ids import id_counts
from thimble.export.clicks.rows import Clicks, Rows
from thimble.export.training.full_tables import indexed
from thimble.export.training.hot_rows import with_rows_for
from thimble.export.training.keyed import Keyed
from thimble.export.training.projection import project
from thimble.export.training.start import started
from thimble.models.features import Batch
from thimble.models.nn.quantization import START_RANGE
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.quantization import MemoryPrecision
from thimble.models.spec import ModelSpec

CPU = torch.device("cpu")
FIELDS, IDS, ROWS = 2, 30, 2000


def student_spec(memory: int = 1000, precision: MemoryPrecision = "fp32") -> ModelSpec:
    """Its chunks, of 8, do not divide the dimension, 20."""
    return small_spec(dense=1, kinds=["int"] * FIELDS, memory=memory, precision=precision)


def drawn() -> Clicks:
    random = np.random.default_rng(0)
    ids = 1 + (IDS * random.random((ROWS, FIELDS)) ** 2).astype(np.int64)  # some come more often than others
    return Clicks(np.zeros(ROWS, np.float32), Batch(np.zeros((ROWS, 1), np.float32), ids))


def rows_of(clicks: Clicks) -> Rows:
    return Rows(ClicksInMemory(clicks), 0, len(clicks.labels))


def teacher(rows: Rows, scale: float = 0.3) -> tuple[Recommender, ModelSpec]:
    """Full tables whose embeddings are as long as trained ones."""
    spec, keys = indexed(student_spec(), rows)
    model = started(spec, 1, CPU, keys)
    with torch.no_grad():
        for weights in model.sparse_arch.parameters():
            weights.normal_(0, scale)
    return model, spec


def projected(student: Keyed, model: Recommender, spec: ModelSpec, rows: Rows) -> SharedMemory:
    sparse = started(student.spec, 0, CPU, student.keys).sparse_arch
    assert isinstance(sparse, SharedMemory)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    project(sparse, spec, weights, id_counts(rows, [None] * FIELDS))
    return sparse


def embeddings(sparse: torch.nn.Module, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    with torch.inference_mode():
        array: npt.NDArray[np.float32] = sparse(torch.from_numpy(ids)).numpy()
    return array


def test_no_other_array_is_nearer_to_what_the_rows_read() -> None:
    """The squared distance, over all rows, has no gradient any more. What no row reads is as it was."""
    clicks, spec = drawn(), student_spec()
    model, full = teacher(rows_of(clicks))
    sparse, before = projected(Keyed(spec), model, full, rows_of(clicks)), started(spec, 0, CPU).sparse_arch
    ids = torch.from_numpy(clicks.batch.ids)
    distance = (sparse(ids) - torch.from_numpy(embeddings(model.sparse_arch, clicks.batch.ids))).square().sum()
    distance.backward()
    assert isinstance(before, SharedMemory) and sparse.memory.grad is not None
    assert distance > 1 and sparse.memory.grad.abs().max() < 1e-2  # of sums of thousands
    before(ids).sum().backward()
    assert before.memory.grad is not None
    unread = before.memory.grad == 0
    assert 0 < unread.sum() < unread.numel()
    assert torch.equal(sparse.memory[unread], before.memory[unread])


def test_hot_ids_begin_with_their_very_rows() -> None:
    rows = rows_of(drawn())
    hot = with_rows_for(student_spec(), [np.array([1, 2]), np.array([3])], 0.5)
    assert hot.keys is not None
    model, full = teacher(rows)
    ids = np.array([[1, 3], [2, 3]])
    ours = embeddings(projected(hot, model, full, rows), ids)
    np.testing.assert_allclose(ours, embeddings(model.sparse_arch, ids), atol=1e-6)


@pytest.mark.parametrize(("precision", "bits"), [("int4", 4), ("int8", 8)])
@pytest.mark.parametrize("scale", [1e-3, 0.3, 10])
def test_the_step_of_few_bits_suits_what_the_teacher_has(precision: MemoryPrecision, bits: int, scale: float) -> None:
    """And never less than what weights grow to in training."""
    rows = rows_of(drawn())
    model, full = teacher(rows, scale)
    sparse = projected(Keyed(student_spec(4000, precision)), model, full, rows)
    assert sparse.quantizer is not None
    assert sparse.quantizer.step.item() * (1 << (bits - 1)) >= START_RANGE * 0.999
    with torch.no_grad():
        moved = (sparse.quantizer(sparse.memory) - sparse.memory).square().mean() / sparse.memory.square().mean()
    assert scale < 0.3 or moved < 0.03
