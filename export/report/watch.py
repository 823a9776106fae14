"""What can be looked at while a run goes on: its page, and TensorBoard's events where they are wanted."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from thimble.export.report.run import FinishedRun, run_page
from thimble.export.report.tables import BagFigures
from thimble.export.report.tensorboard import tensorboard
from thimble.export.training.checkpoint import Progress, RunConfig

PAGE = "report.html"
EVENTS = "tensorboard"


@contextmanager
def watched(
    folder: Path, compared: Sequence[FinishedRun], events: bool, bags: Mapping[str, BagFigures] | None = None
) -> Iterator[Callable[[RunConfig, Progress], None]]:
    """What writes a run as it stands into its folder; the page compares it with others.

    `bags` is what its rows have of them. A page or events that cannot be written do not end the run: that is said on
    stderr. RunError: `events` are wanted, and cannot be had from the first.
    """
    with ExitStack() as stack:
        follow = stack.enter_context(tensorboard(folder / EVENTS)) if events else None

        def watch(config: RunConfig, progress: Progress) -> None:
            try:
                run_page(config, progress, compared, bags).write(folder / PAGE)
                if follow:
                    follow(progress.history)
            except OSError as error:
                print(f"{folder}: the run cannot be shown ({error.strerror}), but goes on", file=sys.stderr)

        yield watch
