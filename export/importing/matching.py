"""A checkpoint's tensors by our parameters, as a mapping says."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from thimble.export.importing.mapping import FORMATS, CheckpointMapping, Source, read_mapping
from thimble.export.importing.weights import CheckpointError, Weight

COUNTED = ("{layer}", "{field}")


class Found(NamedTuple):
    """A tensor of a checkpoint, where in the mapping it stands, and the number or the name in its key."""

    weight: Weight
    source: Source
    number: int
    name: str


Matched = dict[str, list[Found]]
"""The tensors of a checkpoint by our parameters."""


def tensors_in(found: object, mapping: CheckpointMapping) -> dict[str, Weight]:
    """The tensors of a file by their keys, without what is around them and before their names."""
    for key in mapping.inside:
        if isinstance(found, Mapping) and key in found:
            found = found[key]
    tensors = dict(_flat(found, ""))
    while prefix := next((p for p in mapping.prefixes if tensors and all(key.startswith(p) for key in tensors)), None):
        tensors = {key.removeprefix(prefix): weight for key, weight in tensors.items()}
    return tensors


def chosen(mappings: Sequence[CheckpointMapping], found: object, where: str) -> tuple[CheckpointMapping, Matched]:
    """The mapping whose keys a file has, and what it finds.

    CheckpointError: none, for the reason of the one that it is nearest to, or several.
    """
    matched: list[tuple[CheckpointMapping, Matched]] = []
    refusals: list[tuple[int, CheckpointError]] = []
    for mapping in mappings:
        tensors = tensors_in(found, mapping)
        for pattern, why in mapping.refused.items():
            if key := next((key for key in tensors if fnmatchcase(key, pattern)), None):
                raise CheckpointError(f"{where} {why} ({key}), which cannot be imported")
        try:
            matched.append((mapping, match(mapping, tensors, where)))
        except CheckpointError as error:
            patterns = [_expression(source.key) for source in mapping.parameters.values()]
            near = sum(any(pattern.fullmatch(key) for key in tensors) for pattern in patterns)
            refusals.append((near, error))
    if not matched:
        raise max(refusals, key=lambda refusal: refusal[0])[1]
    if matched[1:]:
        names = " and ".join(mapping.architecture for mapping, _ in matched)
        raise CheckpointError(f"{where} has the keys of {names} alike, and no file says which it is: give --arch")
    return matched[0]


def match(mapping: CheckpointMapping, tensors: Mapping[str, Weight], where: str) -> Matched:
    """What of a checkpoint is which parameter: by layer or field where there are several, else one.

    CheckpointError: a key that should be there is missing, or one that is there is not known.
    """
    found: dict[str, list[Found]] = {}
    known: set[str] = set()
    for parameter, source in (mapping.parameters | mapping.optional).items():
        keys = _matching(source.key, tensors)
        known.update(found.key for found in keys)
        weights = ((tensors[it.key].transposed() if source.transpose else tensors[it.key], it) for it in keys)
        found[parameter] = [Found(weight, source, it.number, it.name) for weight, it in weights]
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


class _Key(NamedTuple):
    key: str
    number: int
    name: str


def _matching(pattern: str, tensors: Iterable[str]) -> list[_Key]:
    """The keys that a pattern stands for, in the order of their numbers. CheckpointError: a field is left out."""
    expression = _expression(pattern)
    matched = (matched for key in tensors if (matched := expression.fullmatch(key)))
    groups = [(key[0], {"number": "0", "name": ""} | key.groupdict()) for key in matched]
    keys = sorted((_Key(key, int(group["number"]), group["name"]) for key, group in groups), key=lambda it: it.number)
    if "{field}" in pattern:
        for place, key in enumerate(keys, keys[0].number if keys else 0):
            if key.number != place:
                raise CheckpointError(f"there is {key.key} and no {pattern.replace('{field}', str(place))}")
    return keys


def _expression(pattern: str) -> re.Pattern[str]:
    expression = re.escape(pattern).replace(re.escape("{name}"), r"(?P<name>.+)")
    for placeholder in COUNTED:
        expression = expression.replace(re.escape(placeholder), r"(?P<number>\d+)")
    return re.compile(expression, re.ASCII)


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
        if all(_matching(source.key, keys) for source in other.parameters.values()):
            return f"; its keys are those of --format {path.parent.name}"
    key = next(iter(tensors)) or "a tensor without a name"
    return f", but {key}; --format map --map FILE takes any keys (docs/import.md)"
