"""What became of runs, in the folder of a trade-off: a small file for each that is finished."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from thimble.export.tradeoff.grid import Run, Setting
from thimble.export.training.checkpoint import RunConfig
from thimble.export.training.errors import RunError
from thimble.export.training.history import Point
from thimble.models.base import sentence
from thimble.models.publishing import replaced
from thimble.models.spec import Metrics

Model = TypeVar("Model", bound=BaseModel)

PAGE = "report.html"


class Outcome(BaseModel):
    """A finished run.

    `metrics` are those of the held-out rows. The weights that are kept have seen so many `rows`, in so many `seconds`
    and `epochs` of training, 0 where no epoch was better than a constant; `whole_seconds` are all that the run took,
    its start, its evaluation and a last epoch that brought nothing among them.
    """

    model_config = ConfigDict(frozen=True)

    setting: Setting
    seed: int
    embedding_bytes: int
    metrics: Metrics
    history: list[Point]
    epochs: int
    rows: int
    seconds: float
    whole_seconds: float

    @property
    def run(self) -> Run:
        return Run(self.setting, self.seed)


class StepTime(BaseModel):
    """Seconds of a training step, and of full tables' beside it, on the same batches in turn."""

    model_config = ConfigDict(frozen=True)

    setting: Setting
    seconds: float
    full_seconds: float


class Kept(BaseModel):
    """What a folder's runs have in common, and the version of this program that began with them."""

    model_config = ConfigDict(frozen=True)

    tool: str
    config: RunConfig


class Folder:
    """Where a trade-off is kept, while no other process works there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.page = path / PAGE
        self._outcomes = path / "outcomes"
        self._times = path / "step-times"
        self._kept = path / "tradeoff.json"

    @contextmanager
    def alone(self, config: RunConfig) -> Iterator[list[str]]:
        """RunError: another process works there, or the folder holds other rows' runs. OSError: it cannot be used.

        `config` is that of the run that all others differ from in their embeddings, their epochs and their seeds. What
        a user should know of the runs that lie there is yielded.
        """
        for folder in (self._outcomes, self._times):
            folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"{self.path}: another process works there; wait for it, or choose another --run"
                ) from None
            notes = self._check(config)
            for outcome in self.outcomes():
                self.remove_run(outcome.run)  # whoever was to do it may have been killed
            yield notes
        finally:
            os.close(descriptor)

    def run_folder(self, run: Run) -> Path:
        """Where a run is trained, until it is finished."""
        return self.path / "runs" / run.key

    def remove_run(self, run: Run) -> None:
        """Remove the checkpoints of one that is finished."""
        shutil.rmtree(self.run_folder(run), ignore_errors=True)

    def outcome(self, run: Run) -> Outcome | None:
        """RunError: its file is damaged."""
        path = self._outcomes / f"{run.key}.json"
        return _read(path, Outcome) if path.is_file() else None

    def outcomes(self) -> list[Outcome]:
        """Of this grid and of those before it. RunError: a file is damaged."""
        return [_read(path, Outcome) for path in sorted(self._outcomes.glob("*.json"))]

    def step_times(self) -> list[StepTime]:
        """RunError: a file is damaged."""
        return [_read(path, StepTime) for path in sorted(self._times.glob("*.json"))]

    def add_outcome(self, outcome: Outcome) -> None:
        """OSError."""
        _write(self._outcomes / f"{outcome.run.key}.json", outcome)

    def add_step_time(self, time: StepTime) -> None:
        """OSError."""
        _write(self._times / f"{time.setting.key}.json", time)

    def kept(self) -> Kept:
        """RunError: it is damaged."""
        return _read(self._kept, Kept)

    def _check(self, config: RunConfig) -> list[str]:
        tool = f"thimble {version('thimble-ctr')}"
        if not self._kept.is_file():
            _write(self._kept, Kept(tool=tool, config=config))
            return []
        kept = self.kept()
        if differing := kept.config.differing(config):
            raise RunError(
                f"{self.path} holds the runs of another trade-off ({', '.join(differing)} differ); "
                "choose another --run or remove it"
            )
        if kept.tool == tool:
            return []
        return [f"{self.path} was begun by {kept.tool}, and this is {tool}: what they train may differ"]


def _write(path: Path, model: BaseModel) -> None:
    text = json.dumps(model.model_dump(mode="json"))  # names of files may be any bytes, which pydantic would not write
    with replaced(path, path.with_suffix(".partial")) as partial:
        partial.write_text(text)


def _read(path: Path, kind: type[Model]) -> Model:
    try:
        return kind.model_validate(json.loads(path.read_text()))
    except ValidationError as error:
        reason = sentence(error)
    except ValueError as error:
        reason = str(error)
    raise RunError(f"{path}: damaged, or of another version of this program ({reason}); remove it and try again")
