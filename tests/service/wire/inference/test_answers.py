"""Answers."""

import json

import numpy as np

from tests.service.wire.inference.messages import DENSE, IDS, read, request
from thimble.service.wire.inference import answer


def test_an_answer_in_json() -> None:
    content, length = answer("model", 3, read(request(DENSE, IDS)), np.array([0.1, 1e-30], np.float32))
    assert length is None
    output = {"name": "score", "datatype": "FP32", "shape": [2], "data": [0.1, 1e-30]}
    assert json.loads(content) == {"model_name": "model", "model_version": "3", "outputs": [output]}


def test_an_answer_in_binary() -> None:
    scores = np.array([0.1, 1e-30, 1], np.float32)
    inference = read(request(DENSE, IDS, id="x", parameters={"binary_data_output": True}))
    content, length = answer("model", 3, inference, scores)
    assert length is not None
    output = {"name": "score", "datatype": "FP32", "shape": [3], "parameters": {"binary_data_size": 12}}
    assert json.loads(content[:length]) == {
        "model_name": "model",
        "model_version": "3",
        "id": "x",
        "outputs": [output],
    }
    np.testing.assert_array_equal(np.frombuffer(content[length:], "<f4"), scores)
