"""What a student begins with."""

from pathlib import Path

import numpy as np
import pytest
import torch

from testing.samples import random_batch, small_spec
from thimble.export.clicks.rows import Clicks
from thimble.export.training.errors import RunError
from thimble.export.training.evaluation import score
from thimble.export.training.start import started
from thimble.export.training.taught_start import Start, begin_with_mlps
from thimble.models.nn.recommender import Recommender
from thimble.models.provenance import Ancestor, Provenance

CPU = torch.device("cpu")
STUDENT = small_spec(memory=200, precision="int4")
TEACHER = small_spec("full")


def rows(count: int = 2000) -> Clicks:
    labels = (np.random.default_rng(0).random(count) < 0.3).astype(np.float32)
    return Clicks(labels, random_batch(STUDENT, count))


def start_of(teacher: Recommender) -> Start:
    weights = {name: tensor.numpy() for name, tensor in teacher.state_dict().items()}
    return Start(Path("teacher.onnx"), TEACHER, weights)


def test_all_but_the_embeddings_are_the_teachers() -> None:
    teacher, student = started(TEACHER, 1, CPU), started(STUDENT, 0, CPU)
    begin_with_mlps(student, start_of(teacher), rows())
    ours, theirs, alone = (dict(it.named_parameters()) for it in (student, teacher, started(STUDENT, 0, CPU)))
    for name, parameter in ours.items():
        if name.startswith("sparse_arch."):
            assert torch.equal(parameter, alone[name]), name
        elif parameter is not student.last_layer.bias:
            assert torch.equal(parameter, theirs[name]), name


@pytest.mark.parametrize("kept", [1, 0.1])
def test_the_first_scores_have_the_base_rate_of_the_full_log(kept: float) -> None:
    clicks, student = rows(), started(STUDENT, 0, CPU)
    begin_with_mlps(student, start_of(started(TEACHER, 1, CPU)), clicks, kept)
    weights = np.where(clicks.labels > 0.5, 1, 1 / kept)
    mean = np.average(score(student, clicks.batch), weights=weights)
    assert mean == pytest.approx(np.average(clicks.labels, weights=weights), abs=1e-4)


def test_weights_of_half_the_precision_do() -> None:
    start, student = start_of(started(TEACHER, 1, CPU)), started(STUDENT, 0, CPU)
    halves = {name: array.astype(np.float16) for name, array in start.weights.items() if array.dtype == np.float32}
    begin_with_mlps(student, start._replace(weights=halves), rows())
    np.testing.assert_array_equal(student.state_dict()["over_arch.0.weight"], halves["over_arch.0.weight"])


def test_a_file_that_lacks_a_weight_is_refused_by_its_name() -> None:
    start, student = start_of(started(TEACHER, 1, CPU)), started(STUDENT, 0, CPU)
    weights = {name: array for name, array in start.weights.items() if name != "over_arch.0.weight"}
    sentence = r"^teacher\.onnx holds no weights over_arch\.0\.weight of shape \[12, 48\]$"
    with pytest.raises(RunError, match=sentence):
        begin_with_mlps(student, start._replace(weights=weights), rows())


def test_embeddings_are_worth_a_start_where_the_teacher_has_seen_twice_as_many_rows() -> None:
    """Its epochs are no further rows; what it went on from has others."""
    seen = Provenance(source="a", rows_trained=3000, epochs=3, batch_size=1, seed=0, tool="")
    start = Start(Path("teacher.onnx"), TEACHER.model_copy(update={"provenance": seen}), {})
    assert start.has_embeddings_for(STUDENT, 500) and not start.has_embeddings_for(STUDENT, 501)
    before = seen.model_copy(update={"ancestors": (Ancestor(source="b", rows_trained=9000),)})
    longer = start._replace(spec=TEACHER.model_copy(update={"provenance": before}))
    assert longer.has_embeddings_for(STUDENT, 5000)
    assert not start.has_embeddings_for(small_spec("robe-v1"), 1)
    assert not start._replace(spec=TEACHER).has_embeddings_for(STUDENT, 1)
    assert not start._replace(spec=STUDENT.model_copy(update={"provenance": seen})).has_embeddings_for(STUDENT, 1)
