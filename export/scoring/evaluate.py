"""Scores a file of clicks with an exported model, as the server would, and says how good the scores are."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import onnx
import onnxruntime

from thimble.export.artifact.agreement import onnx_scores, onnx_session
from thimble.export.artifact.graph import EXTERNAL_DATA, ExportError
from thimble.export.clicks.file_rows import FileRows
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError
from thimble.export.metrics.scored import ScoredRows
from thimble.models.files import is_utf8, open_file
from thimble.models.labels import LabelColumns
from thimble.models.spec import METADATA_KEY, ModelSpec, SpecError, parse_spec

SCORING_BATCH = 4096

_UNLABELLED = "`--label` says which column the labels are, and `thimble-export score` needs none"


def read_spec(path: Path) -> ModelSpec:
    """The spec in an artifact. ExportError when the file is not one."""
    try:
        with os.fdopen(open_file(path), "rb") as file:
            model = onnx.load_model_from_string(file.read())
        described = {prop.key: prop.value for prop in model.metadata_props}
        return parse_spec(described[METADATA_KEY])
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror}") from None
    except KeyError:
        raise ExportError(f"{path}: not a Thimble artifact, it has no {METADATA_KEY!r} metadata") from None
    except SpecError as error:
        raise ExportError(f"{path}: {error}") from None
    except Exception as error:  # what protobuf raises for bytes that are none of its own differs by implementation
        raise ExportError(f"{path}: not an ONNX file ({error})") from None


def artifact_bytes(path: Path) -> int:
    """The weight of an artifact with the external data beside it, if any."""
    return sum(part.stat().st_size for part in (path, path.with_name(EXTERNAL_DATA)) if part.is_file())


def artifact_session(path: Path) -> onnxruntime.InferenceSession:
    """What scores with an artifact. ExportError: ONNX Runtime does not load it."""
    if not is_utf8(path):
        raise ExportError(f"{path}: ONNX Runtime cannot read a file whose name is not UTF-8")
    try:
        return onnx_session(str(path))
    except Exception as error:  # ONNX Runtime's own exceptions have no common base below this one
        raise ExportError(f"{path}: ONNX Runtime does not load it ({str(error).splitlines()[0]})") from None


def labelled(
    paths: Sequence[Path],
    spec: ModelSpec,
    label: LabelColumns,
    strict: bool,
    multiline: bool,
    missing: Collection[str],
    timestamps: bool,
    group: str | None = None,
) -> FileClicks:
    """Clicks to evaluate on. ClickError: they cannot be read; where labels alone are missing, it says what to do."""
    try:
        return FileClicks(paths, spec, label, strict, multiline, missing, timestamps, group)
    except ClickError as error:
        others = () if group is None else (group,)
        FileRows(paths, spec, others, strict, multiline, missing, timestamps)  # or it is something else that is missing
        raise ClickError(f"{error}; {_UNLABELLED}") from None


def evaluate_artifact(path: Path, clicks: FileClicks, negatives_kept: float = 1) -> ScoredRows:
    """The good rows of `clicks`, whose spec must be the artifact's, in order. ExportError: there is none with a label.

    Scores are float32. The clicks hold that share of the negatives.
    """
    session = artifact_session(path)
    scored = ScoredRows(negatives_kept, clicks.spec.outputs)
    for part in clicks.read(0, clicks.count(), SCORING_BATCH):
        if len(part.labels):
            scored.add(part.labels, onnx_scores(session, part.batch), groups=part.groups)
    if not len(scored):
        raise ExportError(f"{clicks.description}: no usable rows; {_UNLABELLED}")
    return scored
