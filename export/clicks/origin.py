"""Where the rows of a finished run can be read again."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from thimble.export.clicks.cached import CachedClicks, Selection
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.filtered import Filtered
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import ClickError, ClickSource, Rows
from thimble.export.clicks.split import Part, Split
from thimble.models.labels import LabelColumns
from thimble.models.spec import ModelSpec


class Origin(BaseModel):
    """A range of rows of files, of a part of them, or of the clicks generated from a seed.

    Rows of a part are numbered as they come in the files, without bad ones.
    """

    model_config = ConfigDict(frozen=True)

    files: tuple[Path, ...] = ()
    label: LabelColumns = "label"
    multiline: bool = False
    missing: frozenset[str] = frozenset()
    timestamps: bool = False
    group: str | None = None
    time: str | None = None
    split: Split | None = None
    part: Part = Part.TRAINING
    identity: str
    seed: int | None = None
    start: int
    stop: int

    def rows(self, spec: ModelSpec) -> Rows:
        """ClickError: a file is gone, or another than the run read."""
        source: ClickSource
        if self.seed is not None:
            source = GeneratedClicks(spec, self.stop, self.seed)
        else:
            gone = next((file for file in self.files if not file.is_file()), None)
            if gone is not None:
                raise ClickError(f"{gone}, which the run was trained or evaluated on, is no longer there")
            source = FileClicks(
                self.files,
                spec,
                self.label,
                multiline=self.multiline,
                missing=self.missing,
                timestamps=self.timestamps,
                group=self.group,
                time=self.time,
            )
            if source.identity != self.identity:
                raise ClickError(f"{source.description} has changed since the run was trained or evaluated on it")
            if self.split:
                source = Filtered(source, self.split, self.part, self.stop)
        return Rows(source, self.start, self.stop)


def origin(rows: Rows) -> Origin | None:
    """Where rows come from; None for a source of another kind than ours."""
    match rows.source:
        case GeneratedClicks(seed=seed):
            return Origin(seed=seed, identity=rows.source.identity, start=rows.start, stop=rows.stop)
        case FileClicks() as files:
            return _of_files(files, rows)
        case (
            Filtered(whole=files, split=split, part=part)
            | Selection(whole=CachedClicks(source=files), split=split, part=part)
        ):
            return _of_files(files, rows).model_copy(update={"split": split, "part": part})
    return None


def _of_files(source: FileClicks, rows: Rows) -> Origin:
    return Origin(
        files=tuple(file.absolute() for file in source.files),  # their folders' names may give columns
        label=source.label,
        multiline=source.multiline,
        missing=source.options.missing,
        timestamps=source.options.timestamps,
        group=source.group,
        time=source.time,
        identity=source.identity,
        start=rows.start,
        stop=rows.stop,
    )
