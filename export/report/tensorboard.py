"""How a run goes, as events that TensorBoard shows."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from thimble.export.training.errors import RunError
from thimble.export.training.history import Point

MODULES = [
    "tensorboard.compat.proto.event_pb2",
    "tensorboard.compat.proto.summary_pb2",
    "tensorboard.summary.writer.record_writer",
]
SCALARS = {"loss/training": "loss", "loss/validation": "log_loss", "AUC/validation": "auc"}

Follow = Callable[[Sequence[Point]], None]


def require_tensorboard() -> None:
    """RunError: it is not installed."""
    try:
        for module in MODULES:
            import_module(module)
    except ImportError:
        raise RunError("--tensorboard needs a package: pip install 'thimble-ctr[tensorboard]'") from None


@contextmanager
def tensorboard(folder: Path) -> Iterator[Follow]:
    """What writes the points of a history that are new, by the number of rows trained on. It may raise OSError.

    A run that goes on writes its whole history anew into a file of its own, which tells readers to forget what files
    before it say: points after the last checkpoint are not shown twice, and those that a crash lost are there.
    PyTorch's SummaryWriter would write from a thread, which cannot say that a disk is full.
    RunError: TensorBoard is not installed, or the folder cannot be written to.
    """
    require_tensorboard()
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    def write(moment: float, rows: int, **what: object) -> None:
        records.write(Event(wall_time=moment, step=rows, **what).SerializeToString())

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / f"events.out.tfevents.{time.time_ns()}").open("xb")  # files are read in the order of names
    except OSError as error:
        raise RunError(f"{folder}: TensorBoard's events cannot be written: {error.strerror}") from None
    records = RecordWriter(file)
    write(time.time(), 0, file_version="brain.Event:2")
    write(time.time(), 0, session_log=SessionLog(status=SessionLog.START))  # from this step on all is new
    written = 0

    def follow(history: Sequence[Point]) -> None:
        nonlocal written
        now = time.time()
        for point in history[written:]:
            moment = now - (history[-1].seconds - point.seconds)  # as if the run had never paused
            known = [(tag, getattr(point, name)) for tag, name in SCALARS.items()]
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in known if value is not None]
            write(moment, point.rows, summary=Summary(value=values))
        written = len(history)
        file.flush()

    try:
        yield follow
    finally:
        with suppress(OSError):  # which the last call said
            file.close()
