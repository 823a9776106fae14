"""Folders of NVIDIA's that are not whole: one sentence that names what is missing."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.export.conftest import Run
from tests.export.importing.reference import FIELDS, made_dlrm, nvidia, write_features


def rewritten(metadata: object) -> None:
    torch.save(metadata, "nv/metadata.pt")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda: Path("nv/metadata.pt").unlink(),
            "nv has no metadata.pt, so it is no whole checkpoint of NVIDIA's DLRM",
        ),
        (lambda: Path("nv/top_model.out.pt").unlink(), "nv has no top_model.out.pt"),
        (lambda: Path("nv/embeddings.2.meta.pt").unlink(), "nv has no embeddings.2.meta.pt"),
        (
            lambda: Path("nv/bottom_model.embeddings.1.bin").write_bytes(b"12"),
            "has 2 bytes, and a table of [7, 6] has 168",
        ),
        (lambda: rewritten({"data": 3}), "nv/metadata.pt does not say in which order tables are taken"),
        (
            lambda: rewritten(
                {
                    "data": {"device_mapping": {"embedding": [[0, 1, 2]]}},
                    "config": {"interaction_op": "dot", "bottom_features_ordered": False},
                }
            ),
            "f.yaml names 4 fields, and nv has 3 tables",
        ),
        (
            lambda: rewritten(
                {
                    "data": {"device_mapping": {"embedding": [[0, 1, 2, 3]]}},
                    "config": {"interaction_op": "cat", "bottom_features_ordered": False},
                }
            ),
            "nv is of a model whose interaction is cat, and not dot",
        ),
    ],
)
def test_a_folder_of_nvidias_that_is_not_whole(
    run: Run, tmp_path: Path, damage: Callable[[], object], sentence: str
) -> None:
    nvidia(made_dlrm(), tmp_path / "nv", [[0, 1, 2, 3]])
    damage()
    features = write_features(tmp_path / "f.yaml", FIELDS)

    said = run("import", "nv", "--format", "nvidia", "--features", features)

    assert said.status == 1 and sentence in said.err and said.err.count("\n") == 1
