"""What the parts of a spec have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

FLOAT_BYTES = 4
HALF_BYTES = 2

Positive = Annotated[int, Field(gt=0)]
Constant = Annotated[int, Field(ge=0, lt=1 << 31)]  # so that hashing cannot overflow int64
# no control characters, and no spaces at the ends
Name = Annotated[str, Field(max_length=128, pattern=r"^[^\s\x00-\x1f]([^\x00-\x1f]*[^\s\x00-\x1f])?$")]


class Frozen(BaseModel):
    """A part that never changes. An unknown key is refused: what a newer program wrote must not be lost in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")
