"""A training run's folder: what it is about and how far it has come."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from thimble.export.clicks.origin import Origin
from thimble.export.metrics.curves import Curves
from thimble.export.training.constant import Logits
from thimble.export.training.errors import RunError
from thimble.export.training.history import Point
from thimble.export.training.recipe import Recipe
from thimble.export.training.stopping import best_epoch
from thimble.models.base import sentence
from thimble.models.files import is_utf8
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.registry import recommender
from thimble.models.provenance import Ancestor, PlattScaling, Provenance, Teacher
from thimble.models.publishing import replaced
from thimble.models.spec import GoldenFeatures, Metrics, ModelSpec


class Progress(BaseModel):
    """How far a run has come.

    `epoch` counts those that are done, and `position` the rows of the one at hand. `loss_rows` were trained on since
    the history's last point. `seconds` were spent on training. `validation` has the model's metrics on the validation
    rows after each epoch, and `start` those of a constant score, whose logits are `constant`: they appear with the
    first epoch's, in a run without a parent. `golden` are held-out rows in the form of a request, `trained_on` and
    `held_out` say where an export can read rows again. `metrics` and `curves`, on the held-out rows, appear when the
    run is over, and with them `advice`, what a user should know of it.
    """

    epoch: int = 0
    position: int = 0
    rows_trained: int = 0
    loss_rows: int = 0
    seconds: float = 0
    history: list[Point] = []
    constant: Logits | None = None
    start: Metrics | None = None
    validation: list[Metrics] = []
    platt: PlattScaling | None = None
    metrics: Metrics | None = None
    curves: Curves | None = None
    advice: list[str] = []
    golden: GoldenFeatures | None = None
    trained_on: Origin | None = None
    held_out: Origin | None = None

    @property
    def best_epoch(self) -> int | None:
        """The one whose weights are kept, 0 for a constant. None: no validation rows tell one."""
        return best_epoch(self.validation, self.start) if self.validation else None


class RunConfig(BaseModel):
    """All that decides the outcome of a run, so that the same config gives the same weights.

    `parent` is the digest of the checkpoint whose weights it begins with, the last of its `ancestors`.
    """

    model_config = ConfigDict(frozen=True)

    spec: ModelSpec
    source: str
    clicks: str
    held_out_clicks: str
    validation_clicks: str | None = None
    train_rows: int
    held_out_rows: int
    validation_rows: int = 0
    recipe: Recipe
    ancestors: tuple[Ancestor, ...] = ()
    parent: str | None = None
    teacher: Teacher | None = None

    def differing(self, other: "RunConfig") -> list[str]:
        """The names of what is not the same in both."""
        ours, theirs = (dict(config) | dict(config.recipe) for config in (self, other))
        return [name for name in ours if name != "recipe" and ours[name] != theirs[name]]


class Checkpoint:
    """A file in a run's folder: weights, optimizers, config and progress, replaced in one step."""

    def __init__(self, folder: Path, name: str = "checkpoint.pt") -> None:
        """RunError: PyTorch cannot read a file of this name."""
        self.folder = folder
        self.path = folder / name
        if not is_utf8(folder):
            raise RunError(f"{folder}: PyTorch cannot read from a folder whose name is not UTF-8; choose another --run")

    def save(self, config: RunConfig, progress: Progress, state: dict[str, Any]) -> None:
        """Write everything beside the old file, then take its place: what fails half-way leaves the old one whole.

        RunError: it cannot be written.
        """
        document = {"config": _json(config), "progress": _json(progress), **state}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replaced(self.path, self.path.with_suffix(".partial")) as partial, partial.open("wb") as file:
                _save(document, file)
        except OSError as error:
            kept = "; the one before it is whole" if self.path.is_file() else ""
            raise RunError(f"{self.path}: the checkpoint cannot be written: {error.strerror}{kept}") from None

    def load(self) -> tuple[RunConfig, Progress, dict[str, Any]]:
        """RunError when there is none or it is damaged."""
        if not self.path.is_file():
            raise RunError(f"{self.folder}: no training run here ({self.path.name} is missing)")
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
            config, progress = json.loads(state.pop("config")), json.loads(state.pop("progress"))
        except Exception as error:  # what torch raises for bytes that are none of its own depends on where they end
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise RunError(f"{self.path}: damaged or not a checkpoint ({reason})") from None
        try:
            return RunConfig.model_validate(config), Progress.model_validate(progress), state
        except ValidationError as error:
            reason = sentence(error)
            raise RunError(f"{self.path}: written by another version of this program ({reason}); train anew") from None


def _json(model: BaseModel) -> str:
    """Its JSON, in which names of files may be any bytes: pydantic's own writer takes UTF-8 alone."""
    return json.dumps(model.model_dump(mode="json"))


def _save(document: dict[str, Any], file: IO[bytes]) -> None:
    try:
        torch.save(document, file)
    except RuntimeError as error:  # PyTorch cannot finish its archive, and hides why
        raise error.__context__ or error from None


class Trained(NamedTuple):
    """A trained model: its spec with provenance and metrics, its golden rows, and its weights, in evaluation mode.

    `trained_on` and `held_out` are None where the rows are unknown or came from no source that can be read again.
    """

    spec: ModelSpec
    golden: GoldenFeatures
    dlrm: Recommender
    trained_on: Origin | None = None
    held_out: Origin | None = None


def finished_run(folder: Path) -> tuple[RunConfig, Progress, dict[str, Any]]:
    """What its checkpoint holds. RunError when the run is absent or unfinished."""
    config, progress, state = Checkpoint(folder).load()
    if progress.metrics is None or progress.golden is None:
        raise RunError(f"{folder}: training is not finished; the same train command resumes it")
    return config, progress, state


def provenance(config: RunConfig, progress: Progress) -> Provenance:
    """Where a run's weights come from."""
    return Provenance(
        source=config.source.encode("utf-8", "backslashreplace").decode(),  # names of files, which may be any bytes
        rows_trained=progress.rows_trained,
        epochs=config.recipe.epochs if progress.best_epoch is None else progress.best_epoch,
        batch_size=config.recipe.batch_size,
        seed=config.recipe.seed,
        tool=f"thimble {version('thimble-ctr')}",
        negatives_kept=config.recipe.negatives_kept,
        platt=progress.platt,
        teacher=config.teacher,
        ancestors=config.ancestors,
    )


def load_trained(folder: Path) -> Trained:
    """The model of a finished run. RunError when the run is absent or unfinished."""
    config, progress, state = finished_run(folder)
    dlrm = recommender(config.spec)
    dlrm.load_state_dict(state["model"])
    known = {"provenance": provenance(config, progress), "metrics": progress.metrics}
    spec = config.spec.model_copy(update=known)
    assert progress.golden is not None
    return Trained(spec, progress.golden, dlrm.eval(), progress.trained_on, progress.held_out)
