"""What Triton's request to load a model brings along."""

import base64
import json
import re
from typing import Any

import pytest

from thimble.service.errors import RequestError
from thimble.service.http.load_request import LoadRequest
from thimble.service.releases.release import Release


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


def configured(config: Any) -> LoadRequest:
    return LoadRequest("m", json.dumps({"parameters": {"config": config, "other": 1}}).encode())


@pytest.mark.parametrize(
    ("policy", "release"),
    [
        (None, Release()),
        ({"latest": {}}, Release()),
        ({"latest": {"num_versions": 1}}, Release()),
        ({"latest": {"num_versions": 2}}, Release(also=(2,))),
        ({"all": {}}, Release(also=(1, 2))),
        ({"specific": {"versions": [2, 1]}}, Release(live=2, also=(1,))),
        ({"specific": {"versions": ["3"]}}, Release()),
    ],
)
@pytest.mark.parametrize("key", ["version_policy", "versionPolicy"])
def test_a_policy_chooses_versions(policy: Any, release: Release, key: str) -> None:
    assert configured(json.dumps({"name": "m", key: policy, "backend": "x"})).release([3, 1, 2]) == release


@pytest.mark.parametrize("body", [b"", b"{}", b'{"parameters": {}}', b'{"parameters": {"config": null}}'])
def test_a_body_that_says_nothing_asks_for_the_newest(body: bytes) -> None:
    assert LoadRequest("m", body).release([1, 2]) == Release()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (7, "parameters.config: JSON input should be string"),
        ("{", "parameters.config: invalid JSON"),
        ("[]", "parameters.config: Input should be an object"),
        ('{"name": "n"}', "config: its name 'n' is not that of the model"),
        ('{"version_policy": {"specific": {"versions": [0]}}}', "version_policy.specific.versions.0: Input should be"),
        ('{"version_policy": {"latest": {"num_versions": "x"}}}', "version_policy.latest.num_versions: Input should"),
    ],
)
def test_a_configuration_that_is_wrong_is_said_to_be(config: Any, sentence: str) -> None:
    with pytest.raises(RequestError, match=re.escape(sentence)):
        configured(config)


def test_a_policy_that_chooses_nothing_is_refused() -> None:
    with pytest.raises(RequestError, match="version_policy is none of latest, all, and specific"):
        configured('{"version_policy": {"newest": {}}}').release([1])
