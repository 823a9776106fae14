"""torchrec 1.8.0 by its own modules; its users write `torch.save(model.state_dict())`.

    pip install --no-deps torchrec==1.8.0 fbgemm-gpu-cpu==1.8.0 tensordict pyvers orjson cloudpickle pyre-extensions \\
        typing-inspect torchmetrics==1.0.3 lightning-utilities iopath portalocker

beside torch 2.13.0.
"""

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.importing.checkpoints import (
    CHECKPOINT,
    DIM,
    NUMBERS,
    SCORED_ROWS,
    TABLE_ROWS,
    Scores,
    Variant,
    scored_rows,
    stir,
    write_rows,
)

VARIANTS = {
    name: Variant() for name in ("DLRM", "DLRMTrain", "DLRM_DCN", "DLRM_Projection", "DLRM, two features of one table")
}
NAMES = [f"cat_{field}" for field in range(len(TABLE_ROWS))]


def make(variant: str, sources: Path, folder: Path) -> None:
    package, models = (importlib.import_module(name) for name in ("torchrec", "torchrec.models.dlrm"))
    tables = [(f"t_{name}", rows, [name]) for name, rows in zip(NAMES, TABLE_ROWS, strict=True)]
    if variant == "DLRM, two features of one table":
        tables = [("t_shared", 400, ["cat_0", "cat_2"]), *(tables[field] for field in (1, 3, 4))]
    configs = [
        package.EmbeddingBagConfig(name=name, embedding_dim=DIM, num_embeddings=rows, feature_names=features)
        for name, rows, features in tables
    ]
    sizes = (package.EmbeddingBagCollection(tables=configs), NUMBERS, [16, DIM], [24, 12, 1])
    match variant:
        case "DLRM_DCN":
            model = models.DLRM_DCN(*sizes, dcn_num_layers=3, dcn_low_rank_dim=6)
        case "DLRM_Projection":
            model = models.DLRM_Projection(*sizes, [32, 3 * DIM], [32, 2 * DIM])
        case _:
            model = models.DLRM(*sizes)
    stir(model.state_dict(), "embedding_bags", "bias|over_arch|crossnet")
    saved: nn.Module = models.DLRMTrain(model) if variant == "DLRMTrain" else model
    torch.save(saved.state_dict(), folder / CHECKPOINT)
    rows = scored_rows()
    ids = package.KeyedJaggedTensor.from_lengths_sync(
        keys=NAMES,
        values=torch.from_numpy(rows.ids.T.reshape(-1).copy()),
        lengths=torch.ones(len(NAMES) * SCORED_ROWS, dtype=torch.int32),
    )

    def scores(numbers: torch.Tensor) -> Any:
        with torch.no_grad():
            return model(numbers, ids).squeeze(-1).sigmoid().numpy()

    numbers = torch.from_numpy(rows.numbers)
    single = scores(numbers)
    model.double()
    write_rows(folder, rows.columns(), Scores(single, scores(numbers.double())))
