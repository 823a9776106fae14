"""`thimble-export train`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from thimble.export import console
from thimble.export.options import (
    Group,
    Label,
    Missing,
    Multiline,
    NegativesKept,
    Strict,
    Timestamps,
    hidden_in,
    names_in,
    widths_in,
)
from thimble.export.training.recipe import TrainingPrecision
from thimble.models.inputs import Kind
from thimble.models.presets import MEMORY_BYTES
from thimble.models.schemes import SCHEMES
from thimble.models.transforms import TransformKind


@console.stoppable
def train(
    context: typer.Context,
    clicks: Annotated[list[Path] | None, typer.Argument(help="click files, or folders of them")] = None,
    generate: Annotated[int | None, typer.Option(min=1000, help="train on so many generated clicks instead")] = None,
    preset: Annotated[str | None, typer.Option(help="criteo-tb, criteo-kaggle or demo")] = None,
    dense: Annotated[str, typer.Option(help="columns of numbers, separated by commas")] = "",
    ints: Annotated[str, typer.Option("--int", help="columns of integer ids")] = "",
    hexes: Annotated[str, typer.Option("--hex", help="columns of hexadecimal tokens")] = "",
    strings: Annotated[str, typer.Option("--string", help="columns of text")] = "",
    from_run: Annotated[
        Path | None, typer.Option("--from", metavar="RUN", help="go on from this finished run's model and recipe")
    ] = None,
    label: Label = "label",
    group: Group = None,
    negatives_kept: NegativesKept = None,
    held_out: Annotated[list[Path] | None, typer.Option(help="click files to evaluate on")] = None,
    held_out_share: Annotated[
        float, typer.Option(min=0.001, max=0.9, help="without --held-out: evaluate on this share of the rows")
    ] = 0.1,
    validation_share: Annotated[
        float, typer.Option(min=0, max=0.5, help="of the other rows, which decide when training is over")
    ] = 0.05,
    split: Annotated[
        str,
        typer.Option(
            metavar="share|time:COLUMN|group:COLUMN",
            help="which rows are held out: any, the latest by a column, or all of some values of one",
        ),
    ] = "share",
    in_order: Annotated[
        bool,
        typer.Option("--in-order", help="train in the order of the files, or of --split time:COLUMN; do not shuffle"),
    ] = False,
    cache: Annotated[
        Path, typer.Option(help="folder for what is read of click files, which later runs find there")
    ] = Path("runs/cache"),
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="read the files in each epoch, and keep nothing")
    ] = False,
    name: Annotated[str | None, typer.Option(help="of the model; the preset's, or 'model'")] = None,
    run: Annotated[Path | None, typer.Option(help="folder for checkpoints; runs/NAME, with --from RUN-2")] = None,
    scheme: Annotated[str, typer.Option(help=", ".join(SCHEMES))] = "block",
    memory: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"bytes of the shared array in float32; a tenth of the tables, a preset: {MEMORY_BYTES}"
        ),
    ] = None,
    chunk: Annotated[int | None, typer.Option(min=1, help="floats that are read at one place")] = None,
    dense_transform: Annotated[
        TransformKind | None, typer.Option(help="what is done with numbers; own columns: quantiles, a preset: criteo")
    ] = None,
    embedding_dim: Annotated[int, typer.Option(min=1, help="own columns: floats of an embedding")] = 16,
    dense_arch: Annotated[str, typer.Option(help="own columns: hidden widths of the MLP that takes numbers")] = "64",
    over_arch: Annotated[str, typer.Option(help="own columns: hidden widths of the MLP that makes the score")] = "64",
    batch_size: Annotated[int | None, typer.Option(min=1, help="rows a step; by the number of rows")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="passes over the rows; with validation rows the most, and 10")
    ] = None,
    dense_lr: Annotated[float | None, typer.Option(min=0, help="learning rate of the MLPs; by the batch")] = None,
    sparse_lr: Annotated[
        float | None, typer.Option(min=0, help="learning rate of the embeddings; by the batch")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    platt: Annotated[bool, typer.Option(help="scale the trained model's scores to fit the validation rows")] = False,
    training_precision: Annotated[
        TrainingPrecision, typer.Option(help="of matrix products: bf16 and fp16 are faster where hardware has them")
    ] = "fp32",
    strict: Strict = False,
    multiline: Multiline = False,
    missing: Missing = None,
    timestamps: Timestamps = False,
    checkpoint_rows: Annotated[int, typer.Option(min=1, help="save whenever so many rows are done")] = 1_000_000,
    compare: Annotated[
        list[Path] | None, typer.Option(help="folder of a finished run to show beside this one; may be repeated")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="write events for TensorBoard into RUN/tensorboard")
    ] = False,
) -> None:
    """Train a model on click files, or on clicks generated to look like Criteo's.

    Parquet, Arrow and CSV have named columns; other text holds Criteo lines (label, dense features, fields, between
    tabs). Text may be packed (gzip, bz2, xz, zstd, zip). A folder is read file by file, with its sub-folders. A run
    that was stopped goes on when the same command is given again.
    """
    from thimble.export.clicks.files import FileClicks
    from thimble.export.clicks.generate import GeneratedClicks
    from thimble.export.clicks.parts import Plan, parse_split, prepared
    from thimble.export.clicks.parts_in_words import described
    from thimble.export.clicks.rows import ClickError, Parts, Rows
    from thimble.export.clicks.survey import survey
    from thimble.export.commands.going_on import (
        Reading,
        batch_notes,
        given,
        next_folder,
        next_recipe,
        same_model,
        same_reading,
    )
    from thimble.export.commands.ignored import refuse_ignored
    from thimble.export.report.run import FinishedRun
    from thimble.export.report.tensorboard import require_tensorboard
    from thimble.export.report.watch import PAGE, watched
    from thimble.export.training.ancestry import parent
    from thimble.export.training.checkpoint import Checkpoint, Progress
    from thimble.export.training.full_tables import indexed
    from thimble.export.training.optimizers import touches_little
    from thimble.export.training.ranks import joined
    from thimble.export.training.recipe import recipe_for
    from thimble.export.training.schema import OwnModel, preset_spec
    from thimble.export.training.train import train as train_run
    from thimble.export.wording import counted
    from thimble.models.transforms import learnt

    ranks = joined()
    if not ranks.first:
        console.be_quiet()
    if bool(clicks) == bool(generate):
        raise ClickError("give click files or --generate N, one of the two")
    if generate and (from_run or negatives_kept):
        raise ClickError("--generate makes all rows anew; --from and --negatives-kept are for click files")
    if tensorboard:
        require_tensorboard()
    options = given(context)
    refuse_ignored(options)
    before = parent(from_run) if from_run else None
    reading = Reading(label, multiline, missing or (), timestamps)
    if before:
        reading = same_reading(before, options, reading)
        seed = options.get("seed", before.recipe.seed)
    plan = Plan(*parse_split(split, in_order), held_out_share, validation_share, in_order, seed)
    if plan.group and group and plan.group != group:
        raise ClickError(
            f"rows have one group: --split group:{plan.group} and --group {group} must name the same column"
        )
    files = partial(
        FileClicks,
        label=reading.label,
        strict=strict,
        multiline=reading.multiline,
        missing=reading.missing,
        timestamps=reading.timestamps,
        group=plan.group or group,
        time=plan.time,
    )
    others = [FinishedRun.load(other) for other in compare or ()]
    fields: dict[Kind, list[str]] = {"int": names_in(ints), "hex": names_in(hexes), "string": names_in(strings)}
    if preset and (dense or any(fields.values())):
        raise ClickError("--preset has columns of its own; give it or --dense, --int, --hex and --string")
    if preset and dense_transform == "quantiles":
        raise ClickError("--preset has criteo for its numbers; --dense-transform quantiles is for columns of your own")
    if before:
        spec = same_model(before, options, names_in(dense), fields)
    elif preset:
        spec = preset_spec(preset, name, scheme, memory, chunk, seed)
    elif generate:
        raise ClickError("clicks are generated with Criteo's features, so --generate needs a --preset")
    else:
        own = OwnModel(
            name=name or "model",
            dense=names_in(dense),
            fields=fields,
            scheme=scheme,
            memory=memory,
            chunk=chunk,
            embedding_dim=embedding_dim,
            dense_arch=widths_in("--dense-arch", dense_arch),
            over_arch=hidden_in("--over-arch", over_arch),
            seed=seed,
        )
        spec = own.spec()

    sources: list[FileClicks] = []
    keys = None
    if generate:
        if plan.column or group:
            raise ClickError("generated clicks have no users and no times; leave out --split and --group")
        # held-out rows are the last, so that an export can draw more of them
        first = generate + round(generate * validation_share)
        generated = GeneratedClicks(spec, first + max(20_000, generate // 10), seed)
        validation = Rows(generated, generate, first) if first > generate else None
        parts = Parts(Rows(generated, 0, generate), Rows(generated, first, generated.rows), validation)
        typer.echo("order: as they are generated, each independent of all others")
    else:
        source = files(clicks or [], spec)
        held_out_source = files(held_out, spec, time=None) if held_out else None
        sources += [it for it in (source, held_out_source) if it]
        console.echo_all(console.passed_over([name for it in sources for name in it.passed_over]))
        try:
            with ranks.first_before_others():  # these find the cache that it wrote
                parts = prepared(
                    source, held_out_source, plan, None if no_cache else cache, partial(typer.echo, err=True)
                )
            console.echo_all([*console.cached(parts), *described(parts, plan)])
        finally:
            if not no_cache:
                console.echo_all([line for it in sources for line in console.bad_rows(it.bad)])
        if not preset and not before:
            found = survey(parts.training, spec)
            spec = own.spec(found.ids, learnt(dense_transform or "quantiles", found.numbers))
        if scheme == "full" and spec.fields and not before:
            spec, keys = indexed(spec, parts.training)
            typer.echo("full tables: an id that comes at least twice has a row, all others of a column one together")

    def after_epoch(progress: Progress) -> None:
        if progress.validation:
            typer.echo(f"epoch {progress.epoch}, validation: {console.metrics_line(progress.validation[-1])}")

    folder = run or (next_folder(before) if before else Path("runs") / spec.name)
    validated = f"{len(parts.validation):,} for validation, " if parts.validation else ""
    rows = f"{counted(len(parts.training), 'row')} to train on, {validated}{len(parts.held_out):,} held out"
    typer.echo(f"{rows}; checkpoints in {folder}")
    if before:
        recipe = next_recipe(before, options)
        trained = counted(sum(run.rows_trained for run in before.ancestors), "row")
        typer.echo(f"going on from {from_run}, {counted(len(before.ancestors), 'run')} of {trained}")
        console.echo_all(console.advice(batch_notes(before, options, len(parts.training))))
    else:
        recipe = recipe_for(
            len(parts.training),
            validated=parts.validation is not None,
            batch_size=batch_size,
            epochs=epochs,
            dense_lr=dense_lr,
            sparse_lr=sparse_lr,
            seed=seed,
            negatives_kept=negatives_kept or 1,
            platt=platt,
            training_precision=training_precision,
        )
    typer.echo(f"recipe: {recipe.line(embeddings=bool(spec.fields))}")
    if touches_little(spec.embedding, len(spec.fields), spec.embedding_dim, recipe.batch_size):
        typer.echo("a batch touches little of the shared array, so each step updates that part alone (SparseAdam)")
    events = tensorboard and ranks.first  # a second file of events would have readers forget what the first says
    try:
        with watched(folder, others, events) as watch:
            metrics = train_run(spec, parts, recipe, folder, checkpoint_rows, after_epoch, watch, before, keys, ranks)
    except KeyboardInterrupt:
        if ranks.first:
            raise
        raise typer.Exit(130) from None  # the first process says it for all
    finally:
        if no_cache:  # else they are known before
            console.echo_all([line for it in sources for line in console.bad_rows(it.bad)])
    if not ranks.first:  # it would read the whole checkpoint for words that nobody sees
        return
    typer.echo(f"report: {folder / PAGE}")
    typer.echo(f"held out: {console.metrics_line(metrics)}")
    progress = Checkpoint(folder).load()[1]
    if progress.platt:
        typer.echo(f"Platt scaling: {console.platt_line(progress.platt)}")
    console.echo_all(console.advice(progress.advice))
