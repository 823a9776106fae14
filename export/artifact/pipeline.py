"""A model to a version in a model repository: one way for trained, imported and untrained ones."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import onnx_ir

from thimble.export.artifact.agreement import Agreement, onnx_scores, onnx_session, prove
from thimble.export.artifact.graph import EXTERNAL_DATA, MODEL_FILE, ExportError, build, describe
from thimble.export.artifact.precision import CALIBRATION_ROWS, lower_mlps
from thimble.export.artifact.precision_cost import COST_ROWS, precision_cost
from thimble.export.artifact.versions import new_version
from thimble.export.clicks.golden import golden_batch
from thimble.export.clicks.origin import Origin
from thimble.export.clicks.rows import Clicks, Rows
from thimble.export.training.checkpoint import Trained
from thimble.export.training.errors import RunError
from thimble.models.features import Batch
from thimble.models.files import file_digest
from thimble.models.hashing import Floats
from thimble.models.heads import SCORE, columns_of
from thimble.models.nn.recommender import Answering
from thimble.models.quantization import is_quantized
from thimble.models.schemes.full import FullEmbedding
from thimble.models.schemes.indexed import IndexedEmbedding
from thimble.models.spec import ExternalFile, GoldenFeatures, GoldenRows, ModelSpec, Precision

READ_ROWS = 2048

Store = Callable[[Path], Mapping[str, onnx_ir.ExternalTensor]]
"""Writes a model's largest weights into a file, uses them from there, and says by their names where they lie in it."""


class Exported(NamedTuple):
    """What was written and how well three implementations agree on it."""

    path: Path
    spec: ModelSpec
    agreement: Agreement


def publish(
    spec: ModelSpec,
    dlrm: Answering,
    golden: GoldenFeatures,
    repository: Path,
    version: int | None = None,
    *,
    calibration: Iterable[Batch] = (),
    held_out: Iterable[Clicks] | None = None,
    store: Store | None = None,
    examine: Callable[[Path], None] = lambda _: None,
) -> Exported:
    """Write a model as REPOSITORY/NAME/VERSION/model.onnx, with golden rows, once it is proven to compute what it is.

    `calibration` are rows as they will be scored, which int8 needs. On `held_out` rows, if there are any, is measured
    what the spec's precision costs. `store` is for full tables that do not fit into memory. `examine` sees the file
    before anybody else does, and what it raises keeps it from appearing.
    ExportError: the version exists, or the file does not score as the model. ClickError: rows cannot be read.
    """
    batch = golden_batch(spec, golden)
    with new_version(repository, spec.name, version) as (folder, target):
        path = folder / MODEL_FILE
        stored = store(folder / EXTERNAL_DATA) if store else {}
        model = lower_mlps(build(spec, dlrm, stored), spec, calibration)
        external = isinstance(spec.embedding, FullEmbedding | IndexedEmbedding) and not stored
        onnx.save_model(model, path, save_as_external_data=external, location=EXTERNAL_DATA)
        scores = onnx_scores(onnx_session(str(path)), batch)
        found: dict[str, Any] = {
            "golden": GoldenRows(features=golden, scores=_written(scores, spec)),
            "external_data": _described(folder / EXTERNAL_DATA),
        }
        if held_out is not None:
            kept = spec.provenance.negatives_kept if spec.provenance else 1
            found["precision_cost"] = precision_cost(path, dlrm, held_out, kept)
        spec = ModelSpec.model_validate(dict(spec) | found)
        written = onnx.load(path, load_external_data=False)
        describe(written, spec)
        onnx.save_model(written, path)
        agreement = prove(path, spec, dlrm, batch)
        examine(path)
    return Exported(target / MODEL_FILE, spec, agreement)


def export(
    trained: Trained,
    repository: Path,
    name: str | None = None,
    version: int | None = None,
    precision: Precision | None = None,
    cost_rows: int | None = None,
) -> Exported:
    """Publish a trained model, by default at the precision that it was trained for.

    RunError, ExportError, ClickError: it can't be done. Where a file computes otherwise than the model, its clicks are
    read again: training rows to calibrate int8, held-out rows (`cost_rows` of them, which may be more than the run's
    where clicks are generated) to measure what the precision costs.
    """
    precision, memory = precision or trained.spec.precision, trained.spec.precision.memory
    if is_quantized(memory) and precision.memory != memory:
        raise ExportError(f"the run was trained for {memory} embeddings; export it with --memory-precision {memory}")
    changed = {"name": name or trained.spec.name, "precision": precision}
    as_trained = precision.mlps == "fp32" and (precision.memory == "fp32" or is_quantized(memory))
    return publish(
        ModelSpec.model_validate(dict(trained.spec) | changed),
        trained.dlrm,
        trained.golden,
        repository,
        version,
        calibration=calibration_rows(trained),
        held_out=None if as_trained else held_out_rows(trained, cost_rows).read(READ_ROWS),
    )


def calibration_rows(trained: Trained) -> Iterator[Batch]:
    """The last training rows, which are nearest in time to what will be scored."""
    origin = _known(trained.trained_on)
    last = max(origin.start, origin.stop - CALIBRATION_ROWS)
    for clicks in origin.model_copy(update={"start": last}).rows(trained.spec).read(READ_ROWS):
        if len(clicks.labels):
            yield clicks.batch


def held_out_rows(trained: Trained, count: int | None = None) -> Rows:
    """The run's, at most COST_ROWS of them, or so many."""
    origin = _known(trained.held_out)
    stop = min(origin.stop, origin.start + COST_ROWS) if count is None else origin.start + count
    return origin.model_copy(update={"stop": stop}).rows(trained.spec)


def _written(scores: Floats, spec: ModelSpec) -> list[float] | dict[str, list[float]]:
    """As an answer has them."""
    found = {name: column.tolist() for name, column in zip(spec.outputs, columns_of(scores), strict=True)}
    return found if spec.heads else found[SCORE]


def _described(weights: Path) -> dict[str, ExternalFile] | None:
    """None where there is no such file, as for tables so small that they are kept in the model's own."""
    if not weights.exists():
        return None
    with weights.open("rb") as file:
        digest = file_digest(file.fileno())
    return {weights.name: ExternalFile(bytes=weights.stat().st_size, xxh3_128=digest)}


def _known(origin: Origin | None) -> Origin:
    if origin is None:
        raise RunError("this run's clicks cannot be read again, so it can be exported with --precision fp32 alone")
    return origin
