"""What several commands of the command line ask for."""

import math
from pathlib import Path
from typing import Annotated, Literal

import typer

from thimble.export.metrics.negatives import checked_share
from thimble.models.architectures import ARCHITECTURES
from thimble.models.presets import MEMORY_BYTES, MEMORY_PRECISION
from thimble.models.presets import NAMES as PRESETS
from thimble.models.quantization import MemoryPrecision
from thimble.models.schemes import SCHEMES
from thimble.models.transforms import TransformKind

Artifact = Annotated[Path, typer.Argument(help="an exported model.onnx")]
Label = Annotated[str, typer.Option(help="the column that holds 0 or 1, where columns have names")]
Labels = Annotated[
    str,
    typer.Option(
        metavar="NAME[,NAME[:NAME]...]",
        help="the column that holds 0 or 1, where columns have names; several make a model of several answers, "
        "where conversion:click is one that comes only with a click",
    ),
]
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

# which rows there are, and what becomes of them
ClickFiles = Annotated[list[Path] | None, typer.Argument(help="click files, or folders of them")]
Generate = Annotated[int | None, typer.Option(min=1000, help="train on so many generated clicks instead")]
HeldOut = Annotated[list[Path] | None, typer.Option(help="click files to evaluate on")]
HeldOutShare = Annotated[
    float, typer.Option(min=0.001, max=0.9, help="without --held-out: evaluate on this share of the rows")
]
ValidationShare = Annotated[
    float | None,
    typer.Option(
        min=0, max=0.5, help="of the other rows, which decide when training is over; a twentieth, more of few rows"
    ),
]
SplitBy = Annotated[
    str,
    typer.Option(
        "--split",
        metavar="share|time:COLUMN|group:COLUMN",
        help="which rows are held out: any, the latest by a column, or all of some values of one",
    ),
]
InOrder = Annotated[
    bool,
    typer.Option("--in-order", help="train in the order of the files, or of --split time:COLUMN; do not shuffle"),
]
Cache = Annotated[Path, typer.Option(help="folder for what is read of click files, which later runs find there")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="read the files in each epoch, and keep nothing")]

# which model
Preset = Annotated[str | None, typer.Option(help=", ".join(PRESETS))]
Dense = Annotated[str, typer.Option(help="columns of numbers, separated by commas")]
Ints = Annotated[str, typer.Option("--int", help="columns of integer ids")]
Hexes = Annotated[str, typer.Option("--hex", help="columns of hexadecimal tokens")]
Strings = Annotated[str, typer.Option("--string", help="columns of text")]
Multi = Annotated[
    list[str] | None,
    typer.Option(
        "--multi",
        metavar="NAME[:SEPARATOR[:VALUES[:POOLING[:KEEP]]]]",
        help="an id column with several values a row, as genres:|:8:mean:first, which are the defaults but for VALUES: "
        "as many as hold 99 % of the rows whole, 64 at most. POOLING: sum, mean or max, which takes no weights; "
        "KEEP: the first or last values of a longer list. Columns of lists need no --multi. May be repeated",
    ),
]
Scheme = Annotated[str, typer.Option(help=", ".join(SCHEMES))]
Memory = Annotated[
    int | None,
    typer.Option(min=1, help=f"bytes of the shared array as stored; a tenth of the tables, a preset: {MEMORY_BYTES}"),
]
TrainedMemoryPrecision = Annotated[
    MemoryPrecision | None,
    typer.Option(
        "--memory-precision",
        help=f"that embeddings are trained for; {MEMORY_PRECISION}, and fp32 where the scheme is not block",
    ),
]
Chunk = Annotated[int | None, typer.Option(min=1, help="weights that are read at one place")]
HotRowsFor = Literal["auto", "none"]
HOT_ROWS: HotRowsFor = "none"
"""The default of `--hot-rows`."""
HotRows = Annotated[
    HotRowsFor,
    typer.Option(
        help="auto: rows of their own for ids that come often, within --memory; "
        "how many, says a rule that was fitted to at least 72,000 training rows"
    ),
]
DenseTransform = Annotated[
    TransformKind | None, typer.Option(help="what is done with numbers; own columns: quantiles, a preset: criteo")
]
EmbeddingDim = Annotated[int, typer.Option(min=1, help="own columns: floats of an embedding")]
Arch = Annotated[str | None, typer.Option(help=f"{', '.join(ARCHITECTURES)}; dlrm, a preset: its own")]
DenseArch = Annotated[
    str | None, typer.Option(help="own columns: hidden widths of the MLP that takes numbers (dlrm, dcnv2); 64")
]
OverArch = Annotated[
    str | None,
    typer.Option(help="own columns: hidden widths of the MLP that makes the score; 64, where it is the only one 64,64"),
]
CrossLayers = Annotated[int | None, typer.Option(min=1, help="own columns, dcnv2: cross layers; 3")]
CrossRank = Annotated[
    int | None, typer.Option(min=1, help="own columns, dcnv2: rank of a cross layer; 64, or full where that is smaller")
]


def names_in(text: str) -> list[str]:
    """Names of columns that are separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def numbers_in(option: str, text: str) -> list[float]:
    """Numbers that are separated by commas. ValueError: they are none, or not finite."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{option} takes numbers separated by commas, not {text!r}")
    return numbers


def counts_in(option: str, text: str, what: str = "whole numbers above 0") -> list[int]:
    """Counts of something that are separated by commas. ValueError: they are none."""
    counts = [part.strip() for part in text.split(",")]
    if not all(count.isdecimal() and int(count) > 0 for count in counts):
        raise ValueError(f"{option} takes {what} separated by commas, not {text!r}")
    return [int(count) for count in counts]


def widths_in(option: str, text: str) -> list[int]:
    """Widths of layers that are separated by commas. ValueError: they are none."""
    return counts_in(option, text, "widths")


def hidden_in(option: str, text: str) -> list[int]:
    """Widths of the layers before a logit. ValueError: they are none, or the logit's 1 is among them."""
    widths = widths_in(option, text)
    if widths[-1] == 1:
        raise ValueError(f"{option} takes hidden widths, after which the score's 1 is added: {option} 64, not 64,1")
    return widths
