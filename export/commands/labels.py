"""What `--label` says: one column, or one for each of several answers."""

import csv
from typing import NamedTuple

from pydantic import ValidationError

from thimble.export.clicks.rows import ClickError
from thimble.models.base import sentence
from thimble.models.heads import Head, Heads
from thimble.models.labels import LabelColumns
from thimble.models.spec import ModelSpec


class AskedLabels(NamedTuple):
    """Columns, and the heads that are called as they are; none where there is one column."""

    columns: LabelColumns
    heads: Heads = ()


def asked_labels(text: str) -> AskedLabels:
    """Of `click,conversion:click`: two labels, the second given the first. ClickError: a part is no name.

    Commas separate names as in CSV, so quotes hold a name together that has one: '"a,b"'. A colon belongs to a name
    unless what follows the last one is another of the names.
    """
    parts = names_in_csv(text)
    if len(parts) == 1:
        return AskedLabels(parts[0])
    heads: list[Head] = []
    for part in parts:
        name, _, given = part.rpartition(":")
        if not name or given not in {*parts, *(head.name for head in heads)}:
            name, given = part, ""
        if given and given not in [head.name for head in heads]:
            raise ClickError(f"--label {text}: name {given} before {name}, which is given it")
        try:
            heads.append(Head(name=name, given=given or None))
        except ValidationError as error:
            raise ClickError(f"--label {text}: {sentence(error)}") from None
    return AskedLabels(tuple(head.name for head in heads), tuple(heads))


def labels_of(spec: ModelSpec, text: str | None) -> LabelColumns:
    """The columns of a model's labels: those that are called as its heads, or that are named in their order."""
    if text is None:
        return spec.outputs if spec.heads else "label"
    parts = names_in_csv(text)
    return tuple(parts) if len(parts) > 1 else parts[0]


def names_in_csv(text: str) -> list[str]:
    """Names between commas. ClickError: one is empty. A text without a comma is one name, whatever is in it."""
    if "," not in text:
        return [text]
    try:
        (parts,) = csv.reader([text], skipinitialspace=True)
    except (csv.Error, ValueError):
        raise ClickError(f"--label {text!r} is no list of names between commas") from None
    if not all(parts := [part.strip() for part in parts]):
        raise ClickError(f"--label {text}: a name is empty")
    return parts
