"""What several commands of the command line ask for."""

from pathlib import Path
from typing import Annotated

import typer

Artifact = Annotated[Path, typer.Argument(help="an exported model.onnx")]
Label = Annotated[str, typer.Option(help="the column that holds 0 or 1 (CSV and Parquet)")]
Strict = Annotated[bool, typer.Option("--strict", help="stop at the first bad row")]
Multiline = Annotated[
    bool, typer.Option("--multiline", help="CSV: a quoted value may hold line ends; without it a line is a row")
]
Missing = Annotated[
    list[str] | None,
    typer.Option("--missing", metavar="WORD", help="a further word for a missing value, such as '-'; may be repeated"),
]
Timestamps = Annotated[
    bool, typer.Option("--timestamps", help="dense columns: read timestamps and dates as seconds since 1970")
]
