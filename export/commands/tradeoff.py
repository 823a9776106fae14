"""`thimble-export tradeoff`."""

import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from thimble.export import console, options

if TYPE_CHECKING:
    from thimble.export.clicks.rows import Parts, Rows
    from thimble.export.commands.training_rows import TrainingRows


@console.stoppable
def tradeoff(
    context: typer.Context,
    clicks: options.ClickFiles = None,
    generate: options.Generate = None,
    preset: options.Preset = None,
    dense: options.Dense = "",
    ints: options.Ints = "",
    hexes: options.Hexes = "",
    strings: options.Strings = "",
    multi: options.Multi = None,
    label: options.Label = "label",
    group: options.Group = None,
    negatives_kept: options.NegativesKept = None,
    held_out: options.HeldOut = None,
    held_out_share: options.HeldOutShare = 0.1,
    validation_share: options.ValidationShare = None,
    split: options.SplitBy = "share",
    in_order: options.InOrder = False,
    cache: options.Cache = Path("runs/cache"),
    embedding_dim: options.EmbeddingDim = 16,
    arch: options.Arch = None,
    dense_arch: options.DenseArch = None,
    over_arch: options.OverArch = None,
    cross_layers: options.CrossLayers = None,
    cross_rank: options.CrossRank = None,
    scheme: Annotated[str, typer.Option(help="schemes to try, separated by commas")] = "block",
    memory_precision: Annotated[
        str, typer.Option(help="precisions of the memory to try, separated by commas; as train has it")
    ] = "",
    hot_rows: Annotated[
        str, typer.Option(help="auto: rows of their own for ids that come often; none,auto tries both")
    ] = "none",
    compression: Annotated[
        str, typer.Option(help="how many times smaller than full tables; 10,100,1000,10000 where these are so large")
    ] = "",
    chunk: Annotated[str, typer.Option(help="floats that are read at one place; as train has it")] = "",
    epochs: Annotated[str, typer.Option(help="the most passes over the rows; as train has it")] = "",
    seeds: Annotated[int, typer.Option(min=1, help="the most runs of a model")] = 3,
    within: Annotated[
        float, typer.Option(min=0, max=0.5, help="how far the AUC may be below that of full tables")
    ] = 0.001,
    minutes: Annotated[float, typer.Option(min=0.01, help="to spend on runs; a later command goes on")] = 30,
    jobs: Annotated[int | None, typer.Option(min=1, help="runs side by side; one a core, on a GPU one")] = None,
    run: Annotated[Path | None, typer.Option(help="folder for what is found; runs/NAME-tradeoff")] = None,
    strict: options.Strict = False,
    multiline: options.Multiline = False,
    missing: options.Missing = None,
    timestamps: options.Timestamps = False,
) -> None:
    """Find the smallest memory that does: train full tables and models of less and less memory, and compare them.

    Each model is an ordinary run on the same rows. The time goes where it tells most, and a page says what came of it.
    The same command goes on where it was stopped, and one with another grid in the same folder adds to it.
    """
    from thimble.export.clicks.parts import Plan, parse_split
    from thimble.export.clicks.rows import ClickError
    from thimble.export.commands.going_on import Reading, given
    from thimble.export.commands.ignored import refuse_ignored
    from thimble.export.commands.training_model import AskedModel
    from thimble.export.commands.training_rows import ClickFiles, generated_rows, refuse_contradictions
    from thimble.export.tradeoff.carry_out import Limits, carry_out
    from thimble.export.tradeoff.grid import grid_of
    from thimble.export.tradeoff.outcomes import Folder
    from thimble.export.tradeoff.shown import Shown
    from thimble.export.tradeoff.worker import Task
    from thimble.export.training.recipe import recipe_for
    from thimble.export.wording import counted

    if "," in label:
        raise ClickError(f"tradeoff compares models of one answer, so --label names one column, not {label}")
    if not math.isfinite(minutes):
        raise ClickError(f"--minutes takes a number, not {minutes}")
    plan = Plan(*parse_split(split, in_order), held_out_share, validation_share, in_order)
    refuse_contradictions(clicks, generate, preset, plan.column or group, negatives_kept)
    refuse_ignored(given(context))
    asked = AskedModel(
        preset=preset,
        dense=dense,
        ints=ints,
        hexes=hexes,
        strings=strings,
        multi=multi or (),
        embedding_dim=embedding_dim,
        arch=arch,
        dense_arch=dense_arch,
        over_arch=over_arch,
        cross_layers=cross_layers,
        cross_rank=cross_rank,
        seed=plan.seed,
    )
    grid_of_base = partial(
        grid_of,
        schemes=options.names_in(scheme),
        precisions=options.names_in(memory_precision) if memory_precision else None,
        hot_rows=options.names_in(hot_rows),
        chunks=options.counts_in("--chunk", chunk) if chunk else None,
        compressions=options.numbers_in("--compression", compression) if compression else None,
        epochs=options.counts_in("--epochs", epochs) if epochs else None,
        seeds=seeds,
    )
    read: Callable[[], TrainingRows]
    if generate:
        spec = asked.spec()
        read = partial(generated_rows, spec, generate, plan.validation_share_of(generate), plan.seed)
    else:
        files = ClickFiles(
            files=clicks or (),
            held_out=held_out or (),
            reading=Reading(label, multiline, missing or (), timestamps),
            plan=plan,
            group=group,
            strict=strict,
            cache=cache,
        )
        asked = asked.with_bags(files.files, files.open)
        spec = asked.spec()
        console.echo_all(console.bags(spec, asked.bag_use))
        read = partial(files.read, spec)
    parts = read().parts
    base = spec if generate else asked.learnt_from(parts.training).spec
    grid = grid_of_base(base)
    if not _both_classes(parts.held_out):
        raise ClickError("the held-out rows are all of one class, which tells nothing of a model; hold out others")
    recipe = recipe_for(len(parts.training), validated=parts.validation is not None, negatives_kept=negatives_kept or 1)
    task = Task(base, partial(_parts, read), recipe, run or Path("runs") / f"{base.name}-tradeoff")
    config = task.config(parts)
    folder = Folder(task.folder)
    limits = Limits(60 * minutes, jobs or _jobs())
    spent = f"{minutes:g} minute{'' if minutes == 1 else 's'}"
    console.echo_all([f"left out: {why}" for why in grid.impossible])
    with folder.alone(config) as notes:
        console.echo_all(console.advice(notes))
        typer.echo(
            f"{counted(len(grid.settings), 'model')} and up to {counted(seeds, 'seed')} of each, "
            f"{counted(limits.jobs, 'run')} at a time, {spent}; what is found lies in {folder.path}"
        )
        shown = Shown(folder, config, within)
        state = carry_out(task, grid, within, limits, len(parts.training), shown.changed)
        console.echo_all(shown.lines(state))
    if state.failed and not state.outcomes:
        console.fail(f"no run could be finished; the first: {next(iter(state.failed.values()))}")


def _parts(read: "Callable[[], TrainingRows]") -> "Parts":
    return read().parts


def _both_classes(rows: "Rows") -> bool:
    labels: set[float] = set()
    for clicks in rows.read(4096):
        labels.update(np.unique(clicks.labels))
        if len(labels) > 1:
            return True
    return False


def _jobs() -> int:
    import torch

    if torch.cuda.is_available():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
