"""`thimble-export train`."""

from pathlib import Path
from typing import Annotated

import typer

from thimble.export import console, options
from thimble.export.training.recipe import TrainingPrecision


@console.stoppable
def train(
    context: typer.Context,
    clicks: options.ClickFiles = None,
    generate: options.Generate = None,
    preset: options.Preset = None,
    dense: options.Dense = "",
    ints: options.Ints = "",
    hexes: options.Hexes = "",
    strings: options.Strings = "",
    multi: options.Multi = None,
    from_run: Annotated[
        Path | None, typer.Option("--from", metavar="RUN", help="go on from this finished run's model and recipe")
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="ARTIFACT", help="an exported model of the same features whose scores are learnt too"),
    ] = None,
    label: options.Labels = "label",
    group: options.Group = None,
    negatives_kept: options.NegativesKept = None,
    held_out: options.HeldOut = None,
    held_out_share: options.HeldOutShare = 0.1,
    validation_share: options.ValidationShare = None,
    split: options.SplitBy = "share",
    in_order: options.InOrder = False,
    cache: options.Cache = Path("runs/cache"),
    no_cache: options.NoCache = False,
    name: Annotated[str | None, typer.Option(help="of the model; the preset's, or 'model'")] = None,
    run: Annotated[Path | None, typer.Option(help="folder for checkpoints; runs/NAME, with --from RUN-2")] = None,
    scheme: options.Scheme = "block",
    memory: options.Memory = None,
    chunk: options.Chunk = None,
    memory_precision: options.TrainedMemoryPrecision = None,
    hot_rows: options.HotRows = options.HOT_ROWS,
    dense_transform: options.DenseTransform = None,
    embedding_dim: options.EmbeddingDim = 16,
    arch: options.Arch = None,
    dense_arch: options.DenseArch = None,
    over_arch: options.OverArch = None,
    cross_layers: options.CrossLayers = None,
    cross_rank: options.CrossRank = None,
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
    strict: options.Strict = False,
    multiline: options.Multiline = False,
    missing: options.Missing = None,
    timestamps: options.Timestamps = False,
    checkpoint_rows: Annotated[int, typer.Option(min=1, help="save whenever so many rows are done")] = 1_000_000,
    compare: Annotated[
        list[Path] | None, typer.Option(help="folder of a finished run to show beside this one; may be repeated")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="write events for TensorBoard into RUN/tensorboard")
    ] = False,
) -> None:
    """Train a model on click files, or on clicks generated with a preset's features.

    Parquet, Arrow and CSV have named columns; other text holds Criteo lines (label, dense features, fields, between
    tabs). Text may be packed (gzip, bz2, xz, zstd, zip). A folder is read file by file, with its sub-folders. A run
    that was stopped goes on when the same command is given again.
    """
    from thimble.export.clicks.parts import Plan, parse_split
    from thimble.export.commands.bags import bag_figures
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
    from thimble.export.commands.labels import asked_labels
    from thimble.export.commands.teaching import teaching_by
    from thimble.export.commands.training_model import AskedModel, still_hot
    from thimble.export.commands.training_rows import (
        ClickFiles,
        echo_bad_rows,
        generated_rows,
        refuse_contradictions,
    )
    from thimble.export.report.run import FinishedRun
    from thimble.export.report.tensorboard import require_tensorboard
    from thimble.export.report.watch import PAGE, watched
    from thimble.export.training.ancestry import parent
    from thimble.export.training.checkpoint import Checkpoint, Progress
    from thimble.export.training.optimizers import touches_little
    from thimble.export.training.ranks import joined
    from thimble.export.training.recipe import recipe_for
    from thimble.export.training.several import check_several
    from thimble.export.training.train import train as train_run
    from thimble.export.wording import counted
    from thimble.models.bags import widths

    ranks = joined()
    if not ranks.first:
        console.be_quiet()
    by, column = parse_split(split, in_order)
    refuse_contradictions(clicks, generate, preset, column or group, negatives_kept, from_run)
    if tensorboard:
        require_tensorboard()
    named = given(context)
    refuse_ignored(named)
    before = parent(from_run) if from_run else None
    labels = asked_labels(label)
    reading = Reading(labels.columns, multiline, missing or (), timestamps)
    if before:
        reading = same_reading(before, named, reading)
        seed = named.get("seed", before.recipe.seed)
    plan = Plan(by, column, held_out_share, validation_share, in_order, seed)
    others = [FinishedRun.load(other) for other in compare or ()]
    asked = AskedModel(
        name=name,
        preset=preset,
        dense=dense,
        ints=ints,
        hexes=hexes,
        strings=strings,
        multi=multi or (),
        scheme=scheme,
        memory=memory,
        chunk=chunk,
        memory_precision=memory_precision,
        hot_rows=hot_rows,
        dense_transform=dense_transform,
        embedding_dim=embedding_dim,
        arch=arch,
        dense_arch=dense_arch,
        over_arch=over_arch,
        cross_layers=cross_layers,
        cross_rank=cross_rank,
        seed=seed,
        heads=labels.heads,
    )
    files = ClickFiles(
        files=clicks or (),
        held_out=held_out or (),
        reading=reading,
        plan=plan,
        group=group,
        strict=strict,
        cache=None if no_cache else cache,
    )
    if clicks and not before:
        asked = asked.with_bags(files.files, files.open)
    spec = same_model(before, named, asked.numbers, asked.fields, asked.heads) if before else asked.spec()
    kept = before.recipe.negatives_kept if before and negatives_kept is None else negatives_kept or 1
    check_several(spec.heads, platt=platt, negatives_kept=kept, taught=teacher is not None)
    bag_use = files.open(spec).bag_use() if before else asked.bag_use
    console.echo_all(console.bags(spec, bag_use))
    teaching = teaching_by(teacher, spec, named) if teacher else None

    if generate:
        rows = generated_rows(spec, generate, plan.validation_share_of(generate), seed)
    else:
        rows = files.read(spec, ranks)
    parts = rows.parts
    if before:
        learnt = still_hot(before, spec, parts.training)
    else:
        learnt = asked.with_hot_rows(spec, parts.training) if generate else asked.learnt_from(parts.training)
    if teaching:
        teaching, learnt = teaching.of_student(learnt, len(parts.training))
    spec = learnt.spec

    def after_epoch(progress: Progress) -> None:
        if progress.validation:
            lines = console.metrics_lines(progress.validation[-1], spec)
            console.echo_all([f"epoch {progress.epoch}, validation: {line}" for line in lines])

    folder = run or (next_folder(before) if before else Path("runs") / spec.name)
    validated = f"{len(parts.validation):,} for validation, " if parts.validation else ""
    to_train_on = f"{counted(len(parts.training), 'row')} to train on"
    typer.echo(f"{to_train_on}, {validated}{len(parts.held_out):,} held out; checkpoints in {folder}")
    if before:
        recipe = next_recipe(before, named)
        trained = counted(sum(run.rows_trained for run in before.ancestors), "row")
        typer.echo(f"going on from {from_run}, {counted(len(before.ancestors), 'run')} of {trained}")
        console.echo_all(console.advice(batch_notes(before, named, len(parts.training))))
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
    if teaching:
        typer.echo(f"teacher: {console.teacher_line(teaching.teacher)}")
    if touches_little(spec.embedding, sum(widths(spec.bags)), spec.embedding_dim, recipe.batch_size):
        typer.echo("a batch touches little of the shared array, so each step updates that part alone")
    events = tensorboard and ranks.first  # a second file of events would have readers forget what the first says
    try:
        with watched(folder, others, events, bag_figures(spec, bag_use)) as watch:
            metrics = train_run(
                *(spec, parts, recipe, folder, checkpoint_rows, after_epoch, watch, before, learnt.keys, ranks),
                teaching=teaching,
            )
    except KeyboardInterrupt:
        if ranks.first:
            raise
        raise typer.Exit(130) from None  # the first process says it for all
    finally:
        echo_bad_rows(rows.streamed)
    if not ranks.first:  # it would read the whole checkpoint for words that nobody sees
        return
    typer.echo(f"report: {folder / PAGE}")
    console.echo_all([f"held out: {line}" for line in console.metrics_lines(metrics, spec)])
    progress = Checkpoint(folder).load()[1]
    if progress.platt:
        typer.echo(f"Platt scaling: {console.platt_line(progress.platt)}")
    console.echo_all(console.advice(progress.advice))
