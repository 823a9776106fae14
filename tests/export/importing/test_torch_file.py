"""Files of torch.save's: values from where they lie, whoever packed the file, a sentence for all damage."""

import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thimble.export.importing.torch_file import load
from thimble.export.importing.weights import CheckpointError, Weight

Entries = dict[str, bytes]


def saved(path: Path, state: object, **options: Any) -> Path:
    torch.save(state, path, **options)
    return path


def packed(source: Path, target: Path, change: Callable[[Entries], Entries]) -> Path:
    """A zip file packed anew by somebody else, with other entries."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name, content in change({entry: old.read(entry) for entry in old.namelist()}).items():
            new.writestr(name, content)
    return target


def state() -> dict[str, torch.Tensor]:
    return {str(number): torch.full((5, 2), float(number)) for number in range(12)}


def test_values_are_looked_up_in_files_that_others_packed(tmp_path: Path) -> None:
    file = saved(tmp_path / "model.pt", state())

    other = packed(
        file, tmp_path / "other.pt", lambda entries: dict(sorted(entries.items(), key=lambda it: it[0][::-1]))
    )

    for number, weight in enumerate(load(other).values()):
        assert (weight.read() == number).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: entries | {"model/data/3": b"short"},
        lambda entries: {name: content for name, content in entries.items() if name != "model/data/3"},
        # the size 5 of a tensor in the pickle becomes 176
        lambda entries: (
            entries | {"model/data.pkl": entries["model/data.pkl"].replace(b"K\5K\2\x86", b"K\xb0K\2\x86", 1)}
        ),
    ],
)
def test_no_tensor_goes_beyond_its_own_values(tmp_path: Path, change: Callable[[Entries], Entries]) -> None:
    file = packed(saved(tmp_path / "model.pt", state()), tmp_path / "other.pt", change)
    with pytest.raises(CheckpointError, match=r"other\.pt is truncated or damaged"):
        load(file)


@pytest.mark.parametrize("older", [False, True])
def test_damage_of_any_kind_is_a_sentence_or_other_values(tmp_path: Path, older: bool) -> None:
    file = saved(tmp_path / "model.pt", state(), _use_new_zipfile_serialization=not older)
    whole = file.read_bytes()
    draw = random.Random(0)
    refused = 0
    for _ in range(100):
        damaged = bytearray(whole[: draw.choice([None, draw.randrange(len(whole))])])
        for _ in range(3):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        file.write_bytes(damaged)
        try:
            load(file)
        except CheckpointError as error:
            refused += 1
            assert str(error).startswith(str(file)) and "\n" not in str(error)
    assert refused > 20


def test_numbers_of_numpys_are_passed_over_whichever_numpy_wrote_them(tmp_path: Path) -> None:
    file = saved(tmp_path / "model.pt", {"accuracy": np.float64(0.5), "loss": np.float32(1), "weight": torch.ones(2)})

    def before_numpy_2(entries: Entries) -> Entries:
        return {name: it.replace(b"numpy._core.multiarray", b"numpy.core.multiarray") for name, it in entries.items()}

    for path in (file, packed(file, tmp_path / "old.pt", before_numpy_2)):
        assert (load(path)["weight"].read() == 1).all()


def within_itself() -> dict[str, object]:
    found: dict[str, object] = {}
    found["again"] = found
    return found


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (within_itself(), "has objects within objects without end"),
        ({"w": torch.empty(2, 2, device="meta")}, "w lies on the device meta, and has no values"),
        ({"w": torch._neg_view(torch.ones(2, 2))}, "w holds negated torch.float32"),
        ({"w": torch.ones(2, 2, dtype=torch.complex64)}, "w holds torch.complex64"),
        ({"w": torch.ones(2, 2).to(torch.float8_e4m3fn)}, "w holds torch.float8_e4m3fn"),
    ],
)
def test_what_has_no_values_to_be_read_is_refused(tmp_path: Path, found: object, sentence: str) -> None:
    with pytest.raises(CheckpointError, match=sentence):
        load(saved(tmp_path / "model.pt", found))


@pytest.mark.parametrize(
    ("tensor", "sentence"),
    [
        (torch.ones(2, 2, dtype=torch.int8), "w holds int8, and weights are floats"),
        (torch.tensor(1.0), "w is a single number, and no weights"),
    ],
)
def test_what_is_no_weights_is_refused_when_it_is_used(tmp_path: Path, tensor: torch.Tensor, sentence: str) -> None:
    weight: Weight = load(saved(tmp_path / "model.pt", {"w": tensor}))["w"]
    with pytest.raises(CheckpointError, match=sentence):
        weight.read()


def test_a_file_that_shrinks_after_it_was_opened_is_named(tmp_path: Path) -> None:
    file = saved(tmp_path / "model.pt", state())
    weight = load(file)["11"]
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"model\.pt was taken away or cut off while it was read"):
        weight.read()


def test_views_are_read_as_they_are(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(6, 4)
    views = {
        "columns": whole[:, 1:3],
        "rows": whole[4:],
        "transposed": whole.T,
        "same": whole[:1].expand(3, 4),
        "bfloat16": whole.bfloat16().T,
    }
    found = load(saved(tmp_path / "model.pt", views))
    for name, view in views.items():
        assert (found[name].read() == view.float().numpy()).all()
        assert (found[name].transposed().rows(slice(1, 2)) == view.T[1:2].float().numpy()).all()
