"""A training run's folder: what it is about and how far it has come."""

from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict

from thimble.export.origin import Origin
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.registry import recommender
from thimble.models.publishing import publish
from thimble.models.spec import Metrics, ModelSpec, Provenance


class RunError(ValueError):
    """A run folder that cannot be used as asked."""


class Progress(BaseModel):
    """How far a run has come.

    `position` is the next training row of the epoch. The others appear when it is over: `golden` are held-out rows in
    the form of a request, `trained_on` and `held_out` say where an export can read rows again.
    """

    epoch: int = 0
    position: int = 0
    rows_trained: int = 0
    metrics: Metrics | None = None
    golden: dict[str, list[int | float | str | None]] | None = None
    trained_on: Origin | None = None
    held_out: Origin | None = None


class RunConfig(BaseModel):
    """All that decides the outcome of a run, so that the same config gives the same weights."""

    model_config = ConfigDict(frozen=True)

    spec: ModelSpec
    source: str
    clicks: str
    held_out_clicks: str
    train_rows: int
    held_out_rows: int
    batch_size: int
    epochs: int
    dense_lr: float
    sparse_lr: float
    seed: int


class Checkpoint:
    """`checkpoint.pt` in a run's folder: weights, optimizers, config and progress, replaced in one step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "checkpoint.pt"

    def save(self, config: RunConfig, progress: Progress, state: dict[str, Any]) -> None:
        """Write everything beside the old file, then take its place: a kill half-way leaves the old one whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        document = {"config": config.model_dump_json(), "progress": progress.model_dump_json(), **state}
        torch.save(document, partial)
        publish(partial, self.path)

    def load(self) -> tuple[RunConfig, Progress, dict[str, Any]]:
        """RunError when there is none or it is damaged."""
        if not self.path.is_file():
            raise RunError(f"{self.folder}: no training run here (checkpoint.pt is missing)")
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
            config = RunConfig.model_validate_json(state.pop("config"))
            progress = Progress.model_validate_json(state.pop("progress"))
        except Exception as error:  # what torch raises for bytes that are none of its own depends on where they end
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise RunError(f"{self.path}: damaged or not a checkpoint ({reason})") from None
        return config, progress, state


class Trained(NamedTuple):
    """A trained model: its spec with provenance and metrics, its golden rows, and its weights, in evaluation mode.

    `trained_on` and `held_out` are None where the rows are unknown or came from no source that can be read again.
    """

    spec: ModelSpec
    golden: dict[str, list[int | float | str | None]]
    dlrm: Recommender
    trained_on: Origin | None = None
    held_out: Origin | None = None


def load_trained(folder: Path) -> Trained:
    """The model of a finished run. RunError when the run is absent or unfinished."""
    config, progress, state = Checkpoint(folder).load()
    if progress.metrics is None or progress.golden is None:
        raise RunError(f"{folder}: training is not finished; the same train command resumes it")
    dlrm = recommender(config.spec)
    dlrm.load_state_dict(state["model"])
    provenance = Provenance(
        source=config.source,
        rows_trained=progress.rows_trained,
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=config.seed,
        tool=f"thimble {version('thimble-ctr')}",
    )
    spec = config.spec.model_copy(update={"provenance": provenance, "metrics": progress.metrics})
    return Trained(spec, progress.golden, dlrm.eval(), progress.trained_on, progress.held_out)
