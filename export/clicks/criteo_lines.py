"""Criteo lines: values in the order of the features, separated by tabs."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from thimble.export.clicks.delimited import Split, split_lines, split_rows
from thimble.export.clicks.folders import FoundFile
from thimble.export.clicks.formats import Block
from thimble.export.clicks.lines import Lines, lines_of, unified
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import Columns
from thimble.export.clicks.text_file import LineFile
from thimble.models.features import encode_column

_LOOKED_AT = 1024  # lines by which it is judged whether there are labels


class CriteoFile(LineFile):
    """Lines of a label and the values of the features, separated by tabs.

    If the label is not to be read, a file may lack it: most of its first lines say whether it does.
    """

    named = False
    separator = "\t"
    quoted = False
    empty_lines_are_rows = True

    def __init__(self, file: FoundFile, columns: Columns) -> None:
        super().__init__(file, columns)
        features = [feature.name for feature in columns.features]
        self.layout = [columns.label or ("" if "label" in features else "label"), *features]

    @property
    def width(self) -> int:
        return len(self.layout)

    def check(self) -> None:
        for name in self.columns.keys:
            if name not in self.layout:
                raise ClickError(f"{self.name}: no column {name!r} in lines of Criteo's form")
        full = len(self.layout)
        widths = [line.count("\t") + 1 for line in islice(self.lines(), _LOOKED_AT)]
        if widths.count(full - 1) > widths.count(full):
            if self.layout[0] in self.columns.names:
                raise ClickError(f"{self.name}: lines of {full - 1} columns, {full} expected: they have no label")
            self.layout = self.layout[1:]

    def is_header(self, line: str) -> bool:
        """Whether it names columns: no value is blank, and its label and all of its numbers are words."""
        values = line.rstrip("\r\n").split("\t")
        lacking = len(self.layout) - len(values)
        if lacking not in (0, 1) or not all(map(str.strip, values)):  # the label may be lacking
            return False
        cells = dict(zip(self.layout[lacking:], values, strict=True))
        tokens: list[str] = []
        for feature, options in self.columns.encoded:
            if feature.kind in ("number", "int") and feature.name in cells:
                tokens += options.text(feature.kind, [cells[feature.name]])
        if not lacking and not self.columns.label:
            tokens.append(values[0])
        _, words = encode_column("number", tokens, typed=False)
        return bool(tokens) and len(words) == len(tokens)

    def bodies(self) -> Iterator[Block]:
        return ((first, unified(block)) for first, block in self.blocks())

    def faults(self, lines: Lines) -> dict[int, str]:
        empty = np.flatnonzero(lines.lengths == 0).tolist() if self.width > 1 else []
        return dict.fromkeys(empty, self.misfit(1))

    def split(self, text: bytes) -> Split:
        wanted = [self.layout.index(name) for name in self.columns.names]
        if b"\r" in text or self.width == 1:  # Arrow would end a line there, and pass over an empty one
            return split_rows([line.split(b"\t") for line in lines_of(text)], self.width, wanted)
        return split_lines(text, self.separator, self.width, wanted, quoted=False)
