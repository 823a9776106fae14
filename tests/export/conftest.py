import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from testing.samples import SCHEMES, small_spec
from thimble.export.cli import main
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import Parts, Rows
from thimble.export.training.recipe import Recipe
from thimble.export.training.train import train


class Said(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """The console script, in the test's own folder."""
    monkeypatch.chdir(tmp_path)

    def say(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["thimble-export", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, said.out, said.err)

    return say


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished training run of every scheme: 3 numbers, 7 fields of text."""
    folder = tmp_path_factory.mktemp("runs")
    clicks = folder / "clicks"
    rows = (
        [
            str(i % 3 // 2),
            str(i % 11),
            "" if i % 4 == 0 else f"{i / 7:.3f}",
            f"-{i}",
            *(f"é{i % n}" for n in range(2, 9)),
        ]
        for i in range(1, 301)
    )
    clicks.write_text("".join("\t".join(row) + "\n" for row in rows))
    for scheme in SCHEMES:
        spec = small_spec(scheme)
        source = FileClicks([clicks], spec)
        train(spec, Parts(Rows(source, 0, 250), Rows(source, 250, 300)), Recipe(batch_size=50), folder / scheme)
    return {scheme: folder / scheme for scheme in SCHEMES}
