"""`thimble-export evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thimble.export import console
from thimble.export.options import Artifact, Group, Missing, Multiline, NegativesKept, Strict, Timestamps
from thimble.export.wording import listed

if TYPE_CHECKING:
    from thimble.export.metrics.scored import ScoredRows


def evaluate(
    file: Artifact,
    clicks: Annotated[list[Path], typer.Argument(help="click files, or folders of them")],
    label: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[,NAME...]",
            help="the column that holds 0 or 1, where columns have names; label, or of several answers those called so",
        ),
    ] = None,
    group: Group = None,
    compare: Annotated[
        list[Path] | None, typer.Option(help="another artifact to score the same files with; may be repeated")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="an .html file to write: metrics, calibration, comparison; replaced if there")
    ] = None,
    strict: Strict = False,
    multiline: Multiline = False,
    missing: Missing = None,
    timestamps: Timestamps = False,
    negatives_kept: NegativesKept = None,
) -> None:
    """Say how good an artifact's scores of click files are. The scores themselves, also without labels: `score`."""
    from thimble.export.commands.labels import labels_of
    from thimble.export.report.evaluation import evaluation_page
    from thimble.export.scoring.evaluate import evaluate_artifact, labelled, read_spec
    from thimble.export.scoring.output import make_folder_of, require_output

    def scored(artifact: Path) -> "ScoredRows":
        source = sources[artifact]
        try:
            return evaluate_artifact(artifact, source, kept)
        finally:
            console.echo_all(console.bad_rows(source.bad))

    kept = negatives_kept or 1
    specs = {artifact: read_spec(artifact) for artifact in (file, *(compare or ()))}
    sources = {
        artifact: labelled(clicks, spec, labels_of(spec, label), strict, multiline, missing or (), timestamps, group)
        for artifact, spec in specs.items()
    }
    if report:
        require_output(report, "a report is", [".html"], [*specs, *sources[file].files])
        make_folder_of(report)
    console.echo_all(console.passed_over(sources[file].passed_over))
    rows = scored(file)
    models = {str(file): rows.metrics()}
    console.echo_all(console.metrics_lines(models[str(file)], specs[file]))
    for other in list(specs)[1:]:
        models[str(other)] = scored(other).metrics()
        console.echo_all([f"{other}: {line}" for line in console.metrics_lines(models[str(other)], specs[other])])
    if report:
        names = listed([path.name for path in clicks])
        evaluation_page(specs[file], names, models, rows.curves(), kept).write(report)
        typer.echo(f"report: {report}")
