"""ROBE as its authors' code saves it: one array, and the numbers of its map in every table's part."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Literal

import numpy as np

from thimble.export.importing.features import ImportedFeatures
from thimble.export.importing.matching import Found
from thimble.export.importing.weights import CheckpointError
from thimble.models.hashing import ID_LIMIT, Int64s
from thimble.models.schemes.robe import RobeEmbedding

NUMBERS = (51, 11)
"""The prime and the numbers drawn by the authors' class for GPUs, or by those for CPUs."""


def robe_embedding(
    found: Mapping[str, Sequence[Found]], features: ImportedFeatures, said: str, dim: int, chunk: int | None
) -> RobeEmbedding:
    """The embedding of width `dim` of an array, and of what was said of it, in the file `said` and of its `chunk`.

    CheckpointError: the array or its map is none of the authors', or not enough was said.
    """
    memory = found["memory"][0].weight
    if len(memory.shape) != 1:
        raise CheckpointError(f"{memory.origin} is {list(memory.shape)}, and no array of weights")
    for alias, *_ in (*found.get("aliases", ()), *found.get("hashed_aliases", ())):
        if alias.shape != memory.shape or not np.array_equal(alias.read(), memory.read()):
            raise CheckpointError(f"{alias.origin} and {memory.origin} differ, so the tables share no array")
    numbers = _random_numbers(found)
    for field in features.fields:
        if features.ids_of(field) != "rows" or (field.kind or features.kind) != "int":
            raise CheckpointError(f"{said}: {field.name} of a ROBE model takes row numbers: kind: int and ids: rows")
        if field.table_rows is None:
            raise CheckpointError(
                f"{said} does not say how many rows {field.name} had, which decides where its embeddings lie, and the "
                "checkpoint holds no tables: add its table_rows"
            )
    ends = [*accumulate(field.table_rows or 0 for field in features.fields)]
    if ends[-1] > ID_LIMIT:
        raise CheckpointError(f"{said}: table_rows are {ends[-1]} in all, and a model has {ID_LIMIT} ids at most")
    return RobeEmbedding(
        scheme=_scheme(found, numbers),
        memory_length=memory.shape[0],
        chunk_size=_chunk(found, memory.origin, dim, chunk),
        constants=(int(numbers[1]), int(numbers[2]), int(numbers[3])),
        offsets=[0, *ends[:-1]],
    )


def _random_numbers(found: Mapping[str, Sequence[Found]]) -> Int64s:
    first, *others = (found.weight for found in found["random_numbers"])
    numbers = first.integers()
    for other in others:
        if not np.array_equal(other.integers(), numbers):
            raise CheckpointError(f"{first.origin} and {other.origin} differ, so their tables are read by other maps")
    if len(numbers) not in NUMBERS or numbers[0] != RobeEmbedding.prime:
        raise CheckpointError(
            f"{first.origin} are {len(numbers)} numbers, the first {numbers[0]}; the authors' maps have 51 or 11, the "
            f"first {RobeEmbedding.prime}"
        )
    return numbers


def _scheme(found: Mapping[str, Sequence[Found]], numbers: Int64s) -> Literal["robe-v1", "robe-v2"]:
    """The classes for CPUs have the same 11 numbers, and that of the first map has its products with them besides."""
    return "robe-v1" if len(numbers) == NUMBERS[0] or found.get("multipliers") else "robe-v2"


def _chunk(found: Mapping[str, Sequence[Found]], memory: str, dim: int, said: int | None) -> int:
    """The class for CPUs has the place of each weight in its chunk, which does not tell chunks beyond `dim` apart."""
    places = [found.weight for found in found.get("offsets", ())]
    held = {int(weight.integers().max()) + 1 for weight in places}
    if len(held) > 1:
        raise CheckpointError(f"{places[0].origin} and those of other tables are of chunks of {sorted(held)} weights")
    for size in held:
        if said and said != size and not said > size == dim:
            raise CheckpointError(f"{places[0].origin} is of chunks of {size} weights, not {said}")
        if size < dim:
            return size
    if said:
        return said
    raise CheckpointError(
        f"{memory} does not say how many weights of it lie together (Z, uma_chunk_size): give --chunk"
    )
