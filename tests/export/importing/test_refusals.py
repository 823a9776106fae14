"""Checkpoints that are none, or of which more has to be said: one sentence that names it, and nothing is written."""

import os
import pickle
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.export.conftest import Run
from tests.export.importing.reference import (
    FIELDS,
    facebook,
    imported_scores,
    made_dlrm,
    made_rows,
    row,
    save,
    torchrec,
    write_features,
)
from thimble.export.importing.importer import Said


class Runs:
    """What would do harm if it were unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, ("harmed", "w")


class ShardedTensor:
    """As torch.distributed has it."""


def truncated(share: float) -> None:
    save(facebook(made_dlrm()))
    whole = Path("model.pt").read_bytes()
    Path("model.pt").write_bytes(whole[: int(len(whole) * share)])


def rezipped() -> None:
    save(facebook(made_dlrm()))
    with zipfile.ZipFile("model.pt") as old, zipfile.ZipFile("new.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    Path("new.pt").rename("model.pt")


def changed(**values: torch.Tensor | None) -> None:
    state = {**facebook(made_dlrm()), **{key.replace("__", "."): value for key, value in values.items()}}
    save({key: value for key, value in state.items() if value is not None})


def spoilt(key: str, value: float) -> None:
    state = facebook(made_dlrm())
    state[key][2] = value
    save(state)


def wide(inputs: int) -> None:
    changed(top_l__0__weight=torch.zeros(9, inputs))


def scripted() -> None:
    with zipfile.ZipFile("model.pt", "w") as archive:
        for name in ("data.pkl", "code/__torch__.py"):
            archive.writestr(f"model/{name}", "")


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda: Path("model.pt").touch(), "model.pt is no file of torch.save's"),
        (lambda: Path("model.pt").write_bytes(b"HDF5" * 9), "model.pt is no file of torch.save's"),
        (lambda: truncated(0.9), "model.pt is truncated: it begins as torch.save writes files and does not end so"),
        (lambda: truncated(0.001), "model.pt is truncated: it begins as torch.save writes files and does not end so"),
        (lambda: Path("model.pt").write_bytes(pickle.dumps(Runs())), "model.pt would run code ("),
        (lambda: save({"state_dict": Runs()}), "model.pt would run code ("),
        (lambda: save(torch.nn.Linear(2, 2)), "would run code (torch.nn.modules.linear.Linear) if it were read"),
        (lambda: save({"a": ShardedTensor()}), "model.pt is one process's part of a sharded model ("),
        (scripted, "model.pt is a TorchScript program, which is code"),
        (rezipped, "model.pt was compressed after torch.save wrote it"),
        (lambda: zipfile.ZipFile("model.pt", "w").close(), "model.pt is a zip file, and none of torch.save's"),
        (lambda: Path("model.pt").mkdir(), "model.pt is a folder, and --format facebook takes a file of torch.save's"),
        (lambda: save({"epoch": 3}), "model.pt holds no emb_l.{field}.weight, and no tensor at all"),
        (lambda: save(torchrec(made_dlrm())), "its keys are those of --format torchrec"),
        (lambda: changed(bot_l__2__bias=None), "dense_arch has 2 weights and 1 biases"),
        (lambda: changed(emb_l__1__weight=None), "there is emb_l.2.weight and no emb_l.1.weight"),
        (lambda: changed(what=torch.ones(1)), "model.pt holds what, which its format does not know"),
        (lambda: changed(v_W_l__0=torch.ones(1)), "weights the ids of a bag (v_W_l.0), which cannot be imported"),
        (lambda: changed(emb_l__0__weight_q=torch.ones(1)), "has quotient-remainder embeddings (emb_l.0.weight_q)"),
        (lambda: changed(emb_l__0__proj__weight=torch.ones(1)), "has mixed-dimension embeddings (emb_l.0.proj"),
        (lambda: changed(bot_l__module__0__bias=torch.ones(1)), "is one process's part of a distributed run"),
        (lambda: changed(emb_l__1__weight=torch.ones(7, 5)), "emb_l.1.weight is [7, 5], and no table with rows of 6"),
        (lambda: changed(emb_l__1__weight=torch.ones(0, 6)), "emb_l.1.weight is [0, 6], and no table with rows of 6"),
        (
            lambda: changed(emb_l__3__weight=None),
            "f.yaml names 4 fields, and model.pt has 3 tables",
        ),
        (lambda: wide(30), "takes 30 inputs, those of an interaction that concatenates (cat)"),
        (lambda: wide(21), "takes 21 inputs, those of an interaction of each vector with itself too"),
        (lambda: wide(17), "takes 17 inputs; the first of 5 vectors of 6 and the dot products of all are 16"),
        (
            lambda: changed(top_l__2__weight=torch.ones(5, 8)),
            "top_l.2.weight takes 8 inputs, and the layer before gives 9",
        ),
        (lambda: changed(top_l__4__weight=torch.ones(2, 5)), "top_l.4.bias is [1], where 2 belong"),
        (
            lambda: spoilt("emb_l.2.weight", float("nan")),
            "emb_l.2.weight holds a value that is no finite float32 number, in row 2",
        ),
        (
            lambda: spoilt("top_l.2.bias", float("inf")),
            "top_l.2.bias holds a value that is no finite float32 number, in row 2",
        ),
        (
            lambda: changed(emb_l__0__weight=torch.eye(6).to_sparse()),
            "emb_l.0.weight is sparse; save it as dense floats",
        ),
    ],
)
def test_a_file_that_is_none_or_of_another_model(
    run: Run, tmp_path: Path, made: Callable[[], object], sentence: str
) -> None:
    made()
    features = write_features(tmp_path / "f.yaml", FIELDS)

    said = run("import", "model.pt", "--format", "facebook", "--features", features)

    assert said.status == 1 and said.out == ""
    assert said.err.startswith("thimble-export: ") and said.err.count("\n") == 1
    assert sentence in said.err
    assert not (tmp_path / "artifacts").exists() and not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        (None, "model.pt has 4 tables, and holds neither the names and kinds of its features nor what was done"),
        (
            "dense: [I1]\nnumbers: log\nids: mod\nfields: [a, b, c, d]",
            "f.yaml names 1 numbers under dense, and model.pt takes 3",
        ),
        ("dense: [x, y, z]\nfields: [a, b, c, d]\nids: rows", "f.yaml does not say what was done with numbers before"),
        ("dense: [x, y, z]\nnumbers: log\nfields: [a, b, c, d]", "f.yaml does not say how values of a become rows"),
        ("dense: [x, y, z]\nnumbers: log\nfields: [a, b, c, a]\nids: rows", "feature names must be unique"),
        ("dense: [x, y, z]\nnumbers: logs\nfields: [a, b, c, d]\nids: rows", "f.yaml: numbers"),
        (
            "dense: [x, y, z]\nnumbers: {means: [1, 2], deviations: [1, 2]}\nfields: [a, b, c, d]\nids: mod",
            "f.yaml: the file: numbers has 2 means, and dense names 3",
        ),
        (
            "dense: [x, y, z]\nnumbers: none\nfields: [a, b, c, d]\nids: mod\nkind: string",
            "text of a becomes a row by a vocab",
        ),
        (
            "dense: [x, y, z]\nnumbers: none\nfields: [{name: a, table_rows: 9}, b, c, d]\nids: mod",
            "a has table_rows 9, its t",
        ),
        ("dense: [x, y\nfields: a", "f.yaml is no YAML, see line 2"),
        ("- 1", "f.yaml has no keys with values, as `fields: [...]` is one"),
        ("sparse: [a]", "f.yaml: sparse is a key that this program does not know"),
        (
            "dense: [x, y, z]\nnumbers: none\nfields: [{name: a, ids: {vocabulary: no.csv}}, b, c, d]\nids: rows",
            "no.csv",
        ),
    ],
)
def test_features_that_are_not_said_or_not_so(run: Run, tmp_path: Path, features: str | None, sentence: str) -> None:
    save(facebook(made_dlrm()))
    if features is not None:
        Path("f.yaml").write_text(features)

    said = run("import", "model.pt", "--format", "facebook", *(["--features", "f.yaml"] if features else []))

    assert said.status == 1 and said.out == ""
    assert sentence in said.err and said.err.count("\n") == 1
    assert not (tmp_path / "artifacts").exists()


def test_a_checkpoint_that_changes_meanwhile_is_not_imported(run: Run, tmp_path: Path) -> None:
    save(facebook(made_dlrm()))
    os.mkfifo("expected.csv")  # is read once the checkpoint was opened, and before its tables are

    def change() -> None:
        with Path("expected.csv").open("w") as file:
            os.utime("model.pt")
            file.write(row("1,2,3,1,1,1,1"))

    writer = threading.Thread(target=change)
    writer.start()
    features = write_features(tmp_path / "f.yaml", FIELDS)
    said = run("import", "model.pt", "--format", "facebook", "--features", features, "--expect", "expected.csv")
    writer.join()

    assert said.status == 1 and "model.pt changed while it was read; nothing was written" in said.err
    assert not (tmp_path / "artifacts").exists()


def test_an_older_file_of_torch_saves_is_read_too(tmp_path: Path) -> None:
    dlrm = made_dlrm()
    torch.save(facebook(dlrm), tmp_path / "model.pt", _use_new_zipfile_serialization=False)
    said, (numbers, ids) = Said(write_features(tmp_path / "f.yaml", FIELDS)), made_rows(dlrm, 100)
    scores = imported_scores(tmp_path / "model.pt", "facebook", said, numbers, ids)
    assert scores == pytest.approx(dlrm.scores(numbers, dlrm.embeddings(ids)).numpy(), abs=1e-6)


def test_numbers_of_other_precisions_and_orders_are_widened(tmp_path: Path) -> None:
    dlrm = made_dlrm()
    state = facebook(dlrm)
    state["emb_l.0.weight"] = dlrm.tables[0].bfloat16()
    state["emb_l.1.weight"] = dlrm.tables[1].half()
    state["emb_l.2.weight"] = dlrm.tables[2].T.contiguous().T
    state["emb_l.3.weight"] = torch.cat([dlrm.tables[3]] * 2).double()[3:]
    torch.save(state, tmp_path / "model.pt")
    dlrm.tables = [state[f"emb_l.{field}.weight"].float() for field in range(4)]
    said, (numbers, ids) = Said(write_features(tmp_path / "f.yaml", FIELDS)), made_rows(dlrm, 100)
    scores = imported_scores(tmp_path / "model.pt", "facebook", said, numbers, ids)
    assert scores == pytest.approx(dlrm.scores(numbers, dlrm.embeddings(ids)).numpy(), abs=1e-6)


def test_values_have_rows_by_vocabularies(run: Run, tmp_path: Path) -> None:
    dlrm = made_dlrm()
    save(facebook(dlrm))
    names = [f"é{row}" for row in range(40)]
    Path("words.csv").write_text("".join(f'"{name}",{row}\n' for row, name in enumerate(names)))
    Path("hex.json").write_text('{"0a": 3, "ff": 6}')
    np.savez("dict.npz", unique=np.arange(120) * 7 + 5)
    vocabularies = [
        "{name: C1, kind: string, ids: {vocabulary: words.csv, unknown: 9, missing: 8}}",
        "{name: C2, kind: hex, ids: {vocabulary: hex.json}}",
        "{name: C3, ids: {vocabulary: dict.npz, unknown: 0}}",
        "C4",
    ]
    features = write_features(tmp_path / "f.yaml", vocabularies)
    numbers = torch.zeros(5, 3)
    rows = torch.tensor([[39, 3, 119, 2], [9, 6, 0, 0], [8, 3, 2, 1], [0, 6, 1, 1], [1, 6, 1, 1]])
    values = [["é39", "A", "838", "2"], ["new", "000ff", "6", "0"], ["", "0a", "19", "1"], ["é0", "ff", "12", "1"]]
    values.append(["é1", "b", "12", "1"])  # of a value without a row, and none for unknown ones, the embedding is 0
    embeddings = dlrm.embeddings(rows)
    embeddings[4, 1] = 0
    with (tmp_path / "expected.csv").open("w") as file:
        file.write("I1,I2,I3,C1,C2,C3,C4,score\n")
        for line, score in zip(values, dlrm.scores(numbers, embeddings).tolist(), strict=True):
            file.write(f"0,0,0,{','.join(line)},{score!r}\n")

    given = ("--features", features, "--expect", "expected.csv")
    said = run("import", "model.pt", "--format", "facebook", *given)

    assert said.status == 0, said.err


def test_a_mapping_file_takes_any_keys(run: Run, tmp_path: Path) -> None:
    dlrm = made_dlrm()
    first = dlrm.top[0][0]
    order = torch.randperm(first.shape[1], generator=torch.Generator().manual_seed(0))
    state = {f"table{field}": table for field, table in enumerate(dlrm.tables)}
    state |= {f"b{place}": weight.T.contiguous() for place, (weight, _) in enumerate(dlrm.bottom)}
    state |= {f"bb{place}": bias for place, (_, bias) in enumerate(dlrm.bottom)}
    state |= {f"t{place}": weight for place, (weight, _) in enumerate(dlrm.top)} | {"t0": first[:, order]}
    state |= {f"tb{place}": bias for place, (_, bias) in enumerate(dlrm.top)}
    save({"deep": {"inside": state}, "rate": torch.ones(1)})
    inverse = torch.argsort(order).tolist()
    Path("map.yaml").write_text(
        "architecture: dlrm\ninside: [deep, inside]\nparameters:\n  embeddings: table{field}\n"
        '  dense_arch.weight: {key: "b{layer}", transpose: true}\n  dense_arch.bias: bb{layer}\n'
        f'  over_arch.weight: {{key: "t{{layer}}", permutation: {inverse}}}\n  over_arch.bias: tb{{layer}}\n'
    )
    numbers, ids = made_rows(dlrm, 100)
    scores = dlrm.scores(numbers, dlrm.embeddings(ids))
    said = Said(write_features(tmp_path / "f.yaml", FIELDS), Path("map.yaml"))

    assert imported_scores(Path("model.pt"), "map", said, numbers, ids) == pytest.approx(scores.numpy(), abs=1e-6)

    given = ("import", "model.pt", "--format", "map", "--features", "f.yaml")
    assert "--format map takes a file by --map" in run(*given).err
    Path("map.yaml").write_text("architecture: dlrm\nparameters: {embeddings: [1]}")
    refused = run(*given, "--map", "map.yaml")
    assert refused.status == 1 and "map.yaml: parameters.embeddings" in refused.err
