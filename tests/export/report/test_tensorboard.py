from pathlib import Path

import pytest

from tests.export.report.pages import HISTORY, scalars
from thimble.export.report.tensorboard import tensorboard
from thimble.export.training.errors import RunError


def test_points_are_written_as_they_come(tmp_path: Path) -> None:
    with tensorboard(tmp_path) as follow:
        follow(HISTORY[:2])
        assert scalars(tmp_path)["loss/training"] == [(100, 0.5), (200, 0.4)]
        follow(HISTORY)
        follow(HISTORY)
    assert scalars(tmp_path) == {
        "loss/training": [(100, 0.5), (200, 0.4), (300, 0.3), (400, 0.2)],
        "loss/validation": [(200, 0.45), (300, 0.44), (400, 0.43)],
        "AUC/validation": [(200, 0.7), (300, 0.71), (400, 0.72)],
    }


def test_a_run_that_goes_on_shows_no_point_twice_and_misses_none(tmp_path: Path) -> None:
    with tensorboard(tmp_path) as follow:
        follow(HISTORY)
    with tensorboard(tmp_path) as follow:  # killed after the second point's checkpoint
        follow(HISTORY[:2])
        assert scalars(tmp_path)["loss/training"] == [(100, 0.5), (200, 0.4)]
        follow(HISTORY)
    assert scalars(tmp_path)["loss/training"] == [(100, 0.5), (200, 0.4), (300, 0.3), (400, 0.2)]


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = r"file/events: TensorBoard's events cannot be written: Not a directory$"
    with pytest.raises(RunError, match=said), tensorboard(tmp_path / "file" / "events"):
        pass
