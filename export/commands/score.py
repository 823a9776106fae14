"""`thimble-export score`."""

from pathlib import Path
from typing import Annotated

import typer

from thimble.export import console
from thimble.export.options import Artifact, Missing, Multiline, Strict, Timestamps, names_in


def score(
    file: Artifact,
    clicks: Annotated[
        list[Path], typer.Argument(help="files of the features, or folders of them; labels are not needed")
    ],
    output: Annotated[Path, typer.Option(help="a .csv or .parquet file, which is replaced if it is there")],
    key: Annotated[str, typer.Option(help="columns to write before the scores, separated by commas")] = "",
    strict: Strict = False,
    multiline: Multiline = False,
    missing: Missing = None,
    timestamps: Timestamps = False,
) -> None:
    """Write the scores of files into one file, which appears when it is whole.

    It has a row for each row of theirs, in their order. A bad one has no score.
    """
    from thimble.export.clicks.file_rows import FileRows
    from thimble.export.scoring.evaluate import read_spec
    from thimble.export.scoring.score import score_files

    source = FileRows(clicks, read_spec(file), names_in(key), strict, multiline, missing or (), timestamps)
    console.echo_all(console.passed_over(source.passed_over))
    try:
        rows = score_files(file, source, output)
    finally:
        console.echo_all(console.bad_rows(source.bad, "have no score"))
    typer.echo(f"{output}: {rows:,} rows")
