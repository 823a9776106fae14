import numpy as np
import orjson
import pytest

from thimble.client.encoding import HEADER_LENGTH, infer_request

DENSE = np.array([[1.5], [np.nan]], np.float32)
IDS = np.array([[7, 1 << 40], [0, 2]], np.int64)


def test_tensors_follow_their_description_as_bytes() -> None:
    headers, body = infer_request({"dense": DENSE, "ids": IDS})
    split = int(headers[HEADER_LENGTH])
    assert orjson.loads(body[:split]) == {
        "inputs": [
            {"name": "dense", "datatype": "FP32", "shape": [2, 1], "parameters": {"binary_data_size": 8}},
            {"name": "ids", "datatype": "INT64", "shape": [2, 2], "parameters": {"binary_data_size": 32}},
        ],
        "parameters": {"binary_data_output": True},
    }
    np.testing.assert_array_equal(np.frombuffer(body[split : split + 8], "<f4").reshape(2, 1), DENSE)
    np.testing.assert_array_equal(np.frombuffer(body[split + 8 :], "<i8").reshape(2, 2), IDS)


def test_arrays_may_lie_in_memory_in_any_order() -> None:
    wide = np.zeros((2, 4), np.int64)
    wide[:, ::2] = IDS
    assert infer_request({"ids": wide[:, ::2]}) == infer_request({"ids": IDS})
    assert infer_request({"ids": IDS.astype(">i8")}) == infer_request({"ids": IDS})


@pytest.mark.parametrize(("seconds", "microseconds"), [(0.25, 250_000), (1e-9, 1)])
def test_a_time_limit_is_in_whole_microseconds(seconds: float, microseconds: int) -> None:
    headers, body = infer_request({"ids": IDS}, seconds)
    assert orjson.loads(body[: int(headers[HEADER_LENGTH])])["parameters"]["timeout"] == microseconds
