"""What `thimble-export train --teacher ARTIFACT` learns from."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from thimble.export.artifact.agreement import onnx_scores
from thimble.export.artifact.graph import ExportError
from thimble.export.artifact.stored_weights import stored_weights
from thimble.export.scoring.evaluate import artifact_session, read_spec
from thimble.export.training.taught_start import Start
from thimble.export.training.teacher import WEIGHT, Teaching, columns_for
from thimble.export.wording import listed
from thimble.models.features import Batch
from thimble.models.files import file_digest, open_file
from thimble.models.provenance import Teacher
from thimble.models.spec import ModelSpec


def teaching_by(path: Path, student: ModelSpec, options: Mapping[str, Any]) -> Teaching:
    """A file for a model that is to be trained with these options, as far as that is known before any row is read.

    ExportError: it is no artifact. RunError: it takes other features.
    """
    spec = read_spec(path)
    if spec.heads:
        raise ExportError(f"{path} has several answers, {listed(spec.outputs)}, and a teacher has one")
    columns = columns_for(path, spec, student)
    _check_weights(path, spec)
    score = partial(onnx_scores, artifact_session(path))
    try:
        score(Batch.missing(spec.inputs, 1))
    except Exception as error:  # ONNX Runtime's own exceptions have no common base below this one
        raise ExportError(f"{path}: it does not score its own features ({str(error).splitlines()[0]})") from None
    begins = _same_shape(spec, student, options)
    known: dict[str, Any] = {}
    if seen := spec.provenance:
        known["source"] = listed([*(run.source for run in seen.ancestors), seen.source])
        known["rows_trained"] = sum(run.rows_trained for run in seen.ancestors) + seen.rows_trained
    start = Start(path, spec, stored_weights(path)) if begins else None
    teacher = Teacher(name=spec.name, digest=_digest(path), weight=WEIGHT, **known)
    return Teaching(path, teacher, score, columns, start)


def _same_shape(teacher: ModelSpec, student: ModelSpec, options: Mapping[str, Any]) -> bool:
    """Whether the teacher's MLPs do for the student, who must begin anew and want no other numbers."""
    return (
        "from_run" not in options
        and options.get("dense_transform") in (None, teacher.dense_transform.kind)
        and teacher.precision.mlps != "int8"
        and teacher.features == student.features
        and (teacher.architecture, teacher.embedding_dim) == (student.architecture, student.embedding_dim)
    )


def _check_weights(path: Path, spec: ModelSpec) -> None:
    """ExportError: what lies beside the file is not what was exported with it."""
    for name, written in (spec.external_data or {}).items():
        if _digest(path.with_name(name)) != written.xxh3_128:
            raise ExportError(f"{path.with_name(name)}: not the weights that {path} was exported with")


def _digest(path: Path) -> str:
    try:
        with os.fdopen(open_file(path), "rb") as file:
            return file_digest(file.fileno())
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror}") from None
