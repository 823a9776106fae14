"""ROBE arrays that are none, or of which more has to be said: one sentence, and nothing is written."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.export.conftest import Run
from tests.export.importing.reference import FIELDS, SIZED, Dlrm, made_dlrm, robe, save, write_features


def robe_state(dlrm: Dlrm) -> dict[str, torch.Tensor]:
    return robe(dlrm, torch.randn(113), 50)


def other_numbers(state: dict[str, torch.Tensor]) -> None:
    state["emb_l.2.random_numbers"] = state["emb_l.2.random_numbers"] + 1


def own_prime(state: dict[str, torch.Tensor]) -> None:
    for field in range(4):
        state[f"emb_l.{field}.random_numbers"] = torch.arange(51)


def trained_apart(state: dict[str, torch.Tensor]) -> None:
    state["emb_l.1.weight"] = state["hashed_weight"] + 1


@pytest.mark.parametrize(
    ("change", "fields", "chunk", "sentence"),
    [
        (None, SIZED, [], "hashed_weight does not say how many weights of it lie together (Z, uma_chunk_size)"),
        (None, FIELDS, ["--chunk", 4], "f.yaml does not say how many rows C1 had"),
        (
            None,
            [*SIZED[:3], "{name: C4, kind: hex, table_rows: 3}"],
            ["--chunk", 4],
            "C4 of a ROBE model takes row numbers",
        ),
        (None, SIZED, ["--chunk", 113], "memory_length 113 must exceed chunk_size 113"),
        (other_numbers, SIZED, ["--chunk", 4], "emb_l.2.random_numbers differ, so their tables are read by other maps"),
        (own_prime, SIZED, ["--chunk", 4], "are 51 numbers, the first 0; the authors' maps have 51 or 11"),
        (
            trained_apart,
            SIZED,
            ["--chunk", 4],
            "emb_l.1.weight and robe.pt: hashed_weight differ, so the tables share no array",
        ),
    ],
)
def test_a_robe_array_that_is_none_or_of_which_more_has_to_be_said(
    run: Run,
    tmp_path: Path,
    change: Callable[[dict[str, torch.Tensor]], None] | None,
    fields: list[str],
    chunk: list[object],
    sentence: str,
) -> None:
    state = robe_state(made_dlrm())
    if change:
        change(state)
    save(state, "robe.pt")
    features = write_features(tmp_path / "f.yaml", fields)

    said = run("import", "robe.pt", "--format", "robe", "--features", features, *chunk)

    assert said.status == 1 and sentence in said.err and said.err.count("\n") == 1
    assert not (tmp_path / "artifacts").exists()
