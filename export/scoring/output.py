"""Which files may be written, which is said before hours go into what is to be in them."""

from collections.abc import Collection, Iterable
from pathlib import Path
from tempfile import TemporaryFile


class OutputError(ValueError):
    """A file that cannot be written as asked."""


def require_output(output: Path, what: str, suffixes: Collection[str], sources: Iterable[Path]) -> None:
    """OutputError: `what` goes into files of other names, there is no file, or it is one of those that are read."""
    if output.suffix.lower() not in suffixes:
        raise OutputError(f"{output}: {what} written as {' or '.join(suffixes)}")
    if output.exists() and not output.is_file():
        raise OutputError(f"{output}: a folder, a pipe or a device, not a file")
    if output.exists() and any(output.samefile(source) for source in sources):
        raise OutputError(f"{output} is one of the files to be read")


def make_folder_of(output: Path) -> None:
    """OutputError: no file can be written there. OSError: there can be no such folder."""
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        TemporaryFile(dir=output.parent).close()
    except OSError as error:
        raise OutputError(f"{output}: {error.strerror}") from None
