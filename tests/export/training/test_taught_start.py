"""What a student begins with."""

import numpy as np
import pytest
import torch

from testing.clicks import ClicksInMemory
from testing.samples import small_spec
from thimble.export.clicks.rows import Clicks, Rows
from thimble.export.training.errors import RunError
from thimble.export.training.evaluation import score
from thimble.export.training.full_tables import indexed
from thimble.export.training.hot_rows import with_rows_for
from thimble.export.training.keyed import Keyed
from thimble.export.training.start import started
from thimble.export.training.taught_start import Start, begin_as
from thimble.models.features import Batch
from thimble.models.nn.embeddings import SharedMemory
from thimble.models.nn.quantization import START_RANGE
from thimble.models.nn.recommender import Recommender
from thimble.models.quantization import MemoryPrecision
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.spec import ModelSpec

CPU = torch.device("cpu")
FIELDS, IDS, ROWS = 2, 30, 2000


def student_spec(memory: int = 96, chunk: int = 8, precision: MemoryPrecision = "fp32") -> ModelSpec:
    """Its chunks do not divide the dimension, 20, and not all of them are read."""
    return small_spec(dense=1, kinds=["int"] * FIELDS, memory=memory, chunk=chunk, precision=precision)


def drawn(rows: int = ROWS) -> Clicks:
    random = np.random.default_rng(0)
    ids = 1 + (IDS * random.random((rows, FIELDS)) ** 2).astype(np.int64)  # some come more often than others
    labels = (random.random(rows) < 0.3).astype(np.float32)
    return Clicks(labels, Batch(random.normal(size=(rows, 1)).astype(np.float32), ids))


def rows_of(clicks: Clicks) -> Rows:
    return Rows(ClicksInMemory(clicks), 0, len(clicks.labels))


def teacher(spec: ModelSpec, rows: Rows) -> tuple[Recommender, Start]:
    """Full tables whose embeddings are as long as trained ones."""
    full, keys = indexed(spec, rows)
    model = started(full, 1, CPU, keys)
    with torch.no_grad():
        for weights in model.sparse_arch.parameters():
            weights.normal_(0, 0.3)
    return model, Start(full, {name: tensor.numpy() for name, tensor in model.state_dict().items()})


def begun(student: Keyed, start: Start, clicks: Clicks, kept: float = 1) -> Recommender:
    model = started(student.spec, 0, CPU, student.keys)
    begin_as(model, start, rows_of(clicks), clicks, kept)
    return model


def embeddings(model: Recommender, clicks: Clicks) -> np.ndarray:
    with torch.inference_mode():
        array: np.ndarray = model.sparse_arch(torch.from_numpy(clicks.batch.ids)).numpy()
    return array


def test_the_array_is_the_least_squares_of_what_is_read() -> None:
    clicks, spec = drawn(), student_spec()
    model, start = teacher(spec, rows_of(clicks))
    student = begun(Keyed(spec), start, clicks)
    sparse, embedding = student.sparse_arch, spec.embedding
    assert isinstance(sparse, SharedMemory) and isinstance(embedding, BlockEmbedding)
    first = embedding.starts({}, clicks.batch.ids, spec.embedding_dim)  # [rows, fields, chunks]
    read = (first[..., None] + np.arange(embedding.chunk_size)).reshape(ROWS, FIELDS, -1)[..., : spec.embedding_dim]
    equations = np.zeros((read.size, embedding.memory_length))
    equations[np.arange(read.size), read.ravel()] = 1
    solution = np.linalg.lstsq(equations, embeddings(model, clicks).ravel(), rcond=None)[0]
    is_read = equations.any(0)
    assert 0 < is_read.sum() < len(is_read)
    memory, before = sparse.memory.detach().numpy().ravel(), started(spec, 0, CPU).sparse_arch.memory
    assert isinstance(before, torch.Tensor)
    np.testing.assert_allclose(memory[is_read], solution[is_read], atol=1e-5)
    np.testing.assert_array_equal(memory[~is_read], before.detach().numpy().ravel()[~is_read])


def test_hot_ids_begin_with_their_very_rows() -> None:
    clicks = drawn()
    hot = with_rows_for(student_spec(memory=2000), [np.array([1, 2]), np.array([3])], 0.5)
    assert hot.keys is not None
    model, start = teacher(student_spec(), rows_of(clicks))
    student = begun(hot, start, clicks)
    ids = np.array([[1, 3], [2, 3]])
    some = Clicks(np.zeros(2, np.float32), Batch(np.zeros((2, 1), np.float32), ids))
    np.testing.assert_allclose(embeddings(student, some), embeddings(model, some), atol=1e-6)


def test_a_student_with_room_for_all_scores_as_its_teacher_but_for_the_base_rate() -> None:
    clicks, spec = drawn(), student_spec(memory=400_000)
    model, start = teacher(spec, rows_of(clicks))
    student = begun(Keyed(spec), start, clicks)
    ours, theirs = (np.log(p / (1 - p)) for p in (score(it, clicks.batch) for it in (student, model)))
    np.testing.assert_allclose(ours - theirs, np.mean(ours - theirs), atol=1e-4)
    assert score(student, clicks.batch).mean() == pytest.approx(clicks.labels.mean(), abs=1e-4)


def test_of_a_log_with_a_share_of_its_negatives_it_begins_at_the_logs_base_rate() -> None:
    clicks, spec, kept = drawn(), student_spec(), 0.1
    student = begun(Keyed(spec), teacher(spec, rows_of(clicks))[1], clicks, kept)
    weights = np.where(clicks.labels > 0.5, 1, 1 / kept)
    mean = np.average(score(student, clicks.batch), weights=weights)
    assert mean == pytest.approx(np.average(clicks.labels, weights=weights), abs=1e-4)


@pytest.mark.parametrize(("precision", "bits"), [("int4", 4), ("int8", 8)])
@pytest.mark.parametrize("scale", [1e-3, 1, 30])
def test_the_step_of_few_bits_reaches_what_the_teacher_has(precision: MemoryPrecision, bits: int, scale: float) -> None:
    """Never less than what weights grow to in training."""
    clicks, spec = drawn(), student_spec(memory=4000, precision=precision)
    _, start = teacher(student_spec(), rows_of(clicks))
    wide = {name: array * scale if "table" in name else array for name, array in start.weights.items()}
    sparse = begun(Keyed(spec), Start(start.teacher, wide), clicks).sparse_arch
    assert isinstance(sparse, SharedMemory) and sparse.quantizer
    reach = sparse.quantizer.step.item() * (1 << (bits - 1))
    assert reach >= START_RANGE * 0.999
    with torch.no_grad():
        far = (sparse.quantizer(sparse.memory) - sparse.memory).abs().max() / sparse.memory.abs().max()
    assert scale < 1 or far < 0.5


def test_a_teacher_without_tables_gives_its_mlps_alone() -> None:
    clicks, spec = drawn(), student_spec()
    other = started(student_spec(memory=50), 1, CPU)
    start = Start(student_spec(memory=50), {name: tensor.numpy() for name, tensor in other.state_dict().items()})
    student, alone = begun(Keyed(spec), start, clicks).state_dict(), started(spec, 0, CPU).state_dict()
    assert torch.equal(student["sparse_arch.memory"], alone["sparse_arch.memory"])
    assert torch.equal(student["over_arch.0.weight"], other.state_dict()["over_arch.0.weight"])


def test_a_file_that_lacks_a_weight_is_refused_by_its_name() -> None:
    clicks, spec = drawn(), student_spec()
    _, start = teacher(spec, rows_of(clicks))
    weights = {name: array for name, array in start.weights.items() if name != "over_arch.0.weight"}
    with pytest.raises(
        RunError, match=r"the teacher 'small' holds no weights over_arch\.0\.weight of shape \[12, 23\]"
    ):
        begun(Keyed(spec), Start(start.teacher, weights), clicks)
