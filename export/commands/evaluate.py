"""`thimble-export evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from thimble.export import console
from thimble.export.options import Artifact, Group, Label, Missing, Multiline, Strict, Timestamps


def evaluate(
    file: Artifact,
    clicks: Annotated[list[Path], typer.Argument(help="click files, or folders of them")],
    label: Label = "label",
    group: Group = None,
    strict: Strict = False,
    multiline: Multiline = False,
    missing: Missing = None,
    timestamps: Timestamps = False,
) -> None:
    """Say how good an artifact's scores of click files are. The scores themselves, also without labels: `score`."""
    from thimble.export.scoring.evaluate import evaluate_artifact, labelled, read_spec

    source = labelled(clicks, read_spec(file), label, strict, multiline, missing or (), timestamps, group)
    console.echo_all(console.passed_over(source.passed_over))
    try:
        metrics = evaluate_artifact(file, source).metrics()
    finally:
        console.echo_all(console.bad_rows(source.bad))
    typer.echo(console.metrics_line(metrics))
