"""`thimble-export import`."""

from pathlib import Path
from typing import Annotated

import typer

from thimble.export import console
from thimble.export.importing.mapping import Format
from thimble.export.importing.parameters import Arch
from thimble.export.wording import counted, size


def import_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="a file of torch.save's, or a folder as the format has them")],
    format: Annotated[Format, typer.Option(help="which project wrote it; map takes any, by --map")],
    features: Annotated[
        Path | None, typer.Option(help="YAML: names, kinds and preprocessing of the model's features, in its order")
    ] = None,
    map: Annotated[Path | None, typer.Option(help="YAML: which of its keys is which parameter")] = None,
    arch: Annotated[Arch | None, typer.Option(help="of the model, where several have its keys")] = None,
    chunk: Annotated[int | None, typer.Option(min=1, help="weights that lie together in a ROBE array")] = None,
    expect: Annotated[
        Path | None, typer.Option(help="CSV of features and score: rows that prove the import and become golden ones")
    ] = None,
    repository: Annotated[Path, typer.Option(help="model repository to write to")] = Path("artifacts"),
    name: Annotated[str, typer.Option(help="of the model")] = "model",
    version: Annotated[int | None, typer.Option(min=1, help="one more than the newest there")] = None,
) -> None:
    """Write a model that was trained elsewhere as REPOSITORY/NAME/VERSION/model.onnx.

    Its scores are those that it had: compressed models stay as they are, and full tables are written as such.
    """
    from thimble.export.importing import importer
    from thimble.export.scoring.evaluate import artifact_bytes

    said = importer.Said(features, map, arch, chunk, expect)
    done = importer.import_checkpoint(checkpoint, format, said, repository, name, version)
    path, spec, agreement = done.exported
    typer.echo(f"{path}: {size(artifact_bytes(path))}; {console.agreement_line(spec, agreement)}")
    if done.expected_rows:
        typer.echo(
            f"{expect}: {counted(done.expected_rows, 'row')}, scores within {done.difference:.1e} of the expected"
        )
    else:
        console.echo_all(console.advice(["nothing shows that it scores as it did where it was trained; --expect does"]))
