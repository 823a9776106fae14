"""Versions in a model repository, which appear at once and whole, and stay whatever happens to the machine."""

import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from thimble.export.artifact.graph import ExportError
from thimble.models.files import is_utf8
from thimble.models.publishing import make_folder, publish


@contextmanager
def new_version(repository: Path, name: str, number: int | None = None) -> Iterator[tuple[Path, Path]]:
    """A folder to be filled, and REPOSITORY/NAME/VERSION, by default the version after the newest, which it becomes.

    It has another name until it is complete and on disk, so a server that watches the repository never reads half a
    model, and a process or a machine that stops half-way leaves no version. ExportError: the version exists, or cannot
    be written, or nobody could read it.
    """
    model = repository / name
    if not is_utf8(model):
        raise ExportError(
            f"{model}: ONNX Runtime cannot read a file whose name is not UTF-8; choose another --repository"
        )
    made = make_folder(model)
    if number is None:
        number = max((int(p.name) for p in model.iterdir() if p.name.isdecimal()), default=0) + 1
    target = model / str(number)
    if target.exists():
        raise ExportError(f"{target} exists; a version is never overwritten, choose another --version")
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=model))
    try:
        with _terminated():
            yield partial, target
        partial.chmod(0o755)
        for file in partial.iterdir():
            file.chmod(0o644)  # onnx writes external data for its owner alone, and servers run as somebody else
        publish(partial, target)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        for folder in made:
            with suppress(OSError):  # another export may have written into it meanwhile
                folder.rmdir()
        if isinstance(error, OSError):
            raise ExportError(f"{target} cannot be written: {error.strerror or error}") from None
        raise


@contextmanager
def _terminated() -> Iterator[None]:
    """SIGTERM ends the process as an exception does, so that what was begun is taken away.

    Where somebody else sees to it, or in a thread that may not, all stays as it is.
    """
    own = threading.current_thread() is threading.main_thread()
    if not own or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
