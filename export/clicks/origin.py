"""Where the rows of a finished run can be read again."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import ClickError, ClickSource, Rows
from thimble.models.spec import ModelSpec


class Origin(BaseModel):
    """A range of rows of files, or of the clicks generated from a seed."""

    model_config = ConfigDict(frozen=True)

    files: tuple[Path, ...] = ()
    label: str = "label"
    multiline: bool = False
    missing: frozenset[str] = frozenset()
    timestamps: bool = False
    group: str | None = None
    time: str | None = None
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
        return Rows(source, self.start, self.stop)


def origin(rows: Rows) -> Origin | None:
    """Where rows come from; None for a source of another kind than ours."""
    identity = rows.source.identity
    match rows.source:
        case FileClicks(files=files, label=label, multiline=multiline, options=options, group=group, time=time):
            return Origin(
                files=tuple(file.absolute() for file in files),  # their folders' names may give columns
                label=label,
                multiline=multiline,
                missing=options.missing,
                timestamps=options.timestamps,
                group=group,
                time=time,
                identity=identity,
                start=rows.start,
                stop=rows.stop,
            )
        case GeneratedClicks(seed=seed):
            return Origin(seed=seed, identity=identity, start=rows.start, stop=rows.stop)
    return None
