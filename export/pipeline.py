"""A finished training run to a version in a model repository."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from thimble.export.agreement import Agreement, onnx_scores, onnx_session, prove
from thimble.export.checkpoint import RunError, Trained, load_trained
from thimble.export.clicks import Rows
from thimble.export.golden import golden_batch
from thimble.export.graph import build, describe, write
from thimble.export.origin import Origin
from thimble.export.precision import CALIBRATION_ROWS, lower_mlps
from thimble.export.precision_cost import COST_ROWS, precision_cost
from thimble.models.features import Batch
from thimble.models.spec import GoldenRows, ModelSpec, Precision

READ_ROWS = 2048
FULL_PRECISION = Precision()


class Exported(NamedTuple):
    """What was written and how well three implementations agree on it."""

    path: Path
    spec: ModelSpec
    agreement: Agreement


def export(
    run: Path,
    repository: Path,
    name: str | None = None,
    version: int | None = None,
    precision: Precision = FULL_PRECISION,
    cost_rows: int | None = None,
) -> Exported:
    """Write a run's model as REPOSITORY/NAME/VERSION/model.onnx. RunError, ExportError, ClickError: it can't be done.

    Below float32 the run's clicks are read again: training rows to calibrate int8, held-out rows (`cost_rows` of them,
    which may be more than the run's where clicks are generated) to measure what the precision costs.
    """
    trained = load_trained(run)
    spec = ModelSpec.model_validate(
        {**trained.spec.model_dump(), "name": name or trained.spec.name, "precision": precision}
    )
    batch = golden_batch(spec, trained.golden)
    model = lower_mlps(build(spec, trained.dlrm), spec, calibration_rows(trained))
    agreements: list[Agreement] = []

    def finish(path: Path) -> None:
        """Score the golden rows with the file itself, write them into it, and prove the result."""
        nonlocal spec
        scores = onnx_scores(onnx_session(str(path)), batch)
        found: dict[str, Any] = {"golden": GoldenRows(features=trained.golden, scores=scores.tolist())}
        if precision != FULL_PRECISION:
            clicks = held_out_rows(trained, cost_rows).read(READ_ROWS)
            found["precision_cost"] = precision_cost(path, trained.dlrm, clicks)
        spec = ModelSpec.model_validate({**spec.model_dump(), **found})
        written = onnx.load(path, load_external_data=False)
        describe(written, spec)
        onnx.save_model(written, path)
        agreements.append(prove(path, spec, trained.dlrm, batch))

    path = write(model, spec, repository, version, finish)
    return Exported(path, spec, agreements[0])


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


def _known(origin: Origin | None) -> Origin:
    if origin is None:
        raise RunError("this run's clicks cannot be read again, so it can be exported with --precision fp32 alone")
    return origin
