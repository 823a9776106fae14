"""What a command line says of clicks, as rows to train on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import typer

from thimble.export import console
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.parts import Plan, prepared
from thimble.export.clicks.parts_in_words import described
from thimble.export.clicks.rows import ClickError, Parts, Rows
from thimble.export.commands.going_on import Reading
from thimble.export.training.ranks import ALONE, Ranks
from thimble.models.spec import ModelSpec

HELD_OUT_ROWS = 20_000


class TrainingRows(NamedTuple):
    """Rows, and files whose bad rows are known only when training has read them."""

    parts: Parts
    streamed: Sequence[FileClicks] = ()


@dataclass(frozen=True, kw_only=True)
class ClickFiles:
    """Files, how they are read, and how their rows are used. `cache` is a folder, None to stream them."""

    files: Sequence[Path]
    held_out: Sequence[Path]
    reading: Reading
    plan: Plan
    group: str | None
    strict: bool
    cache: Path | None

    def open(self, spec: ModelSpec) -> FileClicks:
        """Those to train on."""
        return self._opened(self.files, spec, time=self.plan.time)

    def read(self, spec: ModelSpec, ranks: Ranks = ALONE) -> TrainingRows:
        """Rows with the columns of a spec, and words on stdout of what was found. ClickError: there are none."""
        if self.plan.group and self.group and self.plan.group != self.group:
            raise ClickError(
                f"rows have one group: --split group:{self.plan.group} and --group {self.group} "
                "must name the same column"
            )
        source = self.open(spec)
        held_out = self._opened(self.held_out, spec, time=None) if self.held_out else None
        sources = [it for it in (source, held_out) if it]
        console.echo_all(console.passed_over([name for it in sources for name in it.passed_over]))
        try:
            with ranks.first_before_others():  # these find the cache that it wrote
                parts = prepared(source, held_out, self.plan, self.cache, partial(typer.echo, err=True))
            console.echo_all([*console.cached(parts), *described(parts, self.plan)])
        finally:
            if self.cache:
                echo_bad_rows(sources)
        return TrainingRows(parts, () if self.cache else sources)

    def _opened(self, files: Sequence[Path], spec: ModelSpec, time: str | None) -> FileClicks:
        return FileClicks(
            files,
            spec,
            label=self.reading.label,
            strict=self.strict,
            multiline=self.reading.multiline,
            missing=self.reading.missing,
            timestamps=self.reading.timestamps,
            group=self.plan.group or self.group,
            time=time,
        )


def refuse_contradictions(
    clicks: Sequence[Path] | None,
    generate: int | None,
    preset: str | None,
    column: str | None,
    negatives_kept: float | None,
    from_run: Path | None = None,
) -> None:
    """ClickError: options of rows that go against each other. `column` is one that rows are split or grouped by."""
    if bool(clicks) == bool(generate):
        raise ClickError("give click files or --generate N, one of the two")
    if generate and (from_run or negatives_kept):
        raise ClickError("--generate makes all rows anew; --from and --negatives-kept are for click files")
    if generate and not preset:
        raise ClickError("clicks are generated with a preset's features, so --generate needs a --preset")
    if generate and column:
        raise ClickError("of generated clicks the last rows are held out; leave out --split and --group")


def echo_bad_rows(sources: Sequence[FileClicks]) -> None:
    """Say on stdout what became of files' bad rows."""
    console.echo_all([line for source in sources for line in console.bad_rows(source.bad)])


def generated_rows(spec: ModelSpec, count: int, validation_share: float, seed: int) -> TrainingRows:
    """So many generated rows to train on, and others after them."""
    # held-out rows are the last, so that an export can draw more of them
    first = count + round(count * validation_share)
    generated = GeneratedClicks(spec, first + max(HELD_OUT_ROWS, count // 10), seed)
    validation = Rows(generated, count, first) if first > count else None
    typer.echo(f"order: {generated.log.order}")
    return TrainingRows(Parts(Rows(generated, 0, count), Rows(generated, first, generated.rows), validation))
