"""What is said of a trade-off while it goes on and at its end."""

import sys
from collections.abc import Mapping

from thimble.export.report.numbers import duration
from thimble.export.tradeoff.advice import advice
from thimble.export.tradeoff.carry_out import State
from thimble.export.tradeoff.findings import Finding, findings
from thimble.export.tradeoff.grid import Run
from thimble.export.tradeoff.outcomes import Folder
from thimble.export.tradeoff.page import called, tradeoff_page
from thimble.export.tradeoff.table import lines, table
from thimble.export.training.checkpoint import RunConfig
from thimble.export.wording import counted, listed, size


class Shown:
    """The page in the folder of a trade-off, and what is printed."""

    def __init__(self, folder: Folder, config: RunConfig, allowed: float) -> None:
        """`allowed` is how far the AUC may be below that of full tables."""
        self._folder, self._config, self._allowed = folder, config, allowed

    def changed(self, state: State, ended: Mapping[Run, str | None]) -> None:
        """Print a line for each run that has ended, and have the page show what there is."""
        for run, failed in ended.items():
            print(f"{called(run)}: {f'failed, {failed}' if failed else _line(state, run)}", flush=True)
        self.page(state)

    def page(self, state: State) -> None:
        """Write it. Where that cannot be done it is said, and the runs go on."""
        try:
            tradeoff_page(self._config, state, self._found(state), self._allowed).write(self._folder.page)
        except OSError as error:
            print(f"{self._folder.page}: it cannot be written ({error.strerror}), but runs go on", file=sys.stderr)

    def lines(self, state: State) -> list[str]:
        """The table, what was left out, and what it all comes to."""
        found = self._found(state)
        said = lines(table(found, state.outcomes[0].metrics if state.outcomes else None, self._allowed))
        if state.left_out:
            names = listed([called(run) for run in state.left_out])
            said.append(f"left out for want of time ({counted(len(state.left_out), 'run')}): {names}")
        advised = advice(found, self._allowed, len(state.untrained), len(state.left_out))
        return [*said, f"report: {self._folder.page}", f"advice: {advised.line}"]

    def _found(self, state: State) -> list[Finding]:
        return findings(state.outcomes, self._folder.step_times(), self._allowed, self._config.validation_rows)


def _line(state: State, run: Run) -> str:
    outcome = next(it for it in state.outcomes if it.run == run)
    return f"AUC {outcome.metrics.auc:.4f}, {size(outcome.embedding_bytes)}, {duration(outcome.whole_seconds)}"
