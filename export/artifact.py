"""A finished training run to a version in a model repository."""

from pathlib import Path
from typing import NamedTuple

import onnx

from export.agreement import Agreement, onnx_scores, onnx_session, prove
from export.checkpoint import load_trained
from export.golden import golden_batch
from export.onnx import build, describe, write
from models.spec import GoldenRows, ModelSpec


class Exported(NamedTuple):
    """What was written and how well three implementations agree on it."""

    path: Path
    spec: ModelSpec
    agreement: Agreement


def export(run: Path, repository: Path, name: str | None = None, version: int | None = None) -> Exported:
    """Write a run's model as REPOSITORY/NAME/VERSION/model.onnx. RunError, ExportError: it can't be done."""
    trained = load_trained(run)
    spec = ModelSpec.model_validate({**trained.spec.model_dump(), "name": name or trained.spec.name})
    batch = golden_batch(spec, trained.golden)
    model = build(spec, trained.dlrm)
    agreements: list[Agreement] = []

    def finish(path: Path) -> None:
        """Score the golden rows with the file itself, write them into it, and prove the result."""
        nonlocal spec
        scores = onnx_scores(onnx_session(str(path)), batch)
        golden = GoldenRows(features=trained.golden, scores=scores.tolist())
        spec = ModelSpec.model_validate({**spec.model_dump(), "golden": golden})
        written = onnx.load(path, load_external_data=False)
        describe(written, spec)
        onnx.save_model(written, path)
        agreements.append(prove(path, spec, trained.dlrm, batch))

    path = write(model, spec, repository, version, finish)
    return Exported(path, spec, agreements[0])
