"""What changes the weights."""

from collections import Counter

from torch.optim import Adam, Optimizer, SparseAdam

from thimble.export.training.errors import RunError
from thimble.export.training.recipe import Recipe
from thimble.models.nn.embeddings import FullTables
from thimble.models.nn.recommender import Recommender


def optimizers(model: Recommender, recipe: Recipe) -> list[Optimizer]:
    """What trains a model: Adam, which of full tables changes the rows that a batch touched.

    RunError: a parameter that would not be trained, or twice.
    """
    groups = model.parameter_groups()
    counts = Counter(id(parameter) for group in groups for parameter in group)
    for name, parameter in model.named_parameters():
        if (count := counts[id(parameter)]) != 1:
            raise RunError(f"parameter {name} is in {count} optimizer groups of {type(model).__name__}, not in one")
    if isinstance(model.sparse_arch, FullTables):
        return [Adam(groups.dense, lr=recipe.dense_lr, fused=True), SparseAdam(groups.sparse, lr=recipe.sparse_lr)]
    found: list[Optimizer] = [Adam(groups.dense, lr=recipe.dense_lr, fused=True)]
    if groups.sparse:  # a model of numbers alone has none
        found.append(Adam(groups.sparse, lr=recipe.sparse_lr, fused=True))
    return found
