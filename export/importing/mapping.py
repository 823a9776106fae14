"""Which tensor of a checkpoint is which of our parameters: YAML, of which one file a format is shipped."""

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import yaml
from pydantic import BeforeValidator, Field, ValidationError

from thimble.export.importing.weights import CheckpointError, Weight
from thimble.models.base import Frozen, sentence

FORMATS = Path(__file__).parent / "formats"
Format = Literal["facebook", "torchrec", "robe", "nvidia", "map"]
Order = Literal["dense", "lower", "upper", "padding"]
"""What a layer after the interaction takes.

The dense vector, the products of pairs, or columns that are always 0 up to a multiple of 8 in all.
"""
COUNTED = ("{layer}", "{field}")


class Source(Frozen):
    """Where a parameter comes from: a key of the checkpoint, and what has to be done with the tensor.

    `{layer}` and `{field}` in it stand for whole numbers, the smallest being our first. `inputs` say in which order the
    first layer of these takes its inputs, `permutation` which column of it is ours, one after the other.
    """

    key: str
    transpose: bool = False
    inputs: tuple[Order, ...] | None = None
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

    architecture: Literal["dlrm"]
    scheme: Literal["full", "robe"] = "full"
    inside: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    parameters: dict[str, MappedSource]
    optional: dict[str, MappedSource] = Field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    refused: dict[str, str] = Field(default_factory=dict)


class Found(NamedTuple):
    """A tensor of a checkpoint, where in the mapping it stands, and the number in its key."""

    weight: Weight
    source: Source
    number: int


def shipped(format: Format) -> CheckpointMapping:
    """The mapping of a format."""
    return read_mapping(FORMATS / format / "dlrm.yaml")


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


def tensors_in(found: object, mapping: CheckpointMapping) -> dict[str, Weight]:
    """The tensors of a file by their keys, without what is around them and before their names."""
    for key in mapping.inside:
        if isinstance(found, Mapping) and key in found:
            found = found[key]
    tensors = dict(_flat(found, ""))
    while prefix := next((p for p in mapping.prefixes if tensors and all(key.startswith(p) for key in tensors)), None):
        tensors = {key.removeprefix(prefix): weight for key, weight in tensors.items()}
    return tensors


def match(mapping: CheckpointMapping, tensors: Mapping[str, Weight], where: str) -> dict[str, list[Found]]:
    """What of a checkpoint is which parameter: by layer or field where there are several, else one.

    CheckpointError: a key that should be there is missing, or one that is there is not known.
    """
    for pattern, why in mapping.refused.items():
        if key := next((key for key in tensors if fnmatchcase(key, pattern)), None):
            raise CheckpointError(f"{where} {why} ({key}), which cannot be imported")
    found: dict[str, list[Found]] = {}
    known: set[str] = set()
    for parameter, source in (mapping.parameters | mapping.optional).items():
        numbered = _numbered(source.key, tensors)
        known.update(key for _, key in numbered)
        found[parameter] = [Found(tensors[key], source, number) for number, key in numbered]
    if not known:
        raise CheckpointError(f"{where} holds no {_first(mapping)}{_rather(tensors)}")
    if lacking := [source.key for name, source in mapping.parameters.items() if not found[name]]:
        raise CheckpointError(f"{where} holds no {lacking[0]}; it is not whole, or of another kind")
    ignored = (key for key in tensors if any(fnmatchcase(key, pattern) for pattern in mapping.ignored))
    if unknown := sorted(tensors.keys() - known - {*ignored}):
        more = f" and {len(unknown) - 1} more" if unknown[1:] else ""
        raise CheckpointError(
            f"{where} holds {unknown[0]}{more}, which its format does not know; a mapping file says what it is "
            "(--format map --map FILE, docs/import.md)"
        )
    return found


def _numbered(pattern: str, tensors: Iterable[str]) -> list[tuple[int, str]]:
    """The keys that a pattern stands for, in the order of their numbers. CheckpointError: a field is left out."""
    expression = re.escape(pattern)
    for placeholder in COUNTED:
        expression = expression.replace(re.escape(placeholder), r"(?P<number>\d+)")
    keys = [matched for key in tensors if (matched := re.fullmatch(expression, key, re.ASCII))]
    numbered = sorted((int(key.groupdict().get("number", 0)), key[0]) for key in keys)
    if "{field}" in pattern:
        for place, (number, key) in enumerate(numbered, numbered[0][0] if numbered else 0):
            if number != place:
                raise CheckpointError(f"there is {key} and no {pattern.format(field=place)}")
    return numbered


def _flat(found: object, key: str) -> Iterator[tuple[str, Weight]]:
    if isinstance(found, Weight):
        yield key, found
    elif isinstance(found, Mapping):
        for name, value in found.items():
            yield from _flat(value, f"{key}.{name}" if key else str(name))
    elif isinstance(found, list):
        for place, value in enumerate(found):
            yield from _flat(value, f"{key}.{place}" if key else str(place))


def _first(mapping: CheckpointMapping) -> str:
    return next(iter(mapping.parameters.values())).key


def _rather(tensors: Mapping[str, Weight]) -> str:
    """The format that keys look like, if they do."""
    if not tensors:
        return ", and no tensor at all"
    for path in sorted(FORMATS.glob("*/*.yaml")):
        other = read_mapping(path)
        keys = tensors_in(dict(tensors), other)
        if all(_numbered(source.key, keys) for source in other.parameters.values()):
            return f"; its keys are those of --format {path.parent.name}"
    return f", but {next(iter(tensors))}; --format map --map FILE takes any keys (docs/import.md)"
