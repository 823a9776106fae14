from pathlib import Path

import pytest

from testing.clicks import CLICK_SPEC, lines, write_lines
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError, split
from thimble.models.spec import ModelSpec


@pytest.fixture
def spec() -> ModelSpec:
    return CLICK_SPEC


def test_split(tmp_path: Path, spec: ModelSpec) -> None:
    source = FileClicks([write_lines(tmp_path / "a", lines(15))], spec)
    train, held_out, _ = split(source, share=0.1)
    assert (train.start, train.stop, held_out.start, held_out.stop) == (0, 13, 13, 15)
    apart = FileClicks([write_lines(tmp_path / "b", lines(4))], spec)
    train, held_out, _ = split(source, apart)
    assert (len(train), len(held_out)) == (15, 4)
    with pytest.raises(ClickError, match="c: 1 row is too few"):
        split(FileClicks([write_lines(tmp_path / "c", lines(1))], spec))
