"""What Triton's request to load a model brings along."""

import base64
import json
from typing import Any

import pytest

from thimble.service.errors import RequestError
from thimble.service.wire.load_request import LoadRequest


def load_request(content: Any) -> LoadRequest:
    return LoadRequest("m", json.dumps({"parameters": {"file:2/model.onnx": content}}).encode())


@pytest.mark.parametrize("size", [0, 1, 2, 3, 100_000])
def test_a_file_comes_whole(size: int) -> None:
    content = bytes(i % 251 for i in range(size))
    assert load_request(base64.b64encode(content).decode()).files == {2: content}


@pytest.mark.parametrize(
    "content", ["*", "QQ=", "QQ==QQ==", "QQ==\n", "é", {}, [], {"a": 1}, None, 1, ["QQ=="], "QQ==" + "A" * 100_000]
)
def test_what_is_not_base64_is_said_to_be_none(content: Any) -> None:
    with pytest.raises(RequestError, match="its content is not base64"):
        load_request(content)
