"""Real runs in real processes, on a few generated clicks."""

import os
import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from testing.clicks import ClicksInMemory
from testing.samples import small_spec
from tests.export.tradeoff.made_up import SMALL, block, grid, outcome, small_parts
from thimble.export.clicks.rows import Clicks, Parts, Rows
from thimble.export.tradeoff import carry_out as module
from thimble.export.tradeoff.carry_out import Limits, State, carry_out
from thimble.export.tradeoff.findings import findings
from thimble.export.tradeoff.grid import FULL, Grid, Run, Setting
from thimble.export.tradeoff.memory import PROCESS_BYTES, available_bytes, run_bytes
from thimble.export.tradeoff.outcomes import Folder, Outcome, StepTime
from thimble.export.tradeoff.worker import Task
from thimble.export.training.errors import RunError
from thimble.export.training.recipe import Recipe

ROWS = 300
HOT = block(10, 4).model_copy(update={"hot_rows": True})
GRID = grid(10, 100, seeds=1, chunks=(4,))
TWO = grid(10, seeds=1, chunks=(4,))
FULL_RUN, BLOCK_RUN = Run(Setting(scheme=FULL), 0), Run(block(10, 4), 0)


def task_in(folder: Path, rows: int = ROWS) -> Task:
    return Task(SMALL, partial(small_parts, rows), Recipe(batch_size=100, epochs=2), folder)


def done(
    task: Task, jobs: int = 2, seconds: float = 200, of: Grid = GRID
) -> tuple[State, list[Mapping[Run, str | None]]]:
    news: list[Mapping[Run, str | None]] = []
    with Folder(task.folder).alone(task.config(task.open_parts())):
        state = carry_out(task, of, 0.5, Limits(seconds, jobs), ROWS, lambda state, ended: news.append(dict(ended)))
    return state, news


def test_full_tables_and_models_are_trained_side_by_side_and_timed(tmp_path: Path) -> None:
    task = task_in(tmp_path / "new" / "folder")
    state, news = done(task)
    assert not state.failed and not state.left_out
    runs = {it.run: it for it in state.outcomes}
    assert set(runs) == {Run(setting, 0) for setting in GRID.settings}
    assert sum(map(len, news)) == 3
    for run, it in runs.items():
        assert it.metrics.rows == 400 and it.metrics.auc is not None
        assert it.rows == it.epochs * ROWS and 0 <= it.seconds <= it.whole_seconds
        assert [point.rows for point in it.history][-1] <= 2 * ROWS
        assert not Folder(task.folder).run_folder(run).exists(), "checkpoints go once a run is finished"
    assert runs[BLOCK_RUN].embedding_bytes == SMALL.full_table_bytes // 10 // 16 * 16
    times = Folder(task.folder).step_times()
    assert {it.setting for it in times} == set(GRID.compressed) and all(it.seconds > 0 for it in times)
    assert all(it.step for it in findings(state.outcomes, times, 0.1, 200))

    before = {path: path.stat().st_mtime_ns for path in task.folder.rglob("*.json")}
    again, news = done(task)
    assert again.outcomes == sorted(state.outcomes, key=lambda it: it.run.key) and news == [{}]
    assert {path: path.stat().st_mtime_ns for path in task.folder.rglob("*.json")} == before


def test_a_run_that_fails_takes_nothing_along_and_is_tried_again(tmp_path: Path) -> None:
    task = task_in(tmp_path)
    in_the_way = Folder(tmp_path).run_folder(BLOCK_RUN)
    in_the_way.parent.mkdir()
    in_the_way.write_text("no folder")
    state, news = done(task)
    assert list(state.failed) == [BLOCK_RUN] and "File exists" in state.failed[BLOCK_RUN]
    assert len(state.outcomes) == 2 and any(ended.get(BLOCK_RUN) for ended in news)
    in_the_way.unlink()
    state, _ = done(task)
    assert not state.failed and len(state.outcomes) == 3


def test_hot_rows_take_no_more_bytes_and_have_a_curve_of_their_own(tmp_path: Path) -> None:
    task = task_in(tmp_path)
    spec, keys = task.model_of(HOT, 0, task.open_parts().training)
    plain, none = task.model_of(block(10, 4), 0, task.open_parts().training)
    assert keys is not None and none is None and spec.embedding_bytes <= plain.embedding_bytes
    assert HOT.curve != block(10, 4).curve and HOT.key == "block-fp32-chunk4-10x-hot"
    state, _ = done(task, of=Grid([Setting(scheme=FULL)], [HOT], 1))
    assert not state.failed and len(state.outcomes) == 2


@dataclass
class Deadly(ClicksInMemory):
    """Clicks that send a signal to whoever reads them once a checkpoint is there."""

    saved: Path = Path()
    number: signal.Signals = signal.SIGKILL

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        if self.saved.exists():
            os.kill(os.getpid(), self.number)
        return super().read(start, stop, size)


def deadly_parts(saved: Path, number: signal.Signals) -> Parts:
    parts = small_parts(ROWS)
    source = parts.training.source
    assert isinstance(source, ClicksInMemory)
    deadly = Deadly(source.clicks, saved=saved, number=number)
    return parts._replace(training=Rows(deadly, parts.training.start, parts.training.stop))


def ended_by(number: signal.Signals, task: Task) -> str:
    """Why the run of a compressed model failed whose process got a signal after its first checkpoint."""
    saved = Folder(task.folder).run_folder(BLOCK_RUN) / "checkpoint.pt"
    state, news = done(replace(task, open_parts=partial(deadly_parts, saved, number)), jobs=1, of=TWO)
    assert saved.exists() and [it.run for it in state.outcomes] == [FULL_RUN] and list(state.failed) == [BLOCK_RUN]
    assert {BLOCK_RUN: state.failed[BLOCK_RUN]} in news
    return state.failed[BLOCK_RUN]


def test_a_run_that_is_killed_goes_on_and_ends_as_it_would_have(tmp_path: Path) -> None:
    task, whole = task_in(tmp_path / "killed"), task_in(tmp_path / "whole")
    assert ended_by(signal.SIGKILL, task) == "its process was ended by SIGKILL, as where memory runs out"
    done(task, of=TWO)
    done(whole, of=TWO)
    assert timeless(Folder(task.folder)) == timeless(Folder(whole.folder))
    assert len(Folder(task.folder).outcomes()) == 2


def test_a_run_that_somebody_else_stops_is_told_and_not_begun_at_once(tmp_path: Path) -> None:
    assert ended_by(signal.SIGTERM, task_in(tmp_path)) == "its process was asked to stop, and not by this one"


def timeless(folder: Folder) -> list[Outcome]:
    """All that does not depend on the clock."""
    return [
        it.model_copy(
            update={
                "history": [point.model_copy(update={"seconds": 0}) for point in it.history],
                "seconds": 0,
                "whole_seconds": 0,
            }
        )
        for it in folder.outcomes()
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_wants_an_end_has_what_there_is(number: signal.Signals, tmp_path: Path) -> None:
    task, seen = task_in(tmp_path), 0

    def stopped_after_one(state: State, ended: Mapping[Run, str | None]) -> None:
        nonlocal seen
        seen = len(state.outcomes)
        if ended:
            os.kill(os.getpid(), number)

    with Folder(tmp_path).alone(task.config(task.open_parts())), pytest.raises(KeyboardInterrupt):
        carry_out(task, TWO, 0.5, Limits(200, 1), ROWS, stopped_after_one)
    assert seen == len(Folder(tmp_path).outcomes()) == 1
    assert len(done(task, of=TWO)[0].outcomes) == 2


def test_when_the_time_is_over_nothing_is_under_way(tmp_path: Path) -> None:
    state, _ = done(task_in(tmp_path, rows=500_000), seconds=1, jobs=1)
    assert not state.outcomes and not state.failed and len(state.left_out) == 3
    assert state.untrained == GRID.settings


def test_steps_that_there_was_no_time_for_are_told_and_timed_next(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    task = task_in(tmp_path)
    folder = Folder(tmp_path)
    with folder.alone(task.config(task.open_parts())):
        for setting in TWO.settings:
            folder.add_outcome(outcome(Run(setting, 0)))
    done(task, seconds=0, of=TWO)
    assert capfd.readouterr().err == "steps of 1 model are not timed yet; the same command goes on\n"
    done(task, of=TWO)
    assert len(folder.step_times()) == 1 and capfd.readouterr().err == ""


def test_time_for_steps_is_kept_only_where_some_are_not_timed(tmp_path: Path) -> None:
    task, left = task_in(tmp_path), []
    folder = Folder(tmp_path)
    with folder.alone(task.config(task.open_parts())):
        for _ in range(2):
            work = module._Work(task, TWO, 0.5, Limits(1000, 1), ROWS, lambda *_: None, Event())
            left.append(work.runs_end - work.end)
            folder.add_step_time(StepTime(setting=block(10, 4), seconds=1, full_seconds=1))
    assert left == [pytest.approx(-100), 0]


def test_what_memory_has_no_room_for_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_bytes", lambda: 1_000_000)
    state, _ = done(task_in(tmp_path))
    assert [it.run for it in state.outcomes] == [FULL_RUN], "how large full tables are nobody knows before"
    assert all("it needs about 600." in reason and "1.0 MB are free" in reason for reason in state.failed.values())
    assert len(state.failed) == 2


def test_a_folder_is_for_one_process_and_one_choice_of_rows(tmp_path: Path) -> None:
    task = task_in(tmp_path)
    config = task.config(task.open_parts())
    own, other = Folder(tmp_path), task_in(tmp_path, rows=310)
    with (
        own.alone(config) as notes,
        pytest.raises(RunError, match="another process works there"),
        Folder(tmp_path).alone(config),
    ):
        pass
    assert not notes
    another = r"holds the runs of another trade-off \(.*train_rows.* differ\); choose another --run"
    with pytest.raises(RunError, match=another), own.alone(other.config(other.open_parts())):
        pass
    kept = tmp_path / "tradeoff.json"
    kept.write_text(kept.read_text().replace('"tool": "thimble ', '"tool": "thimble 0'))
    with own.alone(config) as notes:
        assert len(notes) == 1 and re.search(r" was begun by thimble 0\d.*, and this is thimble \d", notes[0])
    (tmp_path / "outcomes" / "full-seed0.json").write_text('{"setting":')
    with pytest.raises(RunError, match=r"full-seed0.json: damaged, .* remove it and try again"), own.alone(config):
        pass


def test_what_is_stored_in_few_bits_is_trained_in_float32() -> None:
    base = small_spec(rows=1_000_000)
    sizes = {
        precision: run_bytes(base, Run(block(10).model_copy(update={"precision": precision}), 0), 1000) - PROCESS_BYTES
        for precision in ("fp32", "int4")
    }
    assert sizes["fp32"] == 3 * base.full_table_bytes // 10 and sizes["int4"] == 8 * sizes["fp32"]
    full = run_bytes(base, FULL_RUN, 1000) - PROCESS_BYTES
    assert full == 3 * 7 * 502 * 20 * 4, "of a thousand rows no more than 500 ids come twice"


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    5 kB\n"}, 5120),
        ({"proc/meminfo": "MemAvailable: 5 kB\n", "sys/fs/cgroup/memory.max": "max\n"}, 5120),
        (
            {
                "proc/meminfo": "MemAvailable: 5 kB\n",
                "sys/fs/cgroup/memory.max": "3000\n",
                "sys/fs/cgroup/memory.current": "1000\n",
            },
            2000,
        ),
    ],
)
def test_memory_is_what_the_machine_and_the_container_have_left(
    files: dict[str, str], available: int | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_bytes(tmp_path) == available
