"""Options that would do nothing are refused before anything is read."""

import pytest

from tests.export.conftest import Run
from tests.export.test_cli import refused

GENERATE = ["train", "--generate", "1000", "--preset", "demo"]
PRESET = ["train", "clicks.tsv", "--preset", "criteo-kaggle"]
IDS, NUMBERS = ["train", "clicks.csv", "--int", "user"], ["train", "clicks.csv", "--dense", "age"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([*GENERATE, "--held-out", "gone.csv"], "--generate reads no files: leave out --held-out"),
        ([*GENERATE, "--held-out-share", "0.2", "--in-order"], "leave out --held-out-share, --in-order"),
        ([*GENERATE, "--no-cache", "--cache", "x"], "leave out --cache, --no-cache"),
        ([*GENERATE, "--label", "l", "--strict", "--multiline"], "leave out --label, --strict, --multiline"),
        ([*GENERATE, "--missing", "-", "--timestamps"], "leave out --missing, --timestamps"),
        ([*GENERATE, "--embedding-dim", "99"], "--preset has sizes of its own: leave out --embedding-dim"),
        ([*PRESET, "--dense-arch", "8", "--over-arch", "8"], "leave out --dense-arch, --over-arch"),
        ([*PRESET, "--scheme", "full", "--memory", "9"], "--scheme full shares no array: leave out --memory"),
        ([*IDS, "--scheme", "full", "--chunk", "4"], "--scheme full shares no array: leave out --chunk"),
        ([*PRESET, "--arch", "dcnv2", "--cross-rank", "8"], "sizes of its own: leave out --cross-rank"),
        ([*IDS, "--cross-layers", "2"], "--arch dlrm has no such layers: leave out --cross-layers"),
        ([*IDS, "--arch", "deepfm", "--dense-arch", "8"], "--arch deepfm has no such layers: leave out --dense-arch"),
        ([*NUMBERS, "--arch", "mlp", "--cross-rank", "2"], "--arch mlp has no such layers: leave out --cross-rank"),
        ([*NUMBERS, "--arch", "mlp", "--embedding-dim", "4"], "no embeddings: leave out --embedding-dim"),
        ([*IDS, "--arch", "dcnv2", "--dense-arch", "8"], "a model of ids alone has no numbers: leave out --dense-arch"),
        ([*IDS, "--dense-arch", "8"], "a model of ids alone has no numbers: leave out --dense-arch"),
        ([*IDS, "--dense-transform", "criteo"], "leave out --dense-transform"),
        ([*NUMBERS, "--scheme", "full"], "a model of numbers alone has no embeddings: leave out --scheme"),
        ([*NUMBERS, "--memory", "9", "--chunk", "4"], "leave out --memory, --chunk"),
        (
            [*NUMBERS, "--held-out", "b.csv", "--held-out-share", "0.2"],
            "what to evaluate on: leave out --held-out-share",
        ),
        ([*NUMBERS, "--no-cache", "--cache", "x"], "--no-cache keeps nothing: leave out --cache"),
        (["untrained", "--preset", "demo", "--scheme", "full", "--memory", "9"], "shares no array: leave out --memory"),
    ],
)
def test_what_would_do_nothing_is_refused_in_one_sentence(run: Run, arguments: list[str], sentence: str) -> None:
    refused(run(*arguments), sentence)
