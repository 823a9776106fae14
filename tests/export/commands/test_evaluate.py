import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from testing.data import DEMO
from tests.export.conftest import Run
from thimble.export.scoring.evaluate import read_spec


@pytest.fixture
def artifacts(tmp_path: Path) -> list[Path]:
    """The demo model, twice."""
    return [DEMO, Path(shutil.copy(DEMO, tmp_path / "copy.onnx"))]


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    """300 rows of 30 users, and one whose user is not known."""
    random = np.random.default_rng(0)
    names = read_spec(DEMO).feature_names
    lines = [",".join(["label", *names, "user"])]
    for row in range(301):
        values = [str(random.integers(20)) for _ in names]
        lines.append(",".join([str(int(random.random() < 0.3)), *values, f"u{row % 30}" if row < 300 else ""]))
    (tmp_path / "clicks.csv").write_text("\n".join([*lines, ""]))
    return tmp_path / "clicks.csv"


def test_groups_are_counted_and_have_an_auc_of_their_own(run: Run, artifacts: list[Path], clicks: Path) -> None:
    alone, grouped = run("evaluate", artifacts[0], clicks), run("evaluate", artifacts[0], clicks, "--group", "user")
    assert (alone.status, grouped.status) == (0, 0), grouped.err
    assert "within groups" not in alone.out
    assert ", AUC within groups 0." in grouped.out
    assert " of 31 groups, of one class, left out), log loss " in grouped.out
    assert alone.out.split()[1] == grouped.out.split()[1]  # the AUC itself


def test_a_report_compares_artifacts_on_the_same_rows(run: Run, artifacts: list[Path], clicks: Path) -> None:
    said = run("evaluate", artifacts[0], clicks, "--report", "new/page.html", "--compare", artifacts[1])
    assert said.status == 0, said.err
    first, second, last = said.out.splitlines()
    assert first.startswith("AUC 0.") and first.endswith(", 301 rows")
    assert second.startswith(f"{artifacts[1]}: AUC 0.") and second.endswith(", 301 rows")
    assert last == "report: new/page.html"
    page = Path("new/page.html").read_text()
    assert all(f"<td>{artifact}</td>" in page for artifact in artifacts)
    assert page.count("301") >= 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--group", "usr"], "no column 'usr'; there are"),
        (["--label", "clicked", "--group", "user"], "no column 'clicked'; there are"),
        (["--compare", "clicks.csv"], "clicks.csv: not an ONNX file"),
        (["--report", "clicks.csv/page.html"], "clicks.csv: File exists"),
        (["--report", "clicks.csv"], "clicks.csv: a report is written as .html"),
        (["--report", "folder.html"], "folder.html: a folder, a pipe or a device, not a file"),
        (["--report", "clicks.html"], "clicks.html is one of the files to be read"),
        (["--report", "copy.html", "--compare", "copy.html"], "copy.html is one of the files to be read"),
        (["--report", "/proc/page.html"], "/proc/page.html: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    options: list[str], sentence: str, run: Run, artifacts: list[Path], clicks: Path
) -> None:
    (clicks.parent / "folder.html").mkdir()
    for name, file in ("clicks.html", clicks), ("copy.html", artifacts[1]):
        os.link(file, clicks.parent / name)
    before = clicks.read_bytes(), artifacts[1].read_bytes()
    said = run("evaluate", artifacts[0], clicks, *options)
    assert (said.status, said.out, said.err.count("\n")) == (1, "", 1)  # nothing was scored
    assert (clicks.read_bytes(), artifacts[1].read_bytes()) == before
    assert sentence in said.err
    assert ("`--label` says" in said.err) == (options[0] == "--label")
