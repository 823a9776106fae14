"""The list of benchmarks does not promise results that nobody has kept."""

import re
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
LINES = (BENCHMARKS / "README.md").read_text().splitlines()
# Those whose results are not called as the script is.
CALLED = {"quality.compare": "criteo-kaggle", "precision.compare": "criteo-tb", "operations.key_timing": "keys"} | {
    **{"serving.compare": "rivals", "serving.versions": "before-and-after", "gpu.run": "amd-epyc"},
    **{"deploy.rayserve": "ray", "serving.rivals.setup": "rivals"},
}


def scripts() -> list[tuple[str, str]]:
    """Each script of a line, and the line."""
    return [(name, line) for line in LINES for name in re.findall(r"python -m benchmarks\.([a-z_.]+)", line)]


@pytest.mark.parametrize(("script", "line"), scripts(), ids=[name for name, _ in scripts()])
def test_a_script_has_results_or_the_list_says_that_it_has_none(script: str, line: str) -> None:
    folder, name = script.split(".")[0], script.split(".")[-1]
    called = CALLED.get(script, name)
    kept = [file for it in {called, called.replace("_", "-")} for file in (BENCHMARKS / folder).glob(f"results/{it}*")]
    assert kept or "no results yet" in line
