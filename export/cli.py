"""Train a compressed click-through model, export it as one ONNX file, look at it, evaluate it and score with it."""

import sys
from io import TextIOWrapper

import typer
from pydantic import ValidationError

from thimble.export import console
from thimble.export.commands.evaluate import evaluate
from thimble.export.commands.export import export
from thimble.export.commands.import_checkpoint import import_checkpoint
from thimble.export.commands.inspect import inspect
from thimble.export.commands.plan import plan
from thimble.export.commands.score import score
from thimble.export.commands.tradeoff import tradeoff
from thimble.export.commands.train import train
from thimble.export.commands.untrained import untrained

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
for command in (plan, tradeoff, train, export, untrained, inspect, evaluate, score):
    app.command()(command)
app.command("import")(import_checkpoint)


def main() -> None:
    """The console script: errors that the user can act on are one sentence and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may be any bytes
    try:
        app(standalone_mode=True)
    except ValidationError as error:
        first = error.errors()[0]
        console.fail(": ".join([*map(str, first["loc"]), first["msg"].removeprefix("Value error, ")]))
    except ValueError as error:
        console.fail(str(error))
    except OSError as error:
        console.fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
