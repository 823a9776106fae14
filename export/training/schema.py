"""The spec of a model to be trained: a preset, or one for the user's own columns."""

from collections.abc import Mapping

from thimble.export.clicks.rows import ClickError
from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.inputs import Categorical, Kind
from thimble.models.presets import MEMORY_BYTES, preset
from thimble.models.schemes import embedding_for
from thimble.models.schemes.base import HashedEmbedding
from thimble.models.spec import ModelSpec
from thimble.models.transforms import Transform
from thimble.models.transforms.criteo import CriteoTransform

OWN_CHUNK = 8
CRITEO = CriteoTransform()


def preset_spec(
    shape: str, name: str | None, scheme: str, memory: int | None, chunk: int | None, seed: int
) -> ModelSpec:
    """A preset, its embedding changed where asked. ValueError: no such preset or scheme."""
    spec = preset(shape, seed)
    assert isinstance(spec.embedding, HashedEmbedding)
    embedding = embedding_for(
        scheme,
        spec.fields,
        spec.embedding_dim,
        memory or spec.embedding_bytes,
        chunk or spec.embedding.chunk_size,
        seed,
    )
    return ModelSpec.model_validate({**spec.model_dump(), "name": name or spec.name, "embedding": embedding})


def own_spec(
    name: str,
    dense: list[str],
    fields: Mapping[Kind, list[str]],
    rows: Mapping[str, int],
    scheme: str,
    memory: int | None,
    chunk: int | None,
    dense_arch: list[int],
    over_arch: list[int],
    seed: int,
    transform: Transform = CRITEO,
) -> ModelSpec:
    """A model of named columns; `rows` says how many different ids each field has. ClickError: too few columns."""
    if not dense or not any(fields.values()):
        raise ClickError("name at least one column with --dense and one with --int, --hex or --string, or a --preset")
    columns = [
        Categorical(name=column, kind=kind, rows=rows.get(column, 1))
        for kind, names in fields.items()
        for column in names
    ]
    dim = dense_arch[-1]
    return ModelSpec(
        name=name,
        dense=dense,
        dense_transform=transform,
        fields=columns,
        embedding_dim=dim,
        embedding=embedding_for(scheme, columns, dim, memory or MEMORY_BYTES, chunk or OWN_CHUNK, seed),
        architecture=DlrmArchitecture(dense_arch=dense_arch, over_arch=over_arch),
    )
