"""Trains a model on clicks, once or several times over."""

from pathlib import Path

from thimble.export.clicks.rows import Parts
from thimble.export.training.ancestry import Parent
from thimble.export.training.checkpoint import RunConfig
from thimble.export.training.errors import RunError
from thimble.export.training.ranks import ALONE, Ranks
from thimble.export.training.recipe import Recipe
from thimble.export.training.run import AfterEpoch, Run, Watch
from thimble.export.training.several import check_several
from thimble.export.training.teacher import Teaching
from thimble.models.hashing import Int64s
from thimble.models.spec import Metrics, ModelSpec

CHECKPOINT_ROWS = 1_000_000


def train(
    spec: ModelSpec,
    parts: Parts,
    recipe: Recipe,
    folder: Path,
    checkpoint_rows: int = CHECKPOINT_ROWS,
    after_epoch: AfterEpoch = lambda _: None,
    watch: Watch = lambda *_: None,
    parent: Parent | None = None,
    keys: Int64s | None = None,
    ranks: Ranks = ALONE,
    teaching: Teaching | None = None,
) -> Metrics:
    """Train into `folder`, or go on where its checkpoint left off, and evaluate on the held-out rows.

    With validation rows training ends when an epoch brings nothing, and the best one's weights are kept; else it ends
    after all epochs. The same spec, rows and recipe give the same weights on the same machine, whether interrupted or
    not. With a `parent` it begins where that one ended. `keys` are the ids that have a row each, where the spec has an
    index of them (`full_tables.indexed`). `teaching` mixes a teacher's scores into the labels of rows to train on, and
    of no others. `after_epoch` is called after each epoch, and before the next one begins; `watch` when there is more
    to see of how the run goes, and when it is over, even if it was before. Several `ranks` take the steps that one
    would, up to the order of sums, and the first one alone calls these, evaluates and writes files.
    RunError when the folder holds another run.
    """
    rows, held_out, validation = parts
    check_several(spec.heads, platt=recipe.platt, negatives_kept=recipe.negatives_kept, taught=teaching is not None)
    if recipe.platt and not validation and not (parent and parent.recipe.platt):  # that one's recipe may ask in vain
        raise RunError("--platt needs validation rows to fit the scores to, and there are none")
    if parent and folder.resolve() == parent.folder.resolve():
        raise RunError(f"{folder} is the run to go on from, which stays as it is; choose another --run")
    config = RunConfig(
        spec=spec,
        source=rows.source.description,
        clicks=rows.identity,
        held_out_clicks=held_out.identity,
        validation_clicks=validation.identity if validation else None,
        train_rows=len(rows),
        held_out_rows=len(held_out),
        validation_rows=len(validation) if validation else 0,
        recipe=recipe,
        ancestors=parent.ancestors if parent else (),
        parent=parent.digest if parent else None,
        teacher=teaching.teacher if teaching else None,
    )
    run = Run(config, folder, watch, parent, keys, ranks, teaching)
    metrics = run.progress.metrics or run.fit(parts, checkpoint_rows, after_epoch)
    if ranks.first:
        run.best.path.unlink(missing_ok=True)  # here, as a run may have been killed before it came to this
        watch(config, run.progress)
    return metrics
