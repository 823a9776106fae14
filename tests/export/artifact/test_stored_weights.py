from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from testing.samples import SCHEMES
from thimble.export.artifact.graph import ExportError
from thimble.export.artifact.pipeline import export
from thimble.export.artifact.stored_weights import stored_weights
from thimble.export.training.checkpoint import load_trained
from thimble.models.spec import Precision


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("mlps", ["fp32", "fp16"])
def test_a_file_gives_back_the_mlps_that_it_was_made_of(
    runs: dict[str, Path], tmp_path: Path, scheme: str, mlps: str
) -> None:
    trained = load_trained(runs[scheme])
    stored = stored_weights(export(trained, tmp_path, precision=Precision.model_validate({"mlps": mlps})).path)
    parameters = [(n, p.detach()) for n, p in trained.dlrm.named_parameters() if not n.startswith("sparse_arch.")]
    assert len(parameters) == 8
    for name, parameter in parameters:
        half = mlps == "fp16" and not name.endswith("bias")
        expected = parameter.to(torch.float16 if half else torch.float32).numpy()
        np.testing.assert_array_equal(stored[name], expected, err_msg=name, strict=True)


def test_weights_anywhere_but_beside_the_file_are_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    path = export(load_trained(runs["full"]), tmp_path).path
    model = onnx.load(path, load_external_data=False)
    places = [entry for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"]
    assert places
    for entry in places:
        entry.value = "../../secret"
    onnx.save_model(model, path)
    with pytest.raises(ExportError, match=r"its weights lie in '\.\./\.\./secret', not in model\.weights"):
        stored_weights(path)
