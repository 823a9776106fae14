"""Targets that a trained model's scores are mixed into: knowledge distillation (Hinton et al., 2015)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thimble.export.training.errors import RunError
from thimble.export.training.keyed import Keyed
from thimble.export.training.taught_start import Start
from thimble.export.wording import listed
from thimble.models.features import Batch
from thimble.models.hashing import Floats, Int64s
from thimble.models.inputs import Feature
from thimble.models.provenance import Teacher
from thimble.models.spec import ModelSpec

WEIGHT = 0.5
"""Of the teacher's score in a row's target, by trials (docs/adr/0025-teacher.md)."""


@dataclass(frozen=True)
class Teaching:
    """A teacher for models of certain features.

    `score` gives click probabilities, float32 [rows], of rows as the teacher takes them. `columns` says of each tensor
    of these where its columns lie in the students'. `start` is what a student begins with, None where it is of another
    shape. `path` is for messages.
    """

    path: Path
    teacher: Teacher
    score: Callable[[Batch], Floats]
    columns: Sequence[Int64s]
    start: Start | None = None

    def of_student(self, learnt: Keyed, rows: int) -> tuple["Teaching", Keyed]:
        """Teacher and student once its spec and the number of its rows are known.

        If its MLPs begin as the teacher's, numbers become for it what they become for the teacher.
        """
        if self.start is None:
            return self, learnt
        student = learnt.spec.model_copy(update={"dense_transform": self.start.spec.dense_transform})
        begun = {"mlps": True, "embeddings": self.start.has_embeddings_for(student, rows)}
        teacher = self.teacher.model_copy(update=begun)
        return replace(self, teacher=teacher), learnt._replace(spec=student)

    def targets(self, labels: Floats, batch: Batch, negatives_kept: float = 1) -> Floats:
        """What a student learns of rows [rows], from 0 to 1. RunError: a score is no probability.

        Cross-entropy is linear in its target, so a mixture of targets is the same as one of losses. The teacher's
        probabilities are those of the full log, of whose negatives the rows are that share.
        """
        if not len(labels):  # ONNX Runtime takes no batch without rows
            return labels
        tensors: Sequence[npt.NDArray[Any]] = batch
        scores = self.score(
            Batch._make(
                np.ascontiguousarray(tensor[:, columns]) for tensor, columns in zip(tensors, self.columns, strict=True)
            )
        )
        if not ((scores >= 0) & (scores <= 1)).all():  # NaN is neither
            raise RunError(f"{self.path} gives a row a score that is no probability, so it cannot teach")
        sampled = scores / (scores + negatives_kept * (1 - scores))
        weight = self.teacher.weight
        return ((1 - weight) * labels + weight * sampled).astype(np.float32)


def columns_for(path: Path, teacher: ModelSpec, student: ModelSpec) -> list[Int64s]:
    """Where the columns of the teacher's tensors lie in the student's. RunError: they take different features."""
    ours, theirs = (set(spec.features) for spec in (student, teacher))
    if differing := sorted(map(_in_words, ours ^ theirs)):
        raise RunError(f"{path} takes other features than the model that it is to teach: {listed(differing)} differ")
    return [
        np.array([column for feature in tensor.features for column in mine.columns_of(feature)], dtype=np.int64)
        for tensor, mine in zip(teacher.inputs, student.inputs, strict=True)
    ]


def _in_words(feature: Feature) -> str:
    return f"{feature.name} ({feature.kind}, {feature.bag})" if feature.bag else f"{feature.name} ({feature.kind})"
