"""What a cache of click files says of itself: whose rows it holds, and how far it has come."""

import json
from pathlib import Path

import xxhash
from pydantic import BaseModel, ConfigDict

from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError
from thimble.models.heads import Heads
from thimble.models.inputs import Feature
from thimble.models.labels import LabelColumns
from thimble.models.publishing import replaced

# Another number for another form of the files, so that a cache of an older one is written anew.
VERSION = 2
_NAME = "manifest.json"


class CachedFile(BaseModel):
    """A click file as it was when it was read."""

    model_config = ConfigDict(frozen=True)

    path: str
    real_path: str
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> "CachedFile":
        """OSError: it is not there."""
        status = path.stat()
        return cls(
            path=str(path.absolute()),  # its folders' names may give columns
            real_path=str(path.resolve()),
            size=status.st_size,
            modified_ns=status.st_mtime_ns,
        )

    def is_unchanged(self) -> bool:
        try:
            return CachedFile.of(Path(self.path)) == self
        except OSError:
            return False


class Contents(BaseModel):
    """Whose rows a cache holds: of these files, read so."""

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    files: tuple[CachedFile, ...]
    features: tuple[tuple[str, str] | tuple[str, str, str], ...]
    label: LabelColumns
    heads: Heads = ()
    multiline: bool
    missing: tuple[str, ...]
    timestamps: bool
    group: str | None
    time: str | None

    @classmethod
    def of(cls, source: FileClicks) -> "Contents":
        """ClickError: a file is not there any more."""
        try:
            files = tuple(map(CachedFile.of, source.files))
        except OSError as error:
            raise ClickError(f"{error.filename}: {error.strerror}") from None
        return cls(
            files=files,
            features=tuple(map(_as_read, source.spec.features)),
            label=source.label,
            heads=source.spec.heads,
            multiline=source.multiline,
            missing=tuple(sorted(source.options.missing)),
            timestamps=source.options.timestamps,
            group=source.group,
            time=source.time,
        )

    @property
    def fingerprint(self) -> str:
        return xxhash.xxh3_64_hexdigest(_json(self).encode())


class Shard(BaseModel):
    """A file of a cache: rows up to, not including, number `stop` of the click files."""

    model_config = ConfigDict(frozen=True)

    name: str
    rows: int
    size: int
    stop: int


class Manifest(BaseModel):
    """Which shards are whole. `file_rows` of each click file, bad ones included, are known when all are read.

    `bad` are the first bad rows, as `BadRows` names them.
    """

    model_config = ConfigDict(frozen=True)

    contents: Contents
    shards: tuple[Shard, ...] = ()
    bad: dict[str, str] = {}
    file_rows: tuple[int, ...] | None = None

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def size(self) -> int:
        """Bytes of the shards."""
        return sum(shard.size for shard in self.shards)

    @property
    def stop(self) -> int:
        """The row of the click files with which reading goes on."""
        return self.shards[-1].stop if self.shards else 0

    def save(self, folder: Path) -> None:
        """In one step. OSError."""
        with replaced(folder / _NAME, folder / f".{_NAME}") as partial:
            partial.write_text(_json(self))

    @classmethod
    def load(cls, folder: Path) -> "Manifest | None":
        """None where there is none, or it is damaged."""
        try:
            return cls.model_validate(json.loads((folder / _NAME).read_text()))
        except (OSError, ValueError):
            return None


def _as_read(feature: Feature) -> tuple[str, str] | tuple[str, str, str]:
    """Its name, its kind, and how bags are read, which is the same whatever becomes of their embeddings."""
    name, kind, bag = feature
    return (name, kind) if bag is None else (name, kind, f"{bag.keep} {bag.values}, separated by {bag.separator}")


def _json(model: BaseModel) -> str:
    """Its JSON, in which names of files may be any bytes: pydantic's own writer takes UTF-8 alone."""
    return json.dumps(model.model_dump(mode="json"))
