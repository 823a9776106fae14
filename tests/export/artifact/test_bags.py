"""Models with bags as files: full tables, whose pooling is made of standard operators."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from testing.artifacts import random_features
from testing.indexed import indexed_model
from testing.samples import random_batch, small_spec, with_bags
from thimble.export.artifact.agreement import numpy_embeddings, numpy_scores, onnx_scores, onnx_session
from thimble.export.artifact.graph import EXTERNAL_DATA, with_memory
from thimble.export.artifact.onnx_modules import for_export
from thimble.export.artifact.pipeline import publish
from thimble.export.training.evaluation import score
from thimble.models.nn.recommender import Recommender
from thimble.models.nn.registry import recommender
from thimble.models.quantization import MemoryPrecision
from thimble.models.spec import ModelSpec


def model_of(form: str, spec: ModelSpec) -> tuple[ModelSpec, Recommender]:
    """With embeddings that matter."""
    torch.manual_seed(0)
    if form == "indexed":
        own = [np.arange(1, 30), np.arange(40), np.arange(9), np.arange(20, 25)]
        spec, model = indexed_model(spec, own)
    else:
        model = recommender(spec)
    with torch.no_grad():
        for parameter in model.parameter_groups().sparse:
            parameter.uniform_(-1, 1)
    return spec, model.eval()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("form", ["full", "indexed"])
def test_full_tables_pool_bags_as_numpy_defines(form: str, precision: MemoryPrecision, tmp_path: Path) -> None:
    plain = small_spec("full", kinds=("int",) * 4, rows=40, precision=precision)
    spec, model = model_of(form, with_bags(plain))
    path = publish(spec, model, random_features(spec, 8), tmp_path).path
    onnx.checker.check_model(str(path))
    assert (path.parent / EXTERNAL_DATA).stat().st_size > 4000
    batch = random_batch(spec, 50)
    batch.ids[:] = np.where(batch.ids, 1 + batch.ids % 45, 0)
    batch.ids[:2] = 0
    rounded = with_memory(model, precision)
    by_onnx = onnx_scores(onnx_session(str(path)), batch)
    assert by_onnx.std() > 0.01
    np.testing.assert_allclose(by_onnx, score(rounded, batch), atol=1e-5)
    weights = {name: tensor.numpy() for name, tensor in rounded.state_dict().items()}
    np.testing.assert_allclose(by_onnx, numpy_scores(spec, weights, batch), atol=1e-5)
    exported = for_export(rounded.get_submodule("sparse_arch"))(torch.from_numpy(batch.ids)).numpy(force=True)
    expected = numpy_embeddings(spec, weights, batch)
    np.testing.assert_allclose(exported, expected, rtol=1e-6, atol=1e-6)
    assert exported[:, [1, 3]].tobytes() == expected[:, [1, 3]].tobytes()  # nothing is summed there
    assert not exported[:2, [0, 2, 3]].any() and exported[:2, 1].any()
