"""What several commands of the command line ask for."""

from pathlib import Path
from typing import Annotated

import typer

from thimble.export.metrics.negatives import checked_share

Artifact = Annotated[Path, typer.Argument(help="an exported model.onnx")]
Label = Annotated[str, typer.Option(help="the column that holds 0 or 1, where columns have names")]
Group = Annotated[
    str | None,
    typer.Option(help="a column that says whose rows these are, such as users: AUC within them, intervals over them"),
]
NegativesKept = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        callback=lambda share: None if share is None else checked_share(share),
        help="the files hold only this share of the rows that were not clicked, drawn at random",
    ),
]
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


def names_in(text: str) -> list[str]:
    """Names of columns that are separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def widths_in(option: str, text: str) -> list[int]:
    """Widths of layers that are separated by commas. ValueError: they are none."""
    widths = [part.strip() for part in text.split(",")]
    if not all(width.isdecimal() and int(width) > 0 for width in widths):
        raise ValueError(f"{option} takes widths separated by commas, not {text!r}")
    return [int(width) for width in widths]


def hidden_in(option: str, text: str) -> list[int]:
    """Widths of the layers before a logit. ValueError: they are none, or the logit's 1 is among them."""
    widths = widths_in(option, text)
    if widths[-1] == 1:
        raise ValueError(f"{option} takes hidden widths, after which the score's 1 is added: {option} 64, not 64,1")
    return widths
