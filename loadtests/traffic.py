"""What is sent: which rows, how many in a request, and in which form."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Scenario = Literal["single", "batch", "context"]
Encoding = Literal["json", "tsv", "binary"]


class Traffic(BaseModel):
    """Requests to prepare; the same `seed` gives the same ones.

    `single` is one row a request, `batch` is `rows` rows, `context` one user with 100 to 700 candidates, 270 on
    average. Rows are those of `clicks`, a file of Criteo lines, or generated for the features of the served model.
    `model` is its name; without one, there must be only one.
    """

    model_config = ConfigDict(frozen=True)

    scenario: Scenario = "single"
    encoding: Encoding = "json"
    rows: int = Field(64, gt=0)
    clicks: Path | None = None
    model: str | None = None
    seed: int = Field(0, ge=0)
