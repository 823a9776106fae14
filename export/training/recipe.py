"""How a model is trained, and how that follows from the number of rows."""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from thimble.export.wording import counted
from thimble.models.base import Positive, PositiveShare

TrainingPrecision = Literal["fp32", "bf16", "fp16"]
"""Of matrix products in training. Weights, their sums and the loss are float32 in each."""
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]

LEAST_BATCH, MOST_BATCH = 32, 2048
# Learning rates at the largest batch.
DENSE_LR, SPARSE_LR = 0.004, 0.002
EPOCHS = 10


class Recipe(BaseModel):
    """What decides the outcome of a run beside its spec and its rows.

    `epochs` are the most where validation rows say when training is over. `dense_lr` is the learning rate of the MLPs
    and `sparse_lr` that of the embeddings. `negatives_kept` is the share of the negatives that the rows hold. With
    `platt` the trained model's logits are scaled to fit the validation rows.
    """

    model_config = ConfigDict(frozen=True)

    batch_size: Positive = MOST_BATCH
    epochs: Positive = 1
    dense_lr: Rate = DENSE_LR
    sparse_lr: Rate = SPARSE_LR
    seed: Annotated[int, Field(ge=0)] = 0
    negatives_kept: PositiveShare = 1.0
    platt: bool = False
    training_precision: TrainingPrecision = "fp32"

    def line(self, *, embeddings: bool) -> str:
        """The recipe of a model with or without embeddings, in one line."""
        rates = f"learning rate {self.dense_lr:.2g}"
        if embeddings:
            rates = f"learning rates {self.dense_lr:.2g} (MLPs) and {self.sparse_lr:.2g} (embeddings)"
        epochs = "one epoch" if self.epochs == 1 else f"at most {self.epochs:,} epochs"
        return f"batches of {counted(self.batch_size, 'row')}, {rates}, {epochs}, seed {self.seed}"

    def with_batch(self, size: int) -> "Recipe":
        """The same with batches of another size, and the rates that are to it what these are to this one.

        By the trials of benchmarks/training/recipe.py: the larger a batch is, the larger is the MLPs' rate, whose
        gradients are then less noisy, and the smaller the embeddings', each of which more of the steps touch.
        """
        times = size / self.batch_size
        rates = {"dense_lr": self.dense_lr * times**0.25, "sparse_lr": self.sparse_lr / times**0.5}
        return self.model_copy(update={"batch_size": size, **rates})


def batch_for(rows: int) -> int:
    """Rows a step, for so many training rows: the rule of `recipe_for`."""
    suited: int = 2 ** round(math.log2(min(2 * math.sqrt(rows), 8 * math.cbrt(rows))))
    return min(max(suited, LEAST_BATCH), MOST_BATCH)


def recipe_for(
    rows: int,
    *,
    validated: bool,
    batch_size: int | None = None,
    epochs: int | None = None,
    dense_lr: float | None = None,
    sparse_lr: float | None = None,
    seed: int = 0,
    negatives_kept: float = 1,
    platt: bool = False,
    training_precision: TrainingPrecision = "fp32",
) -> Recipe:
    """The recipe for so many training rows; what is given stays as it is. ValueError: a value that can't be.

    Ours, by the trials of benchmarks/training/recipe.py. A batch has about four times as many rows as an epoch has
    steps, and beyond 4,096 rows, where that is 128, it grows with their cube root. The rates suit it
    (`Recipe.with_batch`). `validated` says whether there are validation rows: without
    them more than one epoch is a risk that only the user can take.
    """
    suited = Recipe().with_batch(batch_size or batch_for(rows))
    return Recipe(
        batch_size=suited.batch_size,
        epochs=epochs or (EPOCHS if validated else 1),
        dense_lr=suited.dense_lr if dense_lr is None else dense_lr,
        sparse_lr=suited.sparse_lr if sparse_lr is None else sparse_lr,
        seed=seed,
        negatives_kept=negatives_kept,
        platt=platt,
        training_precision=training_precision,
    )
