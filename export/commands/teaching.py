"""What `thimble-export train --teacher ARTIFACT` learns from."""

import os
from functools import partial
from pathlib import Path

from thimble.export.artifact.agreement import onnx_scores
from thimble.export.artifact.graph import ExportError
from thimble.export.scoring.evaluate import artifact_session, read_spec
from thimble.export.training.teacher import WEIGHT, Teaching, columns_for
from thimble.export.wording import listed
from thimble.models.features import Batch
from thimble.models.files import file_digest, open_file
from thimble.models.spec import ModelSpec, Teacher


def teaching_by(path: Path, student: ModelSpec) -> Teaching:
    """A file for a model that is to be trained. ExportError: it is no artifact. RunError: it takes other features."""
    spec = read_spec(path)
    columns = columns_for(path, spec, student)
    _check_weights(path, spec)
    score = partial(onnx_scores, artifact_session(path))
    try:
        score(Batch.missing(spec.inputs, 1))
    except Exception as error:  # ONNX Runtime's own exceptions have no common base below this one
        raise ExportError(f"{path}: it does not score its own features ({str(error).splitlines()[0]})") from None
    return Teaching(path, _known(path, spec), score, columns)


def _known(path: Path, spec: ModelSpec) -> Teacher:
    teacher = Teacher(name=spec.name, digest=_digest(path), weight=WEIGHT)
    if spec.provenance is None:
        return teacher
    before, last = spec.provenance.ancestors, spec.provenance
    sources = listed([*(run.source for run in before), last.source])
    rows = sum(run.rows_trained for run in before) + last.rows_trained
    return teacher.model_copy(update={"source": sources, "rows_trained": rows})


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
