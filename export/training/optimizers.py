"""What changes the weights."""

from collections import Counter

from torch.optim import Adagrad, Adam, Optimizer

from thimble.export.training.errors import RunError
from thimble.export.training.recipe import Recipe
from thimble.models.nn.recommender import Recommender


def optimizers(model: Recommender, recipe: Recipe) -> list[Optimizer]:
    """What trains a model: Adam its dense part, Adagrad the embeddings (full tables with sparse gradients).

    RunError: a parameter that would not be trained, or twice.
    """
    groups = model.parameter_groups()
    counts = Counter(id(parameter) for group in groups for parameter in group)
    for name, parameter in model.named_parameters():
        if (count := counts[id(parameter)]) != 1:
            raise RunError(f"parameter {name} is in {count} optimizer groups of {type(model).__name__}, not in one")
    found: list[Optimizer] = [Adam(groups.dense, lr=recipe.dense_lr)]
    if groups.sparse:  # a model of numbers alone has none
        found.append(Adagrad(groups.sparse, lr=recipe.sparse_lr))
    return found
