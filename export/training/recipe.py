"""How a model is trained."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from thimble.models.base import Positive

TrainingPrecision = Literal["fp32", "bf16", "fp16"]
"""Of matrix products in training. Weights, their sums and the loss are float32 in each."""
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Recipe(BaseModel):
    """What decides the outcome of a run beside its spec and its rows.

    `dense_lr` is the learning rate of the MLPs and `sparse_lr` that of the embeddings.
    """

    model_config = ConfigDict(frozen=True)

    batch_size: Positive = 2048
    epochs: Positive = 1
    dense_lr: Rate = 0.001
    sparse_lr: Rate = 0.05
    seed: Annotated[int, Field(ge=0)] = 0
    training_precision: TrainingPrecision = "fp32"
