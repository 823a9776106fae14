"""Values of metrics that several processes have in common, in files that each of them reads.

The files are those of prometheus_client, whose collector adds them up. Its own values know no end: a label that was
counted once stays in a process and in its file, and each process that dies leaves its files behind. Here labels can be
dropped, and a process goes by a name, so that the one that takes its place goes on from what it had counted.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import RLock
from typing import Any

from prometheus_client.mmap_dict import MmapedDict, mmap_key

Labels = Mapping[str, str]


class Files:
    """The files of this process, one for each kind of metric."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """Each process has files of its own."""
        self.lock = RLock()  # a signal's handler may count while its thread is in here
        self._files: dict[str, MmapedDict] = {}
        self._name = str(os.getpid())

    def take_over(self, name: str) -> None:
        """Go by this name, and on from what a process that went by it had counted. No two may at a time."""
        with self.lock:
            for file in self._files.values():
                file.close()  # type: ignore[no-untyped-call]
            self._files.clear()
            self._name = name
            for path in self._folder.glob(f"*_{name}.db"):
                self.of(path.name.removesuffix(f"_{name}.db"))

    def of(self, kind: str) -> MmapedDict:
        """The file of a kind. Call it with the lock."""
        if kind not in self._files:
            self._files[kind] = MmapedDict(str(self._path(kind)))  # type: ignore[no-untyped-call]
        return self._files[kind]

    def labels(self) -> Iterator[Labels]:
        """Of all that this process has counted."""
        with self.lock:
            for file in self._files.values():
                for key, _, _ in file.read_all_values():  # type: ignore[no-untyped-call]
                    yield _labels(key)

    def drop(self, dropped: Callable[[Labels], bool]) -> None:
        """Write the files anew, without what has these labels. OSError: not all could be; the rest is as it was."""
        with self.lock:
            for kind, old in [*self._files.items()]:
                path = self._path(kind)
                written = path.with_suffix(".new")
                written.unlink(missing_ok=True)
                new = MmapedDict(str(written))  # type: ignore[no-untyped-call]
                try:
                    for key, value, time in old.read_all_values():  # type: ignore[no-untyped-call]
                        if not dropped(_labels(key)):
                            new.write_value(key, value, time)  # type: ignore[no-untyped-call]
                    written.replace(path)
                except OSError:
                    new.close()  # type: ignore[no-untyped-call]
                    raise
                self._files[kind] = new
                old.close()  # type: ignore[no-untyped-call]

    def _path(self, kind: str) -> Path:
        return self._folder / f"{kind}_{self._name}.db"


def _labels(key: str) -> Labels:
    labels: Labels = json.loads(key)[2]
    return labels


def shared_value(files: Files) -> type:
    """What metrics keep their values in, where these are in files: prometheus_client's `values.ValueClass`."""

    class SharedValue:
        _multiprocess = True

        def __init__(
            self,
            typ: str,
            metric_name: str,
            name: str,
            labelnames: list[str],
            labelvalues: list[str],
            help_text: str,
            multiprocess_mode: str = "",
            **_: Any,
        ) -> None:
            self._kind = f"{typ}_{multiprocess_mode}" if typ == "gauge" else typ
            self._key = mmap_key(metric_name, name, labelnames, labelvalues, help_text)
            self.get()  # it is 0 from now on

        def inc(self, amount: float) -> None:
            with files.lock:
                file = files.of(self._kind)
                before = file.read_value(self._key)[0]  # type: ignore[no-untyped-call]
                file.write_value(self._key, before + amount, 0.0)  # type: ignore[no-untyped-call]

        def set(self, value: float, timestamp: float | None = None) -> None:
            with files.lock:
                files.of(self._kind).write_value(self._key, value, timestamp or 0.0)  # type: ignore[no-untyped-call]

        def get(self) -> float:
            with files.lock:
                value: float = files.of(self._kind).read_value(self._key)[0]  # type: ignore[no-untyped-call]
                return value

        def set_exemplar(self, _: object) -> None:
            """There are none in files."""

        def get_exemplar(self) -> None:
            """There are none in files."""

    return SharedValue
