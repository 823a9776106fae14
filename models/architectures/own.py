"""`own`: a torch module that is somebody's own, of which a file holds the graph and we know nothing but its name."""

from typing import Annotated, Literal, Self

from pydantic import Field

from thimble.models.base import Frozen, Positive


class OwnArchitecture(Frozen):
    """What a module computes is in the graph alone: there is no numpy reference that a file is compared with.

    `module` is the class, `parameters` how many numbers are trained beside a shared memory, and `outputs` how many
    logits it makes of a row.
    """

    kind: Literal["own"] = "own"
    module: str
    parameters: Annotated[int, Field(ge=0)]
    outputs: Positive = 1

    def check(self, numbers: int, embedding_dim: int) -> None:
        """It goes with all."""

    def with_outputs(self, count: int) -> Self:
        """The same with so many logits."""
        return self.model_copy(update={"outputs": count})

    @property
    def float_layers(self) -> frozenset[str]:
        """None is known to suffer more than another."""
        return frozenset()

    def __str__(self) -> str:
        return f"{self.module}, {self.parameters:,} parameters"
