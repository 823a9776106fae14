"""Which tensor of a checkpoint is which of our parameters: YAML, of which a file an architecture is shipped."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError

from thimble.export.importing.weights import CheckpointError
from thimble.models.base import Frozen, sentence

FORMATS = Path(__file__).parent / "formats"
Format = Literal["facebook", "torchrec", "robe", "nvidia", "fuxictr", "deepctr-torch", "map"]
Arch = Literal["dlrm", "dcnv2", "deepfm", "wide-deep", "mlp"]
Block = Literal["dense", "lower", "upper", "upper dense last", "padding", "numbers", "embeddings", "features"]
"""What a layer takes.

After an interaction: the dense vector, the products of pairs, and columns that are always 0 up to a multiple of 8 in
all. Without one: numbers, embeddings, or all features in the order of the file.
"""


class Source(Frozen):
    """Where a parameter comes from: a key of the checkpoint, and what has to be done with the tensor.

    `{layer}` and `{field}` in it stand for whole numbers, the smallest being our first, `{name}` for the name of a
    feature. `inputs` say in which order the
    first layer of these takes its inputs, `permutation` which column of it is ours, one after the other.
    """

    key: str
    transpose: bool = False
    inputs: tuple[Block, ...] | None = None
    permutation: tuple[int, ...] | None = None


def _source(given: object) -> object:
    return {"key": given} if isinstance(given, str) else given


MappedSource = Annotated[Source, BeforeValidator(_source)]


class CheckpointMapping(Frozen):
    """A mapping file.

    `parameters` are ours; those that are `optional` may be missing. `inside` is the key under which a file may have its
    tensors, `prefixes` are what all of its keys may begin with. Keys that match one of `ignored` are of no use; those
    that match one of `refused` are of a model that is none of ours, for the reason given.
    """

    architecture: Arch
    scheme: Literal["full", "robe"] = "full"
    inside: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    parameters: dict[str, MappedSource]
    optional: dict[str, MappedSource] = Field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    refused: dict[str, str] = Field(default_factory=dict)


def shipped(format: Format, arch: Arch | None) -> list[CheckpointMapping]:
    """The mappings of a format, of all architectures or of one. CheckpointError: it has none of that."""
    paths = sorted((FORMATS / format).glob(f"{arch or '*'}.yaml"))
    if not paths:
        known = ", ".join(sorted(path.stem for path in (FORMATS / format).glob("*.yaml")))
        raise CheckpointError(f"--format {format} has no architecture {arch}; it has {known}")
    return [read_mapping(path) for path in paths]


def read_mapping(path: Path) -> CheckpointMapping:
    """CheckpointError: it is no mapping, in one sentence. OSError: it cannot be read."""
    try:
        return CheckpointMapping.model_validate(read_yaml(path))
    except ValidationError as error:
        raise CheckpointError(f"{path}: {sentence(error, 'the file')}") from None


def read_yaml(path: Path) -> object:
    """CheckpointError: it is no YAML. OSError: it cannot be read."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        raise CheckpointError(f"{path} is no YAML{f', see line {mark.line + 1}' if mark else ''}") from None
