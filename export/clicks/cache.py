"""Click files are read once: what is read is written into a folder, in which later runs find it.

The folder of a cache is called by the fingerprint of its contents. Shards appear in it one by one as the files are
read, and after each one the manifest names it. So whatever stops the reading, what the manifest names is whole, and
reading goes on behind it.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from thimble.export.clicks.cache_manifest import Contents, Manifest, Shard
from thimble.export.clicks.cached import CachedClicks
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError, Clicks, rebatched
from thimble.export.clicks.shards import open_shard, write_shard
from thimble.models.files import is_utf8

SHARD_ROWS = 1 << 17

Say = Callable[[str], object]


def cached(source: FileClicks, folder: Path, say: Say = lambda _: None) -> CachedClicks:
    """The rows of files from their cache in a folder, written or finished first; `source.bad` knows the others.

    One process writes a cache, and others that want it wait. Caches of the files as they were before are removed.
    ClickError: a file cannot be read, or the cache not be written; a row is bad and is not to be.
    """
    if not is_utf8(folder):
        raise ClickError(f"{folder}: Arrow cannot read from a folder whose name is not UTF-8; choose another --cache")
    contents = Contents.of(source)
    own = folder / contents.fingerprint
    try:
        with _alone(own, say):
            manifest = _whole(own, contents)
            _know_bad_rows(source, manifest)
            if manifest.file_rows is None:
                gone_on = f", from row {manifest.stop + 1:,} on" if manifest.shards else ""
                say(f"reading {source.description} once{gone_on}, into {own}")
                manifest = _fill(own, manifest, source)
                _remove_outdated(folder, contents)
            else:
                source.know_counts(manifest.file_rows)
            shards = [open_shard(own / shard.name) for shard in manifest.shards]
    except OSError as error:
        way_out = "--cache FOLDER puts it elsewhere, and --no-cache does without"
        raise ClickError(f"{own}: the cache cannot be written: {error.strerror or error}; {way_out}") from None
    return CachedClicks(source, own, shards, manifest.size)


@contextmanager
def _alone(folder: Path, say: Say) -> Iterator[None]:
    """A folder, made if it is not there, to which no other process writes meanwhile. OSError."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"waiting for another process that writes {folder}")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if folder.exists() and os.path.samestat(folder.stat(), os.fstat(descriptor)):
                yield
                return  # or it was removed as outdated meanwhile
        finally:
            os.close(descriptor)


def _whole(folder: Path, contents: Contents) -> Manifest:
    """What is there of a cache: the shards before the first that is not whole."""
    manifest = Manifest.load(folder)
    if manifest is None or manifest.contents != contents:
        return Manifest(contents=contents)
    for number, shard in enumerate(manifest.shards):
        if not _is_whole(folder / shard.name, shard):
            return Manifest(contents=contents, shards=manifest.shards[:number], bad=manifest.bad)
    return manifest


def _is_whole(path: Path, shard: Shard) -> bool:
    try:
        if path.stat().st_size != shard.size:
            return False
        return len(open_shard(path)["label"]) == shard.rows
    except (OSError, pa.ArrowException, KeyError):
        return False


def _know_bad_rows(source: FileClicks, manifest: Manifest) -> None:
    """Tell of the bad rows among those that are not read again. ClickError: there are to be none."""
    stop = manifest.stop if manifest.file_rows is None else sum(manifest.file_rows)
    valued = [*source.labels, *source.spec.feature_names] if manifest.rows else []
    source.bad.found_before(stop - manifest.rows, manifest.bad, valued)


def _fill(folder: Path, manifest: Manifest, source: FileClicks) -> Manifest:
    """Read what is not in the cache yet. OSError, ClickError: what is whole then stays."""
    manifest.save(folder)
    whole = {shard.name for shard in manifest.shards}
    for path in folder.glob("*.arrow"):
        if path.name not in whole:
            path.unlink()
    with tqdm(initial=manifest.rows, desc="reading", unit=" rows", unit_scale=True, disable=None) as bar:
        blocks = (block._replace(raw=None) for block in source.blocks(manifest.stop))  # it holds the text of the file
        for clicks in rebatched(blocks, SHARD_ROWS):
            manifest = _with_shard(folder, manifest, source, clicks)
            bar.update(len(clicks.labels))
    if Contents.of(source) != manifest.contents:
        raise ClickError(f"{source.description} has changed while it was read; give the command again")
    manifest = manifest.model_copy(update={"file_rows": source.counts(), "bad": source.bad.first})
    manifest.save(folder)
    return manifest


def _with_shard(folder: Path, manifest: Manifest, source: FileClicks, clicks: Clicks) -> Manifest:
    assert clicks.places is not None
    name = f"{len(manifest.shards):05}.arrow"
    size = write_shard(folder / name, clicks)
    shard = Shard(name=name, rows=len(clicks.labels), size=size, stop=int(clicks.places[-1]) + 1)
    manifest = manifest.model_copy(update={"shards": (*manifest.shards, shard), "bad": source.bad.first})
    manifest.save(folder)
    return manifest


def _remove_outdated(folder: Path, contents: Contents) -> None:
    """Remove caches that can serve nobody any more: one of the files that have just been read was another then."""
    read = {file.real_path for file in contents.files}
    for other in folder.iterdir():
        manifest = Manifest.load(other)
        if manifest and any(file.real_path in read and not file.is_unchanged() for file in manifest.contents.files):
            shutil.rmtree(other, ignore_errors=True)
