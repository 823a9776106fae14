"""Which tensor of a checkpoint is which of our parameters: YAML, of which a file an architecture is shipped."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from thimble.export.importing.parameters import NAMED, PARAMETERS, Arch, Block, is_order, missing, takes_inputs
from thimble.export.importing.weights import CheckpointError
from thimble.models.base import Frozen, sentence

FORMATS = Path(__file__).parent / "formats"
Format = Literal["facebook", "torchrec", "robe", "nvidia", "fuxictr", "deepctr-torch", "map"]
TWICE = "has a key twice"
PLACEHOLDER = re.compile(r"\{(.*?)\}")


class Source(Frozen):
    """Where a parameter comes from: a key of the checkpoint, and what has to be done with the tensor.

    `{layer}` and `{field}` in it stand for whole numbers, the smallest being our first, `{name}` for the name of a
    feature. `inputs` say in which order the first layer of these takes its inputs, `permutation` which column of it is
    ours, one after the other.
    """

    key: Annotated[str, Field(min_length=1)]
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
    prefixes: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    parameters: dict[str, MappedSource]
    optional: dict[str, MappedSource] = Field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    refused: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _of_the_architecture(self) -> Self:
        if self.scheme == "robe" and self.architecture != "dlrm":
            raise ValueError(f"scheme robe is for architecture dlrm, not {self.architecture}")
        kind = "robe" if self.scheme == "robe" else self.architecture
        sources = self.parameters | self.optional
        if unknown := next((name for name in sources if name not in PARAMETERS[kind]), None):
            raise ValueError(f"{unknown} is no parameter of {kind}; it has {', '.join(sorted(PARAMETERS[kind]))}")
        if absent := missing(kind, self.parameters, self.optional):
            raise ValueError(f"parameters lack {absent}, which {kind} has to have")
        for name, source in sources.items():
            self._check_source(name, source)
        return self

    def _check_source(self, parameter: str, source: Source) -> None:
        found = PLACEHOLDER.findall(source.key)
        allowed = {"field", "layer", "name"} if parameter in NAMED else {"field", "layer"}
        if len(found) > 1 or not allowed.issuperset(found):
            raise ValueError(
                f"{parameter}: {source.key} may have one of {', '.join(f'{{{it}}}' for it in sorted(allowed))}, once"
            )
        ordered = takes_inputs(self.architecture)
        if source.inputs is not None and not (parameter in ordered and is_order(self.architecture, source.inputs)):
            raise ValueError(f"{parameter} cannot take its inputs as {list(source.inputs)} (docs/import.md)")
        if source.permutation is not None and (self.architecture != "dlrm" or parameter not in ordered):
            raise ValueError(f"{parameter} has a permutation; over_arch.weight of a dlrm alone may have one")
        if source.permutation is not None and source.inputs is not None:
            raise ValueError(f"{parameter} has inputs and a permutation, which says the same")


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


class _Plain(yaml.BaseLoader):
    """Scalars as they are written, so that `no` is a name and `1e3` is what it is taken for; a key is there once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        found = super().construct_mapping(node, deep)
        if len(found) != len(node.value):
            raise yaml.constructor.ConstructorError(problem=TWICE, problem_mark=node.start_mark)
        return found


def read_yaml(path: Path) -> object:
    """Keys, and texts or what is made of them. CheckpointError: it is none. OSError: it cannot be read."""
    try:
        found: object = _Plain(path.read_text(encoding="utf-8")).get_single_data()
    except yaml.MarkedYAMLError as error:
        line = f", see line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise CheckpointError(f"{path} {TWICE if error.problem == TWICE else 'is no YAML'}{line}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        raise CheckpointError(f"{path} is no YAML") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} has no keys with values, as `fields: [...]` is one")
    return found
