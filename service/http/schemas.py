"""What scoring requests and answers look like, written for a model. The description shows it; the wire reads by hand.

Values are described as the readers in `thimble.service.wire` take them, so that what a schema allows is answered.
"""

from functools import reduce
from operator import or_
from types import GenericAlias
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel, Field, RootModel, create_model

from thimble.models.bags import Bag
from thimble.models.base import Frozen
from thimble.models.hashing import ID_LIMIT
from thimble.models.spec import ModelSpec
from thimble.service.wire.tensors import DATATYPES, widths

Item = TypeVar("Item")
Rows = Annotated[list[Item], Field(min_length=1)]
Float32 = Annotated[float, Field(ge=float(np.finfo(np.float32).min), le=float(np.finfo(np.float32).max))]
Id = Annotated[int, Field(ge=0, lt=ID_LIMIT)]
Probability = Annotated[float, Field(ge=0, le=1)]
Blank = Annotated[str, Field(pattern=r"^\s*$")]

Number = Float32 | Blank | None
Integer = Id | Blank | None
Hex = Annotated[str, Field(pattern=r"^(\s*|[0-9a-fA-F]{1,15})$")] | None
Text = str | None


class NumberFeature(RootModel[Number | Rows[Number]]):
    """A finite float32 number, the same in all rows, or a list with one for each."""


class IntegerFeature(RootModel[Integer | Rows[Integer]]):
    """An id, the same in all rows, or a list with one for each."""


class HexFeature(RootModel[Hex | Rows[Hex]]):
    """Hexadecimal digits, the same in all rows, or a list with one text for each."""


class TextFeature(RootModel[Text | Rows[Text]]):
    """A text, the same in all rows, or a list with one for each."""


class Bags(NamedTuple):
    """How the values of a bag of a kind are written: in a list, and in a text, the pattern of one."""

    item: Any
    text: str | None


FEATURES = {"number": NumberFeature, "int": IntegerFeature, "hex": HexFeature, "string": TextFeature}
BAGS = {"int": Bags(Integer, "[0-9]{1,18}"), "hex": Bags(Hex, "[0-9a-fA-F]{1,15}"), "string": Bags(Text, None)}
# An element of a tensor in JSON, by its datatype.
ELEMENTS: dict[str, Any] = {"FP32": Float32 | None, "INT64": Id | None, "BYTES": str}
# What a regular expression takes as something else than itself.
_SYNTAX = frozenset("^$.*+?()[]{}|/")
# Each item once.
DIFFERENT: dict[str, Any] = {"uniqueItems": True}
_constant: Any = Literal  # mypy takes no variable in it


class InferParameters(BaseModel):
    timeout: Annotated[int, Field(ge=0, lt=1 << 63)] | None = Field(
        default=None, description="microseconds that the answer is worth waiting for, 0 for the server's own timeout"
    )
    binary_data_output: bool = Field(default=False, description="whether scores are binary where outputs do not say")


class OutputParameters(BaseModel):
    binary_data: bool = Field(default=False, description="whether scores are binary; without it binary_data_output is")


def score_request(spec: ModelSpec, model: str) -> type[BaseModel]:
    """A request to score rows: a feature that is left out is missing in all of them. `model` is part of its name."""
    fields = {
        f"feature_{place}": (
            _bag_feature(feature.kind, feature.bag, f"{model}_{place}") if feature.bag else FEATURES[feature.kind],
            Field(default=None, alias=feature.name, title=feature.name),
        )
        for place, feature in enumerate(spec.features)
    }
    features = _model("Features", model, fields, Frozen)
    names = GenericAlias(list, (_constant[spec.outputs],))
    picked: Any = Annotated[names, Field(min_length=1, max_length=len(spec.outputs), json_schema_extra=DIFFERENT)]
    outputs = (picked | None, Field(default=None, description="the answers that are wanted, each once; all without it"))
    return _model("ScoreRequest", model, {"features": (features, ...), "outputs": outputs}, Frozen)


def score_answer(spec: ModelSpec, model: str) -> type[BaseModel]:
    """Its answer: a list of scores, or of several answers an object of lists, of those that were asked for."""
    scores: Any = list[Probability]
    if spec.heads:
        lists = {
            f"output_{place}": (list[Probability] | None, Field(default=None, alias=name, title=name))
            for place, name in enumerate(spec.outputs)
        }
        scores = _model("Scores", model, lists, Frozen)
    return _model("ScoreAnswer", model, {"model": (str, ...), "version": (int, ...), "scores": (scores, ...)})


def _bag_feature(kind: str, bag: Bag, name: str) -> Any:
    """A bag, the same in all rows, or a list with one for each. `name` is its own."""
    item, value = BAGS[kind]
    text: Any = Text
    if value is not None:
        between = f"\\{bag.separator}" if bag.separator in _SYNTAX else bag.separator
        one = rf"\s*({value})?\s*"
        text = Annotated[str, Field(pattern=f"^{one}({between}{one})*$")]
    values: Any = GenericAlias(list, (item,))
    shared = create_model(f"Bag_{name}", __base__=Frozen, __doc__="A bag that all rows share.", bag=(values, ...))
    rows: Any = GenericAlias(list, (item | text | values,))
    described = f"{bag.separator!r} stands between values; {bag.values} of them are read, the {bag.keep} ones"
    listed: Any = Annotated[rows, Field(min_length=1)]
    return Annotated[item | text | shared | listed, Field(description=described)]


def infer_request(spec: ModelSpec, model: str) -> type[BaseModel]:
    """A request of the Open Inference Protocol whose tensors are JSON. `model` is part of its name."""

    def tensor(name: str, width: int, datatype: str, value: Any, whole: bool) -> type[BaseModel]:
        row = Annotated[list[value], Field(min_length=width, max_length=width)]
        flat = Annotated[list[value], Field(min_length=width)]
        fields = {
            "name": (_constant[name], ...),
            "datatype": (_constant[datatype], ...),
            "shape": (GenericAlias(tuple, (Annotated[int, Field(ge=1)], _constant[width])), ...),
            "data": (Rows[row] | flat, Field(description="row by row, or a list for each row")),
        }
        return _model(f"{'Whole' if whole else ''}{datatype.title()}Tensor", model, fields)

    tensors = []
    for it in spec.graph_inputs:
        sent = [
            tensor(it.name, width, datatype, ELEMENTS[datatype], width != it.width)
            for datatype in DATATYPES[it.dtype]
            for width in widths(it, datatype)
        ]
        tensors.append(reduce(or_, sent))
    named = (_constant[spec.outputs], ...)
    wanted = _model("RequestedOutput", model, {"name": named, "parameters": (OutputParameters | None, None)})
    outputs: Any = Annotated[GenericAlias(list, (wanted,)), Field(max_length=len(spec.outputs))]
    fields = {
        "id": (str | None, None),
        "inputs": (GenericAlias(tuple, tuple(tensors)), Field(description="in any order")),
        "outputs": (outputs | None, None),
        "parameters": (InferParameters | None, None),
    }
    return _model("InferRequest", model, fields)


def infer_answer(spec: ModelSpec, model: str) -> type[BaseModel]:
    """Its answer: a tensor for each output, or those that were asked for."""
    tensor = {
        "name": (_constant[spec.outputs], ...),
        "datatype": (Literal["FP32"], ...),
        "shape": (list[int], ...),
        "data": (list[Probability], ...),
    }
    tensors = GenericAlias(list, (_model("ScoreTensor", model, tensor),))
    outputs: Any = Annotated[tensors, Field(min_length=1, max_length=len(spec.outputs))]
    fields = {
        "id": (str | None, Field(default=None, description="the request's, if it has one")),
        "model_name": (str, ...),
        "model_version": (str, ...),
        "outputs": (outputs, ...),
    }
    return _model("InferAnswer", model, fields)


def _model(kind: str, model: str, fields: dict[str, Any], base: type[BaseModel] = BaseModel) -> type[BaseModel]:
    return create_model(f"{kind}_{model}", __base__=base, **fields)
