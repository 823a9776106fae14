"""The embedding schemes, a file each; `full` has two, for ids that are row numbers and for any others.

A new one is a subclass of `HashedEmbedding` in a file of its own, named in `_Scheme` below and nowhere else: its
torch module and its ONNX function follow from it. One that is not hashed brings a torch module of its own, which
`thimble.models.nn.embeddings.sparse_arch` has to name. The native op knows maps by name too; what it does not know
runs as the ONNX function.
"""

from collections.abc import Sequence
from typing import Annotated, get_args

from pydantic import Field

from thimble.models.inputs import Categorical
from thimble.models.quantization import MemoryPrecision
from thimble.models.schemes.base import Sizes
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.schemes.full import FullEmbedding
from thimble.models.schemes.indexed import IndexedEmbedding
from thimble.models.schemes.none import NoEmbedding
from thimble.models.schemes.own import OwnEmbedding
from thimble.models.schemes.robe import RobeEmbedding

_Scheme = BlockEmbedding | RobeEmbedding | FullEmbedding
_Full = Annotated[FullEmbedding | IndexedEmbedding, Field(discriminator="version")]
Embedding = Annotated[
    BlockEmbedding | RobeEmbedding | _Full | NoEmbedding | OwnEmbedding, Field(discriminator="scheme")
]

SCHEMES: dict[str, type[_Scheme]] = {
    name: kind for kind in get_args(_Scheme) for name in get_args(kind.model_fields["scheme"].annotation)
}
"""The schemes that embed fields, by name, as they are before anything is known of the ids."""


def embedding_for(
    scheme: str,
    fields: Sequence[Categorical],
    dim: int,
    memory_bytes: int,
    chunk: int,
    seed: int,
    precision: MemoryPrecision = "fp32",
) -> Embedding:
    """An untrained embedding, of no fields `none`. `memory_bytes` at this precision are rounded down to whole chunks.

    ValueError: no such scheme, few bytes.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"no scheme {scheme!r}; there are {', '.join(SCHEMES)}")
    if not fields:
        return NoEmbedding()
    return SCHEMES[scheme].create(scheme, Sizes(fields, dim, memory_bytes, precision, chunk, seed))
