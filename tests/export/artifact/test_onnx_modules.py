import ast
from pathlib import Path

import onnx
import pytest
import torch

from testing.samples import SCHEMES, SEVEN_BAGS, small_spec
from thimble.export.artifact.graph import build
from thimble.export.artifact.onnx_modules import OnnxInteractionArch, OnnxPositiveLog, OnnxSharedMemory, for_export
from thimble.models.nn.dlrm import DLRM
from thimble.models.nn.recommender import Scorer
from thimble.models.nn.registry import recommender

MODELS = Path(__file__).parents[3] / "models"


def test_parts_that_have_a_form_are_swapped_and_the_model_stays_as_it_is() -> None:
    model = recommender(small_spec())
    assert isinstance(model, DLRM)
    before = dict(model.named_modules())
    swapped = for_export(Scorer(model))
    kinds = {type(module) for module in swapped.modules()}
    assert {OnnxPositiveLog, OnnxInteractionArch, OnnxSharedMemory} <= kinds
    assert dict(model.named_modules()) == before


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_are_shared_and_keep_their_names(scheme: str) -> None:
    model = Scorer(recommender(small_spec(scheme)))
    swapped = dict(for_export(model).named_parameters())
    assert swapped.keys() == dict(model.named_parameters()).keys()
    assert all(swapped[name] is parameter for name, parameter in model.named_parameters())


def test_the_operators_of_a_dlrm() -> None:
    """Its lookup and its preprocessing are one node each."""
    spec = small_spec()
    with torch.no_grad():
        model = build(spec, recommender(spec).eval())
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("HashLookup") == kinds.count("ThresholdedRelu") == kinds.count("GatherElements") == 1
    assert kinds.count("Gemm") == 4 and len(kinds) <= 25
    onnx.checker.check_model(model)


def test_the_node_says_which_slots_are_whose_and_only_where_there_are_bags() -> None:
    for bags in (SEVEN_BAGS, ()):
        spec = small_spec(bags=bags)
        with torch.no_grad():
            model = build(spec, recommender(spec).eval())
        onnx.checker.check_model(model)
        (node,) = (node for node in model.graph.node if node.op_type == "HashLookup")
        found = {it.name: [*it.ints] for it in node.attribute if it.name in ("values", "pooling")}
        assert found == ({"values": [1, 3, 4, 1, 1, 5, 1], "pooling": [0, 1, 2, 0, 0, 3, 2]} if bags else {})
        assert {*found} == {"values", "pooling"} & {*model.functions[0].attribute}


def test_models_know_nothing_of_onnx() -> None:
    for path in MODELS.rglob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert "onnx" not in names, path
