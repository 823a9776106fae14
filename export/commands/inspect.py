"""`thimble-export inspect`."""

import json
from typing import Annotated

import typer

from thimble.export import console
from thimble.export.options import Artifact


def inspect(
    file: Artifact,
    as_json: Annotated[bool, typer.Option("--json", help="the whole spec as JSON")] = False,
) -> None:
    """Show what an artifact says of itself."""
    from thimble.export.scoring.evaluate import artifact_bytes, read_spec

    spec = read_spec(file)
    weight = artifact_bytes(file)
    if as_json:
        typer.echo(json.dumps({"file_bytes": weight, "compression": spec.compression, **spec.model_dump(mode="json")}))
        return
    table = console.inspection(spec, weight)
    width = max(len(key) for key, _ in table)
    console.echo_all([f"{key:<{width}}  {value}" for key, value in table])
