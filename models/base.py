"""What the parts of a spec have in common, and how everything read by pydantic says what is wrong."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

FLOAT_BYTES = 4

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Constant = Annotated[int, Field(ge=0, lt=1 << 31)]  # so that hashing cannot overflow int64
# no control characters, and no spaces at the ends
Name = Annotated[str, Field(max_length=128, pattern=r"^[^\s\x00-\x1f]([^\x00-\x1f]*[^\s\x00-\x1f])?$")]


class Frozen(BaseModel):
    """A part that never changes. An unknown key is refused: what a newer program wrote must not be lost in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def sentence(error: ValidationError, whole: str = "") -> str:
    """The first thing that is wrong: the key, or the name of the whole where it is no key's fault, and why."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "extra_forbidden":
        return f"{'.'.join(map(str, first['loc']))} is a key that this program does not know"
    place, reason = ".".join(map(str, first["loc"])) or whole, first["msg"].removeprefix("Value error, ")
    return f"{place}: {reason}" if place else reason
