"""How a model is trained, and how that follows from the number of rows."""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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

    def __str__(self) -> str:
        rates = f"learning rates {self.dense_lr:.2g} (MLPs) and {self.sparse_lr:.2g} (embeddings)"
        return f"batches of {self.batch_size:,} rows, {rates}, at most {self.epochs} epochs, seed {self.seed}"


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
    steps. The larger it is, the larger is the MLPs' rate, whose gradients are then less noisy, and the smaller the
    embeddings', each of which more of the steps touch. `validated` says whether there are validation rows: without
    them more than one epoch is a risk that only the user can take.
    """
    batch = batch_size or min(max(2 ** round(math.log2(2 * math.sqrt(rows))), LEAST_BATCH), MOST_BATCH)
    share = batch / MOST_BATCH
    return Recipe(
        batch_size=batch,
        epochs=epochs or (EPOCHS if validated else 1),
        dense_lr=DENSE_LR * share**0.25 if dense_lr is None else dense_lr,
        sparse_lr=SPARSE_LR / share**0.5 if sparse_lr is None else sparse_lr,
        seed=seed,
        negatives_kept=negatives_kept,
        platt=platt,
        training_precision=training_precision,
    )
