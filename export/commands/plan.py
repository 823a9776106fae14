"""`thimble-export plan`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thimble.export import console, options

if TYPE_CHECKING:
    from thimble.export.clicks.files import FileClicks
    from thimble.export.clicks.rows import Rows
    from thimble.models.spec import ModelSpec


def plan(
    context: typer.Context,
    clicks: options.ClickFiles = None,
    preset: options.Preset = None,
    rows: Annotated[int | None, typer.Option(min=1, help="a preset without files: rows to train on; its log's")] = None,
    dense: options.Dense = "",
    ints: options.Ints = "",
    hexes: options.Hexes = "",
    strings: options.Strings = "",
    multi: options.Multi = None,
    label: options.Label = "label",
    memory: options.Memory = None,
    chunk: options.Chunk = None,
    memory_precision: options.TrainedMemoryPrecision = None,
    embedding_dim: options.EmbeddingDim = 16,
    arch: options.Arch = None,
    dense_arch: options.DenseArch = None,
    over_arch: options.OverArch = None,
    cross_layers: options.CrossLayers = None,
    cross_rank: options.CrossRank = None,
    epsilon: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="by how much inner products of rows may change")
    ] = 0.1,
    cache: options.Cache = Path("runs/cache"),
    no_cache: options.NoCache = False,
    strict: options.Strict = False,
    multiline: options.Multiline = False,
    missing: options.Missing = None,
    timestamps: options.Timestamps = False,
    as_json: Annotated[bool, typer.Option("--json", help="the plan as JSON")] = False,
) -> None:
    """Say what a shared memory will be like before anything is trained: what ids share in it, and what to give it.

    Files are read as `train` reads them. A preset without files is planned by formulas, as its clicks are generated.
    """
    from thimble.export.clicks.files import FileClicks
    from thimble.export.clicks.rows import ClickError
    from thimble.export.commands.going_on import given
    from thimble.export.commands.ignored import refuse_ignored
    from thimble.export.commands.training_model import AskedModel
    from thimble.export.plan.caches import processor_caches
    from thimble.export.plan.memory_plan import hot_rows_of, memory_plan
    from thimble.export.plan.pace import generated_sample, measured_pace
    from thimble.export.plan.read_ids import counted_ids, known_ids
    from thimble.export.plan.words import in_words
    from thimble.models.presets import LOG_ROWS

    refuse_ignored(given(context))
    if not clicks and not preset:
        raise ClickError("give click files, or a --preset to plan without any")
    if clicks and rows:
        raise ClickError("--rows is for a preset without files, and files have the rows they have; leave it out")
    asked = AskedModel(
        preset=preset,
        dense=dense,
        ints=ints,
        hexes=hexes,
        strings=strings,
        multi=multi or (),
        memory=memory,
        chunk=chunk,
        memory_precision=memory_precision,
        embedding_dim=embedding_dim,
        arch=arch,
        dense_arch=dense_arch,
        over_arch=over_arch,
        cross_layers=cross_layers,
        cross_rank=cross_rank,
    )

    def opened(spec: "ModelSpec") -> FileClicks:
        return FileClicks(clicks or (), spec, label, strict, multiline, missing or (), timestamps)

    asked = asked.with_bags(clicks, opened) if clicks else asked
    spec = asked.spec()
    if not spec.fields:
        raise ClickError("a model of numbers alone has no memory to plan; name columns with --int, --hex or --string")
    if clicks:
        _say(*console.bags(spec, asked.bag_use))
        source = opened(spec)
        try:
            read = _all_rows(source, None if no_cache else cache)
            ids = counted_ids(read, spec.bags)
            spec = asked.learnt_from(read).spec
            hot = hot_rows_of(spec, read)
            pace = measured_pace(spec, read, ids.rows)
        finally:
            _say(*console.passed_over(source.passed_over), *console.bad_rows(source.bad))
        name = source.description
    elif preset:
        ids = known_ids(spec, rows or LOG_ROWS[preset])
        pace = measured_pace(spec, generated_sample(spec), ids.rows)
        name, hot = preset, None
    found = memory_plan(spec, name, ids, epsilon, pace, processor_caches(), hot)
    console.echo_all([found.model_dump_json(indent=1)] if as_json else in_words(found))


def _all_rows(source: "FileClicks", cache: Path | None) -> "Rows":
    """From the cache, or streamed where there is none."""
    from thimble.export.clicks.cache import cached
    from thimble.export.clicks.parts import all_rows
    from thimble.export.clicks.rows import Rows

    return all_rows(cached(source, cache, _say)) if cache else Rows(source, 0, source.count())


def _say(*lines: str) -> None:
    """On stderr, for stdout may be read by a program."""
    for line in lines:
        typer.echo(line, err=True)
