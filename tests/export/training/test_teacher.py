import math
from pathlib import Path

import numpy as np
import pytest
import torch

from testing.samples import criteo_spec, random_batch, small_spec
from thimble.export.training.errors import RunError
from thimble.export.training.step import loss
from thimble.export.training.teacher import Teaching, columns_for
from thimble.models.bags import Bag
from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.provenance import Teacher
from thimble.models.spec import ModelSpec

FILE = Path("teacher.onnx")


def teaching(scores: Floats, weight: float = 0.5, spec: ModelSpec | None = None) -> Teaching:
    spec = spec or small_spec()
    teacher = Teacher(name="big", digest="0" * 32, weight=weight)
    return Teaching(FILE, teacher, lambda batch: scores[: batch.rows], columns_for(FILE, spec, spec))


def test_a_target_lies_between_the_label_and_the_teachers_score() -> None:
    labels, scores = np.array([0, 1, 0, 1], np.float32), np.array([0, 0, 0.5, 1], np.float32)
    batch = random_batch(small_spec(), 4)
    targets = teaching(scores, 0.25).targets(labels, batch)
    assert targets.dtype == np.float32
    assert targets.tolist() == [0, 0.75, 0.125, 1]


def test_no_rows_have_no_targets() -> None:
    nothing = np.empty(0, np.float32)
    assert len(teaching(nothing).targets(nothing, random_batch(small_spec(), 0))) == 0


@pytest.mark.parametrize("kept", [1, 0.2, 0.003])
def test_of_a_log_that_kept_a_share_of_its_negatives_the_teachers_score_is_what_is_learnt(kept: float) -> None:
    """A student with the very scores of its teacher has nothing to learn, whatever the labels' rows leave out."""
    scores = np.array([1e-6, 0.01, 0.4, 0.99], np.float32)
    targets = teaching(scores, 1).targets(np.zeros(4, np.float32), random_batch(small_spec(), 4), kept)
    logits = torch.from_numpy(np.log(scores) - np.log1p(-scores)).requires_grad_()
    loss(logits, torch.from_numpy(targets), kept).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


@pytest.mark.parametrize("score", [math.nan, -0.1, 1.1, math.inf])
def test_scores_that_are_no_probabilities_teach_nothing(score: float) -> None:
    with pytest.raises(RunError, match=r"^teacher\.onnx gives a row a score that is no probability"):
        teaching(np.array([0.5, score], np.float32)).targets(np.zeros(2, np.float32), random_batch(small_spec(), 2))


def test_a_teacher_is_given_columns_in_its_own_order() -> None:
    student = small_spec()
    theirs = {"dense": student.dense[::-1], "fields": student.fields[::-1]}
    columns = columns_for(FILE, ModelSpec.model_validate(dict(student) | theirs), student)
    batch, seen = random_batch(student, 5), []

    def score(rows: Batch) -> Floats:
        seen.append(rows)
        return np.full(rows.rows, 0.5, np.float32)

    one = Teaching(FILE, Teacher(name="big", digest="0" * 32, weight=0.5), score, columns)
    one.targets(np.zeros(5, np.float32), batch)
    np.testing.assert_array_equal(seen[0].dense, batch.dense[:, ::-1])
    np.testing.assert_array_equal(seen[0].ids, batch.ids[:, ::-1])
    assert all(tensor.flags.c_contiguous for tensor in seen[0])


def with_bag(spec: ModelSpec, bag: Bag) -> ModelSpec:
    """With a last field that has several values."""
    *others, last = spec.fields
    return ModelSpec.model_validate(dict(spec) | {"fields": [*others, last.model_copy(update={"bag": bag})]})


def test_a_teacher_of_other_features_is_refused_by_their_names() -> None:
    student = small_spec()
    sentence = (
        r"^teacher\.onnx takes other features than the model that it is to teach: f6 \(int\), f6 \(string\) differ$"
    )
    with pytest.raises(RunError, match=sentence):
        columns_for(FILE, small_spec(kinds=(*("string",) * 6, "int")), student)
    with pytest.raises(RunError, match=r" C1 \(hex\), .* and \d+ more differ$"):
        columns_for(FILE, criteo_spec(), student)
    fewer, more = (with_bag(student, Bag(values=values, pooling="sum")) for values in (3, 5))
    differing = r": f6 \(string, the first 3 values, sum\), f6 \(string, the first 5 values, sum\) differ$"
    with pytest.raises(RunError, match=differing):
        columns_for(FILE, fewer, more)


def test_ids_alone_and_numbers_alone_are_taught_too() -> None:
    for spec in (small_spec(dense=0), small_spec(kinds=[])):
        targets = teaching(np.full(3, 0.5, np.float32), spec=spec).targets(
            np.ones(3, np.float32), random_batch(spec, 3)
        )
        assert targets.tolist() == [0.75] * 3
