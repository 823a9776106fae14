"""Train a compressed click-through model, export it as one ONNX file, look at it, evaluate it and score with it."""

import json
import sys
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from thimble.export.options import Artifact, Label, Missing, Multiline, Strict, Timestamps
from thimble.models.inputs import Kind
from thimble.models.presets import MEMORY_BYTES
from thimble.models.schemes import SCHEMES
from thimble.models.spec import MemoryPrecision, MlpPrecision
from thimble.models.transforms import TransformKind

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


# torch and ONNX take seconds to import, so each command imports only what it needs.


@app.command()
def train(
    clicks: Annotated[list[Path] | None, typer.Argument(help="click files, or folders of them")] = None,
    generate: Annotated[int | None, typer.Option(min=1000, help="train on so many generated clicks instead")] = None,
    preset: Annotated[str | None, typer.Option(help="criteo-tb, criteo-kaggle or demo")] = None,
    dense: Annotated[str, typer.Option(help="columns of numbers, separated by commas")] = "",
    ints: Annotated[str, typer.Option("--int", help="columns of integer ids")] = "",
    hexes: Annotated[str, typer.Option("--hex", help="columns of hexadecimal tokens")] = "",
    strings: Annotated[str, typer.Option("--string", help="columns of text")] = "",
    label: Label = "label",
    held_out: Annotated[list[Path] | None, typer.Option(help="click files to evaluate on")] = None,
    held_out_share: Annotated[
        float, typer.Option(min=0.001, max=0.9, help="without --held-out: evaluate on this last share of the rows")
    ] = 0.1,
    name: Annotated[str | None, typer.Option(help="of the model; the preset's, or 'model'")] = None,
    run: Annotated[Path | None, typer.Option(help="folder for checkpoints; runs/NAME")] = None,
    scheme: Annotated[str, typer.Option(help=", ".join(SCHEMES))] = "block",
    memory: Annotated[
        int | None, typer.Option(min=1, help=f"bytes of the shared array in float32; {MEMORY_BYTES}")
    ] = None,
    chunk: Annotated[int | None, typer.Option(min=1, help="floats that are read at one place")] = None,
    dense_transform: Annotated[
        TransformKind | None, typer.Option(help="what is done with numbers; own columns: quantiles, a preset: criteo")
    ] = None,
    dense_arch: Annotated[str, typer.Option(help="own columns: layer widths; the last is the dimension")] = "64,16",
    over_arch: Annotated[str, typer.Option(help="own columns: layer widths; the last is 1")] = "64,1",
    batch_size: Annotated[int, typer.Option(min=1)] = 2048,
    epochs: Annotated[int, typer.Option(min=1, help="passes over the clicks, in the order given")] = 1,
    dense_lr: Annotated[float, typer.Option(min=0, help="Adam's, for the MLPs")] = 0.001,
    sparse_lr: Annotated[float, typer.Option(min=0, help="Adagrad's, for the embeddings")] = 0.05,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    strict: Strict = False,
    multiline: Multiline = False,
    missing: Missing = None,
    timestamps: Timestamps = False,
    checkpoint_rows: Annotated[int, typer.Option(min=1, help="save whenever so many rows are done")] = 1_000_000,
) -> None:
    """Train a model on click files, or on clicks generated to look like Criteo's.

    Parquet and CSV have named columns; any other text holds Criteo lines (label, dense features, fields, separated by
    tabs). Text may be packed (gzip, bz2, xz, zstd, zip). A folder is read file by file, with its sub-folders. A run
    that was stopped goes on when the same command is given again.
    """
    from thimble.export import console
    from thimble.export.click_files import FileClicks
    from thimble.export.clicks import ClickError, Rows, split
    from thimble.export.generate import GeneratedClicks
    from thimble.export.schema import own_spec, preset_spec
    from thimble.export.survey import survey
    from thimble.export.train import Recipe
    from thimble.export.train import train as train_run
    from thimble.models.transforms import learnt

    if bool(clicks) == bool(generate):
        raise ClickError("give click files or --generate N, one of the two")
    files = partial(
        FileClicks, label=label, strict=strict, multiline=multiline, missing=missing or (), timestamps=timestamps
    )
    recipe = Recipe(batch_size, epochs, dense_lr, sparse_lr, seed, checkpoint_rows)
    fields: dict[Kind, list[str]] = {"int": _names(ints), "hex": _names(hexes), "string": _names(strings)}
    if preset and (dense or any(fields.values())):
        raise ClickError("--preset has columns of its own; give it or --dense, --int, --hex and --string")
    if preset and dense_transform == "quantiles":
        raise ClickError("--preset has criteo for its numbers; --dense-transform quantiles is for columns of your own")
    if preset:
        spec = preset_spec(preset, name, scheme, memory, chunk, seed)
    elif generate:
        raise ClickError("clicks are generated with Criteo's features, so --generate needs a --preset")
    else:
        widths = _numbers("--dense-arch", dense_arch), _numbers("--over-arch", over_arch)
        own = (name or "model", _names(dense), fields)
        spec = own_spec(*own, {}, scheme, memory, chunk, *widths, seed)

    if generate:
        generated = GeneratedClicks(spec, generate + max(20_000, generate // 10), seed)
        parts = Rows(generated, 0, generate), Rows(generated, generate, generated.rows)
    else:
        source = files(clicks or [], spec)
        held_out_source = files(held_out, spec) if held_out else None
        _echo_all(console.passed_over([*source.passed_over, *(held_out_source.passed_over if held_out_source else [])]))
        typer.echo(f"reading {source.description} once to count its rows")
        parts = split(source, held_out_source, held_out_share)
        if not preset:
            typer.echo("reading the rows to train on once, for the ids and the numbers of each column")
            found = survey(parts[0], spec)
            transform = learnt(dense_transform or "quantiles", found.numbers)
            spec = own_spec(*own, found.ids, scheme, memory, chunk, *widths, seed, transform)
    folder = run or Path("runs") / spec.name
    typer.echo(f"{len(parts[0]):,} rows to train on, {len(parts[1]):,} held out; checkpoints in {folder}")
    try:
        metrics = train_run(spec, *parts, recipe, folder)
    except KeyboardInterrupt:
        _fail("stopped; the same command goes on from here", 130)
    finally:
        for part in {id(part.source): part.source for part in parts}.values():
            if isinstance(part, FileClicks):
                _echo_all(console.bad_rows(part.bad))
    typer.echo(f"held out: {console.metrics_line(metrics)}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="the folder of a finished training run")],
    repository: Annotated[Path, typer.Option(help="model repository to write to")] = Path("artifacts"),
    name: Annotated[str | None, typer.Option(help="of the model; the run's")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="one more than the newest there")] = None,
    precision: Annotated[
        MlpPrecision, typer.Option(help="of the MLPs; below fp32 the run's clicks are read again to say what it costs")
    ] = "fp32",
    memory_precision: Annotated[
        MemoryPrecision | None, typer.Option(help="of the embeddings; fp32 with MLPs in fp32, else fp16")
    ] = None,
    cost_rows: Annotated[
        int | None, typer.Option(min=1, help="held-out rows to measure that cost on; the run's, at most a million")
    ] = None,
) -> None:
    """Write a trained model as REPOSITORY/NAME/VERSION/model.onnx and prove that the file computes what was trained."""
    from thimble.export import console
    from thimble.export.checkpoint import load_trained
    from thimble.export.pipeline import export as export_trained
    from thimble.models.spec import Precision

    memory = memory_precision or ("fp32" if precision == "fp32" else "fp16")
    wanted = Precision(memory=memory, mlps=precision)
    done = export_trained(load_trained(run), repository, name, version, wanted, cost_rows)
    typer.echo(
        f"{done.path}: {console.size(done.path.stat().st_size)}; {console.agreement_line(done.spec, done.agreement)}"
    )
    if done.spec.precision_cost:
        typer.echo(f"{done.spec.precision} cost: {console.cost_line(done.spec.precision_cost)}")


@app.command()
def untrained(
    preset: Annotated[str, typer.Option(help="criteo-tb, criteo-kaggle or demo")],
    repository: Annotated[Path, typer.Option(help="model repository to write to")] = Path("artifacts"),
    name: Annotated[str | None, typer.Option(help="of the model; the preset's")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="one more than the newest there")] = None,
    scheme: Annotated[str, typer.Option(help=", ".join(SCHEMES))] = "block",
    memory: Annotated[int | None, typer.Option(min=1, help=f"bytes of the shared array; {MEMORY_BYTES}")] = None,
    table_rows: Annotated[
        int | None, typer.Option(min=1, help="of the full tables in all, in the preset's proportions")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Write a model that has learnt nothing, to measure what serving it costs.

    Full tables of any size are written as they are drawn, so they need disk, and little memory.
    """
    from thimble.export import console
    from thimble.export.evaluate import artifact_bytes
    from thimble.export.schema import preset_spec
    from thimble.export.untrained import export_untrained, resized

    spec = preset_spec(preset, name, scheme, memory, None, seed)
    done = export_untrained(resized(spec, table_rows) if table_rows else spec, repository, version, seed)
    typer.echo(f"{done.path}: {console.size(artifact_bytes(done.path))}, untrained")


@app.command()
def inspect(
    file: Artifact,
    as_json: Annotated[bool, typer.Option("--json", help="the whole spec as JSON")] = False,
) -> None:
    """Show what an artifact says of itself."""
    from thimble.export import console
    from thimble.export.evaluate import artifact_bytes, read_spec

    spec = read_spec(file)
    weight = artifact_bytes(file)
    if as_json:
        typer.echo(json.dumps({"file_bytes": weight, "compression": spec.compression, **spec.model_dump(mode="json")}))
        return
    table = console.inspection(spec, weight)
    width = max(len(key) for key, _ in table)
    _echo_all([f"{key:<{width}}  {value}" for key, value in table])


@app.command()
def evaluate(
    file: Artifact,
    clicks: Annotated[list[Path], typer.Argument(help="click files, or folders of them")],
    label: Label = "label",
    strict: Strict = False,
    multiline: Multiline = False,
    missing: Missing = None,
    timestamps: Timestamps = False,
) -> None:
    """Say how good an artifact's scores of click files are. The scores themselves, also without labels: `score`."""
    from thimble.export import console
    from thimble.export.evaluate import evaluate_artifact, labelled, read_spec

    source = labelled(clicks, read_spec(file), label, strict, multiline, missing or (), timestamps)
    _echo_all(console.passed_over(source.passed_over))
    try:
        metrics = evaluate_artifact(file, source).metrics
    finally:
        _echo_all(console.bad_rows(source.bad))
    typer.echo(console.metrics_line(metrics))


@app.command()
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
    from thimble.export import console
    from thimble.export.evaluate import read_spec
    from thimble.export.file_rows import FileRows
    from thimble.export.score import score_files

    source = FileRows(clicks, read_spec(file), _names(key), strict, multiline, missing or (), timestamps)
    _echo_all(console.passed_over(source.passed_over))
    try:
        rows = score_files(file, source, output)
    finally:
        _echo_all(console.bad_rows(source.bad, "have no score"))
    typer.echo(f"{output}: {rows:,} rows")


def main() -> None:
    """The console script: errors that the user can act on are one sentence and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may be any bytes
    try:
        app(standalone_mode=True)
    except ValidationError as error:
        first = error.errors()[0]
        _fail(": ".join([*map(str, first["loc"]), first["msg"].removeprefix("Value error, ")]))
    except ValueError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _fail(message: str, status: int = 1) -> NoReturn:
    print(f"thimble-export: {message}", file=sys.stderr)
    sys.exit(status)


def _echo_all(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(option: str, text: str) -> list[int]:
    widths = [part.strip() for part in text.split(",")]
    if not all(width.isdecimal() and int(width) > 0 for width in widths):
        raise ValueError(f"{option} takes widths separated by commas, not {text!r}")
    return [int(width) for width in widths]
