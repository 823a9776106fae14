"""What `thimble-export train --from RUN` takes over from RUN, and what may be given anew."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import typer

from thimble.export.clicks.rows import ClickError
from thimble.export.training.ancestry import Parent
from thimble.export.training.recipe import Recipe, batch_for
from thimble.export.wording import counted, listed
from thimble.models.heads import Heads
from thimble.models.inputs import Kind, ValueKind
from thimble.models.labels import LabelColumns, label_columns
from thimble.models.spec import ModelSpec

_MODEL_OPTIONS = (
    *("preset", "scheme", "memory", "chunk", "memory_precision", "hot_rows"),
    *("dense_transform", "embedding_dim", "arch", "dense_arch", "over_arch", "cross_layers", "cross_rank"),
)

# How many times larger or smaller the batch of the run before has to be for a word about it.
FAR = 4


class Reading(NamedTuple):
    """How click files are read, as options say it."""

    label: LabelColumns
    multiline: bool
    missing: Collection[str]
    timestamps: bool


def given(context: typer.Context) -> dict[str, Any]:
    """The options of a command that somebody gave, by the names of their parameters."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name: context.params[name] for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def same_model(
    parent: Parent,
    options: Mapping[str, Any],
    dense: Sequence[str],
    fields: Mapping[Kind, Sequence[str]],
    heads: Heads = (),
) -> ModelSpec:
    """RUN's, under the name that was given. ClickError: options that ask for another one; columns may be repeated."""
    if others := [f"--{name.replace('_', '-')}" for name in _MODEL_OPTIONS if name in options]:
        raise ClickError(f"--from has the model of {parent.folder}: leave out {listed(others)}, or train a new one")
    spec = parent.spec
    known = [(feature.kind, feature.name) for feature in spec.features]
    named: list[tuple[ValueKind, str]] = [("number", name) for name in dense]
    named += [(kind, name) for kind, names in fields.items() for name in names]
    if named and sorted(named) != sorted(known):
        differing = sorted({name for _, name in {*named} ^ {*known}})
        raise ClickError(
            f"--from has the columns of {parent.folder}, and these differ: {listed(differing)}; "
            "leave all of them out, or train a new model"
        )
    if "label" in options and heads != spec.heads:
        theirs = ", ".join(map(str, spec.heads)) or "one answer"
        raise ClickError(
            f"--from has the answers of {parent.folder}, {theirs}; leave out --label, or train a new model"
        )
    return ModelSpec.model_validate({**spec.model_dump(), "name": options.get("name", spec.name)})


def same_reading(parent: Parent, options: Mapping[str, Any], reading: Reading) -> Reading:
    """How RUN's files were read, but for what was given. ClickError: another label."""
    origin = parent.trained_on
    if origin is None or origin.seed is not None:  # it read no files
        return reading
    if "label" in options and reading.label != origin.label:
        learnt, asked = (",".join(label_columns(label)) for label in (origin.label, reading.label))
        raise ClickError(
            f"{parent.folder} has learnt {learnt!r}, so --from cannot go on with --label {asked}; train a new model"
        )
    theirs = Reading(origin.label, origin.multiline, origin.missing, origin.timestamps)
    return theirs._replace(**{name: getattr(reading, name) for name in Reading._fields if name in options})


def next_recipe(parent: Parent, options: Mapping[str, Any]) -> Recipe:
    """RUN's but for what was given, and with one pass; with another batch its rates follow."""
    recipe = parent.recipe.with_batch(options.get("batch_size", parent.recipe.batch_size))
    changed = {name: options[name] for name in Recipe.model_fields if name in options}
    return Recipe.model_validate({**recipe.model_dump(), "epochs": 1, **changed})


def batch_notes(parent: Parent, options: Mapping[str, Any], rows: int) -> list[str]:
    """That RUN's batch is far from what so many rows would have by themselves, if nobody has chosen one."""
    batch, suited = parent.recipe.batch_size, batch_for(rows)
    if "batch_size" in options or max(batch, suited) < FAR * min(batch, suited):
        return []
    return [
        f"batches of {counted(batch, 'row')} are those of {parent.folder}; "
        f"{counted(rows, 'row')} by themselves would have {suited:,}, which --batch-size {suited} gives them"
    ]


def next_folder(parent: Parent) -> Path:
    """Where the new run goes unless somebody says otherwise, beside RUN: shop, shop-2, shop-3.

    It is the same each time, for it is there that a run which was stopped is looked for.
    """
    folder = parent.folder if parent.folder.name.strip(".") else parent.folder.resolve()
    generation = len(parent.ancestors)
    root = folder.name.removesuffix(f"-{generation}") if generation > 1 else folder.name
    return folder.with_name(f"{root}-{generation + 1}")
