"""`thimble-export export`."""

from pathlib import Path
from typing import Annotated

import typer

from thimble.export import console
from thimble.export.wording import size
from thimble.models.quantization import MemoryPrecision
from thimble.models.spec import MlpPrecision


def export(
    run: Annotated[Path, typer.Argument(help="the folder of a finished training run")],
    repository: Annotated[Path, typer.Option(help="model repository to write to")] = Path("artifacts"),
    name: Annotated[str | None, typer.Option(help="of the model; the run's")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="one more than the newest there")] = None,
    precision: Annotated[
        MlpPrecision, typer.Option(help="of the MLPs; below fp32 the run's clicks are read again to say what it costs")
    ] = "fp32",
    memory_precision: Annotated[
        MemoryPrecision | None,
        typer.Option(help="of the embeddings; as they were trained, or fp16 where MLPs are below fp32"),
    ] = None,
    cost_rows: Annotated[
        int | None, typer.Option(min=1, help="held-out rows to measure that cost on; the run's, at most a million")
    ] = None,
) -> None:
    """Write a trained model as REPOSITORY/NAME/VERSION/model.onnx and prove that the file computes what was trained."""
    from thimble.export.artifact.pipeline import export as export_trained
    from thimble.export.training.checkpoint import load_trained
    from thimble.models.spec import Precision

    trained = load_trained(run)
    memory = trained.spec.precision.memory
    if memory == "fp32" and precision != "fp32":
        memory = "fp16"
    wanted = Precision(memory=memory_precision or memory, mlps=precision)
    done = export_trained(trained, repository, name, version, wanted, cost_rows)
    typer.echo(f"{done.path}: {size(done.path.stat().st_size)}; {console.agreement_line(done.spec, done.agreement)}")
    if done.spec.precision_cost:
        lines = console.cost_lines(done.spec.precision_cost, done.spec)
        console.echo_all([f"{done.spec.precision} cost: {line}" for line in lines])
