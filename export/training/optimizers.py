"""What changes the weights."""

from collections import Counter
from typing import Any

from torch.optim import Adam, Optimizer

from thimble.export.training.errors import RunError
from thimble.export.training.lazy_adam import LazyAdam
from thimble.export.training.recipe import Recipe
from thimble.models.bags import widths
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.schemes.base import EmbeddingScheme, HashedEmbedding

# How many times what a batch can touch the array holds, for it to be cheaper to touch that alone. Both take the same
# time between 4 and 8 on a CPU, with large batches between 2 and 4 (benchmarks/training/results/updates-time.md).
TIMES = 8


def optimizers(model: Recommender, recipe: Recipe) -> list[Optimizer]:
    """What trains a model: Adam, and for embeddings of which a batch touches little Adam that touches no more.

    RunError: a parameter that would not be trained, or twice.
    """
    groups = model.parameter_groups()
    counts = Counter(id(parameter) for group in groups for parameter in group)
    for name, parameter in model.named_parameters():
        if (count := counts[id(parameter)]) != 1:
            raise RunError(f"parameter {name} is in {count} optimizer groups of {type(model).__name__}, not in one")
    dense = Adam(groups.dense, lr=recipe.dense_lr, fused=True)
    if not groups.sparse:
        return [dense]
    arch = model.sparse_arch
    if isinstance(arch, SharedMemory):
        reads = sum(widths(arch.bags))
        arch.sparse_gradients = touches_little(arch.scheme, reads, arch.dim, recipe.batch_size)
        if not arch.sparse_gradients:
            return [dense, Adam(groups.sparse, lr=recipe.sparse_lr, fused=True)]
    return [dense, LazyAdam(groups.sparse, recipe.sparse_lr)]


def take_over(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Remember what an optimizer of another run did, which may be the other kind of Adam; rates stay as they are.

    Both remember the same of a weight, but one counts steps in a tensor, which it makes of a number by itself.
    """
    state = {number: {**values, "step": int(values["step"])} for number, values in saved["state"].items()}
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def touches_little(embedding: EmbeddingScheme, reads: int, dim: int, batch_size: int) -> bool:
    """Whether a batch touches so little of a shared array that the rest of it is better left alone in a step.

    A row `reads` so many ids, where its bags are full.

    Sizes alone decide, so that a run does the same everywhere. Chunks that start anywhere, as ROBE's, are no rows that
    could be updated alone.
    """
    if not isinstance(embedding, HashedEmbedding) or len(embedding.memory_shape) == 1:
        return False
    return embedding.memory_shape[0] >= TIMES * batch_size * reads * embedding.chunks(dim)
