"""`thimble-export untrained`."""

from pathlib import Path
from typing import Annotated

import typer

from thimble.export import options
from thimble.export.wording import size
from thimble.models.presets import MEMORY_BYTES
from thimble.models.presets import NAMES as PRESETS


def untrained(
    context: typer.Context,
    preset: Annotated[str, typer.Option(help=", ".join(PRESETS))],
    repository: Annotated[Path, typer.Option(help="model repository to write to")] = Path("artifacts"),
    name: Annotated[str | None, typer.Option(help="of the model; the preset's")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="one more than the newest there")] = None,
    arch: options.Arch = None,
    scheme: options.Scheme = "block",
    memory: Annotated[int | None, typer.Option(min=1, help=f"bytes of the shared array, fp32; {MEMORY_BYTES}")] = None,
    table_rows: Annotated[
        int | None, typer.Option(min=1, help="of the full tables in all, in the preset's proportions")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Write a model that has learnt nothing, to measure what serving it costs.

    Full tables of any size are written as they are drawn, so they need disk, and little memory.
    """
    from thimble.export.artifact.untrained import export_untrained, resized
    from thimble.export.commands.going_on import given
    from thimble.export.commands.ignored import refuse_ignored
    from thimble.export.scoring.evaluate import artifact_bytes
    from thimble.export.training.schema import preset_spec

    refuse_ignored(given(context))
    spec = preset_spec(preset, name, scheme, memory, None, seed, "fp32", arch)
    done = export_untrained(resized(spec, table_rows) if table_rows else spec, repository, version, seed)
    typer.echo(f"{done.path}: {size(artifact_bytes(done.path))}, untrained")
