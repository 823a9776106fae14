"""What a model takes and answers: which versions may answer the same requests.

This is the one definition. Names, kinds and order of the features all count, though JSON knows no order: tensors and
lines of text bring values by their place, so a feature that is added, taken away or moved makes them unreadable, or,
worse, readable as something else. So do the names and the order of the answers of a model that has several; how they
follow from each other is nothing that an answer says.
"""

from collections.abc import Sequence
from itertools import islice

import orjson
import xxhash

from thimble.models.inputs import Feature
from thimble.models.spec import ModelSpec

# Features that a sentence names of those that differ.
SHOWN = 3


def interface_of(spec: ModelSpec) -> str:
    """The digest of what a model takes: 32 hexadecimal digits, the same for versions that take the same."""
    tensors = [(it.name, it.dtype, [*map(_written, it.features)]) for it in spec.inputs if it.features]
    answers = [spec.outputs] if spec.heads else []  # so that models of one answer have the digests that they had
    return xxhash.xxh3_128_hexdigest(orjson.dumps([*tensors, *answers]))


def differences(spec: ModelSpec, other: ModelSpec) -> str:
    """What a model takes or answers otherwise than another, in words."""
    now, before = ({feature.name: feature for feature in it.features} for it in (spec, other))
    both = [(feature, before[name]) for name, feature in now.items() if name in before]
    found = {
        "new": [name for name in now if name not in before],
        "gone": [name for name in before if name not in now],
        "of another kind": [it.name for it, was in both if it.kind != was.kind],
        "with other bags": [it.name for it, was in both if it.kind == was.kind and _written(it) != _written(was)],
    }
    said = [f"{what}: {_listed(names)}" for what, names in found.items() if names]
    if spec.outputs != other.outputs:
        said.append(f"answers: {_listed(spec.outputs)}, and not {_listed(other.outputs)}")
    return "; ".join(said) or "the same in another order"


def unlike(spec: ModelSpec, other: ModelSpec) -> str:
    """What a model of another interface does that another one does not: `it takes other features than` that one."""
    same = [[*map(_written, it.features)] for it in (spec, other)]
    return "gives other answers than" if same[0] == same[1] else "takes other features than"


def _written(feature: Feature) -> list[object]:
    """What of a feature counts. How a bag is pooled is nothing that a request says."""
    bag = feature.bag
    return [feature.name, feature.kind, *([bag.values, bag.separator] if bag else [])]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(islice(names, SHOWN)) + (f" and {more} more" if more > 0 else "")
