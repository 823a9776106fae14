"""The models among which the trade-off lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, TypeVar

from pydantic import ValidationError

from thimble.export.training.errors import RunError
from thimble.export.training.schema import default_precision
from thimble.models.base import Frozen, sentence
from thimble.models.quantization import BITS, MemoryPrecision
from thimble.models.schemes import SCHEMES, embedding_for
from thimble.models.schemes.base import HashedEmbedding
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.spec import ModelSpec, Precision

T = TypeVar("T")

FULL = "full"
HASHED = [name for name, scheme in SCHEMES.items() if issubclass(scheme, HashedEmbedding)]
# What is tried unless somebody says otherwise, as far as the tables are large enough.
COMPRESSIONS = (10.0, 100.0, 1000.0, 10_000.0)
# Fewer embeddings than these cannot be told from each other.
LEAST_EMBEDDINGS = 2


class Setting(Frozen):
    """A model of the grid.

    Its embeddings, as they are stored, are `compression` times smaller than full tables in float32. `epochs` are the
    most that it is trained for, None as many as the recipe says. With `hot_rows` some ids have rows of their own in the
    same bytes. Full tables have no `chunk` and a compression of 1.
    """

    scheme: str
    precision: MemoryPrecision = "fp32"
    hot_rows: bool = False
    chunk: int | None = None
    compression: float = 1
    epochs: int | None = None

    @property
    def is_full(self) -> bool:
        return self.scheme == FULL

    @property
    def curve(self) -> "Setting":
        """The same without the compression: what is compressed more and more along a curve."""
        return self.model_copy(update={"compression": 1.0})

    @property
    def key(self) -> str:
        """Its name in a file's."""
        parts = [self.scheme]
        if not self.is_full:
            parts += [self.precision, f"chunk{self.chunk}", f"{self.compression:g}x"]
        if self.hot_rows:
            parts.append("hot")
        if self.epochs:
            parts.append(f"{self.epochs}epochs")
        return "-".join(parts)


class Run(NamedTuple):
    """A model of the grid, trained once."""

    setting: Setting
    seed: int

    @property
    def key(self) -> str:
        return f"{self.setting.key}-seed{self.seed}"


@dataclass(frozen=True)
class Grid:
    """Full tables and the compressed models beside them. Each may be trained with the `seeds` 0, 1, ...

    `impossible` says which combinations there are none of, and why.
    """

    full: Sequence[Setting]
    compressed: Sequence[Setting]
    seeds: int
    impossible: Sequence[str] = ()

    @property
    def settings(self) -> list[Setting]:
        return [*self.full, *self.compressed]


def grid_of(
    base: ModelSpec,
    *,
    schemes: Sequence[str],
    precisions: Sequence[str] | None,
    hot_rows: Sequence[str],
    chunks: Sequence[int] | None,
    compressions: Sequence[float] | None,
    epochs: Sequence[int] | None,
    seeds: int,
) -> Grid:
    """All combinations that can be; what is None is as for `train`. RunError: there are none, or a bad value."""
    if not base.fields:
        raise RunError("a model of numbers alone has no embeddings that could be made smaller")
    full = "; full tables are trained in any case" if FULL in schemes else ""
    _refuse_others("--scheme", schemes, HASHED, full)
    if precisions is not None:
        _refuse_others("--memory-precision", precisions, list(BITS))
    _refuse_others("--hot-rows", hot_rows, ["none", "auto"])
    if low := [compression for compression in compressions or () if not compression > 1]:
        raise RunError(f"--compression says how many times smaller, so {low[0]:g} is none; give numbers above 1")
    assert isinstance(base.embedding, HashedEmbedding)
    curves, impossible = [], []
    wanted: Sequence[str | None] = precisions or [None]
    for scheme, precision, hot, chunk in product(schemes, wanted, hot_rows, chunks or [base.embedding.chunk_size]):
        made = {"scheme": scheme, "hot_rows": hot == "auto", "chunk": chunk}
        try:
            curve = Setting.model_validate({**made, "precision": precision or default_precision(scheme, chunk)})
            spec_for(base, curve, seed=0)
            curves.append(curve)
        except ValueError as error:  # which includes what pydantic raises
            reason = sentence(error) if isinstance(error, ValidationError) else str(error)
            impossible.append(f"{', '.join(filter(None, (scheme, precision)))}, chunks of {chunk}: {reason}")
    if not curves:
        raise RunError(impossible[0])
    most_epochs: Sequence[int | None] = epochs or [None]
    compressed = [
        curve.model_copy(update={"compression": compression, "epochs": most})
        for curve, most in product(curves, most_epochs)
        for compression in _compressions(base, curve, compressions)
    ]
    opponents = [Setting(scheme=FULL, epochs=most) for most in most_epochs]
    return Grid(_distinct(opponents), _distinct(compressed), seeds, _distinct(impossible))


def spec_for(base: ModelSpec, setting: Setting, seed: int) -> ModelSpec:
    """A compressed model of the base's columns and layers, which has no hot rows yet: clicks tell which ids are hot.

    ValueError: it cannot be, or its memory is too small.
    """
    assert setting.chunk is not None
    memory = int(base.full_table_bytes / setting.compression)
    embedding = embedding_for(
        setting.scheme, base.fields, base.embedding_dim, memory, setting.chunk, seed, setting.precision
    )
    if setting.hot_rows and not isinstance(embedding, BlockEmbedding):
        raise ValueError(f"hot rows are for scheme block, not for {setting.scheme}")
    changed = {"embedding": embedding, "precision": Precision(memory=setting.precision)}
    return ModelSpec.model_validate(dict(base) | changed)


def _compressions(base: ModelSpec, curve: Setting, given: Sequence[float] | None) -> list[float]:
    """Those that are given, as they are written in keys, or those of COMPRESSIONS that leave room. RunError."""
    rounded = sorted({float(f"{compression:g}") for compression in given or COMPRESSIONS})
    found = []
    for compression in rounded:
        try:
            spec = spec_for(base, curve.model_copy(update={"compression": compression}), seed=0)
        except ValueError as error:
            if given:
                raise RunError(f"{curve.scheme} compressed {compression:g} times: {error}") from None
            continue
        if given or spec.embedding.weights(base.embedding_dim) >= LEAST_EMBEDDINGS * base.embedding_dim:
            found.append(compression)
    if not found:
        raise RunError(
            f"full tables of these columns have {base.full_table_bytes:,} bytes, "
            f"and a {COMPRESSIONS[0]:g}th of that holds no {LEAST_EMBEDDINGS} embeddings; give other --compression"
        )
    return found


def _refuse_others(option: str, given: Sequence[str], known: Sequence[str], note: str = "") -> None:
    if others := [name for name in given if name not in known]:
        raise RunError(f"{option} takes {', '.join(known)}, not {others[0]!r}{note}")
    if not given:
        raise RunError(f"{option} takes {', '.join(known)}, and names none of them")


def _distinct(values: Sequence[T]) -> list[T]:
    return list(dict.fromkeys(values))
