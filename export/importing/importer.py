"""A checkpoint of a format to a version in a model repository."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from thimble.export.artifact.graph import written_by
from thimble.export.artifact.pipeline import Exported
from thimble.export.importing.described import Asked, ImportedModel, described, missing_features
from thimble.export.importing.expected import made_rows, read_expected
from thimble.export.importing.features import read_features
from thimble.export.importing.mapping import CheckpointMapping, Format, read_mapping, shipped
from thimble.export.importing.matching import chosen
from thimble.export.importing.nvidia import read_folder
from thimble.export.importing.parameters import Arch
from thimble.export.importing.publishing import publish_imported
from thimble.export.importing.torch_file import load
from thimble.export.importing.weights import CheckpointError
from thimble.models.provenance import Imported


class Said(NamedTuple):
    """What is said of a checkpoint beside it.

    Files of its features, its keys and expected scores; its architecture, where several have its keys; a ROBE array's
    chunk.
    """

    features: Path | None = None
    map: Path | None = None
    arch: Arch | None = None
    chunk: int | None = None
    expect: Path | None = None


class Done(NamedTuple):
    """What was written, and by how much its scores differ from the expected ones, if there are any."""

    exported: Exported
    expected_rows: int = 0
    difference: float = 0.0


def import_checkpoint(
    checkpoint: Path, format: Format, said: Said, repository: Path, name: str, version: int | None = None
) -> Done:
    """CheckpointError, ExportError: it cannot be imported, and nothing was written. OSError: a file cannot be read."""
    before = _state(checkpoint)
    imported = read_model(checkpoint, format, said, name)
    expected = read_expected(said.expect, imported.spec) if said.expect else None
    rows = len(expected.scores) if expected else 0
    source = Imported(format=format, checkpoint=checkpoint.name, tool=written_by(), expected_rows=rows)
    model = imported._replace(spec=imported.spec.model_copy(update={"imported": source}))
    differences: list[float] = []

    def examine(path: Path) -> None:
        if _state(checkpoint) != before:
            raise CheckpointError(f"{checkpoint} changed while it was read; nothing was written")
        differences.extend([expected.difference(path)] if expected else [])

    golden = expected.golden if expected else made_rows(model.spec)
    done = publish_imported(model, golden, repository, version, examine)
    return Done(done, rows, *differences)


def read_model(checkpoint: Path, format: Format, said: Said, name: str) -> ImportedModel:
    """The model in a checkpoint. CheckpointError: there is none that can be imported. OSError: it cannot be read."""
    opened, columns = _opened(checkpoint, format)
    mapping, found = chosen(_mappings(format, said), opened, str(checkpoint))
    if said.features is None:
        raise missing_features(found, str(checkpoint))
    asked = Asked(read_features(said.features), said.features, said.chunk, columns)
    return described(mapping, found, asked, name, str(checkpoint))


def _state(checkpoint: Path) -> dict[Path, tuple[int, ...]]:
    """What of a file, or of those in a folder, changes when they do. What is not there has no state."""
    state: dict[Path, tuple[int, ...]] = {}
    for path in (checkpoint, *(checkpoint.iterdir() if checkpoint.is_dir() else ())):
        with suppress(FileNotFoundError):
            found = path.stat()
            state[path] = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    return state


def _mappings(format: Format, said: Said) -> list[CheckpointMapping]:
    if (format == "map") != (said.map is not None):
        raise CheckpointError("--format map takes a file by --map, and no other format does")
    return [read_mapping(said.map)] if said.map else shipped(format, said.arch)


def _opened(checkpoint: Path, format: Format) -> tuple[object, list[int] | None]:
    """What a checkpoint holds, and the order of its tables where it has one of its own."""
    if format == "nvidia":
        if not checkpoint.is_dir():
            raise CheckpointError(f"{checkpoint} is no folder, and --format nvidia takes one")
        return read_folder(checkpoint)
    if checkpoint.is_dir():
        raise CheckpointError(f"{checkpoint} is a folder, and --format {format} takes a file of torch.save's")
    return load(checkpoint), None
