"""Runs that go on from a finished one: its model, recipe, weights and optimizers, and new rows."""

from pathlib import Path
from typing import Any, NamedTuple

from thimble.export.clicks.origin import Origin
from thimble.export.training.checkpoint import Checkpoint, finished_run, provenance
from thimble.export.training.recipe import Recipe
from thimble.models.files import file_digest
from thimble.models.provenance import Ancestor, PlattScaling
from thimble.models.spec import ModelSpec


class Parent(NamedTuple):
    """A finished run that another one goes on from.

    `digest` is that of its checkpoint, so that a run resumes only upon the very same weights. `ancestors` are all runs
    that the new one builds on, this one the last. `trained_on` says how its rows were read, where they came from files.
    `platt` is what its last layer was scaled by.
    """

    folder: Path
    spec: ModelSpec
    recipe: Recipe
    state: dict[str, Any]
    digest: str
    ancestors: tuple[Ancestor, ...]
    trained_on: Origin | None
    platt: PlattScaling | None


def parent(folder: Path) -> Parent:
    """RunError: there is no run, or it is unfinished, damaged, or of another version of this program."""
    config, progress, state = finished_run(folder)
    with Checkpoint(folder).path.open("rb") as file:
        digest = file_digest(file.fileno())
    known = provenance(config, progress)
    shared = ("source", "rows_trained", "negatives_kept", "teacher")
    this = Ancestor(**{name: getattr(known, name) for name in shared})
    return Parent(
        folder,
        config.spec,
        config.recipe,
        state,
        digest,
        (*known.ancestors, this),
        progress.trained_on,
        progress.platt,
    )
